//! One call's work: batches of records, run in order or side by side, and one report.

mod batch;
pub(super) mod run;
mod suspects;
mod way_back;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, error, warn};

use super::asked::{Order, Stops};
use super::lease::Renewal;
use super::overlap::{self, Overlap};
use super::verdict::OpenVerdict;
use super::{DrainReport, Planned, RunEnd, Worker, order};
use crate::destinations::{Admission, Suspicion};
use crate::queue::{Candidate, ClaimOutcome, QueueError, RecordFailure, Woken};
use crate::submission::{Destination, Origin, Status};
use batch::Batch;
use run::{Run, RunResult};
use suspects::{Suspects, suspect};

/// Records that waited and that run together: as many as are read at once.
const NEXT_AT_A_TIME: usize = 16;

/// A record that is to run next.
struct Upcoming {
    of: Woken,
    /// Itself, where it has been read: it waited for its destination. One that waited for another record is read when its
    /// turn comes, since there may be thousands.
    candidate: Option<Candidate>,
}

impl From<Candidate> for Upcoming {
    fn from(candidate: Candidate) -> Self {
        let of = Woken { arrived: candidate.record().created_at, doc_id: candidate.doc_id().to_owned() };
        Self { of, candidate: Some(candidate) }
    }
}

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
    /// Records that are to run next.
    next: Vec<Upcoming>,
    suspects: Suspects,
    /// Whether what runs tests the way back.
    is_probing: bool,
    /// Records that were not begun since their destination is in trouble.
    set_aside: HashMap<Destination, Vec<Candidate>>,
    /// Destinations that did not take a probe of this drain.
    away: HashSet<Destination>,
    report: DrainReport,
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
            next: Vec::new(),
            suspects: Suspects::default(),
            is_probing: false,
            set_aside: HashMap::new(),
            away: HashSet::new(),
            report: DrainReport::default(),
        }
    }

    /// Whether nothing more is to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.stops.of(super::destination_of(self.origin)).is_some() || self.is_out_of_time()
    }

    /// Whether nothing more is to be begun, whatever the destination.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.worker.shutdown.is_stopping() || Instant::now() >= self.deadline
    }

    /// Whether it has tried a record, or put it back.
    pub(super) fn has_had(&self, doc_id: &str) -> bool {
        let report = &self.report;
        report.completed.iter().any(|known| known == doc_id)
            || report.failed.iter().any(|(known, _)| known == doc_id)
            || report.released.iter().any(|(known, ..)| known == doc_id)
            || self.open.iter().any(|open| open.claim.doc_id() == doc_id)
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

    /// The first of the records that waited for what this drain has written, or for their destination; oldest first.
    pub(super) async fn take_next(&mut self, limit: usize) -> Result<Vec<Candidate>, QueueError> {
        let mut next = Vec::new();
        self.next.sort_by(|a, b| a.of.cmp(&b.of));
        self.next.dedup_by(|a, b| a.of == b.of);
        while next.is_empty() && !self.next.is_empty() {
            let later = self.next.split_off(limit.clamp(1, NEXT_AT_A_TIME).min(self.next.len()));
            let mut unread = Vec::new();
            for upcoming in std::mem::replace(&mut self.next, later) {
                match upcoming.candidate {
                    Some(candidate) => next.push(candidate),
                    None => unread.push(upcoming.of.doc_id),
                }
            }
            if !unread.is_empty() {
                next.extend(self.worker.queue.due_candidates(self.origin, &unread).await?);
            }
        }
        next.sort_by(|a, b| (a.record().created_at, a.doc_id()).cmp(&(b.record().created_at, b.doc_id())));
        Ok(next)
    }

    /// Leaves to another worker what a record writes that it has in work: forms of the same records keep their order.
    pub(super) fn leave_to_others(&mut self, in_work: &Candidate) {
        if let Ok((_, plan)) = run::plan(&self.worker, in_work) {
            self.unwritten.extend(order::writes(&plan));
        }
    }

    /// Ends the verdicts that are open still; what the drain did.
    pub(super) async fn finish(mut self) -> DrainReport {
        self.decide().await;
        let open = std::mem::take(&mut self.open);
        // A record that fails for the first time speaks for the destination's trouble.
        let in_doubt: HashSet<Destination> = open
            .iter()
            .filter(|open| open.suspicion == Suspicion::None)
            .map(|open| open.destination)
            .collect();
        for open in open {
            let OpenVerdict { destination, failed, failed_before, .. } = open;
            let evidence = self.worker.evidence.clone();
            let convicts =
                |before| !in_doubt.contains(&destination) && evidence.convicts(destination, before);
            let (doc_id, end) = if failed_before.is_some_and(convicts) {
                self.settle(open, ClaimOutcome::Failed).await
            } else {
                evidence.unanswered(destination, open.claim.doc_id(), failed);
                self.settle(open, ClaimOutcome::Undecided).await
            };
            self.report(doc_id, end);
        }
        for (destination, candidates) in std::mem::take(&mut self.set_aside) {
            let reason = self.why_paused(destination);
            for candidate in candidates {
                self.report(candidate.doc_id().to_owned(), RunEnd::NotStarted(reason.clone()));
            }
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
            done += Box::pin(self.run_planned(batch)).await;
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
                    if let Some((position, doc_id, suspect)) = running.remove(&task) {
                        if let Some(destination) = suspect {
                            self.suspects.ended(destination, matches!(result.end, Ok(RunEnd::Completed)));
                        }
                        self.ended(&mut batch, position, doc_id, result).await;
                    }
                }
                // The semaphore is never closed: the worker owns it.
                Ok(slots) = Arc::clone(&slots).acquire_many_owned(wanted.unwrap_or(1)), if wanted.is_some() => {
                    let Some(position) = batch.order.next_ready() else { continue };
                    let Some((candidate, plan)) = batch.waiting[position].take() else { continue };
                    let doc_id = candidate.doc_id().to_owned();
                    if let Some(destination) = self.pauses(&plan) {
                        batch.finished(position);
                        if !self.away.contains(&destination) {
                            self.set_aside.entry(destination).or_default().push(candidate);
                        }
                        continue;
                    }
                    if let Some(end) = self.not_now(candidate.record().status, &plan) {
                        let writes = batch.finished(position);
                        self.unwritten.extend(writes);
                        self.report(doc_id, end);
                        continue;
                    }
                    let suspect = suspect(&candidate, &plan);
                    if let Some((destination, plan)) = suspect
                        && !self.may_begin(destination)
                    {
                        batch.finished(position);
                        self.suspects.hold(destination, candidate, plan);
                        continue;
                    }
                    let suspect = suspect.map(|(destination, _)| destination);
                    if let Some(destination) = suspect {
                        self.suspects.begun(destination);
                    }
                    let task = tasks.spawn(Box::pin(self.run(candidate, plan, slots)));
                    running.insert(task.id(), (position, doc_id, suspect));
                }
                else => break,
            }
        }
        let left = self.ready_looks(|_| true);
        overlap::mend(&self.worker, self.origin, &left).await;
        batch.done
    }

    /// The destination of a plan, where it takes nothing now. The main one's trouble stops the drain.
    fn pauses(&self, plan: &Planned) -> Option<Destination> {
        let (destination, plan) = plan.as_ref().ok()?;
        // A plan without effect needs no destination.
        if plan.note.is_some() {
            return None;
        }
        if let Admission::Paused { reason } = self.worker.destinations.known_admission(*destination) {
            if *destination == super::destination_of(self.origin) {
                self.stops.add(*destination, reason);
            }
            return Some(*destination);
        }
        self.stops.of(*destination).is_some().then_some(*destination)
    }

    /// Why a destination took no more.
    fn why_paused(&self, destination: Destination) -> String {
        match self.worker.destinations.known_admission(destination) {
            Admission::Paused { reason } => reason,
            Admission::Available | Admission::Probing => {
                let stopped = self.stops.of(destination).map(|stopped| stopped.reason);
                stopped.unwrap_or_else(|| super::OVER.to_owned())
            }
        }
    }

    /// Why a record is not begun in this drain, if so.
    fn not_now(&self, status: Status, plan: &Planned) -> Option<RunEnd> {
        if self.is_out_of_time() {
            return Some(RunEnd::NotStarted(super::OVER.to_owned()));
        }
        let (_, plan) = plan.as_ref().ok()?;
        let reason = "a form before it that writes the same record has not been written";
        self.is_held_up(plan).then(|| RunEnd::PutBack(status, reason.to_owned()))
    }

    fn run(
        &self,
        candidate: Candidate,
        plan: Planned,
        slots: OwnedSemaphorePermit,
    ) -> impl Future<Output = RunResult> + Send + 'static {
        let destination = plan.as_ref().ok().map(|(destination, _)| *destination);
        let run = Run {
            worker: self.worker.clone(),
            order: self.order.clone(),
            deadline: self.deadline,
            renewal: Arc::clone(&self.renewal),
            stops: self.stops.clone(),
            in_doubt: self.open.iter().any(|open| Some(open.destination) == destination),
        };
        let span = run::record_span(&candidate);
        run.perform(candidate, plan, slots).instrument(span)
    }

    /// A record's run has ended, or its verdict is open.
    async fn ended(&mut self, batch: &mut Batch, position: usize, doc_id: String, result: RunResult) {
        let writes = batch.finished(position);
        // A record that is put back holds up no form after it: a newer edition or a later record takes its place, or
        // its destination takes none of them anyway.
        let lets_later_forms_run = matches!(result.end, Ok(RunEnd::Completed | RunEnd::PutBack(..)));
        if !lets_later_forms_run {
            self.unwritten.extend(writes);
        }
        self.looks.extend(result.overlap);
        let ready = self.ready_looks(|look| batch.is_past(look.writes()));
        // Both ask the queue, and no other record is begun before they are answered.
        let ((), woken) =
            tokio::join!(overlap::mend(&self.worker, self.origin, &ready), self.wake(&result.provided));
        self.next.extend(woken);
        match result.end {
            Ok(end) => {
                batch.done += usize::from(end != RunEnd::Processing);
                self.report(doc_id, end);
            }
            Err(open) => self.open.push(*open),
        }
        self.decide().await;
    }

    /// The runs whose overlaps are to be looked for: no other form of the batch writes the same records any more, so that
    /// a chain of forms is looked at once.
    fn ready_looks(&mut self, is_ready: impl Fn(&Overlap) -> bool) -> Vec<Overlap> {
        self.looks.extract_if(.., |look| is_ready(look)).collect()
    }

    /// Finds the records that waited for what has been written.
    async fn wake(&self, provided: &[String]) -> impl Iterator<Item = Upcoming> + use<> {
        let mut woken = Vec::new();
        // They look by themselves, later.
        if let Err(error) = self.worker.queue.wake(self.origin, provided, &mut woken).await {
            warn!(error = &error as &dyn std::error::Error, "waiting records could not be looked up");
        }
        woken.into_iter().map(|of| Upcoming { of, candidate: None })
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
            end @ (RunEnd::NotStarted(_) | RunEnd::Processing) => self.report.not_run.push((doc_id, end)),
        }
    }
}
