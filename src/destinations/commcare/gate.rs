//! Whether CommCare is called at all: a breaker for outages and one for refusals.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::verdict::{Blame, Trouble};
use crate::destinations::breaker::{Breaker, Pauses, Policy, Probe};
use crate::destinations::{Admission, DeliveryError, Failure};

/// Documents in a row that met no answer, each after its own retries. The first probe is soon, since
/// the next drain is to try again.
const OUTAGE: Policy =
    Policy { failures: 3, pauses: Pauses { first: Duration::from_secs(1), longest: Duration::from_mins(1) } };

/// A refused key, a missing permission or a blocked domain needs a person.
const REFUSAL: Policy = Policy {
    failures: 1,
    pauses: Pauses { first: Duration::from_secs(30), longest: Duration::from_mins(10) },
};

/// Guards the submissions.
pub(super) struct Gate(Mutex<Breakers>);

struct Breakers {
    outage: Breaker,
    refusal: Breaker,
}

/// The right to submit one plan's documents; given back when dropped.
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    outage: Option<Probe>,
    refusal: Option<Probe>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Breakers { outage: Breaker::new(OUTAGE), refusal: Breaker::new(REFUSAL) }))
    }

    /// What work would meet now.
    pub(super) fn view(&self, now: Instant) -> Admission {
        self.breakers().view(now)
    }

    /// Lets one plan through, as the probe where one is due.
    pub(super) fn enter(&self, now: Instant) -> Result<Pass<'_>, DeliveryError> {
        let mut breakers = self.breakers();
        if let Admission::Closed { reason } = breakers.view(now) {
            let step = "admission".to_owned();
            return Err(DeliveryError { failure: Failure::Unavailable, step, message: reason });
        }
        let (outage, refusal) = (breakers.outage.enter(now), breakers.refusal.enter(now));
        Ok(Pass { gate: self, outage, refusal })
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breakers {
    fn view(&self, now: Instant) -> Admission {
        match (self.refusal.view(now), self.outage.view(now)) {
            (closed @ Admission::Closed { .. }, _) | (_, closed @ Admission::Closed { .. }) => closed,
            (Admission::Probe, _) | (_, Admission::Probe) => Admission::Probe,
            (Admission::Open, Admission::Open) => Admission::Open,
        }
    }
}

impl Pass<'_> {
    /// Whether its first document tests the way back.
    pub(super) fn is_probe(&self) -> bool {
        self.outage.is_some() || self.refusal.is_some()
    }

    /// Whether that is the way back from an outage.
    pub(super) fn is_outage_probe(&self) -> bool {
        self.outage.is_some()
    }

    /// Whether one more submission makes sense: not once trouble is known, except for the probe.
    pub(super) fn may_go_on(&self, now: Instant) -> bool {
        let breakers = self.gate.breakers();
        let passes = |breaker: &Breaker, probe: Option<Probe>| {
            breaker.view(now) == Admission::Open || probe.is_some_and(|probe| breaker.is_out(probe))
        };
        passes(&breakers.outage, self.outage) && passes(&breakers.refusal, self.refusal)
    }

    /// CommCare answered a submission.
    pub(super) fn worked(&self) {
        let mut breakers = self.gate.breakers();
        // Both are told, whatever the first says.
        if breakers.outage.worked() | breakers.refusal.worked() {
            info!("commcare.back");
        }
    }

    /// A submission failed for good: its retries are over.
    pub(super) fn failed(&self, now: Instant, trouble: &Trouble) {
        let reason = &trouble.text;
        match trouble.blame {
            Blame::Record => {}
            Blame::Outage => {
                let why = format!("CommCare does not answer: {reason}");
                if self.gate.breakers().outage.failed(now, self.outage, &why) {
                    warn!(reason, "commcare.outage");
                }
            }
            Blame::Refusal => {
                let why = format!("CommCare refuses this service: {reason}");
                let mut breakers = self.gate.breakers();
                breakers.outage.worked();
                if breakers.refusal.failed(now, self.refusal, &why) {
                    error!(reason, "commcare.refused");
                }
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut breakers = self.gate.breakers();
        if let Some(probe) = self.outage {
            breakers.outage.leave(probe);
        }
        if let Some(probe) = self.refusal {
            breakers.refusal.leave(probe);
        }
    }
}
