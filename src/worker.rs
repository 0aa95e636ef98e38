//! Claims records, maps them, performs their plans and settles them. Knows no form and no HTTP.
//!
//! One call is one [`drain`]: batch after batch of records, each claimed the moment that its run begins. Forms that
//! touch a record another form of the drain writes keep their order ([`order`]); the rest run in parallel. A claim's
//! lease is renewed for as long as its drain has it. A failure that may be the destination's trouble is [open](verdict)
//! until the destination takes another record.

mod asked;
mod delivery;
mod drain;
mod lease;
mod newer;
mod observed;
mod order;
mod overlap;
mod report;
mod retry;
mod shutdown;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::{DrainSettings, RetryPolicy};
use crate::destinations::salesforce::{Health, Salesforce};
use crate::destinations::{Admission, Destinations};
use crate::jobs::{Facts, JOBS, Job};
use crate::metrics::{Metrics, RecordEnd};
use crate::plan::Plan;
use crate::queue::{Candidate, Exhausted, Queue, QueueError, Sweep};
use crate::submission::{Destination, ErrorKind, Origin, Record, Trigger};

use asked::Order;
use drain::Drain;
pub use report::{DrainReport, RunEnd, Stopped};
pub use retry::{Asked, Retried};
pub use shutdown::Shutdown;
use verdict::Evidence;

/// Records for each slot that a drain reads at a time: with fewer, slots stand idle at the end of every batch.
const READ_PER_SLOT: usize = 8;

/// Probes of one drain, at most: one that another worker took tells nothing, and the next is tried.
const PROBES_A_DRAIN: u32 = 3;

/// Why something was not begun.
const OVER: &str = "the time of one call was used up, or the service stops";
/// The same, where the queue is the reason.
const QUEUE_AWAY: &str = "the queue did not answer";
/// Why a record that was asked for is not there.
const REMOVED: &str = "it was removed meanwhile";

/// How much one drain takes.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Records that it takes at most. Where `None`, one batch as configured, or all where it goes on.
    pub limit: Option<usize>,
    /// Whether to go on, batch after batch, until the limit, the end of the queue or of the budget.
    pub until_empty: bool,
}

/// The one that works the queue off; cheap to clone.
#[derive(Clone)]
pub struct Worker {
    queue: Queue,
    destinations: Arc<Destinations>,
    facts: Facts,
    /// By origin, in the order of [`Origin::ALL`].
    lanes: [Lane; 2],
    retry: RetryPolicy,
    shutdown: Shutdown,
    metrics: Metrics,
    name: Arc<str>,
    evidence: Evidence,
}

/// What a drain does next.
enum Next {
    /// A record that tests the way back to a destination.
    Probe(Vec<Candidate>),
    /// Records that run in their order or side by side.
    Batch(Vec<Candidate>),
    /// No record is left.
    Nothing,
}

/// How one origin's records are worked off.
#[derive(Clone)]
struct Lane {
    settings: DrainSettings,
    /// Bounds the records in work over the whole process, however many drains overlap.
    slots: Arc<Semaphore>,
    /// How many there are.
    slot_count: usize,
}

impl Worker {
    /// A worker that no other process is named like. `settings` are by origin, in the order of
    /// [`Origin::ALL`].
    pub fn new(
        queue: Queue,
        destinations: Destinations,
        facts: Facts,
        settings: [DrainSettings; 2],
        retry: RetryPolicy,
        shutdown: Shutdown,
        metrics: Metrics,
    ) -> Self {
        let process = std::process::id();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        Self {
            queue,
            destinations: Arc::new(destinations),
            facts,
            lanes: settings.map(|settings| Lane {
                settings,
                slots: Arc::new(Semaphore::new(settings.concurrency)),
                slot_count: settings.concurrency,
            }),
            retry,
            shutdown,
            metrics,
            name: format!("{process}-{}", &unique[..8]).into(),
            evidence: Evidence::default(),
        }
    }

    /// Processes `new` records and those whose lease ran out, oldest first.
    pub async fn drain(&self, origin: Origin, extent: Extent) -> Result<DrainReport, QueueError> {
        self.work_off(origin, extent, Trigger::Batch).await
    }

    /// Processes failed records whose retry is due.
    pub async fn auto_retry(&self, origin: Origin, extent: Extent) -> Result<DrainReport, QueueError> {
        self.work_off(origin, extent, Trigger::AutoRetry).await
    }

    /// A record that has used up its tries ends without a run of its own: why.
    fn give_up(&self, origin: Origin, exhausted: Exhausted) -> String {
        let end = RecordEnd::Failed(ErrorKind::Permanent);
        self.metrics.record_ended(origin, &exhausted.job_name, end, Duration::ZERO);
        exhausted.error
    }

