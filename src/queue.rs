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
//!    the take-over counts as a retry. After `max_retries` of them it fails for good.
//! 6. A worker whose lease was taken over, or whose record was replaced meanwhile, cannot write
//!    its outcome.
//! 7. A record keeps its last attempts, and fails with the time of its next retry.
//! 8. What a run has delivered is kept while it goes on, under the fence of sentence 6, and outlives
//!    a crash; a replacement forgets it.
//! 9. A payload of records beyond a document's limit is stored in parts, which are written and
//!    replaced together.
//! 10. What operators ask ([`overview`]) takes no longer the more records have completed; but for counting
//!     those in Firestore, which goes over their index entries.
//! 11. Forms that have written the same Salesforce records know of one another ([`writers`]): a later one is
//!     found, so is one that changed meanwhile, and a completed one can be put back to be written again.
//!
//! # How
//! A back end offers few primitives ([`store::Store`]): insert where absent, read, and replace
//! under the condition that nothing changed since it was read (compare-and-set). The rules live
//! once, as pure functions from record to record, in [`transition`].

mod accepting;
mod by_hand;
mod claim;
mod doc_id;
mod edition;
mod error;
mod firestore;
mod limits;
mod overview;
mod parts;
mod progress;
mod question;
mod sqlite;
mod store;
mod stored;
mod transition;
mod writers;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::Instant;
use tracing::error;

use crate::clock;
use crate::config::{QueueSettings, RetryPolicy};
use crate::submission::{Origin, Progress, Record, Role, Trigger};

pub use claim::{Claim, Claimed, Exhausted, Lease, Retry, SettleResult};
pub use doc_id::doc_id;
pub use error::QueueError;
pub use overview::{Backlog, Counts, HandSet, Named, Page, Recent};
pub use question::{FailedFilter, PageCursor, Shown, Sighting};
pub use transition::ClaimOutcome;

use claim::Take;
use doc_id::{hashed_doc_id, hex};
use store::Store;
use stored::Stored;
use transition::Taken;

/// How often one compare-and-set is tried against concurrent changes of the same record before
/// the operation gives up: far more often than a record has writers.
const SWAP_TRIES: usize = 20;

/// Bytes that a submission's id may have: Firestore finds longer texts only by their beginning ("Usage and
/// limits", indexed values). CommCare's have 36.
pub const ID_LIMIT: usize = 1_500;

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

