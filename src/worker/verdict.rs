//! Whose trouble a failed run is, the record's or its destination's (`docs/service.md`, guarantee 7): one rule for all
//! three destinations.
//!
//! A failure that may be the destination's counts against the record only once the destination has taken another record
//! whose run began after it. Until then its verdict is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::destinations::Suspicion;
use crate::queue::{Claim, RecordFailure};
use crate::submission::{Attempt, AttemptOutcome, Cause, Destination, Record};

/// Failures of a destination that are remembered, at most.
const UNANSWERED_KEPT: usize = 10_000;

/// A moment in the life of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

/// When a run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) tick: Tick,
    pub(super) time: DateTime<Utc>,
}

/// What the destinations have taken in this process, and what not; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    ticks: u64,
    /// By destination.
    of: [OfDestination; 3],
}

#[derive(Debug, Default)]
struct OfDestination {
    /// The latest begin of a run whose record was taken.
    taken: Option<Tick>,
    /// The same, until it has convicted a record.
    witness: Option<Tick>,
    /// When records got no usable answer, and were put back uncounted: by document.
    unanswered: HashMap<String, Tick>,
    /// Probes since a record was taken.
    probes: u32,
}

impl Evidence {
    /// A moment after all before.
    pub(super) fn tick(&self) -> Tick {
        let mut inner = self.inner();
        inner.ticks += 1;
        Tick(inner.ticks)
    }

    /// A destination took a record whose run began then.
    pub(super) fn taken(&self, destination: Destination, begun: Begun) {
        let mut inner = self.inner();
        let of = inner.of(destination);
        of.taken = of.taken.max(Some(begun.tick));
        of.witness = of.witness.max(Some(begun.tick));
        of.probes = 0;
    }

    /// Whether a destination has taken a record whose run began after `failed`.
    pub(super) fn since(&self, destination: Destination, failed: Tick) -> bool {
        self.inner().of(destination).taken.is_some_and(|taken| taken > failed)
    }

    /// Remembers a failure that was put back uncounted.
    pub(super) fn unanswered(&self, destination: Destination, doc_id: &str, failed: Tick) {
        let mut inner = self.inner();
        let unanswered = &mut inner.of(destination).unanswered;
        // Most are asked about at the next run. Those that another process runs pile up; all forgotten cost a round.
        if unanswered.len() >= UNANSWERED_KEPT {
            unanswered.clear();
        }
        unanswered.insert(doc_id.to_owned(), failed);
    }

    /// Forgets that failure, since the record runs again. When it was.
    pub(super) fn forget(&self, destination: Destination, doc_id: &str) -> Option<Tick> {
        self.inner().of(destination).unanswered.remove(doc_id)
    }

    /// Whether the destination has taken another record since a failure that was put back, so that the failure counts when
    /// the record fails again. Each record that was taken convicts one: of a destination that comes and goes, the others
    /// may be as innocent.
    pub(super) fn convicts(&self, destination: Destination, failed: Tick) -> bool {
        let mut inner = self.inner();
        let of = inner.of(destination);
        of.witness.take_if(|witness| *witness > failed).is_some()
    }

    /// Whether a record that was taken may convict one still.
    pub(super) fn has_witness(&self, destination: Destination) -> bool {
        self.inner().of(destination).witness.is_some()
    }

    /// The records whose failures are remembered, the oldest failure first: `most` at most.
    pub(super) fn remembered(&self, destination: Destination, most: usize) -> Vec<String> {
        let mut inner = self.inner();
        let mut all: Vec<(Tick, &String)> =
            inner.of(destination).unanswered.iter().map(|(doc_id, failed)| (*failed, doc_id)).collect();
        all.sort_unstable();
        all.into_iter().take(most).map(|(_, doc_id)| doc_id.clone()).collect()
    }

    /// Whether the next probe comes from the head of the queue: after one from its end that was not taken, and the other
    /// way round.
    pub(super) fn next_probe_is_oldest(&self, destination: Destination) -> bool {
        let mut inner = self.inner();
        let of = inner.of(destination);
        of.probes += 1;
        of.probes.is_multiple_of(2)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn of(&mut self, destination: Destination) -> &mut OfDestination {
        let [salesforce, commcare, postgis] = &mut self.of;
        match destination {
            Destination::Salesforce => salesforce,
            Destination::CommCare => commcare,
            Destination::Postgis => postgis,
        }
    }
}

/// What is known of a record before it is sent.
pub(super) fn suspicion(record: &Record) -> Suspicion {
    if suspected_since(record).is_some() { Suspicion::Suspected } else { Suspicion::None }
}

/// When the last run of a record ended, if it ended without a usable answer.
pub(super) fn suspected_since(record: &Record) -> Option<DateTime<Utc>> {
    let told =
        |attempt: &&Attempt| attempt.outcome.is_some_and(|outcome| outcome != AttemptOutcome::Released);
    let last = record.attempts.iter().rfind(told)?;
    let is_suspect = match last.outcome? {
        // The queue's trouble says nothing of the record.
        AttemptOutcome::Undecided => last.step.as_deref() != Some(RecordFailure::LEASE),
        AttemptOutcome::Failed => record.cause == Some(Cause::Unanswered),
        _ => false,
    };
    last.finished.filter(|_| is_suspect)
}

/// A run that failed, and nobody can say yet whose trouble that is. Its record stays claimed.
pub(super) struct OpenVerdict {
    pub(super) claim: Claim,
    pub(super) failure: RecordFailure,
    pub(super) destination: Destination,
    /// When it failed.
    pub(super) failed: Tick,
    /// What was known of the record before.
    pub(super) suspicion: Suspicion,
    /// When its run before failed so, if that was put back uncounted.
    pub(super) failed_before: Option<Tick>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SALESFORCE: Destination = Destination::Salesforce;