    async fn work_off(
        &self,
        origin: Origin,
        extent: Extent,
        trigger: Trigger,
    ) -> Result<DrainReport, QueueError> {
        let settings = self.lane(origin).settings;
        let destination = destination_of(origin);
        let at_a_time = settings.read_at_a_time.min(READ_PER_SLOT * settings.concurrency);
        let without_limit = if extent.until_empty { usize::MAX } else { settings.batch_size };
        let mut left = extent.limit.unwrap_or(without_limit);
        let mut drain = Drain::new(self.clone(), origin, self.deadline(origin), Order::from_trigger(trigger));
        let mut sweep = match trigger {
            Trigger::AutoRetry => Sweep::over_due(origin),
            Trigger::Batch | Trigger::Manual | Trigger::Inline | Trigger::Reconcile => {
                Sweep::over_claimable(origin)
            }
        };
        self.begin(origin, &mut drain, &sweep).await?;
        let mut probes = 0;
        while left > 0 && !drain.is_over() {
            // A destination that was in trouble is tried with one record; the rest follow if it went.
            let to_probe = match self.destinations.admission(destination).await {
                Admission::Available => None,
                Admission::Probing => {
                    probes += 1;
                    Some(destination).filter(|_| probes <= PROBES_A_DRAIN)
                }
                Admission::Paused { reason } => {
                    drain.stop(destination, reason);
                    break;
                }
            };
            let next = match self.next_records(&mut drain, &mut sweep, to_probe, left.min(at_a_time)).await {
                Ok(next) => next,
                // What was done before is reported; with nothing done, the trouble is the answer.
                Err(error) if drain.is_untouched() => return Err(error),
                Err(error) => {
                    error!(
                        error = &error as &dyn std::error::Error,
                        "the queue could not be read; the drain ends"
                    );
                    break;
                }
            };
            let done = match next {
                Next::Nothing => break,
                Next::Probe(probe) => Box::pin(drain.run_probe(destination, probe)).await,
                Next::Batch(batch) => Box::pin(drain.run_batch(batch)).await,
            };
            left = left.saturating_sub(done);
            for destination in destinations_of(origin) {
                drain.look_again(*destination, &sweep).await;
            }
        }
        // An auto-retry comes to them by itself.
        if trigger == Trigger::Batch {
            drain.try_remembered_of(destinations_of(origin)).await;
        }
        if origin == Origin::CommCare {
            Box::pin(self.work_off_beside(&mut drain, &sweep, left)).await;
        }
        Ok(self.conclude(origin, trigger, drain, &sweep).await)
    }

    /// What a drain does next: it tests the way back to `probed`, else what waited follows, else what the sweep comes to.
    async fn next_records(
        &self,
        drain: &mut Drain,
        sweep: &mut Sweep,
        probed: Option<Destination>,
        limit: usize,
    ) -> Result<Next, QueueError> {
        if let Some(destination) = probed {
            let probe = drain.probe(destination, sweep).await?;
            if !probe.is_empty() {
                return Ok(Next::Probe(probe));
            }
        }
        let mut batch = drain.take_next(limit).await?;
        if batch.is_empty() {
            let in_work = &mut |candidate| drain.leave_to_others(&candidate);
            batch = self.queue.next_candidates_beside(sweep, limit, in_work).await?;
        }
        Ok(if batch.is_empty() { Next::Nothing } else { Next::Batch(batch) })
    }

    /// Ends a drain that went over the queue, and tells of it.
    async fn conclude(&self, origin: Origin, trigger: Trigger, drain: Drain, sweep: &Sweep) -> DrainReport {
        let report = Box::pin(drain.finish()).await;
        if trigger == Trigger::Batch {
            self.metrics.drain_ended(origin, clock::now());
        }
        let is_empty = sweep.saw_all_new() && report.released.is_empty();
        self.keep_house(origin, is_empty).await;
        info!(
            collection = origin.collection(),
            ?trigger,
            completed = report.completed.len(),
            failed = report.failed.len(),
            released = report.released.len(),
            "drain ended"
        );
        report
    }

    /// Tells the destinations that a drain begins. PostGIS takes forms beside the main destination: after trouble it is
    /// tried with one of them, and the others follow in their turn if that one went.
    async fn begin(&self, origin: Origin, drain: &mut Drain, sweep: &Sweep) -> Result<(), QueueError> {
        self.destinations.drain_begins(destination_of(origin));
        if origin == Origin::CommCare {
            let beside = Destination::Postgis;
            self.destinations.drain_begins(beside);
            if self.destinations.known_admission(beside) == Admission::Probing {
                let probe = drain.probe(beside, sweep).await?;
                Box::pin(drain.run_probe(beside, probe)).await;
            }
        }
        Ok(())
    }

    /// Salesforce takes no forms: those to PostGIS do not wait for it.
    async fn work_off_beside(&self, drain: &mut Drain, sweep: &Sweep, mut left: usize) {
        let beside = Destination::Postgis;
        let stopped = drain.is_over() && !drain.is_out_of_time();
        if !stopped || matches!(self.destinations.known_admission(beside), Admission::Paused { .. }) {
            return;
        }
        let jobs = JOBS.iter().filter(|job| job.destination == beside).map(|job| job.name).collect();
        let mut sweep = sweep.of_jobs(jobs);
        while left > 0 && !drain.is_out_of_time() {
            match self.next_records(drain, &mut sweep, None, left.min(READ_PER_SLOT)).await {
                Ok(Next::Nothing) => break,
                Ok(Next::Probe(mut candidates) | Next::Batch(mut candidates)) => {
                    candidates.retain(|candidate| !drain.has_had(candidate.doc_id()));
                    left = left.saturating_sub(Box::pin(drain.run_batch(candidates)).await);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    error!(error, "the queue could not be read; the drain ends");
                    break;
                }
            }
        }
    }

