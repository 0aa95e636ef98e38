//! The original service's back end: one Firestore collection per origin.
//!
//! Every write has a precondition: an insert that the document doesn't exist, a change that its
//! update time is still the one that was read (compare-and-set). No transactions that read:
//! claimers that read the head of the queue in transactions lock one another out.

mod codec;
mod commit;
mod document;
mod emulator;

use std::time::Duration;

use chrono::{DateTime, Utc};
use firestore::errors::FirestoreError;
use firestore::{
    FirestoreDb, FirestoreDbOptions, FirestoreDocument, FirestoreQueryCursor, FirestoreValue,
    FirestoreWritePrecondition,
};

use super::QueueError;
use super::store::{PageCursor, Stored, Version};
use crate::config::FirestoreSettings;
use crate::submission::{NextRetry, Origin, Record, Status};

use document::{doc_id, lost_race, read, stored, update_time, version};

/// Bound of one request, and how often a read is repeated. A webhook has to answer before CommCare
/// stops waiting, whatever Firestore does; the client's own settings would take minutes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const READ_RETRIES: usize = 1;
/// Documents of the original service that share one submission id, at most: it stored one for
/// every time that CommCare sent the form.
const SAME_ID_LIMIT: u32 = 1_000;
/// Documents that are read at a time, looking for run-out leases or the original's failures.
const SCAN_PAGE: u32 = 100;
/// Firestore: values that one `array-contains-any` may have ("Query limitations").
const DISJUNCTIONS: usize = 30;

/// The Firestore queue.
#[derive(Clone)]
pub(super) struct Firestore {
    db: FirestoreDb,
}

impl std::fmt::Debug for Firestore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Firestore").field(self.db.get_database_path()).finish()
    }
}

impl Firestore {
    /// Connects; an unreachable database shows at the first call.
    pub(super) async fn connect(settings: &FirestoreSettings) -> Result<Self, QueueError> {
        let options = FirestoreDbOptions::new(settings.project.clone())
            .with_database_id(settings.database.clone())
            .with_max_retries(READ_RETRIES)
            .with_request_timeout(REQUEST_TIMEOUT);
        let db = match &settings.emulator_host {
            Some(host) => {
                let options = options.with_firebase_api_url(emulator::url(host));
                FirestoreDb::with_options_auth(options, emulator::credentials()).await
            }
            None => FirestoreDb::with_options(options).await,
        };
        Ok(Self { db: db.map_err(|error| QueueError::unavailable("connecting", error))? })
    }

    pub(super) async fn ping(&self) -> Result<(), QueueError> {
        self.db.ping().await.map_err(|error| QueueError::unavailable("answering a ping", error))
    }

    pub(super) async fn insert(
        &self,
        origin: Origin,
        doc_id: &str,
        record: &Record,
    ) -> Result<bool, QueueError> {
        let created = self
            .db
            .fluent()
            .insert()
            .into(origin.collection())
            .document_id(doc_id)
            .return_only_fields(["status"])
            .document(FirestoreDocument { fields: codec::encode(record), ..FirestoreDocument::default() })
            .execute()
            .await;
        match created {
            Ok(_) => Ok(true),
            Err(FirestoreError::DataConflictError(_)) => Ok(false),
            Err(error) => Err(QueueError::unavailable("storing a record", error)),
        }
    }

    pub(super) async fn swap(&self, stored: &Stored, record: &Record) -> Result<Option<Version>, QueueError> {
        let (fields, changed) = codec::changed(&stored.record, record);
        let collection = stored.origin.collection();
        let name = self.document_name(stored.origin, &stored.doc_id);
        let swapped = self
            .db
            .fluent()
            .update()
            .fields(&changed)
            .in_col(collection)
            .return_only_fields(["status"])
            .precondition(FirestoreWritePrecondition::UpdateTime(update_time(stored)?))
            .document(FirestoreDocument { name, fields, ..FirestoreDocument::default() })
            .execute()
            .await;
        match swapped {
            Ok(document) => Ok(Some(version(&document))),
            Err(error) if lost_race(&error) => Ok(None),
            Err(error) => Err(QueueError::unavailable("changing a record", error)),
        }
    }

