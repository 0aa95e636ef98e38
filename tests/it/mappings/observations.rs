//! Training and demonstration-plot observations: ids, counts, version gates, unknown codes.

use commcare_sf_integration::plan::Upsert;
use serde_json::{Value, json};

use super::samples::sample;
use super::{map, steps, unmapped, with};

const APP_B: &str = "812728b8b35644dabb51561420938ee0";

fn training() -> Value {
    sample("Training Observation")
}

fn demo_plot() -> Value {
    sample("Demo Plot Observation")
}

fn checks(payload: &Value) -> usize {
    map(payload).unwrap().upserts().iter().filter(|upsert| upsert.object == "Check__c").count()
}

#[test]
fn a_missing_or_blank_id_is_an_error_that_names_its_path() {
    for payload in [training(), demo_plot()] {
        for value in [json!(null), json!(""), json!(" "), json!("a\nb"), json!(["Wanjiru"])] {
            assert_eq!(map(&with(payload.clone(), "id", value)).unwrap_err().path, "payload.id");
        }
    }
}

/// `docs/mappings/commcare-to-salesforce.md`, decision S13.
#[test]
fn a_check_without_a_participant_is_left_out_and_the_rest_is_written() {
    let all = map(&training()).unwrap();
    for group in ["Participant_One_Feedback", "Participant_Two_Feedback", "Participant_Three_Feedback"] {
        let path = format!("form.{group}.participant_id");
        let participant = training()["form"][group]["participant_id"].as_str().unwrap().to_owned();
        let is_the_check = |upsert: &Upsert| upsert.external_id.ends_with(&participant);
        let others: Vec<_> = all.upserts().iter().filter(|upsert| !is_the_check(upsert)).collect();
        assert_eq!(others.len(), all.upserts().len() - 1);
        for nobody in [json!(null), json!(""), json!("  ")] {
            let plan = map(&with(training(), &path, nobody)).unwrap();
            assert_eq!(plan.upserts().iter().collect::<Vec<_>>(), others);
        }
        for wrong in [json!("a\nb"), json!(["Wanjiru"])] {
            assert_eq!(map(&with(training(), &path, wrong)).unwrap_err().path, path);
        }
    }
}

#[test]
fn the_payloads_id_may_be_a_number() {
    let plan = map(&with(demo_plot(), "id", 91)).unwrap();
    assert_eq!(
        steps(&plan)[..2],
        [("Observation__c", "91"), ("Observation_Result__c", "91coffee_global__compost_heap")]
    );
}

#[test]
fn participant_counts_are_whole_numbers_or_errors() {
    let path = "form.Current_session_participants.Male_Participants_In_Attendance";
    let count = |value: Value| {
        map(&with(training(), path, value))
            .map(|plan| plan.upserts()[0].fields.to_json()["Male_Participants__c"].clone())
    };
    for (answer, expected) in [
        (json!(" 12 "), json!(12)),
        (json!("-3"), json!(-3)),
        (json!("+7"), json!(7)),
        (json!("007"), json!(7)),
        (json!(5), json!(5)),
        (json!("  "), json!(null)),
        (json!(""), json!(null)),
        (json!(null), json!(null)),
    ] {
        assert_eq!(count(answer).unwrap(), expected);
    }
    for answer in [
        json!("5.0"),
        json!("six"),
        json!("1 2"),
        json!(5.0),
        json!(true),
        json!({}),
        json!("99999999999999999999"),
    ] {
        assert_eq!(count(answer).unwrap_err().path, path);
    }
}

#[test]
fn checks_are_made_from_each_apps_own_version_on() {
    let version = |app: &str, version: Value| {
        with(with(training(), "app_id", app), "metadata.app_build_version", version)
    };
    let app_a = "30cee26f064e403388e334ae7b0c403b";
    for (payload, expected) in [
        (version(app_a, json!(217)), 3),
        (version(app_a, json!(216.9)), 0),
        (version(app_a, json!(" 217.0 ")), 3),
        (version(app_a, json!("")), 0),
        (version(APP_B, json!(35)), 3),
        (version(APP_B, json!("34.5")), 3),
        (version(APP_B, json!(34)), 0),
        (version("another", json!("latest")), 0),
        (with(training(), "metadata", json!("")), 0),
    ] {
        assert_eq!(checks(&payload), expected);
    }
    for wrong in
        [json!("latest"), json!(true), json!([217]), json!({"major": 217}), json!("nan"), json!("2_17")]
    {
        let error = map(&version(app_a, wrong)).unwrap_err();
        assert_eq!(error.path, "payload.metadata.app_build_version");
    }
}

#[test]
fn a_code_that_no_table_knows_is_reported_where_it_was_answered() {
    let codes = with(
        with(
            with(demo_plot(), "form.best_practice_questions.mulch.thickness_of_mulch", "7"),
            "form.best_practice_questions.pruning.pruning_methods",
            "9 1 9  new_method",
        ),
        "form.best_practice_questions.compost_heap.present_compost_heap",
        "Yes, a heap that somebody described",
    );
    let plan = map(&codes).unwrap();
    assert_eq!(
        unmapped(&plan),
        [
            ("form.best_practice_questions.mulch.thickness_of_mulch", "7"),
            ("form.best_practice_questions.pruning.pruning_methods", "9"),
            ("form.best_practice_questions.pruning.pruning_methods", "new_method"),
        ]
    );
    assert!(!steps(&plan).iter().any(|(_, id)| id.ends_with("compost_heap")));

    let answer = "form.Participant_Two_Feedback.Attendend_Previous_Training_Module";
    let plan = map(&with(training(), answer, "Maybe")).unwrap();
    assert_eq!(unmapped(&plan), [(answer, "Maybe")]);
    for blank in [json!(null), json!(""), json!(" ")] {
        assert_eq!(unmapped(&map(&with(training(), answer, blank)).unwrap()), []);
    }
}

#[test]
fn ethiopian_apps_send_labels_of_which_none_is_reported() {
    let payload = with(demo_plot(), "app_id", "0c9b5791828b4baea6c1eaa4d6979c5a");
    let plan =
        map(&with(payload, "form.best_practice_questions.vetiver.vetiver_planted", "Planted")).unwrap();
    let vetiver =
        plan.upserts().iter().find(|upsert| upsert.external_id.ends_with("vetiver_planted")).unwrap();
    assert_eq!(vetiver.fields.to_json()["Result__c"], "Planted");
    assert_eq!(unmapped(&plan), []);
}
