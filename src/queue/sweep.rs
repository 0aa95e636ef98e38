//! Going over the queue once, oldest first, however much of it cannot be claimed.

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};

use super::claim::Candidate;
use super::question::{Place, Shown};
use super::stored::{Read, Stored, id_of};
use super::unreadable::Unreadable;
use super::{Queue, QueueError, limits};
use crate::submission::{NextRetry, Origin, Status};

/// Records at each end of the queue that the search for a probe looks at.
const PROBES: usize = 20;
/// Records in work, or left by a dead worker, that a sweep looks at. A worker claims no more than it works on.
const IN_WORK: usize = 200;

/// Records that are read at once. A form may be 1 MiB, and ten times that as values.
pub(super) const PAGE: usize = 16;
/// Memory of payloads from which on a sweep gives no more at a time.
const MEMORY: usize = 48 * 1024 * 1024;

/// Waiting records that are read at a time, without their payloads.
const WAKING: usize = 200;
/// Records for whose waiting ones is asked at a time: ten questions in Firestore.
const WAKING_KEYS: usize = 300;
/// Waiting records that are made due at a time.
const WAKING_AT_A_TIME: usize = 16;

/// A record that waits no longer, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Woken {
    /// When its payload arrived.
    pub arrived: Option<DateTime<Utc>>,
    /// The document.
    pub doc_id: String,
}

/// Which records a sweep goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// `new` records.
    New,
    /// `new` records, and those whose lease ran out.
    Claimable,
    /// Failed records whose retry is due.
    Due,
}

/// One pass over the records that may be claimed. Each is given once.
#[derive(Debug)]
pub struct Sweep {
    origin: Origin,
    over: Over,
    /// The only jobs that it looks for, where it is confined to some.
    jobs: Option<Vec<&'static str>>,
    /// Where the next page begins; `None` before the first.
    after: Option<Place>,
    begun: bool,
    ended: bool,
}

impl Sweep {
    /// Goes over `new` records and those whose lease ran out.
    pub fn over_claimable(origin: Origin) -> Self {
        Self::new(origin, Over::Claimable)
    }

    /// Goes over `new` records alone.
    pub(super) fn over_new(origin: Origin) -> Self {
        Self::new(origin, Over::New)
    }

    /// Goes over failed records that auto-retry may take now.
    pub fn over_due(origin: Origin) -> Self {
        Self::new(origin, Over::Due)
    }

    fn new(origin: Origin, over: Over) -> Self {
        Self { origin, over, jobs: None, after: None, begun: false, ended: false }
    }

    /// The same from the beginning, confined to these jobs.
    #[must_use]
    pub fn of_jobs(&self, jobs: Vec<&'static str>) -> Self {
        Self { jobs: Some(jobs), ..Self::new(self.origin, self.over) }
    }

    /// Whether it has come to the end of the queue.
    pub fn is_over(&self) -> bool {
        self.ended
    }

    /// Whether it has come to the end of the `new` records.
    pub fn saw_all_new(&self) -> bool {
        self.ended && self.over != Over::Due
    }
}

impl Queue {
    /// The next records of a sweep, oldest first: about `limit` of them, none once it is over.
    pub async fn next_candidates(
        &self,
        sweep: &mut Sweep,
        limit: usize,
    ) -> Result<Vec<Candidate>, QueueError> {
        self.next_candidates_beside(sweep, limit, &mut |_| {}).await
    }

    /// The same. As the sweep begins, `in_work` is given the records that other workers have in work, one after another.
    pub async fn next_candidates_beside(
        &self,
        sweep: &mut Sweep,
        limit: usize,
        in_work: &mut (dyn FnMut(Candidate) + Send),
    ) -> Result<Vec<Candidate>, QueueError> {
        let mut found: Vec<Stored> = Vec::new();
        let memory =
            |found: &[Stored]| found.iter().map(|stored| limits::memory(&stored.record.data)).sum::<usize>();
        while found.len() < limit && !sweep.ended && memory(&found) < MEMORY {
            let (origin, now) = (sweep.origin, self.now());
            let wanted = (limit - found.len()).min(PAGE);
            let (jobs, after) = (sweep.jobs.as_deref(), sweep.after.as_ref());
            let page = async {
                match sweep.over {
                    Over::New | Over::Claimable => {
                        self.store.in_arrival_order(origin, Status::New, jobs, after, wanted).await
                    }
                    Over::Due => self.store.due(origin, now, jobs, after, wanted).await,
                }
            };
            let undated = async {
                match sweep.over {
                    Over::Due if !sweep.begun => {
                        self.store.undated(origin, self.policy.max_retries, wanted).await
                    }
                    Over::Due | Over::New | Over::Claimable => Ok(Vec::new()),
                }
            };
            let (page, undated) = futures::try_join!(page, undated)?;
            if !sweep.begun {
                // After the page, so that a record that is claimed between the two reads is in one of them.
                found.extend(self.left_by_dead_workers(sweep, in_work).await?);
            }
            sweep.begun = true;
            sweep.ended = page.next.is_none();
            sweep.after = page.next;
            found.extend(self.readable(origin, undated));
            found.extend(self.readable(origin, page.found));
        }
        found.sort_by(|a, b| (a.record.created_at, &a.doc_id).cmp(&(b.record.created_at, &b.doc_id)));
        Ok(found.into_iter().map(Candidate::new).collect())
    }

