//! Payload ids that are spelt like the documents of other payloads (`docs/service.md`, section 3).

use serde_json::{Value, json};

use crate::queue::backend::Backend;
use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::salesforce::SalesforceStandIn;

/// An id that no document can have: its document is a hash.
const ODD: &str = "visits/2026 #1";

async fn an_id_spelt_like_a_document_means_its_own_payload(backend: Backend) {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::on(&backend, &salesforce, &[]).await;
    let document = app.accept(&registration(ODD)).await["doc_id"].as_str().unwrap().to_owned();
    assert!(document.starts_with("sha256-"), "{document}");
    // As long as nobody has such an id, it means the document.
    let named = |answer: &Value| answer[0]["data"]["job_id"].clone();
    let record = format!("/record/commcare_collection/{document}");
    assert_eq!(named(&app.get(&record).await.expect(200)), ODD);

    let accepted = app.accept(&registration(&document)).await;
    assert_eq!((&accepted["duplicate"], accepted["doc_id"] == document), (&json!(false), false));
    let found = app.get(&record).await.expect(200);
    assert_eq!((found.as_array().unwrap().len(), named(&found)), (1, json!(document)));

    let retried = app.post(&format!("/retry/sf/{document}"), "").await.expect(200);
    let results = retried["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["doc_id"]), (1, &accepted["doc_id"]));
    let ids = json!({ "ids": [document] }).to_string();
    let retried = app.post("/batch_retry/sf/", ids.clone()).await.expect(200);
    assert_eq!(retried["results"][0]["results"].as_array().unwrap().len(), 1);
    let body = json!({ "ids": [document], "status": "failed" }).to_string();
    let updated = app.post("/bulk_update/commcare_collection/", body).await.expect(200);
    assert_eq!(updated["updated"], 1);

    let untouched = app.get("/record/commcare_collection/visits%2F2026%20%231").await.expect(200);
    let record = &untouched[0]["data"];
    assert_eq!((&record["status"], record.get("attempts")), (&json!("new"), None), "{record}");
}

#[tokio::test]
async fn an_id_spelt_like_a_document_means_its_own_payload_on_sqlite() {
    an_id_spelt_like_a_document_means_its_own_payload(Backend::sqlite()).await;
}

#[tokio::test]
async fn an_id_spelt_like_a_document_means_its_own_payload_on_firestore() {
    an_id_spelt_like_a_document_means_its_own_payload(Backend::firestore()).await;
}
