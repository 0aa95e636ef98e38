//! The queue: what it promises, and the operations that keep the promises on any back end.
//!
//! # Contract
//! Every back end keeps these sentences; `tests/it/queue/contract.rs` runs each against both.
//!
//! 1. [`Queue::accept`] returns only once the record is durable.
//! 2. One submission id is one record: the same content again changes nothing, an edited form
//!    replaces the payload, an older edition that arrives late changes nothing.
//! 3. A record is claimed by one worker at a time, whoever else claims at the same moment, and no
//!    claimer waits for another.
//! 4. Claims are handed out oldest first.
//! 5. A claim ends with its lease unless it is renewed; the record is then claimable again, and
//!    the take-over counts as a retry, unless the queue took no writes meanwhile. After `max_retries` of them in a row it
//!    fails for good. Only a record that is begun at once is claimed: one that merely waits for its turn is a [`Candidate`].
//! 6. A worker whose lease was taken over, or whose record was replaced meanwhile, cannot write
//!    its outcome.
//! 7. A record keeps its last attempts, and fails with the time of its next retry.
//! 8. What a run has delivered is kept while it goes on, under the fence of sentence 6, and outlives
//!    a crash; a replacement forgets it.
//! 9. A payload of records beyond a document's limit is stored in parts, which are written and
//!    replaced together.
//! 10. Operator queries ([`overview`]) do not slow down as completed records grow, except counts in Firestore, which
//!     go over index entries.
//! 11. Forms that have written the same records know of one another ([`writers`]): a later form is found, so is a
//!     form that changed meanwhile, and a completed form can be put back to be written again.
//! 12. A record that cannot be read is reported ([`Unreadable`]) and stops no other record, listing or count.
//! 13. A record that waits for another one is found by that one's key ([`Queue::wake`]).
//! 14. A small document of the service itself is kept by its name ([`Queue::state`]); the last writer's stays.
//! 15. A form that a reconciliation fetches takes the place in the queue of the time when CommCare got it
//!     ([`Queue::accept_fetched`]).
//!
//! # How
//! A back end offers few primitives ([`store::Store`]): insert where absent, read, and replace
//! under the condition that nothing changed since it was read (compare-and-set). The rules live
//! once, as pure functions from record to record, in [`transition`].

mod accepting;
mod arrival;
mod arrivals;
mod backoff;
mod by_hand;
mod claim;
mod doc_id;
mod edition;
mod error;
mod firestore;
mod groups;
mod health;
mod held;
mod indexes;
mod limits;
mod overview;
mod parts;
mod progress;
mod question;
mod search;
mod sqlite;
mod state;
mod store;
mod stored;
mod sweep;
mod transition;
mod unreadable;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::time::Instant;
use tracing::error;

use crate::clock;
use crate::config::{QueueSettings, RetryPolicy};
use crate::submission::{Caller, Origin, Progress, Record, Trigger};

pub use accepting::SplitPayload;
pub use arrivals::{ArrivalFate, Arrivals, Tally};
pub use claim::{Candidate, Claim, ClaimResult, Exhausted, Lease, SettleResult, Written};
pub use doc_id::doc_id;
pub use error::QueueError;
pub use groups::{Group, Groups};
pub use held::{Held, HeldSweep, Known};
pub use overview::{Backlog, Counts, HandSet, Named, Page, Recent};
pub use question::{FailedFilter, OrderedBy, Place, Shown, Sighting};
pub use sweep::{Sweep, Woken};
pub use transition::{ClaimOutcome, RecordFailure};
pub use unreadable::Unreadable;

use doc_id::{hashed_doc_id, hex};
use health::Health;
use store::Store;
use stored::{Stored, Version};
use transition::{Claimed, Claimer, Taken};
use unreadable::UnreadableCounts;

/// How often one compare-and-set is tried against concurrent changes of the same record before
/// the operation gives up: far more often than a record has writers.
const SWAP_TRIES: usize = 20;

/// Bytes that a submission's id may have, so that an index finds it. CommCare's ids have 36.
pub const ID_LIMIT: usize = limits::INDEXED_TEXT;

/// A submission at the door: identified, not yet queued.
#[derive(Debug, Clone)]
pub struct Arriving {
    /// Who sent it.
    pub origin: Origin,
    /// Its routing name.
    pub job_name: String,
    /// The payload's `id`, as text.
    pub job_id: String,
    /// The payload.
    pub data: Arc<Value>,
    /// The list of the payload at which it may be stored in parts, where it has one.
    pub records: Option<&'static str>,
}

/// What [`Queue::accept`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The record's document id.
    pub doc_id: String,
    /// What became of the submission.
    pub fate: Fate,
}

