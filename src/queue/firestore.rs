//! The original service's back end: one Firestore collection per origin.
//!
//! Every write has a precondition: an insert that the document doesn't exist, a change that its
//! update time is still the one that was read (compare-and-set). No transactions that read:
//! claimers that read the head of the queue in transactions lock one another out.

mod arrivals;
mod clock;
mod codec;
mod commit;
mod document;
mod emulator;
mod held;
mod overview;
mod scan;
mod state;

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use firestore::errors::FirestoreError;
use firestore::select_builder::FirestoreSelectInitialBuilder;
use firestore::{FirestoreDb, FirestoreDbOptions, FirestoreQueryCursor, FirestoreValue};

use super::edition::MEMBERS;
use super::question::{Place, Shown};
use super::stored::{Jobs, Read, Scanned, Since, Stored, Version, id_of};
use super::{QueueError, limits};
use crate::config::FirestoreSettings;
use crate::submission::{NextRetry, Origin, Record, Status};

use clock::ServerClock;
use commit::Arrival;
use document::{read, stored, version};
use scan::{PASS, Scan, TAKE};

/// Bound of one request, and of one read with its repetitions. A webhook has to answer before CommCare stops waiting,
/// and an operator within ten seconds, whatever Firestore does; the client's own settings would take minutes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(9);
/// How often a read is repeated within that time.
const READ_RETRIES: usize = 1;
/// Documents of the original service that share one submission id, at most: it stored one for
/// every time that CommCare sent the form.
const SAME_ID_LIMIT: u32 = 1_000;
/// What a query is doing, for its errors.
const LOOKING: &str = "looking for records";

