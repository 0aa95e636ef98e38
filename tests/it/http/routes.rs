//! Paths, methods, and the probes.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::forms::registration;

/// Calls of the contract.
const CALLS: [(&str, &str); 23] = [
    ("GET", "/health"),
    ("GET", "/ready"),
    ("POST", "/process-data-cc"),
    ("POST", "/process-data-sf"),
    ("GET", "/process-data-cc"),
    ("GET", "/process-data-sf"),
    ("POST", "/preview/cc"),
    ("POST", "/preview/sf"),
    ("POST", "/process-firestore-to-sf"),
    ("POST", "/process-firestore-to-cc"),
    ("POST", "/auto-retry-firestore-to-cc"),
    ("GET", "/retry/cc/nobody"),
    ("GET", "/retry/sf/nobody"),
    ("POST", "/retry/sf/nobody"),
    ("GET", "/record/commcare_collection/f-1"),
    ("GET", "/failed/sf"),
    ("GET", "/failed/sf/groups"),
    ("GET", "/status"),
    ("GET", "/unmapped"),
    ("GET", "/status-count/salesforce_collection"),
    ("POST", "/batch_retry/sf"),
    ("POST", "/bulk_update/commcare_collection"),
    ("GET", "/openapi.json"),
];

#[tokio::test]
async fn a_trailing_slash_changes_nothing() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    for (method, path) in CALLS {
        let plain = app.call(method, path, &[]).await;
        let slashed = app.call(method, &format!("{path}/"), &[]).await;
        assert_eq!((plain.status, &plain.text), (slashed.status, &slashed.text), "{method} {path}");
        assert_ne!(plain.json(), json!({ "error": "Not found" }), "{method} {path}");
    }
    app.post("/process-data-cc/?source=x", registration("f-2").to_string()).await.expect(200);
    app.post("/process-firestore-to-sf/?limit=0", "").await.expect(422);
}

#[tokio::test]
async fn the_root_leads_to_the_dashboard() {
    let answer = TestApp::with(&[("OPERATOR_TOKEN", "operator")]).await.get("/").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (303, &"/dashboard".parse().unwrap()));
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let app = TestApp::start().await;
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", "/nothing/here"),
        ("POST", "/process-data-xx"),
        ("POST", "/process-firestore-to-xx"),
        ("GET", "/retry/sf"),
        ("GET", "/record/commcare_collection/%FF"),
        ("GET", "/retry/sf/%ff%fe"),
    ] {
        let answer = app.call(method, path, &[]).await;
        assert_eq!(answer.expect(404), json!({ "error": "Not found" }), "{method} {path}");
    }
}

#[tokio::test]
async fn a_word_of_a_path_that_is_none_of_its_words_is_named() {
    let app = TestApp::start().await;
    let (dest, collection) =
        ("dest must be sf or cc", "collection must be commcare_collection or salesforce_collection");
    for (method, path, details) in [
        ("GET", "/retry/xx/f-1", dest),
        ("GET", "/failed/xx", dest),
        ("GET", "/failed/commcare_collection/groups", dest),
        ("POST", "/batch_retry/SF", dest),
        ("GET", "/record/other_collection/f-1", collection),
        ("GET", "/status-count/users", collection),
        ("POST", "/bulk_update/sf", collection),
    ] {
        let answer = app.call(method, path, &[]).await;
        assert_eq!(
            answer.expect(404),
            json!({ "error": "Not found", "details": details }),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_refused_naming_the_right_ones() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        ("PUT", "/process-data-sf/", "POST,GET,HEAD"),
        ("GET", "/process-firestore-to-sf", "POST"),
        ("DELETE", "/retry/sf/f-1", "GET,HEAD,POST"),
        ("POST", "/record/commcare_collection/f-1", "GET,HEAD"),
        ("POST", "/health", "GET,HEAD"),
        ("PATCH", "/failed/sf", "GET,HEAD"),
        ("GET", "/preview/cc", "POST"),
        ("GET", "/batch_retry/sf", "POST"),
        ("GET", "/bulk_update/commcare_collection", "POST"),
        ("OPTIONS", "/process-data-cc", "POST,GET,HEAD"),
    ] {
        let answer = app.call(method, path, &[]).await;
        assert_eq!(answer.expect(405), json!({ "error": "Method not allowed" }), "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn the_probes_are_open_and_short() {
    let app = TestApp::with(&[("OPERATOR_TOKEN", "operator")]).await;
    assert_eq!(app.get("/health").await.expect(200), json!({ "status": "ok" }));
    assert_eq!(app.get("/ready").await.expect(200), json!({ "status": "ready" }));
}
