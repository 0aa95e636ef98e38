//! The body limit, and the limit of a queue document.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::sync::oneshot;

use crate::mappings::samples::sample;
use crate::support::app::TestApp;
use crate::support::forms::registration;

const MIB: usize = 1024 * 1024;

/// A payload of exactly `size` bytes.
fn of_size(mut payload: serde_json::Value, size: usize) -> String {
    payload["padding"] = "".into();
    let padding = size - payload.to_string().len();
    payload["padding"] = "x".repeat(padding).into();
    let text = payload.to_string();
    assert_eq!(text.len(), size);
    text
}

#[tokio::test]
async fn a_form_has_up_to_4_mib_and_a_payload_of_records_up_to_the_limit() {
    let app = TestApp::start().await;
    let unhandled = json!({ "form": { "@name": "Nobody's form" }, "jobType": "Nobody's job" });
    for (path, limit) in [("/process-data-cc", 4 * MIB), ("/process-data-sf", 32 * MIB)] {
        let at_limit = app.post(path, of_size(unhandled.clone(), limit)).await.expect(200);
        assert_eq!(at_limit["status"], "Skipped, form type is not handled");
        for size in [limit + 1, 40 * MIB] {
            let answer = app.post(path, of_size(unhandled.clone(), size)).await.expect(413);
            assert_eq!(answer["error"], format!("The payload is larger than {limit} bytes"), "{path}");
        }
    }
    for (path, limit) in [("/preview/cc", 4 * MIB), ("/preview/sf", 32 * MIB)] {
        let answer = app.post(path, of_size(unhandled.clone(), limit + 1)).await.expect(413);
        assert_eq!(answer["error"], format!("The payload is larger than {limit} bytes"), "{path}");
    }
}

/// Bytes whose values would take a gigabyte.
fn ones(bytes: usize) -> String {
    format!("[{}1]", "1,".repeat(bytes / 2 - 2))
}

#[tokio::test]
async fn a_body_is_not_parsed_whose_values_would_take_too_much_memory() {
    let app = TestApp::start().await;
    app.post("/process-data-sf", ones(8 * MIB)).await.expect(400);
    let form =
        format!(r#"{{"id":"f-1","form":{{"@name":"Farmer Registration"}},"x":{}}}"#, ones(4 * MIB - 100));
    let payload = format!(r#"{{"id":"p-1","jobType":"Participant","x":{}}}"#, ones(8 * MIB));
    let values = "The payload has more values than are read at a time";
    let largest = format!("of the other members x is the largest, with {} bytes", 8 * MIB);
    for (path, body, answer, details) in [
        ("/process-data-cc", &form, values, "it may take 32 MiB; send its records in several payloads"),
        ("/preview/sf", &payload, values, "it may take 160 MiB; send its records in several payloads"),
        ("/process-data-sf", &payload, "The members beside the records have ", &*largest),
        ("/process-data-sf", &payload, "The members beside", "the records are the list participants;"),
    ] {
        let refused = app.post(path, body.clone()).await.expect(413);
        assert!(refused["error"].as_str().unwrap().starts_with(answer), "{path}: {refused}");
        assert!(refused["details"].as_str().unwrap().contains(details), "{path}: {refused}");
    }
}

#[tokio::test]
async fn all_bodies_under_way_share_a_budget() {
    let app = Arc::new(TestApp::with(&[("MAX_BODY_BYTES", "1000000")]).await);
    let half = |end: oneshot::Receiver<()>| {
        let end = async move {
            end.await.unwrap();
            Ok::<_, Infallible>(Bytes::from(" ".repeat(10)))
        };
        Body::from_stream(stream::iter([Ok(Bytes::from("1".repeat(900_000)))]).chain(stream::once(end)))
    };
    let (ends, under_way): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            let (end, ended) = oneshot::channel();
            let app = Arc::clone(&app);
            (end, tokio::spawn(async move { app.post("/process-data-sf", half(ended)).await }))
        })
        .unzip();
    tokio::task::yield_now().await;
    let refused = app.post("/process-data-sf", "1".repeat(300_000)).await;
    assert_eq!(
        refused.expect(503)["error"],
        "Too many large bodies are under way; send this again in a moment"
    );
    assert_eq!(refused.headers["retry-after"], "30");
    app.accept(&registration("f-1")).await;
    for (end, under_way) in ends.into_iter().zip(under_way) {
        end.send(()).unwrap();
        under_way.await.unwrap().expect(400);
    }
    app.post("/process-data-sf", "1".repeat(900_000)).await.expect(400);
}

