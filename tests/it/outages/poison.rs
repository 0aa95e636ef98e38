//! Records that a destination chokes on, alone and among healthy ones.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{TIMES, scheduled};
use crate::support::app::TestApp;
use crate::support::forms::attendance_light;
use crate::support::salesforce::{Fault, SalesforceStandIn};

/// From now on Salesforce chokes on the form.
fn poison(salesforce: &SalesforceStandIn, id: &str) {
    for _ in 0..200 {
        let fault = Fault::Answer(500, String::new());
        salesforce.fail_request_with(&format!("session-{id}\""), fault);
    }
}

async fn failed(app: &TestApp) -> Vec<Value> {
    app.get("/failed/sf?limit=1000").await.expect(200)["failed_jobs"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_at_the_head_hold_up_the_healthy_ones_for_three_drains_at_most() {
    join_all(["4", "8", "16"].map(a_dozen_at_the_head)).await;
}

#[expect(clippy::print_stdout, reason = "the figures of the run")]
async fn a_dozen_at_the_head(concurrency: &str) {
    const POISONED: u64 = 12;
    const HEALTHY: u64 = 100;
    let salesforce = SalesforceStandIn::start().await;
    let variables = [&TIMES[..], &[("SF_CONCURRENCY", concurrency)]].concat();
    let app = TestApp::sending_to(&salesforce, &variables).await;
    for number in 0..POISONED {
        let id = format!("poison-{number}");
        poison(&salesforce, &id);
        app.accept(&attendance_light(&id)).await;
    }
    for number in 0..HEALTHY {
        app.accept(&attendance_light(&format!("f-{number}"))).await;
    }
    let mut through = Vec::new();
    while through.last() != Some(&HEALTHY) {
        app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
        through.push(app.counts().await["completed"].as_u64().unwrap());
        assert!(through.len() <= 3, "{concurrency} at a time: healthy ones after each drain {through:?}");
    }
    // With others that go through, each is found out, and waits for a person after its retries.
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut more = 0;
    loop {
        let failed = failed(&app).await;
        let given_up = failed.iter().filter(|job| job["next_retry_at"].is_null()).count() as u64;
        if given_up == POISONED {
            break;
        }
        assert!(Instant::now() < deadline, "{concurrency} at a time: {given_up}, {}", app.counts().await);
        app.accept(&attendance_light(&format!("more-{more}"))).await;
        more += 1;
        scheduled(&app, "sf").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scheduled(&app, "sf").await;
    let counts = app.counts().await;
    println!(
        "{concurrency} at a time: healthy ones after each drain {through:?}; {more} rounds more: {counts}"
    );
    let all = json!({ "new": 0, "processing": 0, "completed": HEALTHY + more, "failed": POISONED });
    assert_eq!(counts, all);
    for job in failed(&app).await {
        assert!(job["id"].as_str().unwrap().starts_with("poison-"), "{job}");
        assert_eq!((&job["error_kind"], &job["run_retries"]), (&json!("transient"), &json!(1)), "{job}");
    }
}

#[tokio::test]
async fn a_lone_one_costs_a_call_a_drain_and_is_found_out_once_another_goes_through() {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &TIMES).await;
    poison(&salesforce, "lone");
    app.accept(&attendance_light("lone")).await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        let before = salesforce.requests();
        app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
        calls.push(salesforce.requests() - before);
    }
    println!("calls of each drain: {calls:?}");
    let record = app.record("lone").await;
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)), "{record}");
    // The first time, and until the outage is declared, it is worth its tries within the call.
    assert!(calls[3..].iter().all(|calls| *calls <= 1), "{calls:?}");
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut others = 0;
    while app.record("lone").await["next_retry_at"].is_string()
        || app.record("lone").await["status"] != "failed"
    {
        assert!(Instant::now() < deadline, "{}", app.record("lone").await);
        app.accept(&attendance_light(&format!("f-{others}"))).await;
        others += 1;
        scheduled(&app, "sf").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let record = app.record("lone").await;
    assert_eq!((&record["run_retries"], &record["cause"]), (&json!(1), &json!("unanswered")), "{record}");
    scheduled(&app, "sf").await;
    let all = json!({ "new": 0, "processing": 0, "completed": others, "failed": 1 });
    assert_eq!(app.counts().await, all);
    // It waits for a person: no drain calls for it.
    let before = salesforce.requests();
    for _ in 0..3 {
        scheduled(&app, "sf").await;
    }
    assert_eq!(salesforce.requests(), before);
}
