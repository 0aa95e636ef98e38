//! Which records of a batch may run side by side (`service.md`, guarantee 4).
//!
//! Two forms conflict when one writes a record that the other writes or refers to. Records are
//! compared by external id, cases by case id, alone: an id that two objects share makes two forms wait for each other
//! that need not, and never the other way round.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::plan::{Plan, Upsert};

/// The records of a batch that still have to run, and what each waits for.
pub(super) struct Waiting {
    /// Earlier records that each waits for.
    blockers: Vec<usize>,
    /// Later records that wait for each.
    dependents: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
}

impl Waiting {
    /// `plans` in arrival order; a record without one conflicts with nothing.
    pub(super) fn new(plans: &[Option<&Plan>]) -> Self {
        let mut blockers = vec![0; plans.len()];
        let mut dependents = vec![Vec::new(); plans.len()];
        for (later, earlier) in conflicts(plans) {
            blockers[later] += 1;
            dependents[earlier].push(later);
        }
        let ready = (0..plans.len()).filter(|position| blockers[*position] == 0).collect();
        Self { blockers, dependents, ready }
    }

    /// The oldest record that waits for nothing; each is given once.
    pub(super) fn next_ready(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    /// Whether there is such a record.
    pub(super) fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Says that a record has run.
    pub(super) fn finished(&mut self, position: usize) {
        for dependent in std::mem::take(&mut self.dependents[position]) {
            self.blockers[dependent] -= 1;
            if self.blockers[dependent] == 0 {
                self.ready.insert(dependent);
            }
        }
    }
}

/// The records that a plan writes, by external id.
pub(super) fn writes(plan: &Plan) -> Vec<String> {
    written(plan).map(str::to_owned).collect()
}

fn written(plan: &Plan) -> impl Iterator<Item = &str> {
    let upserts = plan.upserts().iter().map(|upsert| upsert.external_id.as_str());
    upserts.chain(plan.documents().iter().map(|document| document.case_id.as_str()))
}

fn referred(plan: &Plan) -> impl Iterator<Item = &str> {
    let parents = plan.documents().iter().filter_map(|document| document.parent_id.as_deref());
    plan.upserts().iter().flat_map(references).chain(parents.filter(|id| !id.is_empty()))
}

/// Whether a plan writes or refers to one of these records.
pub(super) fn touches(plan: &Plan, records: &HashSet<String>) -> bool {
    !records.is_empty() && written(plan).chain(referred(plan)).any(|id| records.contains(id))
}

/// The external ids that an upsert's relationships name.
fn references(upsert: &Upsert) -> impl Iterator<Item = &str> {
    let targets = upsert.fields.values().filter_map(Value::as_object).flat_map(|target| target.values());
    targets.filter_map(Value::as_str).filter(|id| !id.is_empty())
}

/// Pairs of (later, earlier) records of which the later must wait, enough of them to keep every
/// conflicting pair in order: a chain needs only its neighbours.
fn conflicts(plans: &[Option<&Plan>]) -> Vec<(usize, usize)> {
    #[derive(Default)]
    struct Touched {
        writer: Option<usize>,
        readers: Vec<usize>,
    }
    let mut touched: HashMap<&str, Touched> = HashMap::new();
    let mut pairs = Vec::new();
    for (position, plan) in plans.iter().enumerate() {
        for id in plan.iter().flat_map(|plan| referred(plan)) {
            let touched = touched.entry(id).or_default();
            pairs.extend(touched.writer.map(|writer| (position, writer)));
            touched.readers.push(position);
        }
        for id in plan.iter().flat_map(|plan| written(plan)) {
            let touched = touched.entry(id).or_default();
            pairs.extend(touched.writer.replace(position).map(|writer| (position, writer)));
            pairs.extend(touched.readers.drain(..).map(|reader| (position, reader)));
        }
    }
    pairs.retain(|(later, earlier)| later != earlier);
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(id: &str) -> Plan {
        Plan::salesforce(vec![Upsert::new("Household__c", "Household_ID__c", id)])
    }

    fn refers(id: &str, to: &str) -> Plan {
        let upsert = Upsert::new("Attendance__c", "Submission_ID__c", id);
        Plan::salesforce(vec![upsert.relate("Household__r", "Household_ID__c", to)])
    }

    fn rounds(plans: &[Plan]) -> Vec<Vec<usize>> {
        let plans: Vec<_> = plans.iter().map(Some).collect();
        let mut waiting = Waiting::new(&plans);
        let mut rounds = Vec::new();
        loop {
            let round: Vec<usize> = std::iter::from_fn(|| waiting.next_ready()).collect();
            if round.is_empty() {
                return rounds;
            }
            for position in &round {
                waiting.finished(*position);
            }
            rounds.push(round);
        }
    }

    #[test]
    fn independent_forms_run_together() {
        assert_eq!(rounds(&[writes("a"), writes("b"), refers("c", "d")]), [[0, 1, 2]]);
    }

    #[test]
    fn writers_of_one_record_run_in_arrival_order() {
        assert_eq!(rounds(&[writes("a"), writes("a"), writes("a")]), [[0], [1], [2]]);
    }

    #[test]
    fn readers_of_a_record_run_together_between_its_writers() {
        let plans = [writes("a"), refers("x", "a"), refers("y", "a"), writes("a")];
        assert_eq!(rounds(&plans), [vec![0], vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_form_that_touches_its_own_record_twice_does_not_wait_for_itself() {
        let upserts = [writes("a"), refers("x", "a"), writes("a")].map(|plan| plan.upserts().to_vec());
        assert_eq!(rounds(&[Plan::salesforce(upserts.concat())]), [[0]]);
    }
}
