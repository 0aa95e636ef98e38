//! `GET /metrics`: what each family counts (`docs/service.md`, section 8).

mod destinations;
mod queue;
mod records;
mod requests;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::forms::{attendance, registration};
use crate::support::metrics::Metrics;
use crate::support::salesforce::SalesforceStandIn;

/// Every family, once everything has happened.
const FAMILIES: [&str; 20] = [
    "commcare_sf_destination_findings",
    "commcare_sf_destination_state",
    "commcare_sf_drains_stopped_total",
    "commcare_sf_http_request_duration_seconds",
    "commcare_sf_http_requests_total",
    "commcare_sf_last_drain_timestamp_seconds",
    "commcare_sf_queue_failed_records",
    "commcare_sf_queue_oldest_new_age_seconds",
    "commcare_sf_queue_records",
    "commcare_sf_queue_up",
    "commcare_sf_record_processing_seconds",
    "commcare_sf_record_retries_total",
    "commcare_sf_records_processed_total",
    "commcare_sf_salesforce_api_calls_limit",
    "commcare_sf_salesforce_api_calls_used",
    "commcare_sf_salesforce_calls_total",
    "commcare_sf_unmapped_answers_total",
    "commcare_sf_unreadable_records_total",
    "commcare_sf_webhooks_accepted_total",
    "commcare_sf_webhooks_refused_total",
];

/// A form with an answer whose code no label table knows.
fn unknown_code() -> Value {
    let sample = include_str!("../../src/samples/demo_plot_observation.json");
    let mut form: Value = serde_json::from_str(sample).unwrap();
    form["form"]["best_practice_questions"]["mulch"]["thickness_of_mulch"] = "77".into();
    form
}

async fn start() -> (SalesforceStandIn, TestApp) {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&stand_in, &[]).await;
    (stand_in, app)
}

#[tokio::test]
async fn every_family_is_described_and_has_a_series() {
    let (stand_in, app) = start().await;
    stand_in.create_unknown_references();
    app.process(&unknown_code()).await;
    app.get("/retry/sf/7c235a86-1b12-4fa1-aa68-8d7348f7c279").await.expect(200);
    app.accept(&registration("f-1")).await;
    app.post("/check-destinations", "").await.expect(200);
    stand_in.expire_sessions();
    stand_in.refuse_logins(true);
    app.drain().await;
    let metrics = Metrics::of(&app).await;
    assert_eq!(metrics.families().into_iter().collect::<Vec<_>>(), FAMILIES);
}

#[tokio::test]
async fn a_service_that_has_done_nothing_can_be_scraped() {
    let app = TestApp::start().await;
    let metrics = Metrics::of(&app).await;
    metrics.expect("queue_up", &[], 1);
    metrics.expect("queue_records", &[], 0);
    for collection in ["commcare_collection", "salesforce_collection"] {
        for status in ["401", "403"] {
            // An alert on a rate needs the series before it grows.
            metrics.expect("webhooks_refused_total", &[("collection", collection), ("status", status)], 0);
        }
    }
    assert!(metrics.get("destination_state", &[]).is_none(), "a recorder is no destination");
}

#[tokio::test]
async fn clones_and_scrapes_count_once() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    for _ in 0..3 {
        Metrics::of(&app).await.expect("records_processed_total", &[("outcome", "completed")], 1);
    }
    app.process(&attendance("a-1", 1)).await;
    Metrics::of(&app).await.expect("records_processed_total", &[("outcome", "completed")], 2);
    assert_eq!(app.record("a-1").await["dry_run"], json!(true));
}
