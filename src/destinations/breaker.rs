//! A circuit breaker: after some failures the destination is paused, then one probe tests the way back. Time is
//! passed in, so that every path is a plain test.
//!
//! Two of them [guard](super::guard) a destination: one for outages, one for refusals (a wrong password, a
//! disabled API). They differ in how soon they pause the destination, and for how long.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a destination takes work: asked before records are claimed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It takes as much as there is.
    Available,
    /// It was in trouble: one record tests the way back. More follow once that record went through.
    Probing,
    /// It takes none for now; nothing is to be claimed.
    Paused {
        /// Why, in words for operators.
        reason: String,
    },
}

/// How long a destination is paused: twice as long each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    /// The first pause.
    pub(super) first: Duration,
    /// The longest pause.
    pub(super) longest: Duration,
}

impl Pauses {
    /// The pause that comes after so many others.
    pub(super) fn after(self, others: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(others)).min(self.longest)
    }
}

/// When a breaker pauses the destination, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// Failures in a row that begin the first pause.
    pub(super) failures: u32,
    /// Each failed probe begins the next pause.
    pub(super) pauses: Pauses,
}

/// The right to be the one call that tests the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe(u64);

#[derive(Debug)]
enum State {
    /// Calls go out.
    Available { failures: u32 },
    /// No call goes out, except a probe from `until` on.
    Paused { reason: String, pauses: u32, until: Instant, not_before: Option<Instant>, probe: Option<Probe> },
}

/// One breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: Policy,
    state: State,
    /// Probes handed out: a number tells a probe that ends late from the next one.
    probes: u64,
}

