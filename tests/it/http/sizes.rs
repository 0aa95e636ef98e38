//! The body limit, and the limit of a queue document.

use serde_json::json;

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
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let app = TestApp::start().await;
    let unhandled = json!({ "form": { "@name": "Nobody's form" } });
    let at_limit = app.post("/process-data-cc", of_size(unhandled.clone(), 32 * MIB)).await.expect(200);
    assert_eq!(at_limit["status"], "Skipped, form type is not handled");
    for size in [32 * MIB + 1, 40 * MIB] {
        for path in ["/process-data-cc", "/process-data-sf", "/preview/cc"] {
            let answer = app.post(path, of_size(unhandled.clone(), size)).await.expect(413);
            assert_eq!(answer, json!({ "error": "The payload is larger than 33554432 bytes" }));
        }
    }
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
