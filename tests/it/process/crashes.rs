//! Workers that are killed in the middle of a drain, again and again (`docs/service.md`, guarantee 3).

use std::sync::Arc;
use std::time::Duration;

use commcare_sf_integration::submission::{AttemptOutcome, Origin, Record, Status, Trigger};
use futures::future::join_all;
use serde_json::Value;
use tokio::sync::Notify;

use super::{form, start, until};
use crate::queue::backend::{Backend, the};
use crate::support::app::TestApp;
use crate::support::claims::ClaimMany;
use crate::support::salesforce::{Fault, SalesforceStandIn};

fn abandoned(record: &Record) -> usize {
    record.attempts.iter().filter(|attempt| attempt.outcome == Some(AttemptOutcome::Abandoned)).count()
}

#[expect(clippy::print_stdout, reason = "the figures of the run")]
async fn kills_in_mid_drain_count_only_against_what_was_in_work(backend: Backend) {
    const FORMS: usize = 200;
    const AT_A_TIME: usize = 8;
    const KILLS: usize = 3;
    let salesforce = SalesforceStandIn::start().await;
    let variables = [("LEASE_SECONDS", "1"), ("SF_CONCURRENCY", "8")];
    let service = start(&backend, &salesforce, &variables).await;
    let ids: Vec<String> = (0..FORMS).map(|number| format!("form-{number}")).collect();
    for batch in ids.chunks(20) {
        let forms: Vec<Value> = batch.iter().map(|id| form(id)).collect();
        join_all(forms.iter().map(|form| service.call("/process-data-cc", form))).await;
    }
    salesforce.delay(Duration::from_millis(50));
    drop(service);
    for _ in 0..KILLS {
        let doomed = start(&backend, &salesforce, &variables).await;
        let before = salesforce.requests();
        let url = format!("{}/process-firestore-to-sf?drain=true", doomed.url);
        let drain = tokio::spawn(async move { reqwest::Client::new().post(url).send().await });
        until(|| async { salesforce.requests() >= before + 2 * AT_A_TIME }).await;
        doomed.kill().await;
        assert!(drain.await.unwrap().is_err(), "it was in the middle of its drain");
    }
    salesforce.delay(Duration::ZERO);
    let last = start(&backend, &salesforce, &variables).await;
    let queue = backend.open().await;
    until(|| async {
        last.call("/process-firestore-to-sf?drain=true", &Value::Null).await;
        queue.counts(Origin::CommCare).await.unwrap().by_status[2].1 == FORMS as u64
    })
    .await;
    let mut begun_in_vain = 0;
    for id in &ids {
        let record = the(&queue, id).await;
        assert_eq!(record.status, Status::Completed);
        assert_eq!(record.run_retries as usize, abandoned(&record), "only its own deaths count: {record:?}");
        begun_in_vain += abandoned(&record);
    }
    println!("{KILLS} kills, {FORMS} forms: 0 failed, {begun_in_vain} runs were cut off");
    assert!((1..=KILLS * AT_A_TIME).contains(&begun_in_vain), "{begun_in_vain}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_drain_count_only_against_what_was_in_work_on_sqlite() {
    kills_in_mid_drain_count_only_against_what_was_in_work(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_mid_drain_count_only_against_what_was_in_work_on_firestore() {
    kills_in_mid_drain_count_only_against_what_was_in_work(Backend::firestore()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_work_at_a_death_is_next_tried_alone() {
    let (backend, salesforce) = (Backend::sqlite(), SalesforceStandIn::start().await);
    let app = TestApp::on(&backend, &salesforce, &[("SF_CONCURRENCY", "4")]).await;
    app.accept(&form("suspect")).await;
    let dead = backend.open_without_leases().await;
    drop(dead.claim_oldest(Origin::CommCare, 1, "dead", Trigger::Batch).await.unwrap());
    for number in 0..6 {
        app.accept(&form(&format!("form-{number}"))).await;
    }
    let released = Arc::new(Notify::new());
    salesforce.fail_request_with("session-suspect", Fault::Held(Arc::clone(&released), 503, String::new()));
    let look = async {
        until(|| async { salesforce.requests() > 0 }).await;
        // Time enough for the others to begin, if they did.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let bodies = salesforce.bodies();
        released.notify_one();
        bodies
    };
    let (drained, bodies) = tokio::join!(app.drain(), look);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(bodies[0].to_string().contains("session-suspect"), "{bodies:?}");
    assert_eq!(drained["processed_records"].as_array().unwrap().len(), 7, "{drained}");
}
