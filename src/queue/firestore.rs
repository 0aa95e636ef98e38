//! The original service's back end: one Firestore collection per origin.
//!
//! Every write has a precondition: an insert that the document doesn't exist, a change that its
//! update time is still the one that was read (compare-and-set). No transactions that read:
//! claimers that read the head of the queue in transactions lock one another out.

mod codec;
mod commit;
mod document;
mod emulator;
mod overview;

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use firestore::errors::FirestoreError;
use firestore::{
    FirestoreDb, FirestoreDbOptions, FirestoreDocument, FirestoreQueryCursor, FirestoreValue,
    FirestoreWritePrecondition,
};

use super::QueueError;
use super::stored::{Since, Stored, Version};
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
/// Documents that are read at a time where some may be passed by.
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
        let new = Scan::by_arrival(origin, Status::New);
        self.gather(new, u32::try_from(limit).unwrap_or(u32::MAX), limit, |_| TAKE).await
    }

    /// There are never many `processing` documents, and those of the original service have no
    /// lease to search by: all are read, oldest first, until enough have run out.
    pub(super) async fn abandoned(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let processing = Scan::by_arrival(origin, Status::Processing);
        let is_free = |stored: &Stored| if stored.record.is_free(now) { TAKE } else { PASS };
        self.gather(processing, SCAN_PAGE, limit, is_free).await
    }

    /// Ours by their time; those of the original service, which have none, by being the oldest.
    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let is_left = move |stored: &Stored| stored.record.run_retries < max_retries;
        let timed =
            Scan { by: "next_retry_at", until: Some(now), ..Scan::by_arrival(origin, Status::Failed) };
        let timed = self.gather(timed, SCAN_PAGE, limit, |stored| if is_left(stored) { TAKE } else { PASS });
        // Those of the original service came before the first of ours, which has a `payload_hash`: the
        // search ends there, and costs nothing once they are all settled.
        let original = Scan::by_arrival(origin, Status::Failed);
        let original = self.gather(original, SCAN_PAGE, limit, |stored| {
            let record = &stored.record;
            match (record.payload_hash.is_some(), record.next_retry_at) {
                (true, _) => ControlFlow::Break(()),
                (false, NextRetry::Unset) if is_left(stored) => TAKE,
                (false, _) => PASS,
            }
        });
        let (mut due, original) = futures::try_join!(timed, original)?;
        due.extend(original);
        due.truncate(limit);
        Ok(due)
    }

    pub(super) async fn writers(
        &self,
        origin: Origin,
        since: Since,
        records: &[String],
        limit: u32,
    ) -> Result<Vec<Stored>, QueueError> {
        let (field, since) = since.field();
        let look_ups = records.chunks(DISJUNCTIONS).map(|records| async move {
            let found = self
                .db
                .fluent()
                .select()
                .from(origin.collection())
                .filter(|q| {
                    q.for_all([
                        q.field("written").array_contains_any(records),
                        q.field(field).greater_than(FirestoreValue::from(codec::timestamp(since))),
                    ])
                })
                .order(|o| o.fields([o.field(field).desc()]))
                .limit(limit)
                .query()
                .await;
            read(origin, found)
        });
        let found = futures::future::try_join_all(look_ups).await?;
        Ok(found.into_iter().flatten().collect())
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

/// Documents of one status, in an order of their times.
#[derive(Clone, Copy)]
struct Scan {
    origin: Origin,
    status: Status,
    /// The field that orders them.
    by: &'static str,
    /// The last value of it that counts.
    until: Option<DateTime<Utc>>,
}

impl Scan {
    fn by_arrival(origin: Origin, status: Status) -> Self {
        Self { origin, status, by: "created_at", until: None }
    }
}

/// What to do with a document of a scan: take it or pass it by, or end the scan there.
type Judgement = ControlFlow<(), bool>;

const TAKE: Judgement = ControlFlow::Continue(true);
const PASS: Judgement = ControlFlow::Continue(false);

impl Firestore {
    /// Goes over the documents of a scan, `page` at a time, until `limit` are taken or it ends.
    async fn gather(
        &self,
        scan: Scan,
        page: u32,
        limit: usize,
        judge: impl Fn(&Stored) -> Judgement,
    ) -> Result<Vec<Stored>, QueueError> {
        let mut taken = Vec::new();
        let mut after = None;
        loop {
            let found = self.page(scan, after, page).await;
            // By the documents themselves: one that is no record must not end the scan.
            let last = found
                .as_ref()
                .ok()
                .filter(|found| found.len() >= page as usize)
                .and_then(|found| found.last());
            after = last.and_then(|last| Some((codec::time(last.fields.get(scan.by)?)?, doc_id(last))));
            for stored in read(scan.origin, found)? {
                match judge(&stored) {
                    ControlFlow::Continue(true) => taken.push(stored),
                    ControlFlow::Continue(false) => {}
                    ControlFlow::Break(()) => return Ok(taken),
                }
                if taken.len() == limit {
                    return Ok(taken);
                }
            }
            if after.is_none() {
                return Ok(taken);
            }
        }
    }

    async fn page(
        &self,
        scan: Scan,
        after: Option<(DateTime<Utc>, String)>,
        limit: u32,
    ) -> Result<Vec<FirestoreDocument>, FirestoreError> {
        let until = scan.until.map(|until| FirestoreValue::from(codec::timestamp(until)));
        let mut query = self
            .db
            .fluent()
            .select()
            .from(scan.origin.collection())
            .filter(|q| {
                q.for_all([
                    q.field("status").eq(scan.status.as_str()),
                    until.clone().and_then(|until| q.field(scan.by).less_than_or_equal(until)),
                ])
            })
            .order(|o| o.fields([o.field(scan.by).asc(), o.field("__name__").asc()]))
            .limit(limit);
        if let Some((time, doc_id)) = after {
            query = query.start_at(self.after(scan.origin, time, &doc_id));
        }
        query.query().await
    }
}