/// What became of an accepted submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Queued.
    Stored,
    /// Already there with the same content: nothing changed.
    Duplicate,
    /// An edited form: it took the place of the stored payload.
    Replaced,
    /// An edition older than the stored one: nothing changed.
    Stale,
}

impl Fate {
    /// The word of log lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Replaced => "replaced",
            Self::Stale => "stale",
        }
    }
}

/// The queue, on one of its back ends.
#[derive(Debug, Clone)]
pub struct Queue {
    store: Store,
    policy: RetryPolicy,
    unreadable: Arc<UnreadableCounts>,
    health: Arc<Health>,
    /// Microseconds that have been let pass.
    passed: Arc<AtomicI64>,
}

impl Queue {
    /// Opens the queue that `settings` names.
    pub async fn open(settings: &QueueSettings, policy: RetryPolicy) -> Result<Self, QueueError> {
        let store = match settings {
            QueueSettings::Sqlite(settings) => Store::Sqlite(sqlite::Sqlite::open(settings).await?),
            QueueSettings::Firestore(settings) => {
                Store::Firestore(firestore::Firestore::connect(settings).await?)
            }
        };
        Ok(Self { store, policy, unreadable: Arc::default(), health: Arc::default(), passed: Arc::default() })
    }

    /// Claims a record, unless someone else is processing it or it has changed since it was read. `caller` is who asks,
    /// where a person does.
    pub async fn claim(
        &self,
        candidate: Candidate,
        worker: &str,
        trigger: Trigger,
        caller: Option<&Caller>,
    ) -> Result<ClaimResult, QueueError> {
        let Candidate { mut stored, written } = candidate;
        let revision = stored.record.revision;
        for _ in 0..SWAP_TRIES {
            let now = self.now();
            if !stored.record.is_free(now) {
                return Ok(ClaimResult::Busy);
            }
            // One claim, one owner: a worker that claims its own record again must not pass for the
            // run whose lease ran out.
            let owner = format!("{worker}/{}", uuid::Uuid::new_v4().simple());
            let was = stored.record.status;
            let claimer = Claimer { owner: &owner, trigger, caller };
            let died = self.worker_died(&stored.record);
            let taken = transition::take(&stored.record, &claimer, died, now, &self.policy);
            let (mut record, runs) = match taken {
                Taken::Run(mut record) => {
                    if let Some(written) = &written {
                        record.written.clone_from(written);
                    }
                    (*record, true)
                }
                Taken::Exhausted(record) => (*record, false),
            };
            if let Some(version) = self.swap(&stored, &mut record).await? {
                if runs {
                    let stored = Stored { record, version, ..stored };
                    let claim = Claim { stored, was, progress: Progress::default() };
                    return Ok(ClaimResult::Claimed(Box::new(claim)));
                }
                error!(doc_id = stored.doc_id, error = record.error, "record has used up its tries");
                return Ok(ClaimResult::Exhausted(Exhausted {
                    doc_id: stored.doc_id,
                    job_name: record.job_name,
                    error: record.error.unwrap_or_default(),
                }));
            }
            let status = stored.record.status;
            match self.store.get(stored.origin, &stored.doc_id).await? {
                None => return Ok(ClaimResult::Gone),
                // Another payload, or another's work on it: what was decided about it no longer holds.
                Some(now) if now.record.revision != revision || now.record.status != status => {
                    return Ok(ClaimResult::Busy);
                }
                Some(now) => stored = now,
            }
        }
        Err(QueueError::Contended { doc_id: stored.doc_id })
    }

    /// Prolongs a lease. `false` where the claim was lost.
    pub async fn renew(&self, lease: &Lease) -> Result<bool, QueueError> {
        let renew = |stored: &Record, now| {
            transition::renew(stored, &lease.owner, now, &self.policy).map(|renewed| (renewed, ()))
        };
        Ok(self.update(lease.origin, &lease.doc_id, renew).await?.is_some())
    }

    /// Keeps what a run has delivered so far. `false` where the claim was lost, or its record replaced.
    pub async fn save_progress(&self, lease: &Lease, progress: &Progress) -> Result<bool, QueueError> {
        let add = |stored: &Record, now| progress::add(stored, lease, progress, now).map(|saved| (saved, ()));
        Ok(self.update(lease.origin, &lease.doc_id, add).await?.is_some())
    }

    /// Ends a claim, with what its run has delivered.
    pub async fn settle(&self, claim: Claim, outcome: ClaimOutcome) -> Result<SettleResult, QueueError> {
        let Claim { stored, was, progress } = claim;
        let claimed = stored.record.clone();
        let jitter = rand::random_range(-1.0..=1.0);
        let mut before = None;
        let settle = |stored: &Record, now| {
            let of = Claimed { was, record: &claimed };
            let Some((mut record, settled)) =
                transition::settle(stored, &of, &outcome, now, &self.policy, jitter)
            else {
                // Where an answer was lost, the outcome may be there already.
                before = Some(transition::settled_before(stored, &claimed));
                return None;
            };
            if matches!(settled, SettleResult::Written(_)) {
                record.add(&progress);
            }
            Some((record, settled))
        };
        let settled = self.update_read(stored, settle).await?;
        Ok(settled.or(before).unwrap_or(SettleResult::Lost))
    }

