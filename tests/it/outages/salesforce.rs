//! Salesforce in trouble.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;

use super::{PAGE, TIMES, assert_uncounted, scheduled, sit_out};
use crate::support::app::TestApp;
use crate::support::forms::attendance_light;
use crate::support::log::Log;
use crate::support::metrics::Metrics;
use crate::support::salesforce::{Fault, SalesforceStandIn};

fn code(code: &str, message: &str) -> String {
    json!([{ "errorCode": code, "message": message }]).to_string()
}

/// What an org in trouble, or something before it, answers to a whole call.
fn troubles() -> Vec<Fault> {
    let concurrent = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
    vec![
        Fault::Answer(503, String::new()),
        Fault::Answer(503, code("SERVER_UNAVAILABLE", "maintenance")),
        Fault::Answer(500, String::new()),
        Fault::Answer(500, code("UNKNOWN_EXCEPTION", "An unexpected error occurred")),
        Fault::Answer(429, String::new()),
        Fault::Answer(403, code("REQUEST_LIMIT_EXCEEDED", concurrent)),
        Fault::Answer(403, PAGE.to_owned()),
        Fault::Answer(407, String::new()),
        Fault::Answer(451, PAGE.to_owned()),
        Fault::Answer(400, PAGE.to_owned()),
        Fault::Answer(404, PAGE.to_owned()),
        Fault::Answer(410, PAGE.to_owned()),
        Fault::Answer(302, String::new()),
        Fault::Answer(200, PAGE.to_owned()),
        Fault::CutBefore,
        Fault::Hang,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_fails_and_every_form_is_delivered_afterwards_by_itself() {
    join_all(troubles().into_iter().map(outlast)).await;
}

/// The `limits` resource answers all the time.
#[expect(clippy::print_stdout, reason = "the figures of the run")]
async fn outlast(trouble: Fault) {
    const FORMS: u64 = 10;
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &TIMES).await;
    // One has failed of its own before, and its retry is due in the midst of the outage.
    for _ in 0..3 {
        salesforce.refuse_row("session-early", 400, "UNABLE_TO_LOCK_ROW", "");
    }
    assert_eq!(app.process(&attendance_light("early")).await["status"], "failed");
    for number in 0..FORMS {
        app.accept(&attendance_light(&format!("f-{number}"))).await;
    }
    let calls = salesforce.requests();
    salesforce.set_composite_outage(Some(trouble.clone()));
    let rounds = sit_out(&app, "sf", "salesforce").await;
    let early = app.record("early").await;
    assert_eq!(
        (&early["status"], &early["run_retries"], &early["cause"]),
        (&json!("failed"), &json!(0), &json!("lock")),
        "{trouble:?}: {early}"
    );
    assert!(early["next_retry_at"].is_string(), "{trouble:?}: {early}");
    for number in 0..FORMS {
        assert_uncounted(&app.record(&format!("f-{number}")).await);
    }
    let counts = app.counts().await;
    println!("{trouble:?}: {rounds} rounds, {} calls, {counts}", salesforce.requests() - calls);
    assert_eq!(counts, json!({ "new": FORMS, "processing": 0, "completed": 0, "failed": 1 }), "{trouble:?}");
    salesforce.set_composite_outage(None);
    app.until_completed(FORMS + 1).await;
    assert_eq!(salesforce.records("Training_Session__c").len() as u64, FORMS + 1);
}

#[tokio::test]
async fn the_first_drain_after_an_outage_delivers_everything() {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &TIMES).await;
    for number in 0..30 {
        app.accept(&attendance_light(&format!("f-{number}"))).await;
    }
    salesforce.set_outage(Some(Fault::Answer(503, String::new())));
    sit_out(&app, "sf", "salesforce").await;
    salesforce.set_outage(None);
    let drained = app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
    assert_eq!(drained["processed_records"].as_array().unwrap().len(), 30, "{drained}");
}

#[tokio::test]
async fn an_outage_that_outlasts_the_patience_is_told_as_the_failure_that_it_is() {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &TIMES).await;
    salesforce.set_outage(Some(Fault::Answer(503, String::new())));
    app.accept(&attendance_light("f-1")).await;
    let drained = scheduled(&app, "sf").await;
    assert_eq!((&drained["failed_records"], &drained["released_records"]), (&json!([]), &json!(["f-1"])));
    app.app.queue.pass(TimeDelta::days(8));
    let log = Log::production(None);
    let drained = scheduled(&app, "sf").await;
    let record = app.record("f-1").await;
    assert_eq!((&record["status"], &record["cause"]), (&json!("failed"), &json!("outage")), "{record}");
    assert_eq!(drained["released_records"], json!([]), "{drained}");
    assert_eq!(drained["failed_records"][0], json!({ "doc_id": "f-1", "error": record["error"] }));
    let [failed] = &log.events("record failed")[..] else { panic!("{}", log.text()) };
    assert_eq!((&failed["cause"], &failed["awaits"]), (&json!("outage"), &json!("person")), "{failed}");
    let metrics = Metrics::of(&app).await;
    let of_outcome = |outcome| metrics.get("records_processed_total", &[("outcome", outcome)]);
    assert_eq!((of_outcome("failed"), of_outcome("released")), (Some(1.0), Some(1.0)), "{}", metrics.text);
}
