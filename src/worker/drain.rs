//! One call's work: batches of records, run in order or side by side, and one report.

pub(super) mod run;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, error, warn};

use super::asked::{Order, Stops};
use super::lease::Renewal;
use super::overlap::{self, Overlap};
use super::verdict::{self, OpenVerdict};
use super::{DrainReport, Planned, RunEnd, Worker, order};
use crate::destinations::Admission;
use crate::plan::Plan;
use crate::queue::{Candidate, ClaimOutcome, QueueError, RecordFailure, Sweep};
use crate::submission::{Destination, Origin, Status};
use run::{Run, RunResult};

/// Memory of plans from which on no further record is planned until these are done. A form of 26,000 attendances has a
/// plan of 25 MiB.
const PLANS: usize = 32 * 1024 * 1024;

/// A drain under way. [`Drain::finish`] ends it.
pub(super) struct Drain {
    worker: Worker,
    origin: Origin,
    deadline: Instant,
    order: Order,
    renewal: Arc<Renewal>,
    stops: Stops,
    /// External ids of the records that failed forms of this drain did not write.
    unwritten: HashSet<String>,
    /// Failures whose verdict is open.
    open: Vec<OpenVerdict>,
    /// Runs whose records other forms may have written at the same time.
    looks: Vec<Overlap>,
    /// Records that waited for what this drain has written.
    woken: Vec<Candidate>,
    report: DrainReport,
}

/// A record of a batch, until its run begins.
type Waiting = Option<(Candidate, Planned)>;

/// A batch under way.
struct Batch {
    waiting: Vec<Waiting>,
    order: order::Waiting,
    /// Records that each unfinished one writes, by external id.
    unfinished: HashMap<usize, Vec<String>>,
    /// Those that ran to an end of their own.
    done: usize,
}

impl Batch {
    /// The first records, as many as their plans leave room for; the rest stay in `candidates`.
    fn new(candidates: &mut VecDeque<Candidate>, worker: &Worker) -> Self {
        let mut planned: Vec<(Candidate, Planned)> = Vec::new();
        let mut memory = 0;
        while memory < PLANS
            && let Some(candidate) = candidates.pop_front()
        {
            let plan = run::plan(worker, &candidate);
            memory += plan.as_ref().map_or(0, |(_, plan)| plan.memory());
            planned.push((candidate, plan));
        }
        let plans: Vec<Option<&Plan>> = planned.iter().map(|(_, plan)| plan_of(plan)).collect();
        let order = order::Waiting::new(&plans);
        let writes = |plan: Option<&Plan>| plan.map(order::writes).unwrap_or_default();
        let unfinished = plans.iter().copied().map(writes).enumerate().collect();
        Self { waiting: planned.into_iter().map(Some).collect(), order, unfinished, done: 0 }
    }

    /// Slots that the next record takes: all of them where a worker died while it worked on it.
    fn slots_for_next(&self, all: usize) -> Option<u32> {
        let next = self.order.peek_ready()?;
        let (candidate, _) = self.waiting[next].as_ref()?;
        let record = candidate.record();
        // A lease that has run out is a death that its history does not tell yet.
        let alone = record.status == Status::Processing || record.deaths() > 0;
        Some(if alone { u32::try_from(all).unwrap_or(u32::MAX) } else { 1 })
    }

    /// A record has run, or will not: what it writes.
    fn finished(&mut self, position: usize) -> Vec<String> {
        self.order.finished(position);
        self.unfinished.remove(&position).unwrap_or_default()
    }

    /// Whether no unfinished record writes any of these.
    fn is_past(&self, written: &[String]) -> bool {
        !self.unfinished.values().flatten().any(|id| written.contains(id))
    }
}

impl Drain {
    pub(super) fn new(worker: Worker, origin: Origin, deadline: Instant, order: Order) -> Self {
        let renewal = Arc::new(Renewal::start(&worker.queue, worker.retry.lease));
        Self {
            worker,
            origin,
            deadline,
            order,
            renewal,
            stops: Stops::default(),
            unwritten: HashSet::new(),
            open: Vec::new(),
            looks: Vec::new(),
            woken: Vec::new(),
            report: DrainReport::default(),
        }
    }

    /// Whether nothing more is to be begun.
    pub(super) fn is_over(&self) -> bool {
        let stopped = self.stops.of(super::destination_of(self.origin)).is_some();
        stopped || self.worker.shutdown.is_stopping() || Instant::now() >= self.deadline
    }

