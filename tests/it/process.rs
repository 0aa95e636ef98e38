//! The real binary, killed and doubled: no acknowledged form is lost, and none is written twice.

mod crashes;
mod limits;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use commcare_sf_integration::submission::{AttemptOutcome, Origin, Status};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::queue::backend::{Backend, the};
use crate::support::forms::attendance_light as form;
use crate::support::process::{Process, queue_variables};
use crate::support::salesforce::{CLIENT_ID, CLIENT_SECRET, Fault, SalesforceStandIn};

async fn start(backend: &Backend, salesforce: &SalesforceStandIn, more: &[(&str, &str)]) -> Process {
    let login_url = salesforce.settings().login_url.to_string();
    let queue = queue_variables(backend);
    let mut variables: Vec<(&str, &str)> =
        queue.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    variables.extend([
        ("SALESFORCE_LOGIN_URL", login_url.as_str()),
        ("SF_CLIENT_ID", CLIENT_ID),
        ("SF_CLIENT_SECRET", CLIENT_SECRET),
    ]);
    variables.extend(more);
    Process::start(&variables).await
}

/// Calls again and again until `done`, for at most half a minute.
async fn until<F: Future<Output = bool>>(done: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    while !done().await {
        assert!(Instant::now() < deadline, "it takes too long");
        pause.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_acknowledged_before_a_kill_is_in_the_queue_once() {
    const CONNECTIONS: usize = 32;
    const BEFORE_THE_KILL: usize = 1_000;
    let backend = Backend::sqlite();
    let variables = queue_variables(&backend);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let service = Arc::new(Process::start(&variables).await);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut posting = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (service, acknowledged) = (Arc::clone(&service), Arc::clone(&acknowledged));
        posting.spawn(async move {
            let mut mine = Vec::new();
            for number in 0.. {
                let id = format!("form-{connection}-{number}");
                match service.post("/process-data-cc", form(&id).to_string()).await {
                    Ok(answer) if answer.status() == 200 => {
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        mine.push(id);
                    }
                    Ok(answer) => panic!("{}", answer.status()),
                    Err(_) => break,
                }
            }
            mine
        });
    }
    until(|| async { acknowledged.load(Ordering::SeqCst) >= BEFORE_THE_KILL }).await;
    service.kill().await;
    let acknowledged: Vec<String> = posting.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() >= BEFORE_THE_KILL);

    let restarted = Process::start(&variables).await;
    let queue = backend.open().await;
    for id in &acknowledged {
        let record = the(&queue, id).await;
        assert_eq!((record.status, &*record.data), (Status::New, &form(id)));
    }
    let counts = queue.counts(Origin::CommCare).await.unwrap();
    let queued = usize::try_from(counts.by_status[0].1).unwrap();
    // A form whose answer was cut off may be there too; it will be sent again, and be a duplicate.
    assert!((acknowledged.len()..=acknowledged.len() + CONNECTIONS).contains(&queued), "{queued}");
    let again = restarted.call("/process-data-cc", &form(&acknowledged[0])).await;
    assert_eq!(again["duplicate"], true);
}

