//! The calls, and what the dashboard and the metrics show of the last check.

use serde_json::json;
use tonic::Code;

use super::{findings, to_salesforce};
use crate::support::app::TestApp;
use crate::support::firestore::Firestore;
use crate::support::log::Log;
use crate::support::metrics::Metrics;
use crate::support::process::borrowed;
use crate::support::salesforce::SalesforceStandIn;

#[tokio::test]
async fn the_scheduler_s_check_is_kept_for_the_dashboard_and_counted_and_logged() {
    let log = Log::production(None);
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::with(&borrowed(&to_salesforce(&salesforce))).await;
    assert!(app.get("/dashboard").await.text.contains("Not checked yet"));

    let report = app.post("/check-destinations", "").await.expect(200);
    assert!(findings(&report).is_empty());
    assert!(app.get("/dashboard").await.text.contains("nothing found that would fail"));
    Metrics::of(&app).await.expect("destination_findings", &[("destination", "salesforce")], 0);

    salesforce.patch_org(&json!({ "Participant__c": { "Age__c": null } }));
    let report = app.get("/check-destinations").await.expect(200);
    assert_eq!(findings(&report).len(), 1);
    let page = app.get("/dashboard").await.text;
    assert!(page.contains("Participant__c.Age__c") && page.contains("1 finding"), "{page}");
    Metrics::of(&app).await.expect("destination_findings", &[("destination", "salesforce")], 1);
    let events = log.events("destination differs from the mappings");
    assert_eq!((events.len(), &events[0]["field"]), (1, &json!("Participant__c.Age__c")));
}

#[tokio::test]
async fn each_kind_of_query_finds_its_index_in_firestore() {
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    let report = app.get("/check-destinations").await.expect(200);
    assert_eq!(report["destinations"][3]["status"], "checked", "{report}");
    assert!(findings(&report).is_empty(), "{report}");
}

#[tokio::test]
async fn a_firestore_that_cannot_be_asked_says_why() {
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    firestore.set_outage(Some(Code::PermissionDenied));
    let report = app.get("/check-destinations").await.expect(200);
    let asked = &report["destinations"][3];
    assert_eq!(asked["status"], "unreachable");
    assert!(asked["detail"].as_str().unwrap().contains("PermissionDenied"), "the cause: {asked}");
}
