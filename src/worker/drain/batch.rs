//! The records that are read together, until the run of each begins.

use std::collections::{HashMap, VecDeque};

use super::super::{Planned, Worker, order};
use super::run;
use crate::plan::Plan;
use crate::queue::Candidate;
use crate::submission::Status;

/// Memory of plans from which on no further record is planned until these are done. A form of 26,000 attendances has a
/// plan of 25 MiB.
const PLANS: usize = 32 * 1024 * 1024;

/// A record of a batch, until its run begins.
type Waiting = Option<(Candidate, Planned)>;

/// A batch under way.
pub(super) struct Batch {
    pub(super) waiting: Vec<Waiting>,
    pub(super) order: order::Waiting,
    /// Records that each unfinished one writes, by external id.
    unfinished: HashMap<usize, Vec<String>>,
    /// Those that ran to an end of their own.
    pub(super) done: usize,
}

impl Batch {
    /// The first records, as many as their plans leave room for; the rest stay in `candidates`.
    pub(super) fn new(candidates: &mut VecDeque<Candidate>, worker: &Worker) -> Self {
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
    pub(super) fn slots_for_next(&self, all: usize) -> Option<u32> {
        let next = self.order.peek_ready()?;
        let (candidate, _) = self.waiting[next].as_ref()?;
        let record = candidate.record();
        // A lease that has run out is a death that its history does not tell yet.
        let alone = record.status == Status::Processing || record.deaths() > 0;
        Some(if alone { u32::try_from(all).unwrap_or(u32::MAX) } else { 1 })
    }

    /// A record has run, or will not: what it writes.
    pub(super) fn finished(&mut self, position: usize) -> Vec<String> {
        self.order.finished(position);
        self.unfinished.remove(&position).unwrap_or_default()
    }

    /// Whether no unfinished record writes any of these.
    pub(super) fn is_past(&self, written: &[String]) -> bool {
        !self.unfinished.values().flatten().any(|id| written.contains(id))
    }
}

fn plan_of(planned: &Planned) -> Option<&Plan> {
    planned.as_ref().ok().map(|(_, plan)| plan)
}
