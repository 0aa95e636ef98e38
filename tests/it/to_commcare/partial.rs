//! Some records taken, others not: what is kept, and what a retry sends.

use serde_json::{Value, json};

use super::participants;
use crate::support::app::TestApp;
use crate::support::commcare::{CommCareStandIn, Fault, openrosa_body};

/// Retries are due at once.
async fn start(hq: &CommCareStandIn) -> TestApp {
    TestApp::with(&[&hq.variables()[..], &[("RETRY_BACKOFF_SECONDS", "1")]].concat()).await
}

fn refused(message: &str) -> Fault {
    Fault::Answer(422, openrosa_body("processing_failure", message))
}

/// Waits until the back-off of a second, give or take a fifth, is over.
async fn back_off() {
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
}

#[tokio::test]
async fn a_completed_payload_that_is_set_to_new_is_sent_again() {
    let hq = CommCareStandIn::start().await;
    let app = start(&hq).await;
    app.process_for_commcare(&participants("j-1", 3)).await;
    assert_eq!(hq.requests(), 3);
    let body = json!({ "ids": ["j-1"], "status": "new" }).to_string();
    assert_eq!(app.post("/bulk_update/salesforce_collection/", body).await.expect(200)["updated"], 1);
    assert_eq!(app.drain_to_commcare("").await["processed_records"], json!(["j-1"]));
    assert_eq!((hq.requests(), hq.cases().len()), (6, 3), "each again, and taken as the repeat that it is");
}

#[tokio::test]
async fn the_next_drain_sends_what_was_neither_taken_nor_refused() {
    let hq = CommCareStandIn::start().await;
    let app = start(&hq).await;
    hq.fail("case-j-1-2", refused("CaseValueError: no Wanjiru"));
    for _ in 0..4 {
        hq.fail("case-j-1-4", Fault::Answer(500, openrosa_body("submit_error", "broken")));
    }
    let record = app.process_for_commcare(&participants("j-1", 5)).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("new"), &json!("transient")));
    assert_eq!((&record["delivered"], &record["refused"]), (&json!([1, 3, 5]), &json!([2])));
    let first = "record 2 (case-j-1-2): HTTP Status: 422, message: 'CaseValueError: no [masked]'";
    let second = "record 4 (case-j-1-4): HTTP Status: 500, message: 'broken'";
    assert_eq!(record["error"], format!("{first}; {second}"));
    assert_eq!(record["last_step"], "submission");

    let before = hq.requests();
    let report = app.drain_to_commcare("").await;
    assert_eq!((&report["processed_records"], hq.requests() - before), (&json!([]), 1), "{report}");
    let record = app.commcare_record("j-1").await;
    assert_eq!((&record["error_kind"], &record["next_retry_at"]), (&json!("permanent"), &Value::Null));
    assert_eq!((&record["delivered"], &record["error"]), (&json!([1, 3, 4, 5]), &json!(first)));

    // By hand the refused one is sent again, and nothing else.
    let before = hq.requests();
    let answer = app.get("/retry/cc/j-1").await.expect(200);
    assert_eq!((&answer["results"][0]["status"], hq.requests() - before), (&json!("completed"), 1));
    let record = app.commcare_record("j-1").await;
    assert_eq!(record["delivered"], json!([1, 2, 3, 4, 5]));
    assert!(record.get("refused").is_none() && record.get("refusals").is_none());
    assert_eq!(hq.cases().len(), 5);
}

#[tokio::test]
async fn a_missing_parent_is_a_dependency_until_it_is_there() {
    let hq = CommCareStandIn::start().await;
    hq.check_parents();
    let app = start(&hq).await;
    let record = app.process_for_commcare(&participants("j-1", 2)).await;
    assert_eq!(
        (&record["error_kind"], record["error"].as_str().unwrap().matches("InvalidCaseIndex").count()),
        (&json!("dependency"), 2)
    );
    assert!(record["error"].as_str().unwrap().contains("'group-1'"), "ids stay: {}", record["error"]);
    assert!(record.get("delivered").is_none() && record.get("refused").is_none());
    app.process_for_commcare(&super::group("g-1", "group-1")).await;
    back_off().await;
    let report = app.post("/auto-retry-firestore-to-cc", "").await.expect(200);
    assert_eq!(report["processed_records"], json!(["j-1"]));
    assert!(hq.forms().values().all(|form| form.edits == 0), "the same bytes succeed");
}

