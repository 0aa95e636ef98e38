//! Claims records, maps them, performs their plans and settles them. Knows no form and no HTTP.
//!
//! Within one batch, forms that touch a record another form writes keep their order; the rest run
//! in parallel ([`order`]). A claim's lease is renewed for as long as its batch runs. When a
//! destination is in trouble of its own, or the service stops, what has not been tried goes back
//! to `new`.

mod lease;
mod order;
mod shutdown;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, error, info, info_span, warn};

use crate::config::{DrainSettings, RetryPolicy};
use crate::destinations::{Delivery, DeliveryError, Destinations, Failure};
use crate::jobs::{self, Destination, Facts, Job};
use crate::plan::Plan;
use crate::queue::{Claim, Outcome, Queue, QueueError, Retry, Settled};
use crate::submission::{ErrorKind, Origin, Trigger};

use lease::Renewal;
pub use shutdown::Shutdown;

/// How long an outcome is offered to a queue that does not answer, before the record is left to
/// its lease.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// How much one drain takes.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Records that are claimed at a time; the configured batch size where `None`.
    pub limit: Option<usize>,
    /// Whether to go on, batch after batch, until the queue is empty or the budget is spent.
    pub until_empty: bool,
}

/// What a drain did.
#[derive(Debug, Default)]
pub struct DrainReport {
    /// Documents that completed.
    pub completed: Vec<String>,
    /// Documents that failed, and why.
    pub failed: Vec<(String, String)>,
    /// Documents that went back to `new`.
    pub released: Vec<String>,
    /// Why the drain stopped before its end.
    pub stopped: Option<Stopped>,
}

/// A destination that could not take more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Which.
    pub destination: Destination,
    /// Why, in words.
    pub reason: String,
}

/// What a retry did with one record.
#[derive(Debug)]
pub struct Retried {
    /// The document.
    pub doc_id: String,
    /// How it ended.
    pub end: End,
}

/// How one record's run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its effect is done, or there was none to have.
    Completed,
    /// It failed, for this reason.
    Failed(String),
    /// It is `new` again, for this reason.
    New(String),
    /// Another worker has it.
    Processing,
    /// The time was up before its turn.
    NotStarted,
}

/// The one that works the queue off; cheap to clone.
#[derive(Clone)]
pub struct Worker {
    queue: Queue,
    destinations: Arc<Destinations>,
    facts: Facts,
    settings: DrainSettings,
    retry: RetryPolicy,
    shutdown: Shutdown,
    /// Bounds the records in work over the whole process, however many drains overlap.
    slots: Arc<Semaphore>,
    name: Arc<str>,
}

impl Worker {
    /// A worker that no other process is named like.
    pub fn new(
        queue: Queue,
        destinations: Destinations,
        facts: Facts,
        settings: DrainSettings,
        retry: RetryPolicy,
        shutdown: Shutdown,
    ) -> Self {
        let process = std::process::id();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        Self {
            queue,
            destinations: Arc::new(destinations),
            facts,
            settings,
            retry,
            shutdown,
            slots: Arc::new(Semaphore::new(settings.concurrency)),
            name: format!("{process}-{}", &unique[..8]).into(),
        }
    }

    /// Processes `new` records and those whose lease ran out, oldest first.
    pub async fn drain(&self, origin: Origin, extent: Extent) -> Result<DrainReport, QueueError> {
        let deadline = Instant::now() + self.settings.budget;
        let limit = extent.limit.unwrap_or(self.settings.batch_size);
        let mut report = DrainReport::default();
        while !self.shutdown.is_stopping() {
            let claims = self.queue.claim(origin, limit, &self.name, Trigger::Batch).await?;
            let claimed = claims.len();
            self.run_batch(claims, &mut report).await;
            let more = extent.until_empty && claimed > 0 && Instant::now() < deadline;
            if !more || report.stopped.is_some() {
                break;
            }
        }
        info!(
            collection = origin.collection(),
            completed = report.completed.len(),
            failed = report.failed.len(),
            released = report.released.len(),
            "worker.drained"
        );
        Ok(report)
    }

