//! Whether Salesforce is called at all: the two breakers and the quota, asked in one place.
//!
//! A delivery passes the gate once and tells it how its calls went. A refused login is remembered
//! here too, so that no call that is already under way repeats it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::quota::Quota;
use super::trouble::{Blame, Trouble};
use crate::destinations::breaker::{Breaker, Pauses, Policy, Probe};
use crate::destinations::{Admission, DeliveryError, Failure};

/// Deliveries in a row that met no answer, each after its own retries: one record that Salesforce
/// chokes on is no outage. The first probe is soon, since the next drain is to try again.
const OUTAGE: Policy =
    Policy { failures: 3, pauses: Pauses { first: Duration::from_secs(1), longest: Duration::from_mins(1) } };

/// A refusal needs a person, and a user that is refused ten times an hour may be locked out
/// (Salesforce Help, Password Policies: three to ten invalid attempts).
const REFUSAL: Policy = Policy {
    failures: 1,
    pauses: Pauses { first: Duration::from_secs(30), longest: Duration::from_mins(10) },
};

/// Guards the calls.
pub(super) struct Gate {
    breakers: Mutex<Breakers>,
    pub(super) quota: Quota,
}

struct Breakers {
    outage: Breaker,
    refusal: Breaker,
}

/// The right to call Salesforce; given back when dropped, however the delivery ends.
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    outage: Option<Probe>,
    refusal: Option<Probe>,
}

impl Gate {
    pub(super) fn new(reserve_percent: u8) -> Self {
        let breakers = Breakers { outage: Breaker::new(OUTAGE), refusal: Breaker::new(REFUSAL) };
        Self { breakers: Mutex::new(breakers), quota: Quota::new(reserve_percent) }
    }

    /// What work would meet now, without asking anyone.
    pub(super) fn view(&self, now: Instant) -> Admission {
        match (self.breakers().view(now), self.quota.closed()) {
            (closed @ Admission::Closed { .. }, _) => closed,
            (_, Some(reason)) => Admission::Closed { reason },
            (view, None) => view,
        }
    }

    /// Forgets the pauses, but for that after a refusal.
    pub(super) fn hasten(&self, now: Instant) {
        self.breakers().outage.hasten(now);
        self.quota.hasten(now);
    }

    /// What the breakers alone say.
    pub(super) fn view_breakers(&self, now: Instant) -> Admission {
        self.breakers().view(now)
    }

    /// Lets one delivery through, as the probe where one is due.
    pub(super) fn enter(&self, now: Instant) -> Result<Pass<'_>, DeliveryError> {
        let mut breakers = self.breakers();
        if let Admission::Closed { reason } = breakers.view(now) {
            return Err(closed(reason));
        }
        let (outage, refusal) = (breakers.outage.enter(now), breakers.refusal.enter(now));
        Ok(Pass { gate: self, outage, refusal })
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Pass<'_> {
    /// The gate that it is for.
    pub(super) fn gate(&self) -> &Gate {
        self.gate
    }

    /// Whether it tests the way back from an outage.
    pub(super) fn is_outage_probe(&self) -> bool {
        self.outage.is_some()
    }

    /// Whether a login may be tried: not after a refusal that came meanwhile.
    pub(super) fn may_log_in(&self, now: Instant) -> bool {
        self.refusal.is_some() || self.gate.breakers().refusal.view(now) == Admission::Open
    }

    /// Whether another try makes sense: not once an outage is known.
    pub(super) fn may_retry(&self, now: Instant) -> bool {
        self.gate.breakers().outage.view(now) == Admission::Open
    }

    /// Salesforce took a call.
    pub(super) fn worked(&self) {
        let mut breakers = self.gate.breakers();
        // Both are told, whatever the first says.
        if breakers.outage.worked() | breakers.refusal.worked() {
            info!("salesforce.back");
        }
    }

