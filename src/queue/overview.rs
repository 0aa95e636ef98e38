//! What operators ask of the queue, and what they set by hand.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use tracing::info;

use super::groups::{Grouping, Groups};
use super::question::{FailedFilter, Place, Shown, Sighting};
use super::stored::{Read, Scanned};
use super::sweep::{PAGE, Sweep};
use super::unreadable::Unreadable;
use super::{Queue, QueueError, by_hand, limits};
use crate::submission::{Attempt, Awaits, Caller, Origin, Record, Status, Unmapped};

/// Records whose history [`Queue::recent`] reads, of each status.
const HISTORIES: u32 = 2_000;
/// Answers that [`Queue::unmapped`] lists.
const SIGHTINGS: u32 = 1_000;
/// Bytes of payloads after which a page of failed records ends.
const PAGE_ROOM: usize = 32 * 1024 * 1024;
/// Failed records among which one call looks for those of a text.
const LOOKED_AT: usize = 5_000;
/// Failed records that are grouped by what they failed of. In Firestore each costs a read.
const GROUPED: usize = 5_000;
/// Records of each status among which the listing of failures looks for unreadable ones. Drains pass unreadable records
/// by, so that they become the oldest.
const UNREADABLE_SEARCHED: usize = 100;
/// Documents without a known status that it lists.
const UNREADABLE_LISTED: u32 = 100;
/// Ids that are looked up at a time.
const LOOK_UPS: usize = 16;
/// Completed records that one call removes: few enough not to hold up other writers.
const REMOVED_AT_A_TIME: u32 = 500;

/// Records by status, and the age of the oldest waiting one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// One count for each status, in the order of [`Status::ALL`].
    pub by_status: [(Status, u64); 4],
    /// When the oldest `new` record arrived.
    pub oldest_new: Option<DateTime<Utc>>,
}

/// What is not done: records by status, except completed ones, which there may be very many of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// A count each for `new`, `processing` and `failed`.
    pub by_status: [(Status, u64); 3],
    /// When the oldest `new` record arrived.
    pub oldest_new: Option<DateTime<Utc>>,
}

/// One page of records.
#[derive(Debug)]
pub struct Page {
    /// Document ids and records.
    pub records: Vec<(String, Record)>,
    /// Documents that cannot be read: of this page; and with the first page those that no drain can take.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Place>,
}

/// The attempts of records that changed of late.
#[derive(Debug, Default)]
pub struct Recent {
    /// The attempts, in no order.
    pub attempts: Vec<Attempt>,
    /// Whether there were more records than are read: then the oldest are left out.
    pub cut: bool,
}

/// A record that an id names, without its payload.
#[derive(Debug, Clone)]
pub struct Named {
    /// The document.
    pub doc_id: String,
    /// When the payload now stored arrived.
    pub arrived: DateTime<Utc>,
    /// Its routing name.
    pub job_name: String,
    /// Whether no worker has it.
    pub is_free: bool,
}

/// What [`Queue::set_status`] did with one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandSet {
    /// It has the status now.
    Set,
    /// A worker has it: it was left alone.
    Processing,
    /// It is gone.
    Gone,
}

impl Queue {
    /// Counts by status.
    pub async fn counts(&self, origin: Origin) -> Result<Counts, QueueError> {
        let completed = self.store.count(origin, Status::Completed);
        let (Backlog { by_status: [new, processing, failed], oldest_new }, completed) =
            futures::try_join!(self.backlog(origin), completed)?;
        Ok(Counts { by_status: [new, processing, (Status::Completed, completed), failed], oldest_new })
    }

    /// Counts of what is not done. Firestore bills a read for every thousand records counted: what asks
    /// again and again asks for these.
    pub async fn backlog(&self, origin: Origin) -> Result<Backlog, QueueError> {
        let count = async |status| Ok((status, self.store.count(origin, status).await?));
        let (new, processing, failed, oldest_new) = futures::try_join!(
            count(Status::New),
            count(Status::Processing),
            count(Status::Failed),
            self.oldest_new(origin),
        )?;
        Ok(Backlog { by_status: [new, processing, failed], oldest_new })
    }

    /// When the oldest `new` record arrived; `None` where nothing waits.
    pub async fn oldest_new(&self, origin: Origin) -> Result<Option<DateTime<Utc>>, QueueError> {
        let mut sweep = Sweep::over_new(origin);
        let oldest = self.next_candidates(&mut sweep, 1).await?;
        Ok(oldest.first().and_then(|candidate| candidate.record().created_at))
    }

    /// The records of each of these ids. Payloads are not kept: a thousand of them might not fit.
    pub async fn named(
        &self,
        origin: Origin,
        ids: &[String],
    ) -> Result<Vec<(String, Vec<Named>)>, QueueError> {
        let look_up = async |id: &String| {
            let now = self.now();
            let named = |(doc_id, record): (String, Record)| Named {
                doc_id,
                arrived: record.arrived(),
                is_free: record.is_free(now),
                job_name: record.job_name,
            };
            let found = self.find_summaries(origin, id).await?.records;
            Ok((id.clone(), found.into_iter().map(named).collect()))
        };
        stream::iter(ids.iter().map(look_up)).buffered(LOOK_UPS).try_collect().await
    }