/// The Firestore queue.
#[derive(Clone)]
pub(super) struct Firestore {
    db: FirestoreDb,
    /// Whether documents of the original service, with their random ids, are looked for.
    flask_documents: bool,
    clock: ServerClock,
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
        let db = db.map_err(|error| QueueError::unavailable("connecting", error))?;
        Ok(Self { db, flask_documents: settings.flask_documents, clock: ServerClock::default() })
    }

    pub(super) async fn ping(&self) -> Result<(), QueueError> {
        within("answering a ping", self.db.ping()).await
    }

    /// How far Firestore's clock is ahead of this machine's.
    pub(super) fn clock_offset(&self) -> TimeDelta {
        self.clock.offset()
    }

    pub(super) async fn insert(
        &self,
        origin: Origin,
        doc_id: &str,
        record: &Record,
    ) -> Result<bool, QueueError> {
        let arrival = if record.fetched_at.is_some() { Arrival::Recorded } else { Arrival::Now };
        let write = self.insert_write(origin, doc_id, record, arrival);
        Ok(self.commit(vec![write], "storing a record").await?.is_some())
    }

    pub(super) async fn swap(&self, stored: &Stored, record: &Record) -> Result<Option<Version>, QueueError> {
        let write = self.swap_write(stored, record, None);
        let written = self.commit(vec![write], "changing a record").await?;
        Ok(written
            .and_then(|results| results.first().and_then(|result| version(result.update_time.as_ref()))))
    }

    pub(super) async fn get(&self, origin: Origin, doc_id: &str) -> Result<Option<Stored>, QueueError> {
        Ok(self.look_up(origin, doc_id, None).await?.transpose()?)
    }

    /// The original stored a form again each time it was sent; the latest of those counts. Without any of them nothing is
    /// read: the insert shows whether there is a document of ours.
    pub(super) async fn existing(
        &self,
        origin: Origin,
        job_id: &str,
        doc_id: &str,
    ) -> Result<Option<Stored>, QueueError> {
        if !self.flask_documents {
            return Ok(None);
        }
        let found = self.of_submission(origin, job_id).await?;
        let mut found: Vec<Stored> = found.into_iter().filter_map(Result::ok).collect();
        let own = found.iter().position(|stored| stored.doc_id == doc_id);
        Ok(own.map(|position| found.swap_remove(position)).or_else(|| found.pop()))
    }

    pub(super) async fn find(&self, origin: Origin, id: &str, shown: Shown) -> Result<Vec<Read>, QueueError> {
        let fields = match shown {
            Shown::All => None,
            Shown::Summary => Some(summary_with(&["id"])),
        };
        let doc_ids = super::doc_id::named_by(id);
        let fields = fields.as_deref();
        let named = doc_ids.iter().map(|doc_id| self.look_up(origin, doc_id, fields));
        let named = futures::future::try_join_all(named);
        let (mut found, named) = futures::try_join!(self.with_id(origin, id, fields), named)?;
        for named in named.into_iter().flatten() {
            if found.iter().all(|other| id_of(other) != id_of(&named)) {
                found.push(named);
            }
        }
        Ok(found)
    }

    async fn look_up(
        &self,
        origin: Origin,
        doc_id: &str,
        fields: Option<&[String]>,
    ) -> Result<Option<Read>, QueueError> {
        let document = self.select_fields(fields).by_id_in(origin.collection()).one(doc_id);
        let found = within("reading a record", document).await?;
        Ok(found.map(|document| stored(origin, document)))
    }

    /// Documents whose `data.id` is `id`, as text or as the number that it reads as; oldest first.
    async fn of_submission(&self, origin: Origin, id: &str) -> Result<Vec<Read>, QueueError> {
        self.with_id(origin, id, None).await
    }

    /// The same, without most of their payloads.
    pub(super) async fn editions_of(&self, origin: Origin, id: &str) -> Result<Vec<Read>, QueueError> {
        self.with_id(origin, id, Some(&summary_with(&MEMBERS))).await
    }

    async fn with_id(
        &self,
        origin: Origin,
        id: &str,
        fields: Option<&[String]>,
    ) -> Result<Vec<Read>, QueueError> {
        let number = id.parse::<i64>().ok().filter(|number| number.to_string() == id);
        let text = FirestoreValue::from(codec::text(id));
        let either = number.map(|number| codec::array(vec![codec::text(id), codec::integer(number)]));
        let found = self
            .select_fields(fields)
            .from(origin.collection())
            .filter(|q| match &either {
                None => q.for_all([q.field("data.id").eq(text.clone())]),
                Some(either) => q.for_all([q.field("data.id").is_in(FirestoreValue::from(either.clone()))]),
            })
            .limit(SAME_ID_LIMIT)
            .query();
        let mut found = read(origin, within(LOOKING, found).await?);
        found.sort_by_key(|read| read.as_ref().ok().and_then(|stored| stored.record.created_at));
        Ok(found)
    }

    pub(super) async fn in_arrival_order(
        &self,
        origin: Origin,
        status: Status,
        jobs: Jobs<'_>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        self.page(Scan { jobs, ..Scan::by_arrival(origin, status) }, after, page_size(limit)).await
    }

    pub(super) async fn newest(
        &self,
        origin: Origin,
        status: Status,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        let newest = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| q.for_all([q.field("status").eq(status.as_str())]))
            .order(|o| o.fields([o.field("created_at").desc(), o.field("__name__").desc()]))
            .limit(page_size(limit))
            .query();
        Ok(read(origin, within(LOOKING, newest).await?))
    }

    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        jobs: Jobs<'_>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        let failed = Scan::by_arrival(origin, Status::Failed);
        let due = Scan { jobs, by: "next_retry_at", until: Some(now), ..failed };
        self.page(due, after, page_size(limit)).await
    }

    /// Those of the original service came before the first of ours, which has a `payload_hash`: the search ends there, and
    /// costs one read once they are all settled. Forms that were fetched may stand before any of them.
    pub(super) async fn undated(
        &self,
        origin: Origin,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        if !self.flask_documents {
            return Ok(Vec::new());
        }
        let failed = Scan::by_arrival(origin, Status::Failed);
        self.gather(failed, limit, |stored| {
            let record = &stored.record;
            match (record.payload_hash.is_some(), record.next_retry_at) {
                (true, _) if record.fetched_at.is_some() => PASS,
                (true, _) => ControlFlow::Break(()),
                (false, NextRetry::Unset) if record.run_retries < max_retries => TAKE,
                (false, _) => PASS,
            }
        })
        .await
    }

    pub(super) async fn without_status(&self, origin: Origin, limit: u32) -> Result<Vec<Read>, QueueError> {
        let known = Status::ALL.map(Status::as_str).to_vec();
        let without = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| q.for_all([q.field("status").is_not_in(known.clone())]))
            .limit(limit)
            .query();
        Ok(read(origin, within(LOOKING, without).await?))
    }

    /// Only failed documents have the field.
    pub(super) async fn waiting(
        &self,
        origin: Origin,
        records: &[String],
        shown: Shown,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        let records = indexed(records);
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut waiting = self
            .select(shown)
            .from(origin.collection())
            .filter(|q| q.for_all([q.field("waits_for").array_contains_any(&records)]))
            .order(|o| o.fields([o.field("__name__").asc()]))
            .limit(page_size(limit));
        if let Some(after) = after {
            let last = FirestoreValue::from(codec::reference(self.document_name(origin, after)));
            waiting = waiting.start_at(FirestoreQueryCursor::AfterValue(vec![last]));
        }
        Ok(read(origin, within(LOOKING, waiting.query()).await?))
    }

    pub(super) async fn writers(
        &self,
        origin: Origin,
        since: Since,
        until: Option<DateTime<Utc>>,
        records: &[String],
        shown: Shown,
        limit: u32,
    ) -> Result<Vec<Read>, QueueError> {
        let (field, since) = since.field();
        let until = until.map(|until| FirestoreValue::from(codec::timestamp(until)));
        let records = indexed(records);
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let found = self
            .select(shown)
            .from(origin.collection())
            .filter(|q| {
                q.for_all([
                    q.field("written").array_contains_any(&records),
                    q.field(field).greater_than(FirestoreValue::from(codec::timestamp(since))),
                    until.clone().and_then(|until| q.field(field).less_than_or_equal(until)),
                ])
            })
            .order(|o| o.fields([o.field(field).desc()]))
            .limit(limit)
            .query();
        Ok(read(origin, within(LOOKING, found).await?))
    }
}

