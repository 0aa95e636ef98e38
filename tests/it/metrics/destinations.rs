//! Salesforce: its calls, its quota, and whether it takes work.

use super::start;
use crate::support::forms::registration;
use crate::support::metrics::Metrics;
use crate::support::salesforce::Fault;

const CALLS: &str = "salesforce_calls_total";
const STATE: &str = "destination_state";

#[track_caller]
fn assert_state(metrics: &Metrics, expected: &str) {
    for state in ["available", "probing", "paused"] {
        let labels = [("destination", "salesforce"), ("state", state)];
        metrics.expect(STATE, &labels, u32::from(state == expected));
    }
}

#[tokio::test]
async fn calls_are_counted_by_what_came_of_them() {
    let (stand_in, app) = start().await;
    app.process(&registration("f-1")).await;
    // A session that ran out: one call is refused, one login, one call more.
    stand_in.expire_sessions();
    app.process(&registration("f-2")).await;
    stand_in.fail_next(Fault::Answer(502, String::new()));
    stand_in.fail_next(Fault::HalfAnswer);
    app.process(&registration("f-3")).await;
    let metrics = Metrics::of(&app).await;
    let calls = |call, outcome, expected| {
        metrics.expect(CALLS, &[("call", call), ("outcome", outcome)], expected);
    };
    calls("login", "ok", 2);
    calls("composite", "ok", 3);
    calls("composite", "refused", 1);
    calls("composite", "failed", 1);
    calls("composite", "no_answer", 1);
    assert_state(&metrics, "available");
}

#[tokio::test]
async fn a_call_that_nobody_answers_is_counted() {
    let stand_in = crate::support::salesforce::SalesforceStandIn::start().await;
    let app = crate::support::app::TestApp::sending_to(&stand_in, &[("REQUEST_TIMEOUT_SECONDS", "1")]).await;
    stand_in.fail_next(Fault::Hang);
    app.process(&registration("f-1")).await;
    Metrics::of(&app).await.expect(CALLS, &[("call", "composite"), ("outcome", "no_answer")], 1);
}

#[tokio::test]
async fn usage_is_what_salesforce_told_last() {
    let (stand_in, app) = start().await;
    assert_eq!(Metrics::of(&app).await.get("salesforce_api_calls_used", &[]), None, "nobody has asked yet");
    stand_in.set_usage(7_000, 15_000);
    app.process(&registration("f-1")).await;
    let metrics = Metrics::of(&app).await;
    let used = metrics.get("salesforce_api_calls_used", &[]).unwrap();
    assert!((7_000.0..7_010.0).contains(&used), "{used}");
    metrics.expect("salesforce_api_calls_limit", &[], 15_000);
}

#[tokio::test]
async fn a_destination_in_trouble_is_paused_and_stops_drains() {
    let (stand_in, app) = start().await;
    stand_in.refuse_logins(true);
    app.accept(&registration("f-1")).await;
    for _ in 0..2 {
        let report = app.drain().await;
        assert_eq!(report["stopped"]["destination"], "salesforce", "{report}");
    }
    let metrics = Metrics::of(&app).await;
    assert_state(&metrics, "paused");
    metrics.expect("drains_stopped_total", &[("destination", "salesforce")], 2);
    metrics.expect(CALLS, &[("call", "login"), ("outcome", "refused")], 1);
    assert_eq!(metrics.get(CALLS, &[("call", "composite")]), None, "it was never called");
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_state(&Metrics::of(&app).await, "probing");
    stand_in.refuse_logins(false);
    app.drain().await;
    assert_state(&Metrics::of(&app).await, "available");
}