    /// Records whose lease ran out, where the sweep goes over them: few, and in an order of their own. The others in work
    /// are given to `in_work`.
    async fn left_by_dead_workers(
        &self,
        sweep: &Sweep,
        in_work: &mut (dyn FnMut(Candidate) + Send),
    ) -> Result<Vec<Stored>, QueueError> {
        let (origin, now) = (sweep.origin, self.now());
        let (mut found, mut after, mut looked_at) = (Vec::new(), None, 0);
        while sweep.over != Over::New && looked_at < IN_WORK {
            let page =
                self.store.in_arrival_order(origin, Status::Processing, None, after.as_ref(), PAGE).await?;
            looked_at += page.found.len();
            for stored in self.readable(origin, page.found) {
                match (stored.record.is_free(now), sweep.over) {
                    (true, Over::Claimable) => found.push(stored),
                    (true, Over::New | Over::Due) => {}
                    (false, _) => in_work(Candidate::new(stored)),
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Records that may test the way back to a destination: from both ends of the queue, so that neither a dozen bad ones
    /// at the head nor one at the tail is all that is tried.
    pub async fn probe_candidates(&self, sweep: &Sweep) -> Result<Vec<Candidate>, QueueError> {
        let (origin, now) = (sweep.origin, self.now());
        let found = match sweep.over {
            Over::New | Over::Claimable => {
                let (oldest, newest) = futures::try_join!(
                    self.store.in_arrival_order(origin, Status::New, None, None, PROBES),
                    self.store.newest(origin, Status::New, PROBES),
                )?;
                newest.into_iter().chain(oldest.found).collect()
            }
            Over::Due => {
                let due = self.store.due(origin, now, None, None, PROBES).await?;
                let undated = self.store.undated(origin, self.policy.max_retries, PROBES).await?;
                due.found.into_iter().rev().chain(undated).collect()
            }
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for stored in self.readable(origin, found) {
            if candidates.iter().all(|known| known.doc_id() != stored.doc_id) {
                candidates.push(Candidate::new(stored));
            }
        }
        Ok(candidates)
    }

    /// One record, whatever its status; `None` where it is not there.
    pub async fn candidate(&self, origin: Origin, doc_id: &str) -> Result<Option<Candidate>, QueueError> {
        Ok(self.store.get(origin, doc_id).await?.map(Candidate::new))
    }

    /// The records among these; the others are logged and counted, and stop nobody.
    pub(super) fn readable(&self, origin: Origin, found: Vec<Read>) -> Vec<Stored> {
        found
            .into_iter()
            .filter_map(|read| read.map_err(|unreadable| self.report(origin, &unreadable)).ok())
            .collect()
    }

    pub(super) fn report(&self, origin: Origin, unreadable: &Unreadable) {
        let Unreadable { doc_id, field, error } = unreadable;
        tracing::error!(
            collection = origin.collection(),
            doc_id,
            field,
            error,
            "stored record cannot be read"
        );
        self.unreadable.count(origin);
    }

    /// Makes failed records due at once that wait for one of these records. They are added to `woken`; so are those of
    /// before an error.
    pub async fn wake(
        &self,
        origin: Origin,
        records: &[String],
        woken: &mut Vec<Woken>,
    ) -> Result<(), QueueError> {
        for records in records.chunks(WAKING_KEYS) {
            let mut after: Option<String> = None;
            loop {
                let found =
                    self.store.waiting(origin, records, Shown::Summary, after.as_deref(), WAKING).await?;
                after = found.last().filter(|_| found.len() >= WAKING).map(|last| id_of(last).to_owned());
                let waiting = self.readable(origin, found).into_iter().map(|stored| self.wake_one(stored));
                let mut waking = stream::iter(waiting).buffer_unordered(WAKING_AT_A_TIME);
                let mut page = Ok(());
                while let Some(one) = waking.next().await {
                    match one {
                        Ok(one) => woken.extend(one),
                        Err(error) => page = Err(error),
                    }
                }
                page?;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// `None` where it waits for a person by now, or somebody else has changed it.
    async fn wake_one(&self, stored: Stored) -> Result<Option<Woken>, QueueError> {
        let now = self.now();
        let woken = Woken { arrived: stored.record.created_at, doc_id: stored.doc_id.clone() };
        // Nothing is written for a record that is due already.
        if stored.record.next_retry_at.is_due(now) {
            return Ok(Some(woken));
        }
        if !matches!(stored.record.next_retry_at, NextRetry::At(_)) {
            return Ok(None);
        }
        let mut record = stored.record.clone();
        record.next_retry_at = NextRetry::At(now);
        Ok(self.swap(&stored, &mut record).await?.map(|_| woken))
    }

    /// The records among these that are failed and due, oldest first.
    pub async fn due_candidates(
        &self,
        origin: Origin,
        doc_ids: &[String],
    ) -> Result<Vec<Candidate>, QueueError> {
        let (found, now) = (self.store.get_many(origin, doc_ids).await?, self.now());
        let mut found = self.readable(origin, found);
        found.retain(|Stored { record, .. }| {
            record.status == Status::Failed && record.next_retry_at.is_due(now)
        });
        found.sort_by(|a, b| (a.record.created_at, &a.doc_id).cmp(&(b.record.created_at, &b.doc_id)));
        Ok(found.into_iter().map(Candidate::new).collect())
    }
}
