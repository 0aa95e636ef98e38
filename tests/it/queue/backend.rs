//! The two back ends, and what the tests put into them.

use std::time::Duration;

use commcare_sf_integration::config::{FirestoreSettings, QueueSettings, RetryPolicy, SqliteSettings};
use commcare_sf_integration::queue::{
    Accepted, Arriving, Claim, ClaimOutcome, ClaimResult, Queue, QueueError, RecordFailure,
};
use commcare_sf_integration::submission::{Cause, ErrorKind, Origin, Record, Trigger, Unmapped};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::claims::ClaimMany;
use crate::support::disk::Disk;
use crate::support::firestore::Firestore;

/// Each of these functions as a test on SQLite and as one on Firestore.
macro_rules! on_both_back_ends {
    ($($sentence:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence(crate::queue::backend::Backend::sqlite()).await;
            })*
        }
        mod firestore {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence(crate::queue::backend::Backend::firestore()).await;
            })*
        }
    };
}
pub(crate) use on_both_back_ends;

pub(crate) const POLICY: RetryPolicy = RetryPolicy {
    lease: Duration::from_mins(10),
    max_retries: 3,
    retry_backoff: Duration::from_mins(1),
    outage_patience: Duration::from_hours(7 * 24),
    dependency_patience: Duration::from_hours(30 * 24),
    retention: None,
};

/// One queue, to be opened as often as a test wants.
pub(crate) struct Backend {
    pub(crate) settings: QueueSettings,
    /// What the queue is in, where that is Firestore.
    pub(crate) firestore: Option<Firestore>,
    /// The disk that the queue is on, where it can be filled.
    pub(crate) disk: Option<Disk>,
    _folder: Option<TempDir>,
}

impl Backend {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let settings = QueueSettings::Sqlite(SqliteSettings { path });
        Self { settings, firestore: None, disk: None, _folder: Some(folder) }
    }

    /// On a disk of its own, where this user may mount one.
    pub(crate) fn sqlite_on_disk() -> Self {
        let Some(disk) = Disk::mount("64m") else { return Self::sqlite() };
        let settings = QueueSettings::Sqlite(SqliteSettings { path: disk.path("queue.db") });
        Self { settings, firestore: None, disk: Some(disk), _folder: None }
    }

    /// A project of its own on the emulator, behind a proxy of its own.
    pub(crate) fn firestore() -> Self {
        let firestore = Firestore::start();
        let settings = FirestoreSettings {
            project: firestore.project.clone(),
            database: "(default)".to_owned(),
            emulator_host: Some(firestore.host.clone()),
            flask_documents: true,
        };
        let settings = QueueSettings::Firestore(settings);
        Self { settings, firestore: Some(firestore), disk: None, _folder: None }
    }

    pub(crate) async fn open(&self) -> Queue {
        self.open_with(POLICY).await
    }

    pub(crate) async fn open_with(&self, policy: RetryPolicy) -> Queue {
        Queue::open(&self.settings, policy).await.unwrap()
    }

    /// A handle whose leases have run out the moment they begin.
    pub(crate) async fn open_without_leases(&self) -> Queue {
        self.open_with(RetryPolicy { lease: Duration::ZERO, ..POLICY }).await
    }
}

pub(crate) fn arriving(data: Value) -> Arriving {
    let job_id = match &data["id"] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    Arriving {
        origin: Origin::CommCare,
        job_name: "Farmer Registration".to_owned(),
        job_id,
        data: data.into(),
        records: None,
    }
}

pub(crate) async fn put(queue: &Queue, data: Value) -> Accepted {
    queue.accept(arriving(data)).await.unwrap()
}

/// A form with nothing but its id, accepted.
pub(crate) async fn put_id(queue: &Queue, id: &str) {
    put(queue, json!({ "id": id, "form": { "x": "1" } })).await;
}

pub(crate) async fn claim(queue: &Queue, limit: usize) -> Vec<Claim> {
    queue.claim_oldest(Origin::CommCare, limit, "worker", Trigger::Batch).await.unwrap().claims
}

pub(crate) async fn claim_one(queue: &Queue) -> Claim {
    let mut claims = claim(queue, 1).await;
    claims.pop().expect("a record to claim")
}

/// Claims a record whose run writes these, by their keys.
pub(crate) async fn claim_writing(queue: &Queue, id: &str, keys: &[String]) -> Claim {
    let mut candidate = queue.candidate(Origin::CommCare, id).await.unwrap().expect("a record");
    candidate.will_write(keys.to_vec());
    match queue.claim(candidate, "worker", Trigger::Batch, None).await.unwrap() {
        ClaimResult::Claimed(claim) => *claim,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ids(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(Claim::doc_id).collect()
}

/// The one record of an id.
pub(crate) async fn the(queue: &Queue, id: &str) -> Record {
    let mut found = queue.find(Origin::CommCare, id).await.unwrap().records;
    assert_eq!(found.len(), 1, "{id}: {found:?}");
    found.pop().unwrap().1
}

pub(crate) fn completed() -> ClaimOutcome {
    ClaimOutcome::Completed { note: None, dry_run: None, unmapped: Vec::new() }
}

pub(crate) fn failed(kind: ErrorKind) -> ClaimOutcome {
    ClaimOutcome::Failed(failure(kind, "Household__c", "it did not work".to_owned()))
}

/// Failed for good, for this reason.
pub(crate) fn failing(step: &str, error: String) -> ClaimOutcome {
    ClaimOutcome::Failed(failure(ErrorKind::Permanent, step, error))
}

/// Failed, perhaps because of the destination.
pub(crate) fn undecided() -> ClaimOutcome {
    ClaimOutcome::Undecided(failure(ErrorKind::Transient, "composite", "no answer in time".to_owned()))
}

pub(crate) fn failure(kind: ErrorKind, step: &str, error: String) -> RecordFailure {
    let cause = Cause::Refused;
    RecordFailure { kind, cause, step: step.to_owned(), error, waits_for: Vec::new(), unmapped: Vec::new() }
}

/// Completed or failed, with an answer whose code no label table knows.
pub(crate) fn unmapped(answers: &[(&str, &str)]) -> ClaimOutcome {
    let unmapped = answers
        .iter()
        .map(|(path, code)| Unmapped { path: (*path).to_owned(), code: (*code).to_owned() })
        .collect();
    ClaimOutcome::Completed { note: None, dry_run: None, unmapped }
}

pub(crate) fn is_unavailable(error: &QueueError) -> bool {
    matches!(error, QueueError::Unavailable { .. })
}