impl Breaker {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, state: State::Available { failures: 0 }, probes: 0 }
    }

    /// What a call would meet now.
    pub(super) fn view(&self, now: Instant) -> Admission {
        match &self.state {
            State::Available { .. } => Admission::Available,
            State::Paused { until, probe: None, .. } if now >= *until => Admission::Probing,
            State::Paused { reason, .. } => Admission::Paused { reason: reason.clone() },
        }
    }

    /// Whether the last call went through.
    pub(super) fn is_well(&self) -> bool {
        matches!(self.state, State::Available { failures: 0 })
    }

    /// Ends the pause, unless the destination itself asked for it: the next call may be the probe.
    pub(super) fn hasten(&mut self, now: Instant) {
        if let State::Paused { until, not_before, .. } = &mut self.state {
            *until = not_before.map_or(now, |time| time.max(now)).min(*until);
        }
    }

    /// Lengthens a pause: the destination asks to be left alone until then (`Retry-After`).
    pub(super) fn hold(&mut self, asked: Instant) {
        if let State::Paused { until, not_before, .. } = &mut self.state {
            *not_before = Some(asked);
            *until = asked.max(*until);
        }
    }

    /// Takes the right to probe where [`Self::view`] says that one is due. The right is to be given back.
    pub(super) fn enter(&mut self, now: Instant) -> Option<Probe> {
        match &mut self.state {
            State::Paused { until, probe: probe @ None, .. } if now >= *until => {
                self.probes += 1;
                *probe = Some(Probe(self.probes));
                *probe
            }
            State::Available { .. } | State::Paused { .. } => None,
        }
    }

    /// Whether this probe is still out.
    pub(super) fn is_out(&self, of: Probe) -> bool {
        matches!(&self.state, State::Paused { probe, .. } if *probe == Some(of))
    }

    /// Gives back a probe that ended without an answer.
    pub(super) fn leave(&mut self, ended: Probe) {
        if let State::Paused { probe, .. } = &mut self.state
            && *probe == Some(ended)
        {
            *probe = None;
        }
    }

    /// A call went through: whatever was wrong is over. Says whether something was.
    pub(super) fn worked(&mut self) -> bool {
        let was_paused = matches!(self.state, State::Paused { .. });
        self.state = State::Available { failures: 0 };
        was_paused
    }

    /// A call failed. Says whether that began a pause.
    pub(super) fn failed(&mut self, now: Instant, ended: Option<Probe>, why: &str) -> bool {
        match &mut self.state {
            State::Available { failures } if *failures + 1 < self.policy.failures => {
                *failures += 1;
                false
            }
            State::Available { .. } | State::Paused { .. } => self.pause(now, ended, why),
        }
    }

    /// Pauses the destination, however few calls have failed. Says whether that began a pause. During a pause only
    /// the probe's failure counts: other calls were under way before.
    pub(super) fn pause(&mut self, now: Instant, ended: Option<Probe>, why: &str) -> bool {
        match &mut self.state {
            State::Available { .. } => {
                let until = now + self.policy.pauses.after(0);
                self.state =
                    State::Paused { reason: why.to_owned(), pauses: 0, until, not_before: None, probe: None };
                return true;
            }
            State::Paused { reason, pauses, until, probe, .. } if probe.is_some() && *probe == ended => {
                *pauses += 1;
                *until = now + self.policy.pauses.after(*pauses);
                *probe = None;
                why.clone_into(reason);
            }
            State::Paused { .. } => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const POLICY: Policy =
        Policy { failures: 3, pauses: Pauses { first: SECOND, longest: Duration::from_secs(5) } };

    fn broken(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..3 {
            breaker.failed(now, None, "no answer");
        }
        breaker
    }

    fn paused(reason: &str) -> Admission {
        Admission::Paused { reason: reason.to_owned() }
    }

    #[test]
    fn only_failures_in_a_row_pause_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..5 {
            breaker.failed(now, None, "no answer");
            breaker.failed(now, None, "no answer");
            breaker.worked();
        }
        assert_eq!(breaker.view(now), Admission::Available);
        assert_eq!(breaker.enter(now), None, "nothing to probe");
        assert_eq!(broken(now).view(now), paused("no answer"));
    }

    #[test]
    fn a_pause_that_the_destination_asked_for_is_not_ended_early() {
        let now = Instant::now();
        let mut breaker = broken(now);
        breaker.hasten(now);
        assert_eq!(breaker.view(now), Admission::Probing);
        breaker.hold(now + 3 * SECOND);
        breaker.hasten(now);
        assert_eq!(breaker.view(now + 2 * SECOND), paused("no answer"));
        assert_eq!(breaker.view(now + 3 * SECOND), Admission::Probing);
    }

    #[test]
    fn one_probe_at_a_time_tests_the_way_back() {
        let now = Instant::now();
        let mut breaker = broken(now);
        assert_eq!(breaker.enter(now), None, "the pause is not over");
        let later = now + SECOND;
        assert_eq!(breaker.view(later), Admission::Probing);
        let probe = breaker.enter(later);
        assert!(probe.is_some());
        assert_eq!((breaker.view(later), breaker.enter(later)), (paused("no answer"), None));
        breaker.worked();
        assert_eq!(breaker.view(later), Admission::Available);
    }

    #[test]
    fn failed_probes_let_the_pause_grow_to_its_bound() {
        let mut now = Instant::now();
        let mut breaker = broken(now);
        for pause in [1, 2, 4, 5, 5] {
            now += Duration::from_millis(pause * 1_000 - 1);
            assert_eq!(breaker.enter(now), None, "{pause}");
            now += Duration::from_millis(1);
            let probe = breaker.enter(now);
            assert!(probe.is_some(), "{pause}");
            breaker.failed(now, probe, "still no answer");
            assert_eq!(breaker.view(now), paused("still no answer"));
        }
        breaker.worked();
        for _ in 0..3 {
            breaker.failed(now, None, "again");
        }
        assert_eq!(breaker.view(now + SECOND), Admission::Probing, "a success resets the pause");
    }

    #[test]
    fn one_failure_can_be_enough() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        assert!(breaker.pause(now, None, "moved"));
        assert_eq!(breaker.view(now), paused("moved"));
        let probe = breaker.enter(now + SECOND);
        assert!(!breaker.pause(now + SECOND, probe, "gone"), "it is paused already");
        assert_eq!(
            (breaker.view(now + 2 * SECOND), breaker.view(now + 3 * SECOND)),
            (paused("gone"), Admission::Probing)
        );
    }

    #[test]
    fn calls_that_were_under_way_do_not_lengthen_the_pause() {
        let now = Instant::now();
        let mut breaker = broken(now);
        breaker.failed(now, None, "late");
        assert_eq!(breaker.view(now + SECOND), Admission::Probing);
        let probe = breaker.enter(now + SECOND);
        breaker.failed(now + SECOND, None, "later");
        assert_eq!(breaker.view(now + SECOND), paused("no answer"), "the probe is still out");
        breaker.failed(now + SECOND, probe, "probed");
        breaker.failed(now + SECOND, probe, "told twice");
        assert_eq!(breaker.view(now + 3 * SECOND), Admission::Probing);
    }

    #[test]
    fn a_probe_that_is_dropped_makes_room_for_the_next_and_for_no_other() {
        let mut breaker = broken(Instant::now());
        let now = Instant::now() + SECOND;
        let first = breaker.enter(now).unwrap();
        breaker.leave(first);
        let second = breaker.enter(now);
        assert!(second.is_some());
        breaker.leave(first);
        assert_eq!(breaker.enter(now), None, "the second is still out");
    }
}
