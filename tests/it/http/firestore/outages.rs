//! The queue's trouble: 503 and never another status, since CommCare gives a form up after most others.

use std::time::Duration;

use commcare_sf_integration::queue::QueueError;
use futures::future::join_all;
use serde_json::json;
use tokio::time::timeout;
use tonic::Code;

use crate::support::app::TestApp;
use crate::support::firestore::Firestore;
use crate::support::forms::registration;
use crate::support::log::Log;

#[tokio::test]
async fn nothing_is_taken_without_a_queue_and_the_sender_is_told_to_come_back() {
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    app.accept(&registration("f-1")).await;
    app.get("/ready").await.expect(200);
    firestore.stop().await;

    let form = registration("f-2").to_string();
    let job = json!({ "id": "j-1", "jobType": "Participant" }).to_string();
    let webhooks = [("/process-data-cc", form), ("/process-data-sf", job)];
    for answer in join_all(webhooks.map(|(path, body)| app.post(path, body))).await {
        let error = answer.expect(503)["error"].as_str().unwrap().to_owned();
        let expected = "The service could not reach its queue for 6 seconds; send this again in a moment";
        assert_eq!(error, expected);
        assert_eq!(answer.headers["retry-after"], "30");
    }
    // Calls that need no queue go on.
    app.post("/process-data-cc", r#"{"form":{"@name":"Nobody's form"}}"#).await.expect(200);
    app.post("/process-data-cc", "{").await.expect(400);
    app.post("/preview/cc", registration("f-2").to_string()).await.expect(200);

    // The Firestore client asks a few times before it gives up. The calls wait side by side.
    let calls = [
        ("POST", "/process-firestore-to-sf"),
        ("GET", "/retry/sf/f-1"),
        ("GET", "/record/commcare_collection/f-1"),
        ("GET", "/failed/sf"),
        ("GET", "/status-count/commcare_collection"),
    ];
    for answer in join_all(calls.map(|(method, path)| app.call(method, path, &[]))).await {
        let error = answer.expect(503)["error"].as_str().unwrap().to_owned();
        assert!(!error.contains("tonic") && !error.contains("127.0.0.1"), "{error}");
    }
    let down = json!({ "status": "not ready", "down": ["queue"] });
    assert_eq!(app.get("/ready").await.expect(503), down);
    assert_eq!(app.get("/health").await.expect(200), json!({ "status": "ok" }));
    assert!(matches!(app.app.queue.ping().await, Err(QueueError::Unavailable { .. })));
}

#[tokio::test]
async fn an_operator_is_answered_while_firestore_hangs() {
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    app.accept(&registration("f-1")).await;
    firestore.delay(Duration::from_hours(1));
    let calls = [
        ("POST", "/process-firestore-to-sf"),
        ("POST", "/auto-retry-firestore-to-sf"),
        ("GET", "/retry/sf/f-1"),
        ("GET", "/record/commcare_collection/f-1"),
        ("GET", "/failed/sf"),
        ("GET", "/status-count/commcare_collection"),
        ("GET", "/ready"),
    ];
    let answers = join_all(calls.map(|(method, path)| app.call(method, path, &[])));
    // Ten seconds are promised; a second try would take nine more.
    let answers = timeout(Duration::from_secs(15), answers).await.expect("they waited for a second try");
    for answer in answers {
        answer.expect(503);
    }
}

#[tokio::test]
async fn whatever_firestore_answers_a_webhook_it_is_our_trouble() {
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    let codes = [Code::PermissionDenied, Code::Unauthenticated, Code::InvalidArgument, Code::NotFound];
    for (n, code) in codes.into_iter().enumerate() {
        firestore.set_outage(Some(code));
        let form = registration(&format!("f-{n}")).to_string();
        let answer = app.post("/process-data-cc", form.clone()).await;
        assert_eq!(answer.status, 503, "{code:?}");
        assert!(answer.headers.contains_key("retry-after"));
        firestore.set_outage(None);
        app.post("/process-data-cc", form).await.expect(200);
    }
}

#[tokio::test]
async fn a_hiccup_of_firestore_is_a_slow_answer_and_no_503() {
    let log = Log::production(None);
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    let codes = [Code::Unavailable, Code::ResourceExhausted, Code::DeadlineExceeded, Code::Internal];
    for (n, code) in codes.into_iter().enumerate() {
        // The client itself may repeat a call once, and gives up then.
        firestore.fail_next("Commit", code, 2);
        let form = registration(&format!("f-{n}")).to_string();
        let answer = app.post("/process-data-cc", form).await.expect(200);
        assert_eq!(answer["duplicate"], false, "{code:?}");
    }
    firestore.fail_next("Commit", Code::Unavailable, 2);
    let job = json!({ "id": "j-1", "jobType": "Participant" }).to_string();
    app.post("/process-data-sf", job).await.expect(200);
    assert_eq!(log.events("webhook held until the queue was back").len(), codes.len() + 1);
    assert_eq!(app.drain().await["processed_records"].as_array().unwrap().len(), codes.len());
}

#[tokio::test]
async fn a_form_whose_answer_was_lost_is_stored_once() {
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    firestore.lose_next_answer("Commit");
    let form = registration("f-1").to_string();
    // The Firestore client may ask again by itself; otherwise CommCare sends again.
    let first = app.post("/process-data-cc", form.clone()).await;
    assert!([200, 503].contains(&first.status.as_u16()), "{first:?}");
    assert_eq!(app.post("/process-data-cc", form).await.expect(200)["duplicate"], true);
    assert_eq!(app.drain().await["processed_records"], json!(["f-1"]));
}

#[tokio::test]
async fn a_webhook_that_firestore_keeps_waiting_is_tried_again_and_says_why_it_gave_up() {
    let log = Log::production(None);
    let firestore = Firestore::start();
    let app = TestApp::with(&firestore.variables()).await;
    app.accept(&registration("f-0")).await;
    let looked = firestore.requests("RunQuery");
    firestore.delay(Duration::from_hours(1));
    let answer = app.post("/process-data-cc", registration("f-1").to_string()).await;
    let expected = "The service could not reach its queue for 6 seconds; send this again in a moment";
    assert_eq!(answer.expect(503)["error"], expected);
    assert!(firestore.requests("RunQuery") >= looked + 2, "one repeat fits");
    assert_eq!(log.events("webhook not stored")[0]["error"], "no answer within 6 s");
}