    /// [`Queue::settle`], again and again while the queue is unavailable, until `patience` ends.
    /// What the record's work did is done: only its outcome is at stake, and a repeat of the work
    /// is the price of losing it.
    pub async fn settle_patiently(
        &self,
        claim: Claim,
        outcome: ClaimOutcome,
        patience: Duration,
    ) -> Result<SettleResult, QueueError> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(100);
        loop {
            let again =
                Claim { stored: claim.stored.clone(), was: claim.was, progress: claim.progress.clone() };
            match self.settle(again, outcome.clone()).await {
                Err(QueueError::Unavailable { .. }) if Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                settled => return settled,
            }
        }
    }

    /// Reads a record, changes it, and writes it under the condition that nothing changed meanwhile; again where
    /// something did. `None` where the record is gone, or `change` leaves it alone.
    async fn update<T>(
        &self,
        origin: Origin,
        doc_id: &str,
        change: impl FnMut(&Record, DateTime<Utc>) -> Option<(Record, T)>,
    ) -> Result<Option<T>, QueueError> {
        match self.noted(self.store.get(origin, doc_id).await)? {
            Some(stored) => self.update_read(stored, change).await,
            None => Ok(None),
        }
    }

    /// [`Queue::update`] of a record that was read before.
    async fn update_read<T>(
        &self,
        mut stored: Stored,
        mut change: impl FnMut(&Record, DateTime<Utc>) -> Option<(Record, T)>,
    ) -> Result<Option<T>, QueueError> {
        for _ in 0..SWAP_TRIES {
            let Some((mut changed, done)) = change(&stored.record, self.now()) else { return Ok(None) };
            if self.swap(&stored, &mut changed).await?.is_some() {
                return Ok(Some(done));
            }
            match self.store.get(stored.origin, &stored.doc_id).await? {
                Some(current) => stored = current,
                None => return Ok(None),
            }
        }
        Err(QueueError::Contended { doc_id: stored.doc_id })
    }

    /// Writes a changed record, made to fit a document, if it still is what was read. `None` where it isn't.
    async fn swap(&self, stored: &Stored, record: &mut Record) -> Result<Option<Version>, QueueError> {
        limits::fit(record);
        self.wrote(self.store.swap(stored, record).await)
    }

    /// The queue's clock: Firestore's where that is known, so that instances with skewed clocks agree.
    pub fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::microseconds(self.passed.load(Ordering::Relaxed));
        clock::now() + self.store.clock_offset() + passed
    }

    /// Lets time pass for this queue and its clones, so that a test of days takes milliseconds.
    pub fn pass(&self, time: TimeDelta) {
        self.passed.fetch_add(time.num_microseconds().unwrap_or_default(), Ordering::Relaxed);
    }

    /// Unreadable records that were met since the start, by origin in the order of [`Origin::ALL`]. One that is met
    /// again counts again.
    pub fn unreadable_met(&self) -> [u64; 2] {
        self.unreadable.read()
    }

    /// The records of a submission id: those whose data has it, or whose document id it is.
    pub async fn find(&self, origin: Origin, id: &str) -> Result<Found, QueueError> {
        self.find_showing(origin, id, Shown::All).await
    }

    /// The same without their payloads and plans: those of a payload in parts may be more than the memory holds.
    pub async fn find_summaries(&self, origin: Origin, id: &str) -> Result<Found, QueueError> {
        self.find_showing(origin, id, Shown::Summary).await
    }

    async fn find_showing(&self, origin: Origin, id: &str, shown: Shown) -> Result<Found, QueueError> {
        // None has a longer one: the door refuses it, and Firestore would refuse the question.
        if id.len() > ID_LIMIT {
            return Ok(Found::default());
        }
        let mut found = Found::default();
        for read in self.store.find(origin, id, shown).await? {
            match read {
                Ok(stored) => found.records.push((stored.doc_id, stored.record)),
                Err(unreadable) => {
                    self.report(origin, &unreadable);
                    found.unreadable.push(unreadable);
                }
            }
        }
        found.records.sort_by_key(|(_, record)| (record.created_at, record.first_position));
        Ok(found)
    }
}

/// The records that an id names.
#[derive(Debug, Default)]
pub struct Found {
    /// Document ids and records, oldest first.
    pub records: Vec<(String, Record)>,
    /// Documents that it names and that cannot be read.
    pub unreadable: Vec<Unreadable>,
}