    /// Failed records, the last changed first: `limit` of them, or fewer where their payloads are large.
    pub async fn failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
        after: Option<&Place>,
        shown: Shown,
        limit: usize,
    ) -> Result<Page, QueueError> {
        let mut page = Page { records: Vec::new(), unreadable: Vec::new(), next: after.cloned() };
        if filter.finds_nothing() {
            return Ok(Page { next: None, ..page });
        }
        if after.is_none() {
            page.unreadable = self.never_taken(origin).await?;
        }
        let (mut bytes, mut looked_at) = (0, 0);
        loop {
            let room = limit - page.records.len();
            let scanned = self.scan_failed(origin, filter, page.next.as_ref(), shown, room).await?;
            page.next = scanned.next;
            looked_at += scanned.found.len();
            for read in scanned.found {
                match read {
                    Ok(stored) if filter.takes(&stored.doc_id, &stored.record) => {
                        bytes += limits::size(&stored.record.data);
                        page.records.push((stored.doc_id, stored.record));
                    }
                    Ok(_) => {}
                    Err(unreadable) => page.unreadable.push(unreadable),
                }
            }
            let is_full = page.records.len() >= limit || bytes >= PAGE_ROOM || looked_at >= LOOKED_AT;
            if page.next.is_none() || is_full {
                return Ok(page);
            }
        }
    }

    /// The next failed records, of which the filter takes `room` at most. Where the filter looks at each record, many
    /// are read at a time, and the page ends with the one that fills the room.
    async fn scan_failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
        after: Option<&Place>,
        shown: Shown,
        room: usize,
    ) -> Result<Scanned, QueueError> {
        let at_a_time = shown.read_at_a_time();
        if !filter.looks_at_each() {
            return self.store.failed(origin, filter, after, shown, room.min(at_a_time)).await;
        }
        let scanned = self.store.failed(origin, filter, after, shown, at_a_time).await?;
        let taken =
            |read: &Read| read.as_ref().is_ok_and(|stored| filter.takes(&stored.doc_id, &stored.record));
        let last = scanned.found.iter().enumerate().filter(|(_, read)| taken(read)).nth(room - 1);
        match last.map(|(position, _)| position + 1) {
            // Read again up to there: the back end alone knows the place of a document in its order.
            Some(end) if end < scanned.found.len() => {
                self.store.failed(origin, filter, after, shown, end).await
            }
            _ => Ok(scanned),
        }
    }

    /// Failed records by what they failed of, from a bounded number of those that changed last.
    pub async fn failed_groups(&self, origin: Origin, filter: &FailedFilter) -> Result<Groups, QueueError> {
        let (mut groups, mut next) = (Grouping::default(), None);
        loop {
            let page = self.failed(origin, filter, next.as_ref(), Shown::Summary, GROUPED).await?;
            for (doc_id, record) in &page.records {
                groups.add(doc_id, record);
            }
            next = page.next;
            if next.is_none() || groups.total() >= GROUPED as u64 {
                return Ok(groups.finish(next.is_some()));
            }
        }
    }

    /// Unreadable documents, as far as a bounded search finds them.
    pub async fn unreadable(&self, origin: Origin) -> Result<Vec<Unreadable>, QueueError> {
        let filter = FailedFilter::default();
        let failed = self.store.failed(origin, &filter, None, Shown::Summary, UNREADABLE_SEARCHED);
        let (failed, mut unreadable) = futures::try_join!(failed, self.never_taken(origin))?;
        unreadable.extend(failed.found.into_iter().filter_map(Result::err));
        Ok(unreadable)
    }

    /// Unreadable documents that are not `failed`: at the head of the queue, where they stay while the others go; among
    /// those in work; and those without a known status.
    async fn never_taken(&self, origin: Origin) -> Result<Vec<Unreadable>, QueueError> {
        let (mut unreadable, processing, without_status) = futures::try_join!(
            self.oldest_unreadable(origin, Status::New),
            self.oldest_unreadable(origin, Status::Processing),
            self.store.without_status(origin, UNREADABLE_LISTED),
        )?;
        unreadable.extend(processing);
        unreadable.extend(without_status.into_iter().filter_map(Result::err));
        Ok(unreadable)
    }

    /// The unreadable ones of the oldest documents with a status. A page at a time: their payloads are read with them.
    async fn oldest_unreadable(&self, origin: Origin, status: Status) -> Result<Vec<Unreadable>, QueueError> {
        let (mut unreadable, mut after, mut looked_at) = (Vec::new(), None, 0);
        while looked_at < UNREADABLE_SEARCHED {
            let page = self.store.in_arrival_order(origin, status, None, after.as_ref(), PAGE).await?;
            looked_at += page.found.len();
            unreadable.extend(page.found.into_iter().filter_map(Result::err));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(unreadable)
    }

    /// How many failed records there are of a kind.
    pub async fn count_failed(&self, origin: Origin, filter: &FailedFilter) -> Result<u64, QueueError> {
        if filter.finds_nothing() {
            return Ok(0);
        }
        if !filter.looks_at_each() {
            return self.store.count_failed(origin, filter).await;
        }
        let (mut count, mut next) = (0, None);
        loop {
            let page = self.failed(origin, filter, next.as_ref(), Shown::Summary, GROUPED).await?;
            count += page.records.len() as u64;
            next = page.next;
            if next.is_none() {
                return Ok(count);
            }
        }
    }

    /// How many failed records wait for each of these, in the order of [`Awaits::ALL`].
    pub async fn count_awaiting(&self, origin: Origin) -> Result<[(Awaits, u64); 3], QueueError> {
        let count = async |awaits| {
            let filter = FailedFilter { awaits: Some(awaits), ..FailedFilter::default() };
            Ok::<_, QueueError>((awaits, self.count_failed(origin, &filter).await?))
        };
        let counted = futures::future::try_join_all(Awaits::ALL.map(count)).await?;
        Ok([counted[0], counted[1], counted[2]])
    }

    /// The attempts of records that have completed or failed since a time.
    pub async fn recent(&self, origin: Origin, since: DateTime<Utc>) -> Result<Recent, QueueError> {
        let of = |status| self.store.histories(origin, status, since, HISTORIES);
        let (completed, failed) = futures::try_join!(of(Status::Completed), of(Status::Failed))?;
        let cut = [&completed, &failed].into_iter().any(|found| found.len() >= HISTORIES as usize);
        let attempts = completed.into_iter().chain(failed).flatten().collect();
        Ok(Recent { attempts, cut })
    }

    /// Keeps that one more record, this one, had these answers, whose code no label table knows.
    pub async fn add_unmapped(
        &self,
        origin: Origin,
        job_name: &str,
        doc_id: &str,
        answers: Vec<Unmapped>,
    ) -> Result<(), QueueError> {
        let now = self.now();
        let sighting = |answer| Sighting {
            origin,
            job_name: job_name.to_owned(),
            answer,
            records: 1,
            first_seen: now,
            last_seen: now,
            example: Some(doc_id.to_owned()),
            known: false,
        };
        let mut sightings: Vec<Sighting> = answers.into_iter().map(sighting).collect();
        sightings.sort_by(|a, b| (&a.answer.path, &a.answer.code).cmp(&(&b.answer.path, &b.answer.code)));
        sightings.dedup_by(|a, b| a.answer == b.answer);
        if sightings.is_empty() { Ok(()) } else { self.store.add_unmapped(&sightings).await }
    }

    /// Answers whose code no label table knows, the last seen first.
    pub async fn unmapped(&self) -> Result<Vec<Sighting>, QueueError> {
        self.store.unmapped(SIGHTINGS).await
    }

    /// Marks an answer as known, or takes the mark away: it stays until somebody else changes it. `false` where no record
    /// has had the answer.
    pub async fn mark_unmapped(
        &self,
        job_name: &str,
        answer: &Unmapped,
        known: bool,
    ) -> Result<bool, QueueError> {
        let mut found = false;
        for origin in Origin::ALL {
            found |= self.store.mark_unmapped(origin, job_name, answer, known).await?;
        }
        Ok(found)
    }

    /// Sets a record's status by hand, unless a worker has it.
    pub async fn set_status(
        &self,
        origin: Origin,
        doc_id: &str,
        status: Status,
        caller: &Caller,
    ) -> Result<HandSet, QueueError> {
        let set = |stored: &Record, now| {
            if stored.is_free(now) {
                let record = by_hand::set_status(stored, status, caller, now, &self.policy);
                Some((record, ()))
            } else {
                None
            }
        };
        if self.update(origin, doc_id, set).await?.is_some() {
            let (role, by) = (caller.role.as_str(), caller.name.as_deref());
            info!(doc_id, status = status.as_str(), role, by, "record's status was set by hand");
            return Ok(HandSet::Set);
        }
        let stays = self.store.get(origin, doc_id).await?;
        Ok(stays.map_or(HandSet::Gone, |_| HandSet::Processing))
    }

    /// Removes some of the records whose time is over (`COMPLETED_RETENTION_DAYS`); whether there were any.
    pub async fn remove_completed(&self, origin: Origin) -> Result<bool, QueueError> {
        let Some(retention) = self.policy.retention else { return Ok(false) };
        self.store.remove_completed(origin, self.now() - retention, REMOVED_AT_A_TIME).await
    }
}