    /// Runs the records of one submission id again, whatever their retry count. `None` where there
    /// are none.
    pub async fn retry(&self, origin: Origin, id: &str) -> Result<Option<Vec<Retried>>, QueueError> {
        let deadline = Instant::now() + self.settings.budget;
        let found = self.queue.find(origin, id).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let mut results = Vec::with_capacity(found.len());
        for (doc_id, _) in found {
            let end = if Instant::now() < deadline && !self.shutdown.is_stopping() {
                self.retry_one(origin, &doc_id).await?
            } else {
                End::NotStarted
            };
            results.push(Retried { doc_id, end });
        }
        Ok(Some(results))
    }

    async fn retry_one(&self, origin: Origin, doc_id: &str) -> Result<End, QueueError> {
        let retry = self.queue.claim_for_retry(origin, doc_id, &self.name, Trigger::Manual).await?;
        let claim = match retry {
            Some(Retry::Claimed(claim)) => *claim,
            Some(Retry::Processing) => return Ok(End::Processing),
            Some(Retry::Exhausted) => return Ok(End::Failed("its worker disappeared too often".to_owned())),
            None => return Ok(End::Failed("it was removed meanwhile".to_owned())),
        };
        let mut report = DrainReport::default();
        self.run_batch(vec![claim], &mut report).await;
        let stopped = report.stopped.map(|stopped| stopped.reason);
        Ok(match report.failed.pop() {
            Some((_, error)) => End::Failed(error),
            None if report.released.is_empty() => End::Completed,
            None => End::New(stopped.unwrap_or_else(|| "it was put back untouched".to_owned())),
        })
    }

