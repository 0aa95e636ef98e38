//! The log lines of requests (`docs/service.md`, section 8), as Cloud Logging reads them.

use commcare_sf_integration::config::LogFormat;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::forms::{registration, unmappable};
use crate::support::log::Log;

const TRACE: &str = "105445aa7843bc8bf206b12000100000";
const TRACE_FIELD: &str = "logging.googleapis.com/trace";

#[tokio::test]
async fn a_request_is_one_line_with_its_route_and_what_came_of_it() {
    let log = Log::production(None);
    let app = TestApp::start().await;
    app.accept(&registration("f-1")).await;
    app.get("/record/commcare_collection/f-1?verbose=Almaz").await.expect(422);
    app.get("/nothing/at/all").await.expect(404);
    app.call("DELETE", "/retry/sf/f-1", &[]).await.expect(405);
    for probe in ["/health", "/ready"] {
        app.get(probe).await.expect(200);
    }
    let lines = log.events("request answered");
    let told: Vec<Value> =
        lines.iter().map(|line| json!([line["method"], line["route"], line["status"]])).collect();
    let expected = json!([
        ["POST", "/process-data-cc", 200],
        ["GET", "/record/{collection}/{id}", 422],
        ["GET", "none", 404],
        ["DELETE", "/retry/{dest}/{id}", 405],
    ]);
    assert_eq!(Value::from(told), expected);
    for line in &lines {
        assert_eq!(line["severity"], "INFO");
        assert!(line["duration_ms"].is_u64(), "{line}");
        assert!(line.get(TRACE_FIELD).is_none() && line.get("trace_id").is_none(), "{line}");
    }
    assert_eq!((&lines[0]["request_id"], lines[1].get("request_id")), (&json!("f-1"), None));
    assert!(!log.text().contains("Almaz") && !log.text().contains("/nothing"), "a path in {}", log.text());
}

#[tokio::test]
async fn probes_are_told_to_those_who_debug() {
    let log = Log::capture(LogFormat::Json, None);
    TestApp::start().await.get("/health").await.expect(200);
    let lines = log.events("request answered");
    assert_eq!((&lines[0]["severity"], &lines[0]["route"]), (&json!("DEBUG"), &json!("/health")));
}

#[tokio::test]
async fn all_lines_of_a_request_name_its_trace() {
    let log = Log::production(Some("coffee-project"));
    let app = TestApp::start().await;
    app.accept(&unmappable("f-1")).await;
    assert!(log.events("webhook accepted")[0].get(TRACE_FIELD).is_none(), "it had no header");
    let header = format!("{TRACE}/1;o=1");
    app.call("POST", "/process-firestore-to-sf", &[("x-cloud-trace-context", &header)]).await.expect(200);
    let w3c = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    app.call("GET", "/retry/sf/f-1", &[("traceparent", w3c)]).await.expect(200);
    let failed = log.events("record failed");
    let trace = |id: &str| json!(format!("projects/coffee-project/traces/{id}"));
    assert_eq!(failed[0][TRACE_FIELD], trace(TRACE), "the record's work belongs to its drain's request");
    assert_eq!(failed[0]["request_id"], "f-1");
    assert_eq!(failed[1][TRACE_FIELD], trace("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(failed[1]["processing_step"], "mapping");
    assert_eq!(log.events("drain ended")[0][TRACE_FIELD], trace(TRACE));
    assert_eq!(log.events("request answered")[1][TRACE_FIELD], trace(TRACE));
    assert!(!log.text().contains("trace_id"), "{}", log.text());
}

#[tokio::test]
async fn without_a_project_a_trace_is_its_bare_id() {
    let log = Log::production(None);
    let app = TestApp::start().await;
    app.call("GET", "/failed/sf", &[("x-cloud-trace-context", TRACE)]).await.expect(200);
    assert_eq!(log.events("request answered")[0][TRACE_FIELD], TRACE);
}

/// Acts on a terminal, and looks like a line of its own.
const ACTING: &str = "f\u{1b}[2J\u{202e}\n{\"severity\":\"ERROR\"}";

#[tokio::test]
async fn text_of_others_stays_within_its_line() {
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let log = Log::capture(format, None);
        let app = TestApp::start().await;
        let mut form = registration(&format!("{ACTING}{}", "x".repeat(1_400)));
        app.accept(&form).await;
        form["form"]["@name"] = ACTING.repeat(500).into();
        app.accept(&form).await;
        app.drain().await;
        let text = log.text();
        assert!(text.contains("webhook accepted") && text.contains("webhook skipped"), "{text}");
        for line in text.lines() {
            assert!(line.len() < 8 * 1024, "{line}");
            let acts = |letter: char| letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter);
            assert!(!line.contains(acts), "{line:?}");
            assert!(!line.starts_with("{\"severity\":\"ERROR\"}"), "{line}");
            assert!(!line.contains(&"x".repeat(400)), "{line}");
        }
    }
}

#[tokio::test]
async fn a_stranger_without_a_credential_is_no_refused_webhook() {
    let log = Log::production(None);
    let app = TestApp::with(&[("WEBHOOK_API_KEY", "key-1"), ("WEBHOOK_BASIC_AUTH", "commcare:secret")]).await;
    app.call("POST", "/process-data-cc", &[]).await.expect(401);
    assert_eq!(log.events("webhook refused").len(), 0, "{}", log.text());
    for credential in [("x-api-key", "wrong"), ("authorization", "Basic d3Jvbmc6d3Jvbmc=")] {
        app.call("POST", "/process-data-cc", &[credential]).await.expect(401);
    }
    assert_eq!(log.events("webhook refused").len(), 2, "{}", log.text());
}
