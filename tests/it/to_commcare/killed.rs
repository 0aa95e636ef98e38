//! The real binary, killed in the middle of a payload: what was taken is not sent again for long, and
//! CommCare holds every record once.

use std::time::Duration;

use commcare_sf_integration::submission::Origin;
use serde_json::Value;

use super::participants;
use crate::queue::backend::Backend;
use crate::support::commcare::CommCareStandIn;
use crate::support::process::{Process, queue_variables};

const RECORDS: usize = 500;

async fn start(backend: &Backend, hq: &CommCareStandIn) -> Process {
    let queue = queue_variables(backend);
    let mut variables: Vec<(&str, &str)> =
        queue.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    variables.extend(hq.variables());
    variables.extend([("CC_CONCURRENCY", "10"), ("LEASE_SECONDS", "2")]);
    Process::start(&variables).await
}

async fn a_process_killed_in_the_middle(backend: Backend) {
    let hq = CommCareStandIn::start().await;
    hq.delay(Duration::from_millis(100));
    let doomed = start(&backend, &hq).await;
    doomed.call("/process-data-sf", &participants("j-1", RECORDS)).await;
    let url = format!("{}/process-firestore-to-cc", doomed.url);
    let drain = tokio::spawn(async move { reqwest::Client::new().post(url).send().await });
    while hq.requests() < 250 {
        assert!(!drain.is_finished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    doomed.kill().await;
    assert!(drain.await.unwrap().is_err(), "its caller learns nothing");
    let taken = hq.forms().len();
    assert!((200..RECORDS).contains(&taken), "{taken}");
    let queue = backend.open().await;
    let kept = queue.find(Origin::Salesforce, "j-1").await.unwrap().records[0].1.delivered.len();
    // 100 a second, saved at least every two.
    assert!(kept > 0 && taken - kept <= 210, "{kept} of {taken}");

    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let other = start(&backend, &hq).await;
    let report = other.call("/process-firestore-to-cc", &Value::Null).await;
    assert_eq!(report["processed_records"], serde_json::json!(["j-1"]), "{report}");
    let forms = hq.forms();
    assert_eq!((forms.len(), hq.cases().len(), hq.processed().len()), (RECORDS, RECORDS, RECORDS));
    assert!(forms.values().all(|form| form.processed && form.edits == 0), "a repeat is the same bytes");
    let repeated: usize = forms.values().map(|form| form.duplicates).sum();
    assert!(repeated <= taken - kept + 10, "{repeated} repeated, {kept} of {taken} were kept");
    let record = &queue.find(Origin::Salesforce, "j-1").await.unwrap().records[0].1;
    assert_eq!((record.delivered.len(), record.run_retries), (RECORDS, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_every_record_there_once_on_sqlite() {
    a_process_killed_in_the_middle(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_every_record_there_once_on_firestore() {
    a_process_killed_in_the_middle(Backend::firestore()).await;
}
