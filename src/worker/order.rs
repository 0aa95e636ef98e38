//! Which records of a batch may run side by side (`docs/service.md`, guarantee 4).
//!
//! Two forms conflict when one writes a record that the other writes or refers to. Records are
//! compared by external id, cases by case id, alone: an id that two objects share makes two forms wait for each other
//! that need not, and never the other way round.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::plan::{Plan, comparable};

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

    /// The same, without taking it.
    pub(super) fn peek_ready(&self) -> Option<usize> {
        self.ready.first().copied()
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
    plan.writes().into_iter().map(|(_, id)| comparable(id)).collect()
}

/// Whether a plan writes or refers to one of these records.
pub(super) fn touches(plan: &Plan, records: &HashSet<String>) -> bool {
    !records.is_empty()
        && (writes(plan).iter().any(|id| records.contains(id))
            || plan.references().into_iter().any(|id| records.contains(&comparable(id))))
}

/// Pairs of (later, earlier) records of which the later must wait, enough of them to keep every
/// conflicting pair in order: a chain needs only its neighbours.
fn conflicts(plans: &[Option<&Plan>]) -> Vec<(usize, usize)> {
    #[derive(Default)]
    struct Touched {
        writer: Option<usize>,
        readers: Vec<usize>,
    }
    let mut touched: HashMap<String, Touched> = HashMap::new();
    let mut pairs = Vec::new();
    for (position, plan) in plans.iter().enumerate() {
        for id in plan.map(Plan::references).unwrap_or_default() {
            let touched = touched.entry(comparable(id)).or_default();
            pairs.extend(touched.writer.map(|writer| (position, writer)));
            touched.readers.push(position);
        }
        for (_, id) in plan.map(Plan::writes).unwrap_or_default() {
            let touched = touched.entry(comparable(id)).or_default();
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
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::jobs::{self, Facts};
    use crate::plan::Upsert;
    use crate::submission::Origin;

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

    #[test]
    fn a_visit_waits_for_the_registration_of_its_mill() {
        let rows = |name: &str, details: Value| {
            let mut payload = json!({ "id": "id", "form": { "@name": name } });
            payload["form"].as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
            let job = jobs::find(Origin::CommCare, name).unwrap();
            (job.mapping)(&payload, &Facts::new(true)).unwrap()
        };
        let mill = json!({ "wetmill_tns_id": "tns", "subcase_0": { "case": { "@case_id": "mill" } } });
        let visit = json!({ "case": { "@case_id": "mill" }, "date": "2026-03-17", "survey_type": "KE" });
        let plans = [rows("Wet Mill Registration Form", mill), rows("Wet Mill Visit", visit)];
        assert_eq!(rounds(&plans), [[0], [1]]);
    }

    /// A plan that writes and refers to a few of a few records.
    fn any_plan() -> impl Strategy<Value = Plan> {
        let record = || (0..6_u8).prop_map(|id| format!("r{id}"));
        let upsert = (record(), proptest::option::of(record())).prop_map(|(id, refers)| {
            let upsert = Upsert::new("Household__c", "Household_ID__c", id);
            match refers {
                Some(other) => upsert.relate("Household__r", "Household_ID__c", other),
                None => upsert,
            }
        });
        proptest::collection::vec(upsert, 0..4).prop_map(Plan::salesforce)
    }

    /// By the definition: one writes a record that the other writes or refers to.
    fn conflict(one: &Plan, other: &Plan) -> bool {
        let written = |plan: &Plan| super::writes(plan).into_iter().collect::<HashSet<String>>();
        touches(one, &written(other)) || touches(other, &written(one))
    }

    proptest! {
        #[test]
        fn conflicting_forms_run_in_arrival_order_and_every_form_runs_once(
            plans in proptest::collection::vec(proptest::option::weighted(0.9, any_plan()), 0..24),
            picks in proptest::collection::vec(any::<proptest::sample::Index>(), 64),
        ) {
            let given: Vec<Option<&Plan>> = plans.iter().map(Option::as_ref).collect();
            let mut waiting = Waiting::new(&given);
            let mut picks = picks.iter().cycle();
            let (mut running, mut finished) = (Vec::<usize>::new(), Vec::<usize>::new());
            loop {
                while let Some(next) = waiting.next_ready() {
                    // Whatever conflicts with it and came before has ended.
                    for earlier in 0..next {
                        if let (Some(one), Some(other)) = (given[earlier], given[next]) {
                            prop_assert!(!conflict(one, other) || finished.contains(&earlier));
                        }
                    }
                    running.push(next);
                }
                if running.is_empty() {
                    break;
                }
                // They end in any order.
                let ended = running.swap_remove(picks.next().map_or(0, |pick| pick.index(running.len())));
                finished.push(ended);
                waiting.finished(ended);
            }
            finished.sort_unstable();
            prop_assert_eq!(finished, (0..plans.len()).collect::<Vec<_>>());
        }
    }
}
