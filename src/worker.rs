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
mod work_off;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::clock;
use crate::config::{DrainSettings, RetryPolicy};
use crate::destinations::salesforce::{Health, Salesforce};
use crate::destinations::{Admission, Destinations};
use crate::jobs::{Facts, Job};
use crate::metrics::{Metrics, RecordEnd};
use crate::plan::Plan;
use crate::queue::{Exhausted, Queue, QueueError};
use crate::submission::{Destination, ErrorKind, Origin, Record, Trigger};

use asked::Order;
use drain::Drain;
pub use report::{DrainReport, RunEnd, Stopped};
pub use retry::{Asked, Retried};
pub use shutdown::Shutdown;
use verdict::Evidence;
pub use work_off::Extent;

/// Records for each slot that a drain reads at a time: with fewer, slots stand idle at the end of every batch.
const READ_PER_SLOT: usize = 8;

/// Why something was not begun.
const OVER: &str = "the time of one call was used up, or the service stops";
/// The same, where the queue is the reason.
const QUEUE_AWAY: &str = "the queue did not answer";
/// Why a record that was asked for is not there.
const REMOVED: &str = "it was removed meanwhile";

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

    /// A record that has used up its tries ends without a run of its own: why.
    fn give_up(&self, origin: Origin, exhausted: Exhausted) -> String {
        let end = RecordEnd::Failed(ErrorKind::Permanent);
        self.metrics.record_ended(origin, &exhausted.job_name, end, Duration::ZERO);
        exhausted.error
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