    pub(super) async fn get(&self, origin: Origin, doc_id: &str) -> Result<Option<Stored>, QueueError> {
        let found = self.db.fluent().select().by_id_in(origin.collection()).one(doc_id).await;
        let found = found.map_err(|error| QueueError::unavailable("reading a record", error))?;
        found.map(|document| stored(origin, document)).transpose()
    }

    /// The original stored a form again each time it was sent; the latest of those counts.
    pub(super) async fn existing(
        &self,
        origin: Origin,
        job_id: &str,
        doc_id: &str,
    ) -> Result<Option<Stored>, QueueError> {
        let mut found = self.of_submission(origin, job_id).await?;
        let own = found.iter().position(|stored| stored.doc_id == doc_id);
        Ok(own.map(|position| found.swap_remove(position)).or_else(|| found.pop()))
    }

    pub(super) async fn find(&self, origin: Origin, id: &str) -> Result<Vec<Stored>, QueueError> {
        // The document that the id makes, which is its own where it can be a document's.
        let doc_id = super::doc_id(id);
        let (mut found, document) =
            futures::try_join!(self.of_submission(origin, id), self.get(origin, &doc_id))?;
        found.extend(document.filter(|document| found.iter().all(|other| other.doc_id != document.doc_id)));
        found.sort_by(|a, b| (a.record.created_at, &a.doc_id).cmp(&(b.record.created_at, &b.doc_id)));
        Ok(found)
    }

