//! Works the queue off: one drain over what is new, or due, from the head of the queue to its end.

use tracing::{error, info, warn};

use super::asked::Order;
use super::drain::Drain;
use super::{DrainReport, READ_PER_SLOT, Worker, destination_of, destinations_of};
use crate::clock;
use crate::destinations::Admission;
use crate::jobs::JOBS;
use crate::queue::{Candidate, QueueError, Sweep};
use crate::submission::{Destination, Origin, Trigger};

/// Probes of one drain, at most: one that another worker took tells nothing, and the next is tried.
const PROBES_A_DRAIN: u32 = 3;

/// How much one drain takes.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Records that it takes at most. Where `None`, one batch as configured, or all where it goes on.
    pub limit: Option<usize>,
    /// Whether to go on, batch after batch, until the limit, the end of the queue or of the budget.
    pub until_empty: bool,
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

impl Worker {
    /// Processes `new` records and those whose lease ran out, oldest first.
    pub async fn drain(&self, origin: Origin, extent: Extent) -> Result<DrainReport, QueueError> {
        self.work_off(origin, extent, Trigger::Batch).await
    }

    /// Processes failed records whose retry is due.
    pub async fn auto_retry(&self, origin: Origin, extent: Extent) -> Result<DrainReport, QueueError> {
        self.work_off(origin, extent, Trigger::AutoRetry).await
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
}