    /// What a payload of `job` would do: its plan, or the error that its record would get.
    pub fn plan(&self, job: &Job, data: &Value) -> Planned {
        let Some(mapping) = job.mapping else {
            return Err(format!(
                "this version cannot process {} yet; retry the record once it is upgraded",
                job.name
            ));
        };
        // A mapping that panics is a bug in the mapping: it fails this record and no other.
        match catch_unwind(AssertUnwindSafe(|| mapping(data, &self.facts))) {
            Ok(Ok(plan)) => Ok((job.destination, plan)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the mapping of {} broke down; this is a fault of the service", job.name)),
        }
    }

    /// Works off claimed records: conflicting ones in their order, others in parallel.
    async fn run_batch(&self, claims: Vec<Claim>, report: &mut DrainReport) {
        let renewal = Renewal::start(&self.queue, &claims, self.retry.lease);
        let runs: Vec<(Claim, Planned)> = claims
            .into_iter()
            .map(|claim| {
                let record = claim.record();
                let plan = match jobs::find(claim.origin(), &record.job_name) {
                    Some(job) => self.plan(job, &record.data),
                    None => Err(format!("no form type is named {:?}", record.job_name)),
                };
                (claim, plan)
            })
            .collect();
        let plans: Vec<Option<&Plan>> =
            runs.iter().map(|(_, plan)| plan.as_ref().ok().map(|(_, plan)| plan)).collect();
        let mut waiting = order::Waiting::new(&plans);
        let mut runs: Vec<Option<_>> = runs.into_iter().map(Some).collect();
        let stopped = Arc::new(OnceLock::new());
        let mut started = HashMap::new();
        let mut tasks = JoinSet::new();
        loop {
            while let Some(next) = waiting.next_ready() {
                let Some((claim, plan)) = runs[next].take() else { continue };
                let doc_id = claim.doc_id().to_owned();
                let span = info_span!(
                    "record",
                    request_id = claim.record().job_id,
                    doc_id,
                    job_name = claim.record().job_name
                );
                let (worker, stopped) = (self.clone(), Arc::clone(&stopped));
                let run = async move { worker.run(claim, plan, &stopped).await };
                started.insert(tasks.spawn(run.instrument(span)).id(), (next, doc_id));
            }
            let (task, end) = match tasks.join_next_with_id().await {
                None => break,
                Some(Ok(ended)) => ended,
                // The record stays with its lease; whoever takes it over counts that.
                Some(Err(panic)) => {
                    error!(%panic, "worker.run_broke_down");
                    let reason = "its processing broke down; it is tried again once its lease runs out";
                    (panic.id(), End::Failed(reason.to_owned()))
                }
            };
            if let Some((position, doc_id)) = started.remove(&task) {
                waiting.finished(position);
                renewal.forget(&doc_id);
                report.add(doc_id, end);
            }
        }
        report.stopped = stopped.get().cloned();
    }

    /// One record: perform its plan and settle it.
    async fn run(&self, claim: Claim, plan: Planned, stopped: &OnceLock<Stopped>) -> End {
        let outcome = match plan {
            Err(error) => failed(ErrorKind::Permanent, "mapping", error, &Plan::default()),
            Ok((destination, plan)) => self.perform(destination, &plan, stopped).await,
        };
        let end = match &outcome {
            Outcome::Completed { .. } => End::Completed,
            Outcome::Failed { error, step, kind, .. } => {
                warn!(processing_step = step, error_kind = ?kind, error, "worker.record_failed");
                End::Failed(error.clone())
            }
            Outcome::Released => End::New(String::new()),
        };
        match self.queue.settle_patiently(claim, outcome, SETTLE_PATIENCE).await {
            Ok(Settled::Written) => end,
            Ok(Settled::Replaced) => End::New("an edited form replaced it meanwhile".to_owned()),
            Ok(Settled::Lost) => End::Failed("another worker took it over; its outcome counts".to_owned()),
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "worker.outcome_not_written");
                End::Failed("its outcome could not be written; it will be processed again".to_owned())
            }
        }
    }

    /// Performs a plan, unless its destination has `stopped` its batch or the service stops.
    async fn perform(&self, destination: Destination, plan: &Plan, stopped: &OnceLock<Stopped>) -> Outcome {
        let unmapped = plan.unmapped.clone();
        if let Some(note) = &plan.note {
            return Outcome::Completed { note: Some(note.clone()), dry_run: None, unmapped };
        }
        // The semaphore is never closed: it is owned here.
        let _slot = self.slots.acquire().await;
        // Asked only now: those that had the slot before may have found the destination down, and
        // one that refused a login must not be asked again by every record that waits.
        let halted = stopped.get().is_some_and(|stopped| stopped.destination == destination);
        if halted || self.shutdown.is_stopping() {
            return Outcome::Released;
        }
        let delivered = tokio::select! {
            delivered = self.destinations.perform(destination, plan) => delivered,
            () = self.shutdown.grace_is_over() => return Outcome::Released,
        };
        match delivered {
            Ok(Delivery::Sent) => Outcome::Completed { note: None, dry_run: None, unmapped },
            Ok(Delivery::Recorded(plan)) => {
                let note = Some("dry run: the plan was recorded, nothing was sent".to_owned());
                Outcome::Completed { note, dry_run: Some(plan), unmapped }
            }
            Err(DeliveryError { failure, step, message }) => {
                let kind = match failure {
                    Failure::Transient => ErrorKind::Transient,
                    Failure::Dependency => ErrorKind::Dependency,
                    Failure::Permanent => ErrorKind::Permanent,
                    Failure::Unavailable => {
                        let destination_name = destination.as_str();
                        warn!(destination = destination_name, reason = message, "worker.destination_down");
                        // The first reason stands.
                        let _ = stopped.set(Stopped { destination, reason: message });
                        return Outcome::Released;
                    }
                };
                failed(kind, &step, message, plan)
            }
        }
    }
}

/// A plan and where it goes, or the error that its record gets.
type Planned = Result<(Destination, Plan), String>;

impl DrainReport {
    fn add(&mut self, doc_id: String, end: End) {
        match end {
            End::Completed => self.completed.push(doc_id),
            End::Failed(error) => self.failed.push((doc_id, error)),
            End::New(_) | End::Processing | End::NotStarted => self.released.push(doc_id),
        }
    }
}

fn failed(kind: ErrorKind, step: &str, error: String, plan: &Plan) -> Outcome {
    Outcome::Failed { kind, step: step.to_owned(), error, unmapped: plan.unmapped.clone() }
}
