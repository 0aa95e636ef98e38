//! `summary`: what arrived, by form type and day.

use std::path::Path;

use chrono::TimeDelta;
use commcare_sf_integration::clock;
use serde_json::Value;

use super::{fail, succeed};
use crate::queue::backend::Backend;
use crate::support::forms::{registration, unmappable};
use crate::support::process::{Process, borrowed, queue_variables};

/// A queue in which one form of each fate arrived today.
async fn queue() -> (Backend, Vec<(String, String)>) {
    let backend = Backend::sqlite();
    let variables = queue_variables(&backend);
    let service = Process::start(&borrowed(&variables)).await;
    for form in [registration("dry-run"), unmappable("failed")] {
        service.call("/process-data-cc", &form).await;
    }
    service.call("/process-firestore-to-sf", &Value::Null).await;
    service.call("/process-data-cc", &registration("waits")).await;
    (backend, variables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_summary_counts_by_form_type_and_day() {
    let (_backend, variables) = queue().await;
    let variables = borrowed(&variables);
    let today = clock::now().date_naive();
    let csv = succeed(&["summary", "--format", "csv"], &variables, "");
    let expected = format!(
        "day,job_name,received,written,waiting,failed,without_effect\r\n{today},Farmer Registration,3,0,1,1,1\r\n"
    );
    assert_eq!(csv, expected, "the dry run wrote nothing");
    let table = succeed(&["summary"], &variables, "");
    assert!(table.contains("Farmer Registration"), "{table}");
    let total = table.lines().find(|line| line.starts_with("total")).unwrap();
    assert_eq!(total.split_whitespace().collect::<Vec<_>>(), ["total", "3", "0", "1", "1", "1"]);
    let tomorrow = (today + TimeDelta::days(1)).to_string();
    let later = succeed(&["summary", "--since", &tomorrow, "--format", "csv"], &variables, "");
    assert_eq!(later.lines().count(), 1, "{later}");
}

#[test]
fn a_bad_date_is_wrong_usage() {
    let complaint = fail(2, &["summary", "--since", "monday"], &[], "");
    assert!(complaint.contains("must be a date or date-time"), "{complaint}");
}

#[test]
fn a_queue_that_cannot_be_read_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let queue = format!("sqlite://{}", Path::new(folder.path()).join("file/queue.db").display());
    fail(1, &["summary"], &[("QUEUE_URL", &queue)], "");
}