/// The queue, on one of its back ends.
#[derive(Debug, Clone)]
pub struct Queue {
    store: Store,
    policy: RetryPolicy,
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
        Ok(Self { store, policy })
    }

    /// Whether the back end answers.
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.store.ping().await
    }

    /// Claims up to `limit` records that are `new` or whose lease ran out, oldest first.
    pub async fn claim(
        &self,
        origin: Origin,
        limit: usize,
        worker: &str,
        trigger: Trigger,
    ) -> Result<Claimed, QueueError> {
        self.claim_from(limit, worker, trigger, |wanted| self.claimable(origin, wanted)).await
    }

    /// Claims up to `limit` failed records that auto-retry may take now.
    pub async fn claim_due(
        &self,
        origin: Origin,
        limit: usize,
        worker: &str,
        trigger: Trigger,
    ) -> Result<Claimed, QueueError> {
        let max_retries = self.policy.max_retries;
        let due = |wanted| self.store.due(origin, clock::now(), max_retries, wanted);
        self.claim_from(limit, worker, trigger, due).await
    }

    /// Claims candidates until there are enough, or no more.
    async fn claim_from<F>(
        &self,
        limit: usize,
        worker: &str,
        trigger: Trigger,
        candidates: impl Fn(usize) -> F,
    ) -> Result<Claimed, QueueError>
    where
        F: Future<Output = Result<Vec<Stored>, QueueError>>,
    {
        let mut claimed = Claimed::default();
        loop {
            let candidates = match candidates(limit - claimed.claims.len()).await {
                Ok(candidates) => candidates,
                // What is claimed already must be worked on: nobody else may take it now.
                Err(error) if !claimed.claims.is_empty() => {
                    error!(error = &error as &dyn std::error::Error, "queue.claim_cut_short");
                    break;
                }
                Err(error) => return Err(error),
            };
            let tries = candidates.into_iter().map(|stored| self.take(stored, worker, trigger, None));
            let mut lost_to_others = false;
            let given_up = claimed.exhausted.len();
            let mut failure = None;
            for taken in join_all(tries).await {
                match taken {
                    Ok(Take::Claimed(claim)) => claimed.claims.push(*claim),
                    Ok(Take::Exhausted(exhausted)) => claimed.exhausted.push(exhausted),
                    Ok(Take::Busy) => lost_to_others = true,
                    Err(error) => failure = Some(error),
                }
            }
            match failure {
                Some(error) if claimed.claims.is_empty() => return Err(error),
                Some(error) => {
                    error!(error = &error as &dyn std::error::Error, "queue.claim_cut_short");
                    break;
                }
                None => {}
            }
            // Only where others were faster is there more to find further down the queue; each
            // round that loses is a round in which somebody won, so this ends.
            if claimed.claims.len() == limit || !(lost_to_others || claimed.exhausted.len() > given_up) {
                break;
            }
        }
        claimed.claims.sort_by_key(|claim| claim.stored.record.created_at);
        Ok(claimed)
    }

    /// The oldest records that may be claimed now.
    async fn claimable(&self, origin: Origin, limit: usize) -> Result<Vec<Stored>, QueueError> {
        let (new, abandoned) = futures::try_join!(
            self.store.oldest_new(origin, limit),
            self.store.abandoned(origin, clock::now(), limit),
        )?;
        let mut candidates = new;
        candidates.extend(abandoned);
        candidates.sort_by_key(|stored| stored.record.created_at);
        candidates.truncate(limit);
        Ok(candidates)
    }

    /// Claims one record for a retry, whatever its status, unless someone else is processing it. `role`
    /// is who asks, where a person does.
    pub async fn claim_for_retry(
        &self,
        origin: Origin,
        doc_id: &str,
        worker: &str,
        trigger: Trigger,
        role: Option<Role>,
    ) -> Result<Option<Retry>, QueueError> {
        for _ in 0..SWAP_TRIES {
            let Some(stored) = self.store.get(origin, doc_id).await? else { return Ok(None) };
            if !stored.record.is_free(clock::now()) {
                return Ok(Some(Retry::Processing));
            }
            match self.take(stored, worker, trigger, role).await? {
                Take::Claimed(claim) => return Ok(Some(Retry::Claimed(claim))),
                Take::Exhausted(exhausted) => return Ok(Some(Retry::Exhausted(exhausted))),
                Take::Busy => {}
            }
        }
        Err(QueueError::Contended { doc_id: doc_id.to_owned() })
    }

    async fn take(
        &self,
        stored: Stored,
        worker: &str,
        trigger: Trigger,
        role: Option<Role>,
    ) -> Result<Take, QueueError> {
        // One claim, one owner: a worker that claims its own record again must not pass for the
        // run whose lease ran out.
        let owner = format!("{worker}/{}", uuid::Uuid::new_v4().simple());
        let taken = transition::take(&stored.record, &owner, trigger, role, clock::now(), &self.policy);
        let (record, runs) = match taken {
            Taken::Run(record) => (*record, true),
            Taken::Exhausted(record) => (*record, false),
        };
        match self.store.swap(&stored, &record).await? {
            None => Ok(Take::Busy),
            Some(_) if !runs => {
                error!(doc_id = stored.doc_id, error = record.error, "queue.record_kills_its_workers");
                Ok(Take::Exhausted(Exhausted {
                    doc_id: stored.doc_id,
                    job_name: record.job_name,
                    error: record.error.unwrap_or_default(),
                }))
            }
            Some(version) => {
                let stored = Stored { record, version, ..stored };
                Ok(Take::Claimed(Box::new(Claim { stored, progress: Progress::default() })))
            }
        }
    }

    /// Prolongs a lease. `false` where the claim was lost.
    pub async fn renew(&self, lease: &Lease) -> Result<bool, QueueError> {
        for _ in 0..SWAP_TRIES {
            let Some(stored) = self.store.get(lease.origin, &lease.doc_id).await? else { return Ok(false) };
            let Some(renewed) = transition::renew(&stored.record, &lease.owner, clock::now(), &self.policy)
            else {
                return Ok(false);
            };
            if self.store.swap(&stored, &renewed).await?.is_some() {
                return Ok(true);
            }
        }
        Err(QueueError::Contended { doc_id: lease.doc_id.clone() })
    }

    /// Keeps what a run has delivered so far. `false` where the claim was lost, or its record replaced.
    pub async fn save_progress(&self, lease: &Lease, progress: &Progress) -> Result<bool, QueueError> {
        for _ in 0..SWAP_TRIES {
            let Some(stored) = self.store.get(lease.origin, &lease.doc_id).await? else { return Ok(false) };
            let Some(mut saved) = progress::add(&stored.record, lease, progress, clock::now()) else {
                return Ok(false);
            };
            limits::fit(&mut saved);
            if self.store.swap(&stored, &saved).await?.is_some() {
                return Ok(true);
            }
        }
        Err(QueueError::Contended { doc_id: lease.doc_id.clone() })
    }

    /// Ends a claim, with what its run has delivered.
    pub async fn settle(&self, claim: Claim, outcome: ClaimOutcome) -> Result<SettleResult, QueueError> {
        let progress = claim.progress;
        let claimed = claim.stored.record.clone();
        let mut stored = claim.stored;
        let jitter = rand::random_range(-1.0..=1.0);
        for _ in 0..SWAP_TRIES {
            let Some((mut record, settled)) =
                transition::settle(&stored.record, &claimed, &outcome, clock::now(), &self.policy, jitter)
            else {
                // Where an answer was lost, the outcome may be there already.
                return Ok(transition::settled_before(&stored.record, &claimed));
            };
            if settled == SettleResult::Written {
                record.add(&progress);
            }
            limits::fit(&mut record);
            if self.store.swap(&stored, &record).await?.is_some() {
                return Ok(settled);
            }
            match self.store.get(stored.origin, &stored.doc_id).await? {
                Some(current) => stored = current,
                None => return Ok(SettleResult::Lost),
            }
        }
        Err(QueueError::Contended { doc_id: stored.doc_id })
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
            let again = Claim { stored: claim.stored.clone(), progress: claim.progress.clone() };
            match self.settle(again, outcome.clone()).await {
                Err(QueueError::Unavailable { .. }) if Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                settled => return settled,
            }
        }
    }

    /// The records of a submission id: those whose data has it, or whose document id it is.
    pub async fn find(&self, origin: Origin, id: &str) -> Result<Vec<(String, Record)>, QueueError> {
        // None has a longer one: the door refuses it, and Firestore would refuse the question.
        if id.len() > ID_LIMIT {
            return Ok(Vec::new());
        }
        let mut found = self.store.find(origin, id).await?;
        found.sort_by_key(|stored| (stored.record.created_at, stored.record.first_position));
        Ok(found.into_iter().map(|stored| (stored.doc_id, stored.record)).collect())
    }
}
