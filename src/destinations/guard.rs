//! Whether a destination is called at all: a breaker for outages and one for refusals, asked in one
//! place. What was wrong is the destination's to say, and to log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Pauses, Policy, Probe};
use super::{Admission, DeliveryError, Failure};

/// Deliveries in a row that met no answer, each after its own retries: one record that a destination
/// chokes on is no outage. The first probe is soon, since the next drain is to try again.
const OUTAGE: Policy =
    Policy { failures: 3, pauses: Pauses { first: Duration::from_secs(1), longest: Duration::from_mins(1) } };

/// A refused credential, a missing permission or a blocked domain needs a person, and a Salesforce user
/// that is refused ten times an hour may be locked out (Salesforce Help, Password Policies: three to
/// ten invalid attempts).
const REFUSAL: Policy = Policy {
    failures: 1,
    pauses: Pauses { first: Duration::from_secs(30), longest: Duration::from_mins(10) },
};

/// Guards the calls.
pub(super) struct Guard(Mutex<Breakers>);

struct Breakers {
    outage: Breaker,
    refusal: Breaker,
}

/// The right to call the destination; given back when dropped, however the delivery ends.
pub(super) struct Entry<'g> {
    guard: &'g Guard,
    outage: Option<Probe>,
    refusal: Option<Probe>,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Breakers { outage: Breaker::new(OUTAGE), refusal: Breaker::new(REFUSAL) }))
    }

    /// What work would meet now.
    pub(super) fn view(&self, now: Instant) -> Admission {
        self.breakers().view(now)
    }

    /// Ends the pause of an outage; that after a refusal stands.
    pub(super) fn hasten(&self, now: Instant) {
        self.breakers().outage.hasten(now);
    }

    /// Lets one delivery through, as the probe where one is due.
    pub(super) fn enter(&self, now: Instant) -> Result<Entry<'_>, DeliveryError> {
        let mut breakers = self.breakers();
        if let Admission::Closed { reason } = breakers.view(now) {
            return Err(closed(reason));
        }
        let (outage, refusal) = (breakers.outage.enter(now), breakers.refusal.enter(now));
        Ok(Entry { guard: self, outage, refusal })
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a delivery that was not begun.
pub(super) fn closed(reason: String) -> DeliveryError {
    DeliveryError { failure: Failure::Unavailable, step: "admission".to_owned(), message: reason }
}

impl Breakers {
    /// A refusal says more than an outage; a pause of either holds.
    fn view(&self, now: Instant) -> Admission {
        match (self.refusal.view(now), self.outage.view(now)) {
            (closed @ Admission::Closed { .. }, _) | (_, closed @ Admission::Closed { .. }) => closed,
            (Admission::Probe, _) | (_, Admission::Probe) => Admission::Probe,
            (Admission::Open, Admission::Open) => Admission::Open,
        }
    }
}

impl Entry<'_> {
    /// Whether it tests the way back.
    pub(super) fn is_probe(&self) -> bool {
        self.outage.is_some() || self.refusal.is_some()
    }

    /// Whether that is the way back from an outage.
    pub(super) fn is_outage_probe(&self) -> bool {
        self.outage.is_some()
    }

    /// Whether one more call makes sense: not once trouble is known, except for the probe.
    pub(super) fn may_go_on(&self, now: Instant) -> bool {
        let breakers = self.guard.breakers();
        let passes = |breaker: &Breaker, probe: Option<Probe>| {
            breaker.view(now) == Admission::Open || probe.is_some_and(|probe| breaker.is_out(probe))
        };
        passes(&breakers.outage, self.outage) && passes(&breakers.refusal, self.refusal)
    }

    /// Whether a login may be tried: not after a refusal that came meanwhile.
    pub(super) fn may_log_in(&self, now: Instant) -> bool {
        self.refusal.is_some() || self.guard.breakers().refusal.view(now) == Admission::Open
    }

    /// Whether another try makes sense: not once an outage is known.
    pub(super) fn may_retry(&self, now: Instant) -> bool {
        self.guard.breakers().outage.view(now) == Admission::Open
    }

    /// The destination answered. Says whether that ended some trouble.
    pub(super) fn worked(&self) -> bool {
        let mut breakers = self.guard.breakers();
        // Both are told, whatever the first says.
        breakers.outage.worked() | breakers.refusal.worked()
    }

    /// The destination did not answer. Says whether that began an outage.
    pub(super) fn unanswered(&self, now: Instant, why: &str) -> bool {
        self.guard.breakers().outage.failed(now, self.outage, why)
    }

    /// The destination answered that it does not want this service. Says whether that is new.
    pub(super) fn refused(&self, now: Instant, why: &str) -> bool {
        let mut breakers = self.guard.breakers();
        breakers.outage.worked();
        breakers.refusal.failed(now, self.refusal, why)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut breakers = self.guard.breakers();
        if let Some(probe) = self.outage {
            breakers.outage.leave(probe);
        }
        if let Some(probe) = self.refusal {
            breakers.refusal.leave(probe);
        }
    }
}
