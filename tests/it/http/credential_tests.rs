//! `GET /process-data-{cc|sf}`: what CommCare HQ's *Test connection* button asks.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::log::Log;
use crate::support::metrics::Metrics;

const WEBHOOKS: [&str; 4] =
    ["/process-data-cc", "/process-data-sf", "/process-data-cc/", "/process-data-cc?app_id=x"];

#[tokio::test]
async fn a_right_credential_is_ready_and_a_wrong_one_is_refused() {
    let app = TestApp::with(&[("WEBHOOK_BASIC_AUTH", "commcare:secret"), ("WEBHOOK_API_KEY", "key-1")]).await;
    // "commcare:secret" and "commcare:wrong", as HQ sends them.
    let right = ("authorization", "Basic Y29tbWNhcmU6c2VjcmV0");
    let wrong = ("authorization", "Basic Y29tbWNhcmU6d3Jvbmc=");
    let accept = ("accept", "application/json");
    for path in WEBHOOKS {
        assert_eq!(app.call("GET", path, &[right, accept]).await.expect(200), json!({ "status": "ready" }));
        app.call("GET", path, &[("x-api-key", "key-1")]).await.expect(200);
        app.call("GET", path, &[wrong, accept]).await.expect(401);
        app.call("GET", path, &[]).await.expect(401);
    }
}

#[tokio::test]
async fn an_open_service_is_ready_and_a_closed_group_is_not() {
    let open = TestApp::start().await;
    let closed = TestApp::with(&[("OPERATOR_TOKEN", "operator")]).await;
    for path in WEBHOOKS {
        open.get(path).await.expect(200);
        closed.call("GET", path, &[("authorization", "Bearer operator")]).await.expect(403);
    }
}

#[tokio::test]
async fn a_test_stores_and_counts_nothing_and_alarms_nobody() {
    let log = Log::production(None);
    let app = TestApp::with(&[("WEBHOOK_API_KEY", "key-1"), ("OPERATOR_TOKEN", "operator")]).await;
    for path in WEBHOOKS {
        app.call("GET", path, &[("x-api-key", "key-1")]).await.expect(200);
        app.call("GET", path, &[]).await.expect(401);
    }
    let operator = [("authorization", "Bearer operator")];
    let metrics = Metrics::parse(&app.call("GET", "/metrics", &operator).await.text);
    metrics.expect("webhooks_refused_total", &[], 0);
    assert!(metrics.get("webhooks_accepted_total", &[]).unwrap_or_default() < 1.0);
    assert_eq!(log.events("webhook refused"), [json!(null); 0]);
    let counts = app.call("GET", "/status-count/commcare_collection", &operator).await.expect(200);
    assert_eq!(counts["status_counts"]["new"], 0);
    app.call("POST", "/process-data-cc", &[("x-api-key", "wrong")]).await.expect(401);
    assert_eq!(log.events("webhook refused").len(), 1, "a refused form does");
}