async fn four_overlapping_calls_of_two_processes_process_every_form_once(backend: Backend) {
    let salesforce = SalesforceStandIn::start().await;
    salesforce.delay(Duration::from_millis(20));
    let services = [start(&backend, &salesforce, &[]).await, start(&backend, &salesforce, &[]).await];
    for number in 0..40 {
        services[0].call("/process-data-cc", &form(&format!("form-{number}"))).await;
    }
    let drain = |service: usize| services[service].call("/process-firestore-to-sf", &Value::Null);
    let (a, b, c, d) = tokio::join!(drain(0), drain(1), drain(0), drain(1));
    let mut processed: Vec<String> = [a, b, c, d]
        .iter()
        .flat_map(|answer| answer["processed_records"].as_array().unwrap())
        .map(|doc_id| doc_id.as_str().unwrap().to_owned())
        .collect();
    processed.sort_unstable();
    processed.dedup();
    assert_eq!(processed.len(), 40);
    assert_eq!(salesforce.requests(), 40, "one Salesforce call for each form");
    assert_eq!(salesforce.records("Training_Session__c").len(), 40);
    let queue = backend.open().await;
    for number in 0..40 {
        let record = the(&queue, &format!("form-{number}")).await;
        assert_eq!((record.status, record.attempts.len()), (Status::Completed, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_calls_process_every_form_once_on_sqlite() {
    four_overlapping_calls_of_two_processes_process_every_form_once(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_calls_process_every_form_once_on_firestore() {
    four_overlapping_calls_of_two_processes_process_every_form_once(Backend::firestore()).await;
}

async fn a_killed_workers_record_is_processed_after_its_lease(backend: Backend) {
    let salesforce = SalesforceStandIn::start().await;
    salesforce.fail_next(Fault::Hang);
    let doomed = start(&backend, &salesforce, &[("LEASE_SECONDS", "1")]).await;
    doomed.call("/process-data-cc", &form("form-1")).await;
    let url = format!("{}/process-firestore-to-sf", doomed.url);
    let drain = tokio::spawn(async move { reqwest::Client::new().post(url).send().await });
    until(|| async { salesforce.requests() == 1 }).await;
    doomed.kill().await;
    assert!(drain.await.unwrap().is_err(), "its caller learns nothing");

    let other = start(&backend, &salesforce, &[]).await;
    let queue = backend.open().await;
    until(|| async {
        other.call("/process-firestore-to-sf", &Value::Null).await;
        the(&queue, "form-1").await.status == Status::Completed
    })
    .await;
    let record = the(&queue, "form-1").await;
    let outcomes: Vec<_> = record.attempts.iter().map(|attempt| attempt.outcome.unwrap()).collect();
    assert_eq!(outcomes, [AttemptOutcome::Abandoned, AttemptOutcome::Completed]);
    assert_eq!(record.run_retries, 1);
    assert_eq!(salesforce.records("Training_Session__c").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_workers_record_is_processed_after_its_lease_on_sqlite() {
    a_killed_workers_record_is_processed_after_its_lease(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_workers_record_is_processed_after_its_lease_on_firestore() {
    a_killed_workers_record_is_processed_after_its_lease(Backend::firestore()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_outlives_its_length_while_its_worker_lives() {
    let backend = Backend::sqlite();
    let salesforce = SalesforceStandIn::start().await;
    let slow = start(&backend, &salesforce, &[("LEASE_SECONDS", "1")]).await;
    slow.call("/process-data-cc", &form("form-1")).await;
    salesforce.delay(Duration::from_millis(2_500));
    let drain = slow.call("/process-firestore-to-sf", &Value::Null);
    let others = async {
        until(|| async { salesforce.requests() == 1 }).await;
        let mut taken = Vec::new();
        let other = start(&backend, &salesforce, &[]).await;
        while the(&backend.open().await, "form-1").await.status == Status::Processing {
            taken.push(
                other.call("/process-firestore-to-sf", &Value::Null).await["processed_records"].clone(),
            );
        }
        taken
    };
    let (drained, taken) = tokio::join!(drain, others);
    assert_eq!(drained["processed_records"], json!(["form-1"]));
    assert!(taken.iter().all(|taken| *taken == json!([])), "{taken:?}");
    assert_eq!(the(&backend.open().await, "form-1").await.attempts.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_a_drain_leaves_every_record_completed_or_new() {
    let backend = Backend::sqlite();
    let salesforce = SalesforceStandIn::start().await;
    let service = start(&backend, &salesforce, &[("SF_CONCURRENCY", "2")]).await;
    for number in 0..6 {
        service.call("/process-data-cc", &form(&format!("form-{number}"))).await;
    }
    // One that never answers, and five that take a while, two at a time.
    salesforce.fail_next(Fault::Hang);
    salesforce.delay(Duration::from_millis(500));
    let url = format!("{}/process-firestore-to-sf", service.url);
    let drain =
        tokio::spawn(async move { reqwest::Client::new().post(url).send().await?.json::<Value>().await });
    until(|| async { salesforce.requests() > 0 }).await;
    let began = Instant::now();
    assert_eq!(service.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "Cloud Run would have killed it");
    let report = drain.await.unwrap().unwrap();
    let count = |name: &str| report[name].as_array().unwrap().len() as u64;
    let (completed, released) = (count("processed_records"), count("released_records"));
    assert!(completed >= 1 && released >= 1, "{report}");
    let counts = backend.open().await.counts(Origin::CommCare).await.unwrap();
    assert_eq!(counts.by_status.map(|(_, count)| count), [6 - completed, 0, completed, 0]);
}