/// The largest that each sender sends: a form that fills a document (CommCare's own limit for a form is 50 MB, most of
/// it photos, which it does not forward), Apex's heap of 12 MB, and a wet-mill visit with every survey.
#[tokio::test]
async fn the_largest_that_the_senders_send_is_taken() {
    let app = TestApp::start().await;
    let mut form = registration("f-1");
    // Forty thousand answers.
    let answers = (0..40_000).map(|n| (format!("question_{n}"), json!("yes")));
    form["form"]["repeats"] = answers.collect::<serde_json::Map<_, _>>().into();
    assert!(form.to_string().len() > 900_000);
    app.accept(&form).await;
    let record = |n: usize| json!({ "Id": format!("a0A{n:015}"), "note": "x".repeat(900) });
    let payload = json!({ "id": "p-1", "jobType": "Participant", "participants": (0..12_000).map(record).collect::<Vec<_>>() });
    assert!(payload.to_string().len() > 11_000_000);
    let accepted = app.accept_for_commcare(&payload).await;
    assert_eq!((&accepted["doc_id"], &accepted["duplicate"]), (&json!("p-1-1"), &json!(false)));
    assert_eq!(app.accept_for_commcare(&payload).await["duplicate"], true);
    let visit = sample("Wet Mill Visit");
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
}

#[tokio::test]
async fn the_limit_is_configured() {
    let form = registration("f-1");
    let size = form.to_string().len() + 100;
    let app = TestApp::with(&[("MAX_BODY_BYTES", &size.to_string())]).await;
    app.post("/process-data-cc", of_size(form.clone(), size + 1)).await.expect(413);
    app.get("/record/commcare_collection/f-1").await.expect(404);
    app.post("/process-data-cc", of_size(form, size)).await.expect(200);
}

#[tokio::test]
async fn a_form_that_no_document_holds_is_refused() {
    let app = TestApp::start().await;
    let answer = app.post("/process-data-cc", of_size(registration("f-1"), MIB)).await.expect(413);
    let error = answer["error"].as_str().unwrap();
    assert!(error.starts_with("The submission is too large for the queue: "), "{error}");
    app.get("/record/commcare_collection/f-1").await.expect(404);
    // The members that processing adds fit beside the largest form that is taken.
    let largest = app.process(&serde_json::from_str(&of_size(registration("f-2"), 1_000_000)).unwrap()).await;
    assert_eq!((&largest["status"], &largest["dry_run"]), (&json!("completed"), &json!(true)));
}

#[tokio::test]
async fn a_form_of_many_attendances_is_planned_and_its_record_says_of_how_many() {
    let app = TestApp::start().await;
    let form = |id: &str, participants: String| {
        let mut form = sample("Attendance Full - Current Module");
        form["id"] = id.into();
        form["form"]["present_participants"] = participants.into();
        form
    };
    let record = app
        .process(&form("f-1", (0..8_000).map(|n| format!("participant-{n} ")).collect::<Vec<_>>().concat()))
        .await;
    assert_eq!(record["status"], "completed");
    let cut = record["plan"]["cut"].as_str().unwrap();
    assert!(cut.ends_with(" of 8001 upserts are kept: all of them would not fit"), "{cut}");
    let kept = record["plan"]["upserts"].as_array().unwrap().len();
    assert!(cut.starts_with(&format!("{kept} of ")) && kept > 1_000, "{kept}: {cut}");

    let record =
        app.process(&form("f-2", (0..40_001).map(|n| format!("{n} ")).collect::<Vec<_>>().concat())).await;
    let told = "form.present_participants: names 40001 participants, and a form may name 40000";
    assert_eq!((&record["status"], &record["error"]), (&json!("failed"), &json!(told)));
}
