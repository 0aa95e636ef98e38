//! The queue at the moment of a scrape.

use std::time::Duration;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::firestore::Firestore;
use crate::support::forms::{registration, unmappable};
use crate::support::log::Log;
use crate::support::metrics::Metrics;

#[tokio::test]
async fn depth_and_age_are_read_from_the_queue() {
    let app = TestApp::start().await;
    app.process(&registration("done")).await;
    app.process(&unmappable("bad")).await;
    let age = [("collection", "commcare_collection")];
    Metrics::of(&app).await.expect("queue_oldest_new_age_seconds", &age, 0);
    app.accept(&registration("waiting-1")).await;
    app.accept(&registration("waiting-2")).await;
    let participant = json!({ "id": "j-1", "jobType": "Participant" }).to_string();
    app.post("/process-data-sf", participant).await.expect(200);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let metrics = Metrics::of(&app).await;
    metrics.expect("queue_up", &[], 1);
    for (status, expected) in [("new", 2), ("processing", 0), ("failed", 1)] {
        let labels = [("collection", "commcare_collection"), ("status", status)];
        metrics.expect("queue_records", &labels, expected);
    }
    metrics.expect("queue_records", &[("collection", "salesforce_collection"), ("status", "new")], 1);
    for (awaits, expected) in [("reference", 0), ("retry", 0), ("person", 1)] {
        let labels = [("collection", "commcare_collection"), ("awaits", awaits)];
        metrics.expect("queue_failed_records", &labels, expected);
    }
    let seconds = metrics.get("queue_oldest_new_age_seconds", &age).unwrap();
    assert!((0.02..30.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_queue_in_firestore_that_is_down_takes_only_its_own_gauges_away() {
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    app.process(&registration("f-1")).await;
    let metrics = Metrics::of(&app).await;
    metrics.expect("queue_up", &[], 1);
    metrics.get("queue_records", &[("collection", "commcare_collection"), ("status", "new")]).unwrap();
    firestore.stop().await;
    let log = Log::production(None);
    let began = tokio::time::Instant::now();
    let metrics = Metrics::of(&app).await;
    assert!(began.elapsed() < Duration::from_secs(8), "a scrape waits ten seconds");
    metrics.expect("queue_up", &[], 0);
    for gauge in ["queue_records", "queue_failed_records", "queue_oldest_new_age_seconds"] {
        assert_eq!(metrics.get(gauge, &[]), None, "{gauge}");
    }
    metrics.expect("records_processed_total", &[("outcome", "completed")], 1);
    let mut asked: Vec<_> =
        log.events("queue down at a scrape").iter().map(|event| event["asked"].clone()).collect();
    asked.sort_by_key(ToString::to_string);
    assert_eq!(asked, ["depths", "the last check", "the last reconciliation"]);
}

#[tokio::test]
async fn a_queue_that_never_answers_is_not_waited_for() {
    // It takes connections, and that is all.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let app = TestApp::with(&[
        ("QUEUE_URL", "firestore"),
        ("GOOGLE_CLOUD_PROJECT", "silent"),
        ("FIRESTORE_EMULATOR_HOST", &host),
    ])
    .await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    Metrics::of(&app).await.expect("queue_up", &[], 0);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