    fn begun(evidence: &Evidence) -> Begun {
        Begun { tick: evidence.tick(), time: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn only_a_record_that_began_after_the_failure_is_evidence() {
        let evidence = Evidence::default();
        let under_way = begun(&evidence);
        let failed = evidence.tick();
        evidence.taken(SALESFORCE, under_way);
        assert!(!evidence.since(SALESFORCE, failed), "it was under way before");
        let later = begun(&evidence);
        evidence.taken(Destination::CommCare, later);
        assert!(!evidence.since(SALESFORCE, failed), "another destination's");
        evidence.taken(SALESFORCE, later);
        assert!(evidence.since(SALESFORCE, failed));
        evidence.taken(SALESFORCE, under_way);
        assert!(evidence.since(SALESFORCE, failed), "what is known stays known");
    }

    #[test]
    fn a_failure_that_was_put_back_is_remembered_until_the_record_runs_again() {
        let evidence = Evidence::default();
        for doc_id in ["b", "a", "b"] {
            evidence.unanswered(SALESFORCE, doc_id, evidence.tick());
        }
        assert_eq!(evidence.remembered(SALESFORCE, 10), ["a", "b"]);
        assert_eq!(evidence.remembered(SALESFORCE, 1), ["a"]);
        assert_eq!(evidence.forget(Destination::Postgis, "a"), None, "another destination's");
        assert!(evidence.forget(SALESFORCE, "a").is_some() && evidence.forget(SALESFORCE, "a").is_none());
        assert_eq!(evidence.remembered(SALESFORCE, 10), ["b"]);
    }

    #[test]
    fn a_record_that_was_taken_convicts_one_that_failed_before_it() {
        let evidence = Evidence::default();
        let [before, taken, after] = [evidence.tick(), evidence.tick(), evidence.tick()];
        assert!(!evidence.has_witness(SALESFORCE) && !evidence.convicts(SALESFORCE, before));
        evidence.taken(SALESFORCE, Begun { tick: taken, time: DateTime::UNIX_EPOCH });
        assert!(!evidence.convicts(SALESFORCE, after), "it was taken earlier");
        assert!(!evidence.convicts(Destination::CommCare, before), "by another destination");
        assert!(evidence.has_witness(SALESFORCE) && evidence.convicts(SALESFORCE, before));
        assert!(!evidence.has_witness(SALESFORCE) && !evidence.convicts(SALESFORCE, before), "once");
    }

    #[test]
    fn probes_come_from_the_end_that_went_through_last_or_from_the_other() {
        let evidence = Evidence::default();
        let next = || evidence.next_probe_is_oldest(SALESFORCE);
        assert_eq!([next(), next(), next()], [false, true, false]);
        evidence.taken(SALESFORCE, begun(&evidence));
        assert_eq!([next(), next()], [false, true]);
    }

    #[test]
    fn a_record_is_suspected_by_its_last_run_that_tells_something() {
        let record = |outcomes: &[&str], cause: &str| {
            let attempt = |outcome: &&str| {
                json!({ "started": "1970-01-01T00:00:05Z", "finished": "1970-01-01T00:00:10Z", "worker": "w",
                    "trigger": "batch", "outcome": outcome })
            };
            let attempts: Vec<_> = outcomes.iter().map(attempt).collect();
            let record = json!({ "status": "new", "attempts": attempts, "cause": cause });
            suspicion(&serde_json::from_value::<Record>(record).unwrap())
        };
        for suspected in [&["undecided"][..], &["failed", "undecided"], &["undecided", "released"]] {
            assert_eq!(record(suspected, "lock"), Suspicion::Suspected, "{suspected:?}");
        }
        assert_eq!(record(&["undecided", "failed"], "unanswered"), Suspicion::Suspected);
        for clear in [&[][..], &["released"], &["undecided", "failed"], &["undecided", "abandoned"]] {
            assert_eq!(record(clear, "lock"), Suspicion::None, "{clear:?}");
        }
    }
}
