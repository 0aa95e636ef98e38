//! Operators with a name, and viewers.

use serde_json::json;

use crate::support::app::{TestAnswer, TestApp};
use crate::support::forms::unmappable;
use crate::support::process::Process;

const TOKENS: [(&str, &str); 3] = [
    ("OPERATOR_TOKEN", "nameless, Amina:secret-a,Boris K.:secret-b"),
    ("VIEWER_TOKEN", "look,look-too"),
    ("WEBHOOK_API_KEY", "key"),
];

async fn call(app: &TestApp, token: &str, method: &str, path: &str, body: &str) -> TestAnswer {
    let headers = [("authorization", &*format!("Bearer {token}")), ("content-type", "application/json")];
    app.call_with(method, path, &headers, body.to_owned()).await
}

/// A service with one failed record.
async fn app() -> TestApp {
    let app = TestApp::with(&TOKENS).await;
    let form = unmappable("bad").to_string();
    app.call_with("POST", "/process-data-cc", &[("x-api-key", "key")], form).await.expect(200);
    call(&app, "nameless", "POST", "/process-firestore-to-sf", "").await.expect(200);
    app
}

#[tokio::test]
async fn a_name_stands_in_the_history_of_what_its_token_changed() {
    let app = app().await;
    call(&app, "secret-a", "POST", "/retry/sf/bad", "").await.expect(200);
    let body = json!({ "ids": ["bad"], "status": "new" }).to_string();
    call(&app, "secret-b", "POST", "/bulk_update/commcare_collection", &body).await.expect(200);
    call(&app, "nameless", "GET", "/retry/sf/bad", "").await.expect(200);
    let found = call(&app, "look", "GET", "/record/commcare_collection/bad", "").await.expect(200);
    let attempts = found[0]["data"]["attempts"].as_array().unwrap();
    let people: Vec<_> =
        attempts.iter().map(|attempt| (attempt["role"].as_str(), attempt["by"].as_str())).collect();
    let operator = Some("operator");
    assert_eq!(
        people,
        [(None, None), (operator, Some("Amina")), (operator, Some("Boris K.")), (operator, None)]
    );
    let shown = call(&app, "look", "GET", "/dashboard/record/commcare_collection/bad", "").await.text;
    assert!(shown.contains("an operator, Amina") && shown.contains("an operator, Boris K."), "{shown}");
}

#[tokio::test]
async fn a_name_is_no_credential() {
    let app = app().await;
    for wrong in ["Amina", "Amina:secret-a", ":secret-a", "secret-c", "", "look:look"] {
        call(&app, wrong, "GET", "/failed/sf", "").await.expect(401);
    }
    // A browser sends the token as the password, with any user name.
    let basic = ("authorization", "Basic eDpzZWNyZXQtYQ==");
    app.call("GET", "/failed/sf", &[basic]).await.expect(200);
}

#[tokio::test]
async fn a_viewer_sees_everything_and_changes_nothing() {
    let app = app().await;
    for token in ["look", "look-too"] {
        for path in [
            "/failed/sf",
            "/failed/sf/groups",
            "/record/commcare_collection/bad",
            "/status-count/commcare_collection",
            "/status",
            "/unmapped",
            "/openapi.json",
            "/metrics",
            "/docs",
            "/dashboard",
            "/dashboard/failed/sf",
            "/dashboard/record/commcare_collection/bad",
        ] {
            assert_eq!(call(&app, token, "GET", path, "").await.status, 200, "{path}");
        }
        let form = unmappable("x").to_string();
        assert_eq!(call(&app, token, "POST", "/preview/cc", &form).await.status, 422, "it changes nothing");
        let refused = json!({ "error": "This token may look at everything, and change nothing" });
        for (method, path) in [
            ("GET", "/retry/sf/bad"),
            ("GET", "/check-destinations"),
            ("POST", "/retry/sf/bad"),
            ("POST", "/batch_retry/sf"),
            ("POST", "/bulk_update/commcare_collection"),
            ("POST", "/unmapped"),
            ("POST", "/process-firestore-to-sf"),
            ("POST", "/process-firestore-to-cc"),
            ("POST", "/auto-retry-firestore-to-sf"),
            ("POST", "/auto-retry-firestore-to-cc"),
            ("POST", "/reconcile-cc"),
            ("POST", "/check-destinations"),
        ] {
            assert_eq!(call(&app, token, method, path, "{}").await.expect(403), refused, "{method} {path}");
        }
        for path in ["retry/sf/bad", "retry-failed/sf", "retry-ticked/sf", "unmapped"] {
            assert_eq!(
                call(&app, token, "POST", &format!("/dashboard/{path}"), "").await.status,
                403,
                "{path}"
            );
        }
        for path in ["/dashboard", "/dashboard/failed/sf", "/dashboard/record/commcare_collection/bad"] {
            let page = call(&app, token, "GET", path, "").await.text;
            assert!(
                !page.contains("method=\"post\"") && !page.contains("/dashboard/retry"),
                "{path}: {page}"
            );
        }
        call(&app, token, "POST", "/process-data-cc", &form).await.expect(401);
    }
    assert_eq!(
        call(&app, "look", "GET", "/record/commcare_collection/bad", "").await.json()[0]["data"]["run_retries"],
        0
    );
}

#[tokio::test]
async fn a_viewers_token_alone_closes_nothing_that_reads() {
    let app = TestApp::with(&[("VIEWER_TOKEN", "look")]).await;
    call(&app, "look", "GET", "/failed/sf", "").await.expect(200);
    app.get("/failed/sf").await.expect(401);
    call(&app, "look", "POST", "/retry/sf/bad", "").await.expect(403);
}

#[tokio::test]
async fn the_log_names_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let queue = format!("sqlite://{}", folder.path().join("queue.db").display());
    let service = Process::start(&[("OPERATOR_TOKEN", "Amina:secret-a"), ("QUEUE_URL", &queue)])
        .await
        .with_bearer("secret-a");
    service.call("/process-firestore-to-sf", &json!(null)).await;
    let log = service.log.clone();
    drop(service);
    let lines = log.lines();
    let line = lines.iter().find(|line| line.contains("request answered"));
    assert!(line.is_some_and(|line| line.contains("\"operator\":\"Amina\"")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("secret-a")), "{lines:?}");
}
