//! What a back end offers: a handful of primitives, each atomic on its own.

use chrono::{DateTime, Utc};

use super::QueueError;
use super::firestore::Firestore;
use super::sqlite::Sqlite;
use crate::submission::{Origin, Record, Status};

/// Identifies one state of one document: any change gives another. SQLite counts changes,
/// Firestore gives its update time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(pub(super) i64);

/// A record as it was read.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) origin: Origin,
    pub(super) doc_id: String,
    pub(super) record: Record,
    pub(super) version: Version,
}

/// Later writers of the same records that are looked at: of a record that very many forms write,
/// some stand for all.
const LATER_WRITERS: u32 = 50;

/// One of several changes that happen together.
#[derive(Debug)]
pub(super) enum Change {
    /// A document that must not exist yet.
    Insert(String, Box<Record>),
    /// One that must still be what was read.
    Swap(Box<Stored>, Box<Record>),
}

impl Change {
    /// The document that it changes.
    pub(super) fn doc_id(&self) -> &str {
        match self {
            Self::Insert(doc_id, _) => doc_id,
            Self::Swap(stored, _) => &stored.doc_id,
        }
    }
}

/// Where the next page of failed records begins: after this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageCursor {
    /// The last record's last change.
    pub updated_at: DateTime<Utc>,
    /// The last record's document id.
    pub doc_id: String,
}

/// One page of records.
#[derive(Debug)]
pub struct Page {
    /// Document ids and records.
    pub records: Vec<(String, Record)>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<PageCursor>,
}

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

    /// `failed` documents that auto-retry may take at `now`, the longest due first; and those of the
    /// original service, which say nothing about it.
    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let found = match self {
            Self::Sqlite(store) => store.due(origin, now, limit).await?,
            Self::Firestore(store) => store.due(origin, now, max_retries, limit).await?,
        };
        Ok(found.into_iter().filter(|stored| stored.record.run_retries < max_retries).collect())
    }

    /// Some documents that arrived after `since` and have written one of `records`.
    pub(super) async fn later_writers(
        &self,
        origin: Origin,
        since: DateTime<Utc>,
        records: &[String],
    ) -> Result<Vec<Stored>, QueueError> {
        match self {
            Self::Sqlite(store) => store.later_writers(origin, since, records, LATER_WRITERS).await,
            Self::Firestore(store) => store.later_writers(origin, since, records, LATER_WRITERS).await,
        }
    }

    /// One page of `failed` documents, the last changed first.
    pub(super) async fn failed(
        &self,
        origin: Origin,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<Page, QueueError> {
        let found = match self {
            Self::Sqlite(store) => store.failed(origin, after, limit + 1).await?,
            Self::Firestore(store) => store.failed(origin, after, limit + 1).await?,
        };
        Ok(page(found, limit))
    }

    /// How many documents have this status.
    pub(super) async fn count(&self, origin: Origin, status: Status) -> Result<u64, QueueError> {
        match self {
            Self::Sqlite(store) => store.count(origin, status).await,
            Self::Firestore(store) => store.count(origin, status).await,
        }
    }
}

/// The first `limit` of what was found; one more than that says there is a next page.
fn page(mut found: Vec<Stored>, limit: usize) -> Page {
    let more = found.len() > limit;
    found.truncate(limit);
    let cursor =
        |last: &Stored| Some(PageCursor { updated_at: last.record.updated_at?, doc_id: last.doc_id.clone() });
    let next = if more { found.last().and_then(cursor) } else { None };
    Page { records: found.into_iter().map(|stored| (stored.doc_id, stored.record)).collect(), next }
}