    /// Documents whose `data.id` is `id`, as text or as the number that it reads as; oldest first.
    pub(super) async fn of_submission(&self, origin: Origin, id: &str) -> Result<Vec<Stored>, QueueError> {
        let number = id.parse::<i64>().ok().filter(|number| number.to_string() == id);
        let text = FirestoreValue::from(codec::text(id));
        let either = number.map(|number| codec::array(vec![codec::text(id), codec::integer(number)]));
        let found = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| match &either {
                None => q.for_all([q.field("data.id").eq(text.clone())]),
                Some(either) => q.for_all([q.field("data.id").is_in(FirestoreValue::from(either.clone()))]),
            })
            .limit(SAME_ID_LIMIT)
            .query()
            .await;
        let mut found = read(origin, found)?;
        found.sort_by_key(|stored| stored.record.created_at);
        Ok(found)
    }

    pub(super) async fn oldest_new(&self, origin: Origin, limit: usize) -> Result<Vec<Stored>, QueueError> {
        let mut new = Vec::new();
        let mut after = None;
        loop {
            let wanted = u32::try_from(limit - new.len()).unwrap_or(u32::MAX);
            let scan = self.oldest(origin, Status::New, after, wanted).await?;
            new.extend(scan.found);
            if new.len() >= limit || scan.next.is_none() {
                return Ok(new);
            }
            after = scan.next;
        }
    }

    /// There are never many `processing` documents, and those of the original service have no
    /// lease to search by: all are read, oldest first, until enough have run out.
    pub(super) async fn abandoned(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let mut abandoned = Vec::new();
        let mut after = None;
        loop {
            let scan = self.oldest(origin, Status::Processing, after, SCAN_PAGE).await?;
            abandoned.extend(scan.found.into_iter().filter(|stored| stored.record.is_free(now)));
            if abandoned.len() >= limit || scan.next.is_none() {
                abandoned.truncate(limit);
                return Ok(abandoned);
            }
            after = scan.next;
        }
    }

    /// Ours by their time; those of the original service, which have none, by being the oldest.
    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let timed = async {
            let found = self
                .db
                .fluent()
                .select()
                .from(origin.collection())
                .filter(|q| {
                    q.for_all([
                        q.field("status").eq(Status::Failed.as_str()),
                        q.field("next_retry_at")
                            .less_than_or_equal(FirestoreValue::from(codec::timestamp(now))),
                    ])
                })
                .order(|o| o.fields([o.field("next_retry_at").asc()]))
                .limit(u32::try_from(limit).unwrap_or(u32::MAX))
                .query()
                .await;
            read(origin, found)
        };
        let (mut due, original) = futures::try_join!(timed, self.due_original(origin, max_retries, limit))?;
        due.extend(original);
        due.truncate(limit);
        Ok(due)
    }

    /// Failed documents of the original service. They came before the first of ours, which has a
    /// `payload_hash`: the search ends there, and costs nothing once they are all settled.
    async fn due_original(
        &self,
        origin: Origin,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let mut due = Vec::new();
        let mut after = None;
        loop {
            let scan = self.oldest(origin, Status::Failed, after, SCAN_PAGE).await?;
            let met_ours = scan.found.iter().any(|stored| stored.record.payload_hash.is_some());
            let originals = scan.found.into_iter().take_while(|stored| stored.record.payload_hash.is_none());
            due.extend(originals.filter(|stored| {
                stored.record.next_retry_at == NextRetry::Unset && stored.record.run_retries < max_retries
            }));
            if met_ours || due.len() >= limit || scan.next.is_none() {
                return Ok(due);
            }
            after = scan.next;
        }
    }

    pub(super) async fn later_writers(
        &self,
        origin: Origin,
        since: DateTime<Utc>,
        records: &[String],
        limit: u32,
    ) -> Result<Vec<Stored>, QueueError> {
        let look_ups = records.chunks(DISJUNCTIONS).map(|records| async move {
            let found = self
                .db
                .fluent()
                .select()
                .from(origin.collection())
                .filter(|q| {
                    q.for_all([
                        q.field("written").array_contains_any(records),
                        q.field("created_at").greater_than(FirestoreValue::from(codec::timestamp(since))),
                    ])
                })
                .limit(limit)
                .query()
                .await;
            read(origin, found)
        });
        let found = futures::future::try_join_all(look_ups).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn oldest(
        &self,
        origin: Origin,
        status: Status,
        after: Option<(DateTime<Utc>, String)>,
        limit: u32,
    ) -> Result<Scan, QueueError> {
        let mut query = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| q.for_all([q.field("status").eq(status.as_str())]))
            .order(|o| o.fields([o.field("created_at").asc(), o.field("__name__").asc()]))
            .limit(limit);
        if let Some((time, doc_id)) = after {
            query = query.start_at(self.after(origin, time, &doc_id));
        }
        let found = query.query().await;
        // By the documents themselves: one that is no record must not end the scan.
        let last =
            found.as_ref().ok().filter(|found| found.len() >= limit as usize).and_then(|found| found.last());
        let next = last.and_then(|last| Some((codec::time(last.fields.get("created_at")?)?, doc_id(last))));
        Ok(Scan { found: read(origin, found)?, next })
    }

    pub(super) async fn failed(
        &self,
        origin: Origin,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let mut query = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| q.for_all([q.field("status").eq(Status::Failed.as_str())]))
            .order(|o| o.fields([o.field("updated_at").desc(), o.field("__name__").desc()]))
            .limit(u32::try_from(limit).unwrap_or(u32::MAX));
        if let Some(after) = after {
            query = query.start_at(self.after(origin, after.updated_at, &after.doc_id));
        }
        read(origin, query.query().await)
    }

    pub(super) async fn count(&self, origin: Origin, status: Status) -> Result<u64, QueueError> {
        const COUNT: &str = "count";
        let counted = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| q.for_all([q.field("status").eq(status.as_str())]))
            .aggregate(|a| a.fields([a.field(COUNT).count()]))
            .query()
            .await
            .map_err(|error| QueueError::unavailable("counting records", error))?;
        let count = counted.first().and_then(|document| document.fields.get(COUNT));
        Ok(count.and_then(codec::as_integer).unwrap_or_default().unsigned_abs())
    }
}

impl Firestore {
    fn document_name(&self, origin: Origin, doc_id: &str) -> String {
        format!("{}/{}/{doc_id}", self.db.get_documents_path(), origin.collection())
    }

    /// Goes on after the document that a page ended with, in the order of a time and the name.
    fn after(&self, origin: Origin, time: DateTime<Utc>, doc_id: &str) -> FirestoreQueryCursor {
        let last = [codec::timestamp(time), codec::reference(self.document_name(origin, doc_id))];
        FirestoreQueryCursor::AfterValue(last.into_iter().map(FirestoreValue::from).collect())
    }
}

/// A page of documents in the order of their arrival.
struct Scan {
    found: Vec<Stored>,
    /// The last document, where there may be more behind it.
    next: Option<(DateTime<Utc>, String)>,
}