impl Firestore {
    /// The beginning of a query for documents of which so much is read.
    fn select(&self, shown: Shown) -> FirestoreSelectInitialBuilder<'_, FirestoreDb> {
        match shown {
            Shown::All => self.select_fields::<&str>(None),
            Shown::Summary => self.select_fields(Some(&codec::SUMMARY)),
        }
    }

    /// The same for documents of which these fields are read, or all.
    fn select_fields<F: AsRef<str>>(
        &self,
        fields: Option<&[F]>,
    ) -> FirestoreSelectInitialBuilder<'_, FirestoreDb> {
        let select = self.db.fluent().select();
        match fields {
            Some(fields) => select.fields(fields.iter().map(AsRef::as_ref)),
            None => select,
        }
    }

    fn document_name(&self, origin: Origin, doc_id: &str) -> String {
        format!("{}/{}/{doc_id}", self.db.get_documents_path(), origin.collection())
    }

    /// Goes on after the document that a page ended with, in the order of a field and the name.
    fn after(&self, origin: Origin, place: &Place) -> FirestoreQueryCursor {
        let last =
            [codec::of_order(&place.order), codec::reference(self.document_name(origin, &place.doc_id))];
        FirestoreQueryCursor::AfterValue(last.into_iter().map(FirestoreValue::from).collect())
    }
}

/// The keys that an index finds. Salesforce has no external id that is longer.
fn indexed(keys: &[String]) -> Vec<&String> {
    keys.iter().filter(|key| key.len() <= limits::INDEXED_TEXT).collect()
}

/// Every field of a record except the large ones, and these members of its payload.
fn summary_with(members: &[&str]) -> Vec<String> {
    let of_payload = members.iter().map(|name| format!("data.{name}"));
    codec::SUMMARY.map(str::to_owned).into_iter().chain(of_payload).collect()
}

/// A read, with its repetitions, within the time that its caller has.
async fn within<T>(
    doing: &'static str,
    read: impl Future<Output = Result<T, FirestoreError>>,
) -> Result<T, QueueError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, read).await {
        Ok(found) => found.map_err(|error| QueueError::unavailable(doing, error)),
        Err(elapsed) => Err(QueueError::unavailable(doing, elapsed)),
    }
}

fn page_size(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
