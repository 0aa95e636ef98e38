//! Rules of the wet-mill forms that the golden cases don't show.

use commcare_sf_integration::plan::Effects;
use commcare_sf_integration::plan::rows::{Rows, Visit};
use serde_json::{Value, json};

use super::{map, unmapped, with};
use crate::support::forms::{mill, mill_visit};

fn visit(payload: &Value) -> Visit {
    match map(payload).unwrap().effects {
        Effects::Rows(Rows::Visit(visit)) => *visit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_registration_reports_its_first_error_in_the_order_of_the_page() {
    let mut payload = mill("m");
    payload["form"]["wetmill_tns_id"] = "".into();
    payload["form"]["subcase_0"] = "".into();
    payload["form"]["registration_date"] = "today".into();
    payload["form"]["date_ba_signature"] = "today".into();
    payload["form"]["country"] = json!({});
    for (path, healed) in [
        ("form.wetmill_tns_id", json!("tns")),
        ("form.subcase_0.case.@case_id", json!("case")),
        ("form.registration_date", json!("2026-03-09T08:00:00+03")),
        ("form.date_ba_signature", json!("2026-3-9")),
        ("form.country", json!("Kenya")),
    ] {
        assert_eq!(map(&payload).unwrap_err().path, path);
        payload = with(payload, path, healed);
    }
    map(&payload).unwrap();
}

#[test]
fn codes_that_no_table_knows_are_reported_and_words_are_not() {
    let registration = with(mill("m"), "form.wet_mill_details.mill_status", "7");
    let registration = with(registration, "form.wet_mill_details.manager_role", "a good man");
    assert_eq!(unmapped(&map(&registration).unwrap()), [("form.wet_mill_details.mill_status", "7")]);
    let payload = with(
        mill_visit("v", "m", &json!({})),
        "form.surveys.infrastructure",
        json!({
            "main_water_source": "11",
            "are_the_following_in_good_state_of_repair": "1 99",
            "network_coverage": "",
        }),
    );
    let found = [
        ("form.surveys.infrastructure.main_water_source", "11"),
        ("form.surveys.infrastructure.are_the_following_in_good_state_of_repair", "99"),
    ];
    assert_eq!(unmapped(&map(&payload).unwrap()), found);
    // Burundi has no status, which is no gap of the table.
    let burundi = with(mill("m"), "form.survey_type", "Wet Mill Registration - BU");
    let burundi = with(burundi, "form.wet_mill_details.mill_status", "1");
    assert_eq!(unmapped(&map(&burundi).unwrap()), []);
}

#[test]
fn surveys_that_are_no_groups_are_left_out() {
    for survey in [json!(""), json!(null), json!("text"), json!([{ "volume": "1" }]), json!(7)] {
        assert_eq!(visit(&mill_visit("v", "m", &survey)).surveys, []);
    }
    let payload = with(mill_visit("v", "m", &json!({})), "form.surveys", "");
    assert_eq!(visit(&payload).surveys, []);
}

#[test]
fn feedback_that_is_no_text_is_kept_as_json() {
    for (feedback, text) in
        [(json!(5), "5"), (json!(true), "true"), (json!({ "b": [1.50], "a": "é" }), r#"{"a":"é","b":[1.5]}"#)]
    {
        let visit = visit(&mill_visit("v", "m", &json!({ "general_feedback": feedback })));
        assert_eq!(visit.surveys[0].general_feedback.as_deref(), Some(text));
    }
}
