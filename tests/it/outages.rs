//! Outages longer than all back-offs together, records that a destination chokes on, and what both do to the other
//! records (`docs/service.md`, guarantee 7), over the wire.

mod by_hand;
mod commcare;
mod poison;
mod postgis;
mod salesforce;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::app::TestApp;

/// Short times: all back-offs together take 1.2 seconds.
const TIMES: [(&str, &str); 4] = [
    ("LEASE_SECONDS", "2"),
    ("MAX_RETRIES", "1"),
    ("RETRY_BACKOFF_SECONDS", "1"),
    ("REQUEST_TIMEOUT_SECONDS", "1"),
];
/// How long an outage lasts: more than twice as long as all back-offs together.
const OUTAGE: Duration = Duration::from_secs(3);

const PAGE: &str = "<html><body>We will be back soon.</body></html>";

/// What the scheduler calls for one direction (`sf` or `cc`), once; what the drain of new records says.
async fn scheduled(app: &TestApp, dest: &str) -> Value {
    let drained = app.post(&format!("/process-firestore-to-{dest}?drain=true"), "").await.expect(200);
    app.post(&format!("/auto-retry-firestore-to-{dest}?drain=true"), "").await.expect(200);
    drained
}

/// Many drains and retries while a destination is in trouble; how many rounds there were.
async fn sit_out(app: &TestApp, dest: &str, destination: &str) -> usize {
    let deadline = Instant::now() + OUTAGE;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let mut rounds = 0;
    while Instant::now() < deadline {
        pause.tick().await;
        let drained = scheduled(app, dest).await;
        assert_eq!(drained["processed_records"], json!([]), "{drained}");
        assert_eq!(drained["failed_records"], json!([]), "{drained}");
        if let Some(stopped) = drained.get("stopped") {
            assert_eq!(stopped["destination"], destination, "{drained}");
        }
        rounds += 1;
    }
    rounds
}

async fn records(app: &TestApp, collection: &str, id: &str) -> Value {
    let found = app.get(&format!("/record/{collection}/{id}")).await.expect(200);
    found[0]["data"].clone()
}

/// A record that an outage has put back is uncounted, and says what happened.
fn assert_uncounted(record: &Value) {
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)), "{record}");
    // One that no drain came to has none.
    for attempt in record["attempts"].as_array().into_iter().flatten() {
        assert_eq!(attempt["outcome"], "undecided", "{record}");
    }
}
