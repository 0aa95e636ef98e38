//! Whose trouble a failed run is, the record's or its destination's (`docs/service.md`, guarantee 7): one rule for all
//! three destinations.
//!
//! A failure that may be the destination's counts against the record only once the destination has taken another record
//! whose run began after it. Until then its verdict is open.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::destinations::Suspicion;
use crate::queue::{Claim, RecordFailure};
use crate::submission::{AttemptOutcome, Destination, Record};

/// A moment in the life of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

/// When a run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) tick: Tick,
    pub(super) time: DateTime<Utc>,
}

/// What the destinations have taken in this process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ticks: AtomicU64,
    /// The latest begin of a run whose record was taken, by destination.
    taken: Mutex<[Option<Begun>; 3]>,
    /// Probes so far, by destination.
    probes: [AtomicU64; 3],
}

impl Evidence {
    /// A moment after all before.
    pub(super) fn tick(&self) -> Tick {
        Tick(self.0.ticks.fetch_add(1, Ordering::Relaxed))
    }

    /// A destination took a record whose run began then.
    pub(super) fn taken(&self, destination: Destination, begun: Begun) {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut taken[index(destination)];
        if last.is_none_or(|last| last.tick < begun.tick) {
            *last = Some(begun);
        }
    }

    /// Whether a destination has taken a record whose run began after `failed`.
    pub(super) fn since(&self, destination: Destination, failed: Tick) -> bool {
        self.last(destination).is_some_and(|begun| begun.tick > failed)
    }

    /// Whether a record is to blame for its last failure: its last run ended undecided, and its destination has taken
    /// another record since.
    pub(super) fn suspicion(&self, destination: Destination, record: &Record) -> Suspicion {
        match (last_undecided(record), self.last(destination)) {
            (Some(undecided), Some(begun)) if begun.time > undecided => Suspicion::Convicted,
            _ => Suspicion::None,
        }
    }

    /// Whether the next probe comes from the head of the queue: every other one does, the first from its end.
    pub(super) fn next_probe_is_oldest(&self, destination: Destination) -> bool {
        self.0.probes[index(destination)].fetch_add(1, Ordering::Relaxed) % 2 == 1
    }

    fn last(&self, destination: Destination) -> Option<Begun> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)[index(destination)]
    }
}

fn index(destination: Destination) -> usize {
    match destination {
        Destination::Salesforce => 0,
        Destination::CommCare => 1,
        Destination::Postgis => 2,
    }
}

/// When the last run of a record ended, if it ended undecided.
pub(super) fn last_undecided(record: &Record) -> Option<DateTime<Utc>> {
    let ended = record.attempts.iter().rev().filter(|attempt| attempt.outcome.is_some());
    let mut told = ended.filter(|attempt| attempt.outcome != Some(AttemptOutcome::Released));
    let last = told.next().filter(|attempt| attempt.outcome == Some(AttemptOutcome::Undecided))?;
    last.finished
}

/// A run that failed, and nobody can say yet whose trouble that is. Its record stays claimed.
pub(super) struct OpenVerdict {
    pub(super) claim: Claim,
    pub(super) failure: RecordFailure,
    pub(super) destination: Destination,
    /// When it failed.
    pub(super) failed: Tick,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    fn begun(evidence: &Evidence, seconds: i64) -> Begun {
        Begun { tick: evidence.tick(), time: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds) }
    }

    #[test]
    fn only_a_record_that_began_after_the_failure_is_evidence() {
        let evidence = Evidence::default();
        let under_way = begun(&evidence, 1);
        let failed = evidence.tick();
        evidence.taken(Destination::Salesforce, under_way);
        assert!(!evidence.since(Destination::Salesforce, failed), "it was under way before");
        let later = begun(&evidence, 2);
        evidence.taken(Destination::CommCare, later);
        assert!(!evidence.since(Destination::Salesforce, failed), "another destination's");
        evidence.taken(Destination::Salesforce, later);
        assert!(evidence.since(Destination::Salesforce, failed));
        evidence.taken(Destination::Salesforce, under_way);
        assert!(evidence.since(Destination::Salesforce, failed), "what is known stays known");
    }

    #[test]
    fn a_record_is_convicted_by_what_came_after_its_last_undecided_run() {
        let record = |outcomes: &[&str]| {
            let attempt = |outcome: &&str| {
                json!({ "started": "1970-01-01T00:00:05Z", "finished": "1970-01-01T00:00:10Z", "worker": "w",
                    "trigger": "batch", "outcome": outcome })
            };
            let attempts: Vec<_> = outcomes.iter().map(attempt).collect();
            serde_json::from_value::<Record>(json!({ "status": "new", "attempts": attempts })).unwrap()
        };
        let evidence = Evidence::default();
        let undecided = record(&["undecided"]);
        assert_eq!(
            evidence.suspicion(Destination::Salesforce, &undecided),
            Suspicion::None,
            "nothing was taken"
        );
        evidence.taken(Destination::Salesforce, begun(&evidence, 10));
        assert_eq!(evidence.suspicion(Destination::Salesforce, &undecided), Suspicion::None, "not after it");
        evidence.taken(Destination::Salesforce, begun(&evidence, 11));
        assert_eq!(evidence.suspicion(Destination::Salesforce, &undecided), Suspicion::Convicted);
        assert_eq!(
            evidence.suspicion(Destination::Salesforce, &record(&["undecided", "released"])),
            Suspicion::Convicted
        );
        assert_eq!(
            evidence.suspicion(Destination::Salesforce, &record(&["undecided", "failed"])),
            Suspicion::None
        );
        assert_eq!(evidence.suspicion(Destination::Postgis, &undecided), Suspicion::None);
    }
}
