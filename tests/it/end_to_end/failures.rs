//! Refusals by Salesforce: their effect on the record, and on the drain.

use serde_json::{Value, json};

use super::start;
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms::{attendance, registration};
use crate::support::salesforce::Fault;

on_both_back_ends!(
    a_refused_row_fails_its_form_alone_and_leaves_nothing_half_written,
    a_transient_failure_waits_for_its_next_retry,
    a_refused_login_stops_the_drain_and_is_not_tried_again_by_every_record,
    a_used_up_quota_stops_the_drain,
    a_retry_that_meets_a_refused_login_says_so_and_is_not_counted,
);

async fn a_refused_row_fails_its_form_alone_and_leaves_nothing_half_written(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    let message = "Phone 0911428067 of Almaz Bekele is not valid for farmer-f-1";
    stand_in.refuse_row("farmer-f-1", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message);
    app.accept(&registration("f-1")).await;
    app.accept(&registration("f-2")).await;
    let report = app.drain().await;
    assert_eq!(report["processed_records"], json!(["f-2"]));
    let error = report["failed_records"][0]["error"].as_str().unwrap();
    assert!(error.contains("FIELD_CUSTOM_VALIDATION_EXCEPTION") && error.contains("farmer-f-1"), "{error}");
    assert!(error.contains("Phone [masked] of [masked]"), "{error}");
    for value in ["0911428067", "Almaz", "Bekele"] {
        assert!(!report.to_string().contains(value), "{report}");
    }
    let record = app.record("f-1").await;
    assert_eq!((&record["error"], &record["error_kind"]), (&json!(error), &json!("permanent")));
    assert_eq!((&record["last_step"], &record["next_retry_at"]), (&json!("Participant__c"), &Value::Null));
    assert_eq!(stand_in.records("Household__c").len(), 1, "the household of f-1 was rolled back");
}

async fn a_transient_failure_waits_for_its_next_retry(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    for _ in 0..10 {
        stand_in.fail_next(Fault::Answer(503, "<html>busy</html>".to_owned()));
    }
    let record = app.process(&registration("f-1")).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("new"), &json!("transient")));
    assert_eq!((&record["run_retries"], &record["attempts"][0]["outcome"]), (&json!(0), &json!("undecided")));
    assert!(!record["error"].as_str().unwrap().contains("html"), "{record}");
}

/// Fails unless the drain put back forms of the first eight, that run at a time, and no others.
fn assert_only_those_under_way(report: &Value, ids: &[String]) {
    let released = report["released_records"].as_array().unwrap();
    let is_first = |id: &Value| ids[..8].iter().any(|first| id == first);
    assert!(!released.is_empty() && released.iter().all(is_first), "{report}");
}

/// Fails unless these records are `new`, with nothing counted against them.
async fn assert_untouched(app: &TestApp, ids: &[String]) {
    for id in ids {
        let record = app.record(id).await;
        assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)), "{id}");
        let begun = record.get("attempts").is_some();
        assert!(!begun || record["attempts"][0]["outcome"] == "undecided", "{record}");
        assert!(record.get("next_retry_at").is_none() && record.get("lease_owner").is_none(), "{record}");
    }
}

async fn a_refused_login_stops_the_drain_and_is_not_tried_again_by_every_record(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    stand_in.refuse_logins(true);
    let ids: Vec<String> = (0..30).map(|n| format!("f-{n:02}")).collect();
    for id in &ids {
        app.accept(&registration(id)).await;
    }
    let report = app.post("/process-firestore-to-sf?limit=20&drain=true", "").await.expect(200);
    assert_eq!((&report["processed_records"], &report["failed_records"]), (&json!([]), &json!([])));
    assert_only_those_under_way(&report, &ids);
    assert_eq!(report["stopped"]["destination"], "salesforce");
    let reason = report["stopped"]["reason"].as_str().unwrap();
    assert!(reason.contains("invalid_grant"), "{reason}");
    assert_eq!((stand_in.logins(), stand_in.requests()), (1, 0), "a user is locked out by many");
    assert_untouched(&app, &ids).await;
    assert!(app.record("f-25").await.get("attempts").is_none());
}

async fn a_used_up_quota_stops_the_drain(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    let body = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded." }]);
    for _ in 0..8 {
        stand_in.fail_next(Fault::Answer(403, body.to_string()));
    }
    let ids: Vec<String> = (0..20).map(|n| format!("f-{n:02}")).collect();
    for id in &ids {
        app.accept(&registration(id)).await;
    }
    let report = app.post("/process-firestore-to-sf?limit=20", "").await.expect(200);
    assert_only_those_under_way(&report, &ids);
    assert!(report["stopped"]["reason"].as_str().unwrap().contains("REQUEST_LIMIT_EXCEEDED"), "{report}");
    assert!(stand_in.requests() <= 8, "only those under way at the time met it");
    assert_untouched(&app, &ids).await;
    // The next drain finds room again. Forms that had not called yet have left their answers over.
    stand_in.fail_no_more();
    let report = app.post("/process-firestore-to-sf?limit=20", "").await.expect(200);
    assert_eq!(report["processed_records"].as_array().unwrap().len(), 20, "{report}");
}

async fn a_retry_that_meets_a_refused_login_says_so_and_is_not_counted(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    app.process(&attendance("a-1", 1)).await;
    assert_eq!(app.record("a-1").await["status"], "failed");
    stand_in.expire_sessions();
    stand_in.refuse_logins(true);
    let answer = app.get("/retry/sf/a-1").await.expect(200);
    assert_eq!(answer["results"][0]["status"], "failed", "as it was");
    assert!(answer["results"][0]["error"].as_str().unwrap().contains("invalid_grant"), "{answer}");
    assert_eq!(app.record("a-1").await["run_retries"], 0);
}
