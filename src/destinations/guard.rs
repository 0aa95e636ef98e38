//! Whether a destination is called at all: a breaker for outages and one for refusals, asked in one place. The
//! destination itself says, and logs, what was wrong.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Admission, Breaker, Pauses, Policy, Probe};
use super::delivery::{DeliveryError, Failure, Suspicion};

/// Three deliveries in a row without an answer, each after its own retries, are an outage; one record that the
/// destination chokes on is none. The first probe is soon, so that the next drain finds it due.
const OUTAGE: Policy =
    Policy { failures: 3, pauses: Pauses { first: Duration::from_secs(1), longest: Duration::from_mins(1) } };

/// A refused credential, a missing permission or a blocked domain needs a person. A Salesforce user is locked out
/// after three to ten refused logins (Salesforce Help, Password Policies), so few are tried.
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
    suspicion: Suspicion,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Breakers { outage: Breaker::new(OUTAGE), refusal: Breaker::new(REFUSAL) }))
    }

    /// What work would meet now.
    pub(super) fn view(&self, now: Instant) -> Admission {
        self.breakers().view(now)
    }

    /// Whether the last delivery was answered.
    pub(super) fn is_well(&self) -> bool {
        let breakers = self.breakers();
        breakers.outage.is_well() && breakers.refusal.is_well()
    }

    /// Ends the pause of an outage. The pause after a refusal stands.
    pub(super) fn hasten(&self, now: Instant) {
        self.breakers().outage.hasten(now);
    }

    /// Lets one delivery through, as the probe where one is due.
    pub(super) fn enter(&self, now: Instant, suspicion: Suspicion) -> Result<Entry<'_>, DeliveryError> {
        let mut breakers = self.breakers();
        if let Admission::Paused { reason } = breakers.view(now) {
            return Err(DeliveryError::paused(reason));
        }
        let (outage, refusal) = (breakers.outage.enter(now), breakers.refusal.enter(now));
        Ok(Entry { guard: self, outage, refusal, suspicion })
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breakers {
    /// What both say together. The reason of a refusal says more than that of an outage.
    fn view(&self, now: Instant) -> Admission {
        match (self.refusal.view(now), self.outage.view(now)) {
            (paused @ Admission::Paused { .. }, _) | (_, paused @ Admission::Paused { .. }) => paused,
            (Admission::Probing, _) | (_, Admission::Probing) => Admission::Probing,
            (Admission::Available, Admission::Available) => Admission::Available,
        }
    }
}

impl Entry<'_> {
    /// Whether it tests the way back.
    pub(super) fn is_probe(&self) -> bool {
        self.outage.is_some() || self.refusal.is_some()
    }

    /// Whether one more call makes sense: once trouble is known, only the probe's does.
    pub(super) fn may_go_on(&self, now: Instant) -> bool {
        let breakers = self.guard.breakers();
        let passes = |breaker: &Breaker, probe: Option<Probe>| {
            breaker.view(now) == Admission::Available || probe.is_some_and(|probe| breaker.is_out(probe))
        };
        passes(&breakers.outage, self.outage) && passes(&breakers.refusal, self.refusal)
    }

    /// Whether a login may be tried: not after a refusal that came meanwhile.
    pub(super) fn may_log_in(&self, now: Instant) -> bool {
        self.refusal.is_some() || self.guard.breakers().refusal.view(now) == Admission::Available
    }

    /// Whether another try makes sense after `failure`: not once an outage is known, and not for a record whose one try
    /// that was.
    pub(super) fn may_retry(&self, now: Instant, failure: Failure) -> bool {
        !self.was_one_try(failure) && self.guard.breakers().outage.view(now) == Admission::Available
    }

    /// Whether the record got no usable answer the last time either, so that it is worth one try.
    pub(super) fn was_one_try(&self, failure: Failure) -> bool {
        self.suspicion == Suspicion::Suspected && failure == Failure::Unclear
    }

    /// The destination answered. Says whether that ended some trouble.
    pub(super) fn worked(&self) -> bool {
        let mut breakers = self.guard.breakers();
        // Both are told, whatever the first says.
        breakers.outage.worked() | breakers.refusal.worked()
    }

    /// The destination did not answer, and may ask to be left alone for a while. Says whether that began an outage.
    pub(super) fn unanswered(&self, now: Instant, why: &str, retry_after: Option<Duration>) -> bool {
        let mut breakers = self.guard.breakers();
        let began = breakers.outage.failed(now, self.outage, why);
        if let Some(wait) = retry_after {
            breakers.outage.hold(now + wait);
        }
        began
    }

    /// The destination is not where it is looked for. Says whether that is new.
    pub(super) fn down(&self, now: Instant, why: &str) -> bool {
        self.guard.breakers().outage.pause(now, self.outage, why)
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