    /// What every drain does beside its work: tells the age of the queue, for alerts, and removes what has
    /// been kept long enough, little by little.
    async fn keep_house(&self, origin: Origin, is_empty: bool) {
        let oldest = if is_empty { Ok(None) } else { self.queue.oldest_new(origin).await };
        match oldest {
            Ok(oldest) => {
                let oldest_new_seconds =
                    oldest.map_or(0, |arrived| (self.queue.now() - arrived).num_seconds().max(0));
                info!(collection = origin.collection(), oldest_new_seconds, "age of the queue");
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the age of the queue is not known");
            }
        }
        if let Err(error) = self.queue.remove_completed(origin).await {
            warn!(error = &error as &dyn std::error::Error, "old completed records could not be removed");
        }
    }

    /// Tries one record inside its webhook call, for so long at most; what is not done by then is put
    /// back. Neither Salesforce's state nor the other records in work hold it up: its destination is
    /// PostGIS.
    pub async fn try_at_once(
        &self,
        origin: Origin,
        doc_id: &str,
        within: Duration,
    ) -> Result<RunEnd, QueueError> {
        let deadline = Instant::now() + within;
        let mut worker = self.clone();
        for lane in &mut worker.lanes {
            (lane.slots, lane.slot_count) = (Arc::new(Semaphore::new(1)), 1);
        }
        let mut drain = Drain::new(worker, origin, deadline, Order::from_trigger(Trigger::Inline));
        if drain.is_over() {
            return Ok(RunEnd::NotStarted(OVER.to_owned()));
        }
        self.destinations.drain_begins(Destination::Postgis);
        if let Admission::Paused { reason } = self.destinations.admission(Destination::Postgis).await {
            return Ok(RunEnd::NotStarted(reason));
        }
        let Some(candidate) = self.queue.candidate(origin, doc_id).await? else {
            return Ok(RunEnd::Failed(REMOVED.to_owned()));
        };
        Box::pin(drain.run_batch(vec![candidate])).await;
        let mut ends = Box::pin(drain.finish()).await.ends();
        Ok(ends.remove(doc_id).unwrap_or(RunEnd::Processing))
    }

    /// What a payload of `job` would do if it came now: its plan, or the error that its record would
    /// get.
    pub fn preview(&self, job: &Job, data: &Value) -> Planned {
        plan(job, data, &self.facts.of(clock::now(), 1))
    }

    /// What a record would write if it ran now: all of it, whatever it has written before.
    pub fn plan_of(&self, job: &Job, record: &Record) -> Planned {
        plan(job, &record.data, &self.facts.of(record.arrived(), record.first_position.unwrap_or(1)))
    }

    /// `MAX_RETRIES`: retries that a record gets by itself.
    pub fn max_retries(&self) -> u32 {
        self.retry.max_retries
    }

    /// When the service stops, and the work that it waits for.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// The destinations, for who asks them something without writing.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// The destinations that are in trouble.
    pub fn destinations_down(&self) -> Vec<Destination> {
        self.destinations.down()
    }

    /// How Salesforce is doing, where it is called at all.
    pub fn salesforce_health(&self) -> Option<Health> {
        self.destinations.salesforce.as_ref().map(Salesforce::health)
    }

    fn lane(&self, origin: Origin) -> &Lane {
        let [to_salesforce, to_commcare] = &self.lanes;
        match origin {
            Origin::CommCare => to_salesforce,
            Origin::Salesforce => to_commcare,
        }
    }

    fn deadline(&self, origin: Origin) -> Instant {
        Instant::now() + self.lane(origin).settings.budget
    }
}

/// The plan of a payload.
pub(crate) fn plan(job: &Job, data: &Value, facts: &Facts) -> Planned {
    // A mapping that panics is a bug in the mapping: it fails this record and no other.
    match catch_unwind(AssertUnwindSafe(|| job.plan(data, facts))) {
        Ok(Ok(plan)) => Ok((job.destination, plan)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the mapping of {} broke down; this is a fault of the service", job.name)),
    }
}

/// The destination whose trouble stops an origin's drain.
fn destination_of(origin: Origin) -> Destination {
    match origin {
        Origin::CommCare => Destination::Salesforce,
        Origin::Salesforce => Destination::CommCare,
    }
}

/// Every destination of an origin's records.
fn destinations_of(origin: Origin) -> &'static [Destination] {
    match origin {
        Origin::CommCare => &[Destination::Salesforce, Destination::Postgis],
        Origin::Salesforce => &[Destination::CommCare],
    }
}

/// A plan and where it goes, or the error that its record gets.
pub type Planned = Result<(Destination, Plan), String>;
