//! Going over the queue once, oldest first, however much of it cannot be claimed.

use super::claim::Candidate;
use super::question::Place;
use super::stored::{Read, Stored};
use super::unreadable::Unreadable;
use super::{Queue, QueueError, limits};
use crate::submission::{NextRetry, Origin, Status};

/// Records at each end of the queue that the search for a probe looks at.
const PROBES: usize = 20;
/// Records in work, or left by a dead worker, that a sweep looks at. A worker claims no more than it works on.
const IN_WORK: usize = 200;

/// Records that are read at once. A form may be 1 MiB, and ten times that as values.
const PAGE: usize = 16;
/// Memory of payloads from which on a sweep gives no more at a time.
const MEMORY: usize = 48 * 1024 * 1024;

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
    /// Records that other workers had in work when the sweep began.
    in_work: Vec<Candidate>,
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
        Self { origin, over, jobs: None, after: None, begun: false, ended: false, in_work: Vec::new() }
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

    /// Records that other workers had in work when it began; given once.
    pub fn take_in_work(&mut self) -> Vec<Candidate> {
        std::mem::take(&mut self.in_work)
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
            // Few, and in an order of their own: they come with the first page.
            let processing = async {
                match sweep.over {
                    Over::New => Ok(None),
                    _ if sweep.begun => Ok(None),
                    Over::Claimable | Over::Due => self
                        .store
                        .in_arrival_order(origin, Status::Processing, None, None, IN_WORK)
                        .await
                        .map(Some),
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
            // After the page, so that a record that is claimed between the two reads is in one of them.
            let processing = processing.await?;
            for stored in self.readable(origin, processing.map_or_else(Vec::new, |scanned| scanned.found)) {
                match (stored.record.is_free(now), sweep.over) {
                    (true, Over::Claimable) => found.push(stored),
                    (true, _) => {}
                    (false, _) => sweep.in_work.push(Candidate::new(stored)),
                }
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
        found.into_iter().filter_map(|read| read.map_err(|odd| self.report(origin, &odd)).ok()).collect()
    }

    pub(super) fn report(&self, origin: Origin, odd: &Unreadable) {
        let Unreadable { doc_id, field, error } = odd;
        tracing::error!(
            collection = origin.collection(),
            doc_id,
            field,
            error,
            "stored record cannot be read"
        );
        self.unreadable.count(origin);
    }

    /// Failed records that wait for one of these records, oldest first: they are due at once.
    pub async fn wake(&self, origin: Origin, records: &[String]) -> Result<Vec<Candidate>, QueueError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let waiting = self.store.waiting(origin, records).await?;
        let now = self.now();
        let mut woken = Vec::new();
        for stored in self.readable(origin, waiting) {
            let mut record = stored.record.clone();
            // Nothing is written for a record that is due already, or that waits for a person by now.
            if matches!(record.next_retry_at, NextRetry::At(time) if time > now) {
                record.next_retry_at = NextRetry::At(now);
                let Some(version) = self.swap(&stored, &mut record).await? else { continue };
                woken.push(Candidate::new(Stored { record, version, ..stored }));
            } else if record.next_retry_at.is_due(now) {
                woken.push(Candidate::new(stored));
            }
        }
        woken.sort_by(|a, b| (a.record().created_at, a.doc_id()).cmp(&(b.record().created_at, b.doc_id())));
        woken.dedup_by(|a, b| a.doc_id() == b.doc_id());
        Ok(woken)
    }
}
