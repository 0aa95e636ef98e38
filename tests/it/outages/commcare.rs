//! CommCare in trouble.

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{PAGE, TIMES, assert_uncounted, records, scheduled, sit_out};
use crate::support::app::TestApp;
use crate::support::commcare::{CommCareStandIn, Fault, openrosa_body};

const COLLECTION: &str = "salesforce_collection";

fn group(id: &str) -> Value {
    json!({
        "id": id,
        "jobType": "Training Group",
        "uniqueProjectKey": "Coffee_KE_2024AC",
        "trainingGroups": [{ "commCareCaseId": format!("case-{id}"), "trainingGroupName": "Kiriga FFG" }],
    })
}

fn troubles() -> Vec<Fault> {
    let nature = openrosa_body("submit_error", "internal error");
    vec![
        Fault::Answer(500, nature),
        Fault::Answer(500, String::new()),
        Fault::Answer(503, String::new()),
        Fault::Answer(429, String::new()),
        Fault::Answer(404, PAGE.to_owned()),
        Fault::Answer(400, PAGE.to_owned()),
        Fault::Answer(302, String::new()),
        Fault::Answer(200, PAGE.to_owned()),
        Fault::CutBefore,
        Fault::Hang,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payload_fails_and_every_payload_is_delivered_afterwards_by_itself() {
    join_all(troubles().into_iter().map(outlast)).await;
}

#[expect(clippy::print_stdout, reason = "the figures of the run")]
async fn outlast(trouble: Fault) {
    const PAYLOADS: u64 = 10;
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&[&hq.variables()[..], &TIMES].concat()).await;
    for number in 0..PAYLOADS {
        app.accept_for_commcare(&group(&format!("j-{number}"))).await;
    }
    hq.set_outage(Some(trouble.clone()));
    let rounds = sit_out(&app, "cc", "commcare").await;
    for number in 0..PAYLOADS {
        assert_uncounted(&records(&app, COLLECTION, &format!("j-{number}")).await);
    }
    println!("{trouble:?}: {rounds} rounds, {} calls", hq.requests());
    hq.set_outage(None);
    let deadline = Instant::now() + std::time::Duration::from_secs(30);
    while hq.cases().len() as u64 != PAYLOADS {
        assert!(Instant::now() < deadline, "{trouble:?}: {} cases", hq.cases().len());
        scheduled(&app, "cc").await;
    }
    let counts = app.get(&format!("/status-count/{COLLECTION}")).await.expect(200)["status_counts"].clone();
    assert_eq!(
        counts,
        json!({ "new": 0, "processing": 0, "completed": PAYLOADS, "failed": 0 }),
        "{trouble:?}"
    );
}