    /// A call failed for good: its retries are over.
    pub(super) fn failed(&self, now: Instant, trouble: &Trouble) {
        let reason = &trouble.error.message;
        match trouble.blame {
            Blame::Outage => {
                let why = format!("Salesforce does not answer: {reason}");
                if self.gate.breakers().outage.failed(now, self.outage, &why) {
                    warn!(reason, "salesforce.outage");
                }
            }
            Blame::Record => self.worked(),
            Blame::Quota => {
                self.worked();
                self.gate.quota.used_up(now);
            }
            Blame::Refusal => {
                let mut breakers = self.gate.breakers();
                breakers.outage.worked();
                if breakers.refusal.failed(now, self.refusal, reason) {
                    error!(reason, "salesforce.refused");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(blame: Blame) -> Trouble {
        let failure = Failure::Unavailable;
        let error = DeliveryError { failure, step: String::new(), message: format!("{blame:?}") };
        Trouble { error, blame, retry_after: None }
    }

    fn is_closed(admission: &Admission) -> bool {
        matches!(admission, Admission::Closed { .. })
    }

    #[test]
    fn a_refusal_closes_at_once_and_for_half_a_minute() {
        let now = Instant::now();
        let gate = Gate::new(5);
        let (first, second) = (gate.enter(now).unwrap(), gate.enter(now).unwrap());
        first.failed(now, &trouble(Blame::Refusal));
        assert!(!second.may_log_in(now), "one that was under way does not repeat the login");
        second.failed(now, &trouble(Blame::Refusal));
        assert!(is_closed(&gate.view(now + Duration::from_secs(29))));
        assert!(gate.enter(now + Duration::from_secs(29)).is_err());
        let later = now + Duration::from_secs(30);
        let probe = gate.enter(later).unwrap();
        assert!(probe.may_log_in(later) && !second.may_log_in(later));
        assert!(is_closed(&gate.view(later)), "while the probe is out");
        probe.failed(later, &trouble(Blame::Refusal));
        assert!(is_closed(&gate.view(later + Duration::from_secs(59))));
        assert_eq!(gate.view(later + Duration::from_mins(1)), Admission::Probe);
    }

    #[test]
    fn three_deliveries_without_an_answer_are_an_outage_and_an_answer_between_is_none() {
        let now = Instant::now();
        let gate = Gate::new(5);
        let pass = gate.enter(now).unwrap();
        for blame in [Blame::Outage, Blame::Outage, Blame::Record, Blame::Outage, Blame::Outage] {
            pass.failed(now, &trouble(blame));
        }
        assert!(gate.view(now) == Admission::Open && pass.may_retry(now));
        pass.failed(now, &trouble(Blame::Outage));
        assert!(is_closed(&gate.view(now)) && !pass.may_retry(now));
        let later = now + Duration::from_secs(1);
        let probe = gate.enter(later).unwrap();
        assert!(probe.is_outage_probe() && !pass.is_outage_probe());
        drop(probe);
        assert_eq!(gate.view(later), Admission::Probe, "a probe that was dropped tells nothing");
        gate.enter(later).unwrap().worked();
        assert_eq!(gate.view(later), Admission::Open);
    }

    #[test]
    fn a_new_drain_tries_again_at_once_unless_salesforce_refused() {
        let now = Instant::now();
        let gate = Gate::new(5);
        let pass = gate.enter(now).unwrap();
        for _ in 0..3 {
            pass.failed(now, &trouble(Blame::Outage));
        }
        assert!(is_closed(&gate.view(now)));
        gate.hasten(now);
        assert_eq!(gate.view(now), Admission::Probe);
        pass.failed(now, &trouble(Blame::Refusal));
        gate.hasten(now);
        assert!(is_closed(&gate.view(now + Duration::from_secs(29))));
    }

    #[test]
    fn a_used_up_quota_closes_the_view_and_not_the_breakers() {
        let now = Instant::now();
        let gate = Gate::new(5);
        gate.enter(now).unwrap().failed(now, &trouble(Blame::Quota));
        assert!(is_closed(&gate.view(now)));
        assert_eq!(gate.view_breakers(now), Admission::Open);
    }
}
