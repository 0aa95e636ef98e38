//! Records that got no usable answer before (`docs/service.md`, guarantee 7): few of them are begun at a time, until one
//! has gone through. So a dozen that a destination chokes on neither make it look like one that is away, nor cost more
//! than a few calls a drain.

use std::collections::{HashMap, HashSet};

use super::super::{Planned, order, verdict};
use crate::destinations::Suspicion;
use crate::plan::Plan;
use crate::queue::Candidate;
use crate::submission::Destination;

/// Verdicts of one destination that may be open, or become so, when a suspect begins.
pub(super) const AT_A_TIME: usize = 2;

/// The suspects of one drain.
#[derive(Default)]
pub(super) struct Suspects {
    under_way: HashMap<Destination, usize>,
    /// Destinations that have taken a suspect: then the others are likely to be as innocent.
    cleared: HashSet<Destination>,
    /// Those that wait until a verdict is closed.
    held: Vec<(Destination, Candidate)>,
    /// What those write, by external id.
    writes: HashSet<String>,
}

impl Suspects {
    /// Whether another one may begin where so many verdicts are open.
    pub(super) fn may_begin(&self, destination: Destination, open: usize) -> bool {
        let under_way = self.under_way.get(&destination).copied().unwrap_or_default();
        self.cleared.contains(&destination) || under_way + open < AT_A_TIME
    }

    pub(super) fn begun(&mut self, destination: Destination) {
        *self.under_way.entry(destination).or_default() += 1;
    }

    pub(super) fn ended(&mut self, destination: Destination, was_taken: bool) {
        if let Some(under_way) = self.under_way.get_mut(&destination) {
            *under_way = under_way.saturating_sub(1);
        }
        if was_taken {
            self.cleared.insert(destination);
        }
    }

    /// Keeps one, and what it writes from being written by a form after it.
    pub(super) fn hold(&mut self, destination: Destination, candidate: Candidate, plan: &Plan) {
        self.writes.extend(order::writes(plan));
        self.held.push((destination, candidate));
    }

    /// Whether a plan touches what one that is held writes.
    pub(super) fn hold_up(&self, plan: &Plan) -> bool {
        order::touches(plan, &self.writes)
    }

    /// All that were held, where another one may begin. `open` counts the open verdicts of a destination.
    pub(super) fn release(&mut self, open: impl Fn(Destination) -> usize) -> Vec<Candidate> {
        if !self.held.iter().any(|(destination, _)| self.may_begin(*destination, open(*destination))) {
            return Vec::new();
        }
        self.writes.clear();
        std::mem::take(&mut self.held).into_iter().map(|(_, candidate)| candidate).collect()
    }
}

/// Where a record goes that got no usable answer the last time, and what it writes there.
pub(super) fn suspect<'p>(candidate: &Candidate, planned: &'p Planned) -> Option<(Destination, &'p Plan)> {
    let (destination, plan) = planned.as_ref().ok()?;
    let is_suspect = plan.note.is_none() && verdict::suspicion(candidate.record()) == Suspicion::Suspected;
    is_suspect.then_some((*destination, plan))
}
