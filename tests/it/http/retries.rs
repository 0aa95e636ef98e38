//! `GET` and `POST /retry/{dest}/{id}`.

use commcare_sf_integration::submission::{Origin, Trigger};
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::claims::ClaimMany;
use crate::support::forms::{UNMAPPABLE, registration, unmappable};

#[tokio::test]
async fn a_completed_record_runs_again_whichever_way_it_is_asked_for() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    for (method, retries) in [("GET", 1), ("POST", 2), ("GET", 3), ("GET", 4)] {
        let answer = app.call(method, "/retry/sf/f-1", &[]).await.expect(200);
        let expected = json!({
            "message": "Retry completed",
            "id": "f-1",
            "results": [{ "doc_id": "f-1", "status": "completed", "error": null }],
        });
        assert_eq!(answer, expected);
        let record = app.record("f-1").await;
        assert_eq!(record["run_retries"], retries, "whatever the retry count");
        assert_eq!(record["attempts"].as_array().unwrap().last().unwrap()["trigger"], "manual");
    }
}

#[tokio::test]
async fn a_new_record_runs_and_that_is_no_retry() {
    let app = TestApp::start().await;
    app.accept(&registration("f-1")).await;
    let answer = app.call("POST", "/retry/sf/f-1", &[]).await.expect(200);
    assert_eq!(answer["results"][0]["status"], "completed");
    assert_eq!(app.record("f-1").await["run_retries"], 0);
}

#[tokio::test]
async fn a_record_that_fails_again_says_why() {
    let app = TestApp::start().await;
    app.process(&unmappable("f-1")).await;
    let answer = app.get("/retry/sf/f-1").await.expect(200);
    assert_eq!(answer["results"], json!([{ "doc_id": "f-1", "status": "failed", "error": UNMAPPABLE }]));
}

#[tokio::test]
async fn a_record_being_processed_is_reported_and_not_run_twice() {
    let app = TestApp::start().await;
    app.accept(&registration("f-1")).await;
    let claims =
        app.app.queue.claim_oldest(Origin::CommCare, 1, "another", Trigger::Batch).await.unwrap().claims;
    assert_eq!(claims.len(), 1);
    let answer = app.get("/retry/sf/f-1").await.expect(200);
    assert_eq!(answer["results"], json!([{ "doc_id": "f-1", "status": "processing", "error": null }]));
    assert_eq!(app.record("f-1").await["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stopping_service_starts_none() {
    let app = TestApp::start().await;
    app.accept(&registration("f-1")).await;
    app.shutdown.begin();
    let answer = app.get("/retry/sf/f-1").await.expect(200);
    assert_eq!(answer["results"][0]["status"], "not started");
    assert_eq!(app.record("f-1").await["status"], "new");
}

#[tokio::test]
async fn an_unknown_id_is_not_found() {
    let app = TestApp::start().await;
    for method in ["GET", "POST"] {
        let answer = app.call(method, "/retry/sf/nobody", &[]).await.expect(404);
        let expected = json!({ "message": "No records found in commcare_collection", "id": "nobody" });
        assert_eq!(answer, expected);
    }
}