#[tokio::test]
async fn a_commcare_that_overlooks_the_version_is_understood_all_the_same() {
    let hq = CommCareStandIn::start().await;
    hq.check_parents();
    hq.ignore_version();
    let app = start(&hq).await;
    let record = app.process_for_commcare(&participants("j-1", 1)).await;
    assert_eq!(record["error_kind"], "dependency", "{record}");
    assert!(record["error"].as_str().unwrap().contains("HTTP Status: 201"));
}

#[tokio::test]
async fn the_first_of_transient_dependency_and_permanent_decides() {
    let permanent = || refused("CaseValueError: x");
    let dependency = || refused("InvalidCaseIndex: x");
    let transient = || Fault::Answer(404, "no".to_owned());
    for (faults, kind) in [
        (vec![permanent(), dependency(), transient()], "transient"),
        (vec![permanent(), dependency()], "dependency"),
        (vec![permanent(), permanent()], "permanent"),
        (vec![Fault::Answer(201, openrosa_body("submit_error", "x"))], "permanent"),
        (vec![Fault::Answer(404, openrosa_body("post_processing_failure", "x"))], "transient"),
    ] {
        let hq = CommCareStandIn::start().await;
        let app = start(&hq).await;
        for (number, fault) in (1..).zip(faults) {
            hq.fail(&format!("case-j-1-{number}"), fault);
        }
        let record = app.process_for_commcare(&participants("j-1", 4)).await;
        assert_eq!(record["error_kind"], kind, "{record}");
    }
}

#[tokio::test]
async fn a_long_list_of_errors_is_cut_and_the_rest_counted() {
    let hq = CommCareStandIn::start().await;
    let app = start(&hq).await;
    for number in 1..=30 {
        hq.fail(&format!("case-j-1-{number}"), refused("CaseValueError: x"));
    }
    let record = app.process_for_commcare(&participants("j-1", 40)).await;
    let error = record["error"].as_str().unwrap();
    assert_eq!(error.matches("record ").count(), 20);
    assert!(error.ends_with("; and 10 more"), "{error}");
    assert_eq!(record["refused"], json!((1..=30).collect::<Vec<_>>()));
    assert_eq!(record["refusals"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn what_commcare_quotes_of_a_payload_is_masked_wherever_it_is_kept() {
    let hq = CommCareStandIn::start().await;
    let app = start(&hq).await;
    let quoted = "CaseValueError: Njeri of 0712-000-417 and HH-004417, not case-j-1-1 of group-1";
    hq.fail("case-j-1-1", refused(quoted));
    let payload = participants("j-1", 1);
    app.accept_for_commcare(&payload).await;
    let report = app.drain_to_commcare("").await;
    let mut record = app.commcare_record("j-1").await;
    record.as_object_mut().unwrap().remove("data");
    for text in [report.to_string(), record.to_string()] {
        assert!(
            !text.contains("Njeri") && !text.contains("000-417") && !text.contains("HH-004417"),
            "{text}"
        );
        assert!(text.contains("case-j-1-1 of group-1"), "ids stay: {text}");
    }
}

#[tokio::test]
async fn an_edited_payload_is_sent_whole() {
    let hq = CommCareStandIn::start().await;
    let app = start(&hq).await;
    hq.fail("case-j-1-2", refused("CaseValueError: x"));
    app.process_for_commcare(&participants("j-1", 3)).await;
    let mut edited = participants("j-1", 3);
    edited["participants"][0]["participantAge"] = 44.into();
    assert_eq!(app.accept_for_commcare(&edited).await["replaced"], true);
    let record = app.commcare_record("j-1").await;
    assert!(record.get("delivered").is_none() && record.get("refused").is_none(), "{record}");
    app.drain_to_commcare("").await;
    assert_eq!(app.commcare_record("j-1").await["delivered"], json!([1, 2, 3]));
    assert_eq!(hq.cases()["case-j-1-1"]["Age"], "44");
}
