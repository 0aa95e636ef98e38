//! Query parameters that a call does not have.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::forms::registration;

#[tokio::test]
async fn an_unknown_parameter_is_refused_by_name() {
    let app = TestApp::start().await;
    for (method, path, known) in [
        ("GET", "/failed/sf/groups", "takes job_name, error_kind, awaits, cause, since, until, q, group"),
        ("GET", "/record/commcare_collection/f-1", "takes none"),
        ("GET", "/status-count/commcare_collection", "takes none"),
        ("GET", "/retry/sf/f-1", "takes force"),
        ("POST", "/retry/sf/f-1", "takes force"),
        ("POST", "/batch_retry/sf", "takes force, dry_run"),
        ("POST", "/bulk_update/commcare_collection", "takes dry_run"),
        ("POST", "/process-firestore-to-sf", "takes limit, drain"),
        ("POST", "/auto-retry-firestore-to-cc", "takes limit, drain"),
        ("POST", "/preview/cc", "takes none"),
        ("GET", "/status", "takes none"),
        ("GET", "/unmapped", "takes format"),
        ("POST", "/unmapped", "takes none"),
        ("GET", "/openapi.json", "takes none"),
        ("GET", "/docs", "takes none"),
        ("HEAD", "/status", ""),
    ] {
        let answer = app.call(method, &format!("{path}?bogus=1"), &[]).await;
        assert_eq!(answer.status, 422, "{method} {path}: {answer:?}");
        if method != "HEAD" {
            let expected = json!({ "error": format!("bogus: not a parameter of this call, which {known}") });
            assert_eq!(answer.json(), expected, "{method} {path}");
        }
    }
    let slashed = app.get("/failed/sf/?limit=1&Limit=2").await.expect(422);
    assert!(slashed["error"].as_str().unwrap().starts_with("Limit: "), "{slashed}");
}

#[tokio::test]
async fn webhooks_probes_metrics_and_pages_take_any_parameter() {
    let app = TestApp::start().await;
    app.post("/process-data-cc?bogus=1", registration("f-1").to_string()).await.expect(200);
    for path in [
        "/process-data-cc",
        "/process-data-sf",
        "/health",
        "/ready",
        "/metrics",
        "/dashboard",
        "/dashboard/failed/sf",
    ] {
        assert_eq!(app.get(&format!("{path}?bogus=1")).await.status, 200, "{path}");
    }
}
