//! What operators see of reconciliations, and who may ask for one.

use super::{form, reconcile, service};
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms_api::HqForms;

on_both_back_ends!(the_dashboard_and_the_metrics_tell_what_was_missing);

async fn the_dashboard_and_the_metrics_tell_what_was_missing(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[("RECONCILE_ALERT", "1")]).await;
    let metrics = app.get("/metrics").await.text;
    assert!(!metrics.contains("reconcile_missing_forms"), "nothing is known before the first run");
    app.accept(&form("f-0", 48)).await;
    hq.has(&form("f-0", 48));
    hq.has(&form("f-1", 20));
    reconcile(&app, "").await;
    let page = app.get("/dashboard").await.text;
    assert!(page.contains("The last reconciliation found <b>1</b> form that had not arrived."), "{page}");
    assert!(page.contains("Farmer Registration: 1"), "{page}");
    for id in ["f-2", "f-3"] {
        hq.has(&form(id, 10));
    }
    reconcile(&app, "").await;
    let page = app.get("/dashboard").await.text;
    assert!(page.contains("found <b>2</b> forms that had not arrived, and fetched what it found"), "{page}");
    let metrics = app.get("/metrics").await.text;
    for line in [
        "reconcile_missing_forms 2",
        "reconcile_missing_forms_allowed 1",
        "reconcile_finished_timestamp_seconds 1",
    ] {
        assert!(metrics.contains(&format!("\ncommcare_sf_{line}")), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn the_scheduler_and_operators_may_ask_and_nobody_else() {
    let app =
        TestApp::with(&[("OPERATOR_TOKEN", "operator-secret-1"), ("WEBHOOK_API_KEY", "webhook-secret-1")])
            .await;
    let call =
        async |headers: &[(&str, &str)]| app.call("POST", "/reconcile-cc", headers).await.status.as_u16();
    assert_eq!(call(&[]).await, 401);
    assert_eq!(call(&[("x-api-key", "webhook-secret-1")]).await, 401);
    assert_eq!(call(&[("authorization", "Bearer operator-secret-1")]).await, 200);
    assert_eq!(
        app.call("GET", "/reconcile-cc", &[("authorization", "Bearer operator-secret-1")]).await.status,
        405
    );
}

#[tokio::test]
async fn times_are_read_as_in_every_other_call() {
    let app = TestApp::start().await;
    for since in ["2024-01-01T06:00:00+03:00", "2024-01-01T06:00", "", "2024-01-01%2006:00:00Z"] {
        app.post(&format!("/reconcile-cc?since={since}"), "").await.expect(200);
    }
    let rule = "since: must be a date or date-time, such as 2026-11-24 or 2026-11-24T08:00:00Z";
    for since in ["yesterday", "-0001-01-01"] {
        let refused = app.post(&format!("/reconcile-cc?since={since}"), "").await.expect(422);
        assert_eq!(refused["error"], rule, "{since}");
    }
}
