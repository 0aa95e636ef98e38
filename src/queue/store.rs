//! What a back end offers: a handful of primitives, each atomic on its own.

use chrono::{DateTime, Utc};

use super::QueueError;
use super::firestore::Firestore;
use super::question::{FailedFilter, PageCursor, Shown, Sighting};
use super::sqlite::Sqlite;
use super::stored::{Change, Since, Stored, Version};
use crate::submission::{Attempt, Origin, Record, Status};

/// Writers of the same records that are looked at, of a record that very many forms write: the latest.
const WRITERS: u32 = 50;

/// The two back ends.
#[derive(Debug, Clone)]
pub(super) enum Store {
    /// Embedded; several processes may share the file.
    Sqlite(Sqlite),
    /// The original service's.
    Firestore(Firestore),
}

impl Store {
    /// Whether the back end answers.
    pub(super) async fn ping(&self) -> Result<(), QueueError> {
        match self {
            Self::Sqlite(store) => store.ping().await,
            Self::Firestore(store) => store.ping().await,
        }
    }

    /// Durably inserts a document. `false` where it exists already; then nothing is written.
    pub(super) async fn insert(
        &self,
        origin: Origin,
        doc_id: &str,
        record: &Record,
    ) -> Result<bool, QueueError> {
        match self {
            Self::Sqlite(store) => store.insert(origin, doc_id, record).await,
            Self::Firestore(store) => store.insert(origin, doc_id, record).await,
        }
    }

    /// Durably replaces a document, if it still is what was read. `None` where it isn't.
    pub(super) async fn swap(&self, stored: &Stored, record: &Record) -> Result<Option<Version>, QueueError> {
        match self {
            Self::Sqlite(store) => store.swap(stored, record).await,
            Self::Firestore(store) => store.swap(stored, record).await,
        }
    }

    /// Durably makes all of these changes, or none. `false` where one of them does not apply.
    ///
    /// Beyond 10 MiB Firestore takes them in several requests; then those before may be made.
    pub(super) async fn write_all(&self, origin: Origin, changes: &[Change]) -> Result<bool, QueueError> {
        match self {
            Self::Sqlite(store) => store.write_all(origin, changes).await,
            Self::Firestore(store) => store.write_all(origin, changes).await,
        }
    }

    /// Every document of a submission that may be stored in parts; oldest first.
    pub(super) async fn of_submission(
        &self,
        origin: Origin,
        job_id: &str,
    ) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.of_submission(origin, job_id).await,
            Self::Firestore(store) => store.of_submission(origin, job_id).await,
        }
    }

    /// Reads a document.
    pub(super) async fn get(&self, origin: Origin, doc_id: &str) -> Result<Option<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.get(origin, doc_id).await,
            Self::Firestore(store) => store.get(origin, doc_id).await,
        }
    }

    /// The document that a submission id may already have, where an insert would not show it:
    /// documents of the original service have random ids and are found by their data's id. The
    /// embedded queue has none of those.
    pub(super) async fn existing(
        &self,
        origin: Origin,
        job_id: &str,
        doc_id: &str,
    ) -> Result<Option<Stored>, QueueError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Firestore(store) => store.existing(origin, job_id, doc_id).await,
        }
    }

    /// Documents whose data has this id, or which have it themselves; oldest first.
    pub(super) async fn find(&self, origin: Origin, id: &str) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.find(origin, id).await,
            Self::Firestore(store) => store.find(origin, id).await,
        }
    }

    /// The oldest `new` documents, oldest first.
    pub(super) async fn oldest_new(&self, origin: Origin, limit: usize) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.oldest_new(origin, limit).await,
            Self::Firestore(store) => store.oldest_new(origin, limit).await,
        }
    }

    /// The oldest `processing` documents whose lease ran out before `now`, oldest first.
    pub(super) async fn abandoned(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.abandoned(origin, now, limit).await,
            Self::Firestore(store) => store.abandoned(origin, now, limit).await,
        }
    }

    /// `failed` documents with fewer than `max_retries` retries that auto-retry may take at `now`, the
    /// longest due first; and those of the original service, which say nothing about it.
    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.due(origin, now, max_retries, limit).await,
            Self::Firestore(store) => store.due(origin, now, max_retries, limit).await,
        }
    }

    /// The latest documents that have written one of `records`, and arrived or changed since a time.
    pub(super) async fn writers(
        &self,
        origin: Origin,
        since: Since,
        records: &[String],
    ) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.writers(origin, since, records, WRITERS).await,
            Self::Firestore(store) => store.writers(origin, since, records, WRITERS).await,
        }
    }

    /// `failed` documents that `filter` lets through, the last changed first; after a document, where one
    /// is named.
    pub(super) async fn failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
        after: Option<&PageCursor>,
        shown: Shown,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.failed(origin, filter, after, shown, limit).await,
            Self::Firestore(store) => store.failed(origin, filter, after, shown, limit).await,
        }
    }

    /// How many `failed` documents `filter` lets through.
    pub(super) async fn count_failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
    ) -> Result<u64, QueueError> {
        match self {
            Self::Sqlite(store) => store.count_failed(origin, filter).await,
            Self::Firestore(store) => store.count_failed(origin, filter).await,
        }
    }

    /// How many documents have this status.
    pub(super) async fn count(&self, origin: Origin, status: Status) -> Result<u64, QueueError> {
        match self {
            Self::Sqlite(store) => store.count(origin, status).await,
            Self::Firestore(store) => store.count(origin, status).await,
        }
    }

    /// The histories of documents that have had this status since a time, the last changed first.
    pub(super) async fn histories(
        &self,
        origin: Origin,
        status: Status,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Vec<Attempt>>, QueueError> {
        match self {
            Self::Sqlite(store) => store.histories(origin, status, since, limit).await,
            Self::Firestore(store) => store.histories(origin, status, since, limit).await,
        }
    }

    /// Adds one record to each of these answers.
    pub(super) async fn add_unmapped(&self, answers: &[Sighting]) -> Result<(), QueueError> {
        match self {
            Self::Sqlite(store) => store.add_unmapped(answers).await,
            Self::Firestore(store) => store.add_unmapped(answers).await,
        }
    }

    /// Answers whose code no label table knows, the last seen first.
    pub(super) async fn unmapped(&self, limit: u32) -> Result<Vec<Sighting>, QueueError> {
        match self {
            Self::Sqlite(store) => store.unmapped(limit).await,
            Self::Firestore(store) => store.unmapped(limit).await,
        }
    }

    /// Removes up to `limit` documents that completed before `end`; whether there were any. Firestore does
    /// so itself, by its policy on `expires_at`.
    pub(super) async fn remove_completed(
        &self,
        origin: Origin,
        end: DateTime<Utc>,
        limit: u32,
    ) -> Result<bool, QueueError> {
        match self {
            Self::Sqlite(store) => store.remove_completed(origin, end, limit).await,
            Self::Firestore(_) => Ok(false),
        }
    }
}
