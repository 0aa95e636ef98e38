//! Whether Salesforce is called at all: its guard and the quota, asked in one place.
//!
//! A delivery passes the gate once and tells it how the calls went. The gate remembers a refused login too, so that
//! no call that is already under way repeats it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::quota::Quota;
use crate::destinations::Suspicion;
use crate::destinations::breaker::Admission;
use crate::destinations::delivery::{DeliveryError, Failure};
use crate::destinations::guard::{Entry, Guard};
use crate::destinations::trouble::{Blame, Trouble};

/// Guards the calls.
pub(super) struct Gate {
    guard: Guard,
    pub(super) quota: Quota,
}

/// The right to call Salesforce; given back when dropped, however the delivery ends.
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    entry: Entry<'g>,
    /// Whether the next call needs a new session.
    wants_login: AtomicBool,
}

impl Gate {
    pub(super) fn new(reserve_percent: u8) -> Self {
        Self { guard: Guard::new(), quota: Quota::new(reserve_percent) }
    }

    /// What work would meet now, without asking anyone.
    pub(super) fn view(&self, now: Instant) -> Admission {
        match (self.guard.view(now), self.quota.pause()) {
            (paused @ Admission::Paused { .. }, _) => paused,
            (_, Some(reason)) => Admission::Paused { reason },
            (view, None) => view,
        }
    }

    /// Ends every pause, except the one after a refusal.
    pub(super) fn hasten(&self, now: Instant) {
        self.guard.hasten(now);
        self.quota.hasten(now);
    }

    /// What the breakers alone say.
    pub(super) fn view_breakers(&self, now: Instant) -> Admission {
        self.guard.view(now)
    }

    /// Lets one delivery through, as the probe where one is due.
    pub(super) fn enter(&self, now: Instant, suspicion: Suspicion) -> Result<Pass<'_>, DeliveryError> {
        let entry = self.guard.enter(now, suspicion)?;
        let wants_login = AtomicBool::new(entry.is_probe());
        Ok(Pass { gate: self, entry, wants_login })
    }
}

impl Pass<'_> {
    /// The gate that was passed.
    pub(super) fn gate(&self) -> &Gate {
        self.gate
    }

    /// Whether the session that is there is not to be used: the session, or the server that it is for, may be what
    /// was wrong, so a probe logs in afresh. Says so once.
    pub(super) fn takes_new_session(&self) -> bool {
        self.wants_login.swap(false, Ordering::Relaxed)
    }

    /// Whether a login may be tried: not after a refusal that came meanwhile.
    pub(super) fn may_log_in(&self, now: Instant) -> bool {
        self.entry.may_log_in(now)
    }

    /// Whether another try makes sense after `failure`.
    pub(super) fn may_retry(&self, now: Instant, failure: Failure) -> bool {
        self.entry.may_retry(now, failure)
    }

    /// Salesforce took a call.
    pub(super) fn worked(&self) {
        if self.entry.worked() {
            info!("Salesforce answers again");
        }
    }

    /// A call failed for good: its retries are over.
    pub(super) fn failed(&self, now: Instant, trouble: &Trouble) {
        let reason = &trouble.error.message;
        match trouble.blame {
            Blame::Outage => {
                if self.entry.unanswered(
                    now,
                    &format!("Salesforce does not answer: {reason}"),
                    trouble.retry_after,
                ) {
                    warn!(reason, "Salesforce does not answer");
                }
            }
            Blame::Down => {
                if self.entry.down(now, reason) {
                    warn!(reason, "Salesforce is not where it was");
                }
            }
            Blame::Record => self.worked(),
            Blame::Quota => {
                self.worked();
                self.gate.quota.used_up(now);
            }
            Blame::Refusal => {
                if self.entry.refused(now, reason) {
                    error!(reason, "Salesforce refuses this service");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn trouble(blame: Blame) -> Trouble {
        Trouble::new(DeliveryError::new(Failure::Unavailable, "", format!("{blame:?}")), blame)
    }

    fn is_paused(admission: &Admission) -> bool {
        matches!(admission, Admission::Paused { .. })
    }

    #[test]
    fn a_refusal_pauses_at_once_and_for_half_a_minute() {
        let now = Instant::now();
        let gate = Gate::new(5);
        let (first, second) =
            (gate.enter(now, Suspicion::None).unwrap(), gate.enter(now, Suspicion::None).unwrap());
        first.failed(now, &trouble(Blame::Refusal));
        assert!(!second.may_log_in(now), "one that was under way does not repeat the login");
        second.failed(now, &trouble(Blame::Refusal));
        assert!(is_paused(&gate.view(now + Duration::from_secs(29))));
        assert!(gate.enter(now + Duration::from_secs(29), Suspicion::None).is_err());
        let later = now + Duration::from_secs(30);
        let probe = gate.enter(later, Suspicion::None).unwrap();
        assert!(probe.may_log_in(later) && !second.may_log_in(later));
        assert!(is_paused(&gate.view(later)), "while the probe is out");
        probe.failed(later, &trouble(Blame::Refusal));
        assert!(is_paused(&gate.view(later + Duration::from_secs(59))));
        assert_eq!(gate.view(later + Duration::from_mins(1)), Admission::Probing);
    }

    #[test]
    fn three_deliveries_without_an_answer_are_an_outage_and_an_answer_between_is_none() {
        let now = Instant::now();
        let gate = Gate::new(5);
        let pass = gate.enter(now, Suspicion::None).unwrap();
        for blame in [Blame::Outage, Blame::Outage, Blame::Record, Blame::Outage, Blame::Outage] {
            pass.failed(now, &trouble(blame));
        }
        assert!(gate.view(now) == Admission::Available && pass.may_retry(now, Failure::Unclear));
        pass.failed(now, &trouble(Blame::Outage));
        assert!(is_paused(&gate.view(now)) && !pass.may_retry(now, Failure::Unclear));
        let later = now + Duration::from_secs(1);
        let probe = gate.enter(later, Suspicion::None).unwrap();
        drop(probe);
        assert_eq!(gate.view(later), Admission::Probing, "a probe that was dropped tells nothing");
        gate.enter(later, Suspicion::None).unwrap().worked();
        assert_eq!(gate.view(later), Admission::Available);
    }

    #[test]
    fn a_record_that_got_no_usable_answer_before_is_worth_one_try() {
        let now = Instant::now();
        let gate = Gate::new(5);
        let pass = gate.enter(now, Suspicion::Suspected).unwrap();
        assert!(!pass.may_retry(now, Failure::Unclear));
        assert!(pass.may_retry(now, Failure::Transient), "a lock says nothing of it");
    }

    #[test]
    fn a_new_drain_tries_again_at_once_unless_salesforce_refused() {
        let now = Instant::now();
        let gate = Gate::new(5);
        let pass = gate.enter(now, Suspicion::None).unwrap();
        for _ in 0..3 {
            pass.failed(now, &trouble(Blame::Outage));
        }
        assert!(is_paused(&gate.view(now)));
        gate.hasten(now);
        assert_eq!(gate.view(now), Admission::Probing);
        pass.failed(now, &trouble(Blame::Refusal));
        gate.hasten(now);
        assert!(is_paused(&gate.view(now + Duration::from_secs(29))));
    }

    #[test]
    fn a_used_up_quota_pauses_the_view_and_not_the_breakers() {
        let now = Instant::now();
        let gate = Gate::new(5);
        gate.enter(now, Suspicion::None).unwrap().failed(now, &trouble(Blame::Quota));
        assert!(is_paused(&gate.view(now)));
        assert_eq!(gate.view_breakers(now), Admission::Available);
    }
}