    /// Whether nothing has been done yet.
    pub(super) fn is_untouched(&self) -> bool {
        let report = &self.report;
        report.completed.is_empty()
            && report.failed.is_empty()
            && report.released.is_empty()
            && self.open.is_empty()
    }

    /// Ends the drain for a destination that takes no more.
    pub(super) fn stop(&mut self, destination: Destination, reason: String) {
        self.stops.add(destination, reason);
    }

    /// Records that waited for what this drain has written, oldest first.
    pub(super) fn take_woken(&mut self) -> Vec<Candidate> {
        std::mem::take(&mut self.woken)
    }

    /// Leaves to other workers what the records write that these have in work: forms of the same records keep their order.
    pub(super) fn leave_to_others(&mut self, in_work: &[Candidate]) {
        let plans = in_work.iter().filter_map(|candidate| run::plan(&self.worker, candidate).ok());
        self.unwritten.extend(plans.flat_map(|(_, plan)| order::writes(&plan)).collect::<Vec<_>>());
    }

    /// One record that tests the way back to a destination: another one than the last time, as long as there is one that
    /// has not failed so already; from one end of the queue and the other in turn.
    pub(super) async fn probe(
        &self,
        destination: Destination,
        sweep: &Sweep,
    ) -> Result<Vec<Candidate>, QueueError> {
        let mut candidates = self.worker.queue.probe_candidates(sweep).await?;
        candidates.retain(|candidate| run::destination(self.origin, candidate.record()) == Some(destination));
        if self.worker.evidence.next_probe_is_oldest(destination) {
            candidates.reverse();
        }
        // A stable sort: those that never failed so stay in front, then the one that did so longest ago.
        candidates.sort_by_key(|candidate| verdict::last_undecided(candidate.record()));
        candidates.truncate(1);
        Ok(candidates)
    }

    /// Ends the verdicts that are open still; what the drain did.
    pub(super) async fn finish(mut self) -> DrainReport {
        self.decide().await;
        for open in std::mem::take(&mut self.open) {
            let (doc_id, end) = self.settle(open, ClaimOutcome::Undecided).await;
            self.report(doc_id, end);
        }
        self.report.stopped = self.stops.first();
        if let Some(stopped) = &self.report.stopped {
            self.worker.metrics.drain_stopped(stopped.destination.as_str());
        }
        self.report
    }

    /// Runs records: conflicting ones in their order, others in parallel, and all of them begun in arrival order. How many
    /// of them count: not those that were busy, nor those whose verdict is open.
    pub(super) async fn run_batch(&mut self, candidates: Vec<Candidate>) -> usize {
        let mut left = VecDeque::from(candidates);
        let mut done = 0;
        while !left.is_empty() {
            let batch = Batch::new(&mut left, &self.worker);
            done += self.run_planned(batch).await;
        }
        done
    }

