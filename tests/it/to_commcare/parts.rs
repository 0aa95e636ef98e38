//! Payloads that no queue document can hold.

use serde_json::{Value, json};

use super::participants;
use crate::support::app::TestApp;
use crate::support::commcare::CommCareStandIn;

/// A payload of about `count` × 1.2 kB.
fn large(id: &str, count: usize) -> Value {
    let mut payload = participants(id, count);
    for record in payload["participants"].as_array_mut().unwrap() {
        record["participantNotUsed"] = "x".repeat(650).into();
    }
    payload
}

async fn records(app: &TestApp, id: &str) -> Vec<(String, Value)> {
    let found = app.get(&format!("/record/salesforce_collection/{id}")).await.expect(200);
    let part = |part: &Value| (part["id"].as_str().unwrap().to_owned(), part["data"].clone());
    found.as_array().unwrap().iter().map(part).collect()
}

#[tokio::test]
async fn ten_thousand_participants_go_through() {
    const COUNT: usize = 10_000;
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    let payload = large("big", COUNT);
    let text = payload.to_string();
    assert!(text.len() > 11_000_000, "{}", text.len());
    let accepted = app.post("/process-data-sf", text.clone()).await.expect(200);
    assert_eq!((&accepted["doc_id"], &accepted["duplicate"]), (&json!("big-1"), &json!(false)));
    let again = app.post("/process-data-sf", text).await.expect(200);
    assert_eq!((&again["doc_id"], &again["duplicate"]), (&json!("big-1"), &json!(true)));

    let parts = records(&app, "big").await;
    assert!((12..16).contains(&parts.len()), "{}", parts.len());
    let counts = app.get("/status-count/salesforce_collection").await.expect(200)["status_counts"].clone();
    assert_eq!(counts["new"], parts.len());
    let mut next = 1;
    for (number, (doc_id, part)) in (1..).zip(&parts) {
        assert_eq!(*doc_id, format!("big-{number}"));
        assert_eq!((&part["job_id"], &part["data"]["id"]), (&json!("big"), &json!("big")));
        assert_eq!(part["first_position"], next);
        next += part["data"]["participants"].as_array().unwrap().len();
    }
    assert_eq!(next, COUNT + 1);

    let report = app.drain_to_commcare("?drain=true").await;
    assert_eq!(report["processed_records"].as_array().unwrap().len(), parts.len(), "{report}");
    assert_eq!((hq.requests(), hq.forms().len(), hq.cases().len()), (COUNT, COUNT, COUNT));
    // The position that a record's instance id is made of is that in the payload as it arrived.
    let name = format!("big/case-big-{COUNT}/{COUNT}");
    let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).to_string();
    assert!(hq.forms().contains_key(&id));
    let (_, last) = records(&app, "big").await.pop().unwrap();
    assert!(last["delivered"].as_array().unwrap().contains(&json!(COUNT)));
}

#[tokio::test]
async fn a_retry_is_of_every_part() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    app.accept_for_commcare(&large("big", 2_000)).await;
    let answer = app.get("/retry/cc/big").await.expect(200);
    let results: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|r| r["doc_id"].as_str().unwrap()).collect();
    assert_eq!(results, ["big-1", "big-2", "big-3"]);
    assert!(answer["results"].as_array().unwrap().iter().all(|result| result["status"] == "completed"));
    assert_eq!(hq.cases().len(), 2_000);
    let one = app.get("/retry/cc/big-2").await.expect(200);
    assert_eq!(one["results"].as_array().unwrap().len(), 1, "a part by its own id");
}

#[tokio::test]
async fn an_error_names_the_place_in_the_payload_as_it_arrived() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    let mut payload = large("big", 2_000);
    payload["participants"][1_999]["commCareCaseId"] = "".into();
    app.accept_for_commcare(&payload).await;
    let report = app.drain_to_commcare("?drain=true").await;
    let failed = &report["failed_records"];
    assert_eq!(
        failed,
        &json!([{ "doc_id": "big-3", "error": "record 2000: commCareCaseId is missing or blank" }])
    );
}

#[tokio::test]
async fn a_record_that_no_document_can_hold_is_refused() {
    let app = TestApp::start().await;
    let mut payload = participants("big", 3);
    payload["participants"][1]["status"] = "x".repeat(1_100_000).into();
    app.post("/process-data-sf", payload.to_string()).await.expect(413);
    app.get("/record/salesforce_collection/big").await.expect(404);
}
