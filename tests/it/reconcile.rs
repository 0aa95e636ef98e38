//! Forms that CommCare could not deliver are fetched (`docs/service.md`, guarantee 12).

mod content;
mod missing;
mod operators;
mod pages;
mod past;
mod trouble;

use chrono::{DateTime, TimeDelta, Utc};
use commcare_sf_integration::clock;
use serde_json::Value;

use crate::queue::backend::Backend;
use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::forms_api::{HqForms, forwarded};
use crate::support::process::{borrowed, queue_variables};

/// So many hours ago.
fn hours_ago(hours: i64) -> DateTime<Utc> {
    clock::now() - TimeDelta::hours(hours)
}

/// A registration that CommCare received so many hours ago, as it forwards it.
pub(crate) fn form(id: &str, hours: i64) -> Value {
    forwarded(registration(id), hours_ago(hours))
}

/// A service with dry-run destinations, whose CommCare is `hq`.
pub(crate) async fn service(backend: &Backend, hq: &HqForms, variables: &[(&str, &str)]) -> TestApp {
    let queue = queue_variables(backend);
    TestApp::with(&[&borrowed(&queue), &hq.variables()[..], variables].concat()).await
}

/// What a reconciliation answers.
async fn reconcile(app: &TestApp, query: &str) -> Value {
    app.post(&format!("/reconcile-cc{query}"), "").await.expect(200)
}

/// The counts of an answer: checked, accepted, replaced, already there, newer there, unhandled, outside, refused.
fn counts(answer: &Value) -> [u64; 8] {
    ["checked", "accepted", "replaced", "already_there", "newer_there", "unhandled", "outside", "refused"]
        .map(|name| answer[name].as_u64().unwrap_or_else(|| panic!("{name}: {answer}")))
}