    async fn run_planned(&mut self, mut batch: Batch) -> usize {
        let lane = self.worker.lane(self.origin);
        let (slots, all) = (Arc::clone(&lane.slots), lane.slot_count);
        let mut tasks = JoinSet::new();
        let mut running = HashMap::new();
        loop {
            let wanted = batch.slots_for_next(all);
            tokio::select! {
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    let (task, result) = ended.unwrap_or_else(|panic| {
                        // Where it broke down has been logged; its message may quote a payload.
                        error!("the processing of a record broke down; it is tried again once its lease runs out");
                        (panic.id(), RunResult::broken_down())
                    });
                    if let Some((position, doc_id)) = running.remove(&task) {
                        self.ended(&mut batch, position, doc_id, result).await;
                    }
                }
                // The semaphore is never closed: the worker owns it.
                Ok(slots) = Arc::clone(&slots).acquire_many_owned(wanted.unwrap_or(1)), if wanted.is_some() => {
                    let Some(position) = batch.order.next_ready() else { continue };
                    let Some((candidate, plan)) = batch.waiting[position].take() else { continue };
                    let doc_id = candidate.doc_id().to_owned();
                    if let Some(end) = self.not_now(candidate.record().status, &plan) {
                        let writes = batch.finished(position);
                        self.unwritten.extend(writes);
                        self.report(doc_id, end);
                        continue;
                    }
                    let task = tasks.spawn(self.run(candidate, plan, slots));
                    running.insert(task.id(), (position, doc_id));
                }
                else => break,
            }
        }
        self.look(|_| true).await;
        batch.done
    }

    /// Why a record is not begun in this drain, if so.
    fn not_now(&self, status: Status, plan: &Planned) -> Option<RunEnd> {
        if self.worker.shutdown.is_stopping() || Instant::now() >= self.deadline {
            return Some(RunEnd::NotStarted(super::OVER.to_owned()));
        }
        let (destination, plan) = plan.as_ref().ok()?;
        if let Some(stopped) = self.stops.of(*destination).filter(|_| plan.note.is_none()) {
            return Some(RunEnd::NotStarted(stopped.reason));
        }
        // The main destination's admission was asked for before the batch was read.
        if *destination != super::destination_of(self.origin)
            && let Admission::Paused { reason } = self.worker.destinations.known_admission(*destination)
            && plan.note.is_none()
        {
            return Some(RunEnd::NotStarted(reason));
        }
        let reason = "a form before it that writes the same record has not been written";
        order::touches(plan, &self.unwritten).then(|| RunEnd::PutBack(status, reason.to_owned()))
    }

    fn run(
        &self,
        candidate: Candidate,
        plan: Planned,
        slots: OwnedSemaphorePermit,
    ) -> impl Future<Output = RunResult> + Send + 'static {
        let run = Run {
            worker: self.worker.clone(),
            order: self.order.clone(),
            deadline: self.deadline,
            renewal: Arc::clone(&self.renewal),
            stops: self.stops.clone(),
        };
        let span = run::record_span(&candidate);
        run.perform(candidate, plan, slots).instrument(span)
    }

    /// A record's run has ended, or its verdict is open.
    async fn ended(&mut self, batch: &mut Batch, position: usize, doc_id: String, result: RunResult) {
        let writes = batch.finished(position);
        let is_written = matches!(result.end, Ok(RunEnd::Completed | RunEnd::PutBack(..)));
        if !is_written {
            self.unwritten.extend(writes);
        }
        self.looks.extend(result.overlap);
        self.look(|look| batch.is_past(look.writes())).await;
        self.wake(&result.provided).await;
        match result.end {
            Ok(end) => {
                batch.done += usize::from(end != RunEnd::Processing);
                self.report(doc_id, end);
            }
            Err(open) => self.open.push(*open),
        }
        self.decide().await;
    }

    /// Looks for forms that overlapped these runs: once no other form of the batch writes the same records, so that a
    /// chain of forms is looked at once.
    async fn look(&mut self, is_ready: impl Fn(&Overlap) -> bool) {
        let ready: Vec<Overlap> = self.looks.extract_if(.., |look| is_ready(look)).collect();
        overlap::mend(&self.worker, self.origin, &ready).await;
    }

    /// Finds the records that waited for what has been written.
    async fn wake(&mut self, provided: &[String]) {
        match self.worker.queue.wake(self.origin, provided).await {
            Ok(woken) => self.woken.extend(woken),
            // They look by themselves, later.
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "waiting records could not be looked up");
            }
        }
    }

    /// Counts open failures against their records where the destination has taken another record since.
    async fn decide(&mut self) {
        let evidence = self.worker.evidence.clone();
        let decided = |open: &mut OpenVerdict| evidence.since(open.destination, open.failed);
        let decided: Vec<OpenVerdict> = self.open.extract_if(.., decided).collect();
        for open in decided {
            let (doc_id, end) = self.settle(open, ClaimOutcome::Failed).await;
            self.report(doc_id, end);
        }
    }

    async fn settle(
        &self,
        open: OpenVerdict,
        outcome: impl FnOnce(RecordFailure) -> ClaimOutcome,
    ) -> (String, RunEnd) {
        let doc_id = open.claim.doc_id().to_owned();
        self.renewal.forget(&doc_id);
        (doc_id, run::settle(&self.worker, open.claim, outcome(open.failure), Instant::now()).await)
    }

    fn report(&mut self, doc_id: String, end: RunEnd) {
        match end {
            RunEnd::Completed => self.report.completed.push(doc_id),
            RunEnd::Failed(error) => self.report.failed.push((doc_id, error)),
            RunEnd::PutBack(status, reason) => self.report.released.push((doc_id, status, reason)),
            RunEnd::NotStarted(_) | RunEnd::Processing => {}
        }
    }
}

fn plan_of(planned: &Planned) -> Option<&Plan> {
    planned.as_ref().ok().map(|(_, plan)| plan)
}
