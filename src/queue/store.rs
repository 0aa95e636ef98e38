//! What a back end offers: a handful of primitives, each atomic on its own.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::try_join_all;

use super::QueueError;
use super::arrivals::Tally;
use super::firestore::Firestore;
use super::held::HeldPage;
use super::limits::DISJUNCTIONS;
use super::question::{FailedFilter, Place, Shown, Sighting};
use super::sqlite::Sqlite;
use super::stored::{Change, Jobs, Read, Scanned, Since, Stored, Version, Writers, id_of};
use crate::submission::{Attempt, Origin, Record, Status, Unmapped};

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

    /// Writes something that changes nothing, to learn whether writes go through.
    pub(super) async fn probe_write(&self) -> Result<(), QueueError> {
        match self {
            Self::Sqlite(store) => store.probe_write().await,
            Self::Firestore(store) => store.probe_write().await,
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
    /// Firestore takes a large group in several requests; then those before the failed one may be made.
    pub(super) async fn write_all(&self, origin: Origin, changes: &[Change]) -> Result<bool, QueueError> {
        match self {
            Self::Sqlite(store) => store.write_all(origin, changes).await,
            Self::Firestore(store) => store.write_all(origin, changes).await,
        }
    }

    /// Every document of a submission that may be stored in parts; oldest first. Of their payloads only the members that
    /// tell editions apart are read: the whole may be more than the memory holds.
    pub(super) async fn editions_of(&self, origin: Origin, job_id: &str) -> Result<Vec<Read>, QueueError> {
        match self {
            Self::Sqlite(store) => store.editions_of(origin, job_id).await,
            Self::Firestore(store) => store.editions_of(origin, job_id).await,
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
    /// embedded queue has none of those, nor has Firestore with `FLASK_DOCUMENTS=false`.
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

    /// Documents whose data has this id; where there are none, those which have it themselves; oldest first. A payload's id
    /// may be spelt like the document of another payload, and means its own alone. A summary has the payload's id.
    pub(super) async fn find(&self, origin: Origin, id: &str, shown: Shown) -> Result<Vec<Read>, QueueError> {
        let mut found = match self {
            Self::Sqlite(store) => store.find(origin, id, shown).await,
            Self::Firestore(store) => store.find(origin, id, shown).await,
        }?;
        let has_it = |read: &Read| read.as_ref().is_ok_and(|stored| stored.has_id(id));
        if found.iter().any(has_it) {
            found.retain(|read| read.is_err() || has_it(read));
        }
        Ok(found)
    }

    /// How far the back end's clock is ahead of this machine's.
    pub(super) fn clock_offset(&self) -> TimeDelta {
        match self {
            Self::Sqlite(_) => TimeDelta::zero(),
            Self::Firestore(store) => store.clock_offset(),
        }
    }

    /// Documents with this status, oldest first; of these jobs, where some are named.
    pub(super) async fn in_arrival_order(
        &self,
        origin: Origin,
        status: Status,
        jobs: Jobs<'_>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        match self {
            Self::Sqlite(store) => store.in_arrival_order(origin, status, jobs, after, limit).await,
            Self::Firestore(store) => store.in_arrival_order(origin, status, jobs, after, limit).await,
        }
    }

    /// Documents with this status, the last arrived first.
    pub(super) async fn newest(
        &self,
        origin: Origin,
        status: Status,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        match self {
            Self::Sqlite(store) => store.newest(origin, status, limit).await,
            Self::Firestore(store) => store.newest(origin, status, limit).await,
        }
    }

    /// `failed` documents that auto-retry may take at `now`, the longest due first; of these jobs, where some are named.
    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        jobs: Jobs<'_>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        match self {
            Self::Sqlite(store) => store.due(origin, now, jobs, after, limit).await,
            Self::Firestore(store) => store.due(origin, now, jobs, after, limit).await,
        }
    }

    /// `failed` documents of the original service with fewer than `max_retries` retries: they do not say when they are
    /// due. The embedded queue has none.
    pub(super) async fn undated(
        &self,
        origin: Origin,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Firestore(store) => store.undated(origin, max_retries, limit).await,
        }
    }

    /// Documents without a known status. The embedded queue takes no such row.
    pub(super) async fn without_status(&self, origin: Origin, limit: u32) -> Result<Vec<Read>, QueueError> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Firestore(store) => store.without_status(origin, limit).await,
        }
    }

    /// `failed` documents that wait for one of `records`, in the order of their ids: `limit` of them, after one where it is
    /// named.
    pub(super) async fn waiting(
        &self,
        origin: Origin,
        records: &[String],
        shown: Shown,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        let questions = records.chunks(DISJUNCTIONS).map(|records| async move {
            match self {
                Self::Sqlite(store) => store.waiting(origin, records, shown, after, limit).await,
                Self::Firestore(store) => store.waiting(origin, records, shown, after, limit).await,
            }
        });
        let mut found: Vec<Read> = try_join_all(questions).await?.into_iter().flatten().collect();
        // Each answer begins at the same place, so that the first ones of all of them are the first of all.
        found.sort_by(|a, b| id_of(a).cmp(id_of(b)));
        found.dedup_by(|a, b| id_of(a) == id_of(b));
        found.truncate(limit);
        Ok(found)
    }

    /// The latest documents that have written one of `records`, or would write it, and that arrived or changed since a
    /// time, and not after `until`.
    pub(super) async fn writers(
        &self,
        origin: Origin,
        since: Since,
        until: Option<DateTime<Utc>>,
        records: &[String],
        shown: Shown,
    ) -> Result<Writers, QueueError> {
        let questions = records.chunks(DISJUNCTIONS).map(|records| async move {
            match self {
                Self::Sqlite(store) => store.writers(origin, since, until, records, shown, WRITERS).await,
                Self::Firestore(store) => store.writers(origin, since, until, records, shown, WRITERS).await,
            }
        });
        let mut found: Vec<Read> = try_join_all(questions).await?.into_iter().flatten().collect();
        // Each question is answered with so many. One that was answered in full goes further back than the others.
        let is_cut = found.len() >= WRITERS as usize;
        let time =
            |read: &Read| read.as_ref().map_or(DateTime::UNIX_EPOCH, |stored| since.of(&stored.record));
        found.sort_by_key(|read| std::cmp::Reverse(time(read)));
        let oldest = found.get(WRITERS as usize - 1).filter(|_| is_cut).map(time);
        Ok(Writers { found, oldest })
    }

    /// `failed` documents that `filter` lets through, the last changed first; after a document, where one
    /// is named.
    pub(super) async fn failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
        after: Option<&Place>,
        shown: Shown,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
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

    /// Adds the documents with this status that arrived within these times.
    pub(super) async fn arrivals(
        &self,
        origin: Origin,
        status: Status,
        times: Range<DateTime<Utc>>,
        tally: &mut Tally,
    ) -> Result<(), QueueError> {
        match self {
            Self::Sqlite(store) => store.arrivals(origin, status, times, tally).await,
            Self::Firestore(store) => store.arrivals(origin, status, times, tally).await,
        }
    }

    /// Adds one record to each of these answers.
    pub(super) async fn add_unmapped(&self, answers: &[Sighting]) -> Result<(), QueueError> {
        match self {
            Self::Sqlite(store) => store.add_unmapped(answers).await,
            Self::Firestore(store) => store.add_unmapped(answers).await,
        }
    }

    /// Sets the mark of an answer; `false` where there is no such answer.
    pub(super) async fn mark_unmapped(
        &self,
        origin: Origin,
        job_name: &str,
        answer: &Unmapped,
        known: bool,
    ) -> Result<bool, QueueError> {
        match self {
            Self::Sqlite(store) => store.mark_unmapped(origin, job_name, answer, known).await,
            Self::Firestore(store) => store.mark_unmapped(origin, job_name, answer, known).await,
        }
    }

    /// Answers whose code no label table knows, the last seen first.
    pub(super) async fn unmapped(&self, limit: u32) -> Result<Vec<Sighting>, QueueError> {
        match self {
            Self::Sqlite(store) => store.unmapped(limit).await,
            Self::Firestore(store) => store.unmapped(limit).await,
        }
    }

    /// Documents with these ids; those that are not there are left out.
    pub(super) async fn get_many(&self, origin: Origin, doc_ids: &[String]) -> Result<Vec<Read>, QueueError> {
        match self {
            Self::Sqlite(store) => store.get_many(origin, doc_ids).await,
            Self::Firestore(store) => store.get_many(origin, doc_ids).await,
        }
    }

    /// Documents of the original service with one of these submission ids, oldest first. SQLite has none.
    pub(super) async fn of_submissions(
        &self,
        origin: Origin,
        job_ids: &[String],
    ) -> Result<Vec<Read>, QueueError> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Firestore(store) => store.of_submissions(origin, job_ids).await,
        }
    }

    /// Documents of a status that arrived since a time, without their payloads, oldest first.
    pub(super) async fn held(
        &self,
        origin: Origin,
        status: Status,
        since: DateTime<Utc>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<HeldPage, QueueError> {
        match self {
            Self::Sqlite(store) => store.held(origin, status, since, after, limit).await,
            Self::Firestore(store) => store.held(origin, status, since, after, limit).await,
        }
    }

    /// The text that is kept under a name.
    pub(super) async fn state(&self, name: &str) -> Result<Option<String>, QueueError> {
        match self {
            Self::Sqlite(store) => store.state(name).await,
            Self::Firestore(store) => store.state(name).await,
        }
    }

    /// Durably keeps a text under a name, in place of the one before.
    pub(super) async fn set_state(&self, name: &str, value: &str) -> Result<(), QueueError> {
        match self {
            Self::Sqlite(store) => store.set_state(name, value).await,
            Self::Firestore(store) => store.set_state(name, value).await,
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
