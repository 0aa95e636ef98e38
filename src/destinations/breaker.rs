//! A circuit breaker: after some failures nothing goes out for a while, then one probe tests the
//! way back. Time is passed in, so that every path is a plain test.
//!
//! Two of them [guard](super::guard) a destination: one for outages, one for refusals (a wrong password, a disabled
//! API), which differ in how soon they open and how long they pause.

use std::time::Duration;

use tokio::time::Instant;

use crate::destinations::Admission;

/// How long nothing is tried: twice as long each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    /// The first one.
    pub(super) first: Duration,
    /// What they grow to.
    pub(super) longest: Duration,
}

impl Pauses {
    /// The one that comes after so many others.
    pub(super) fn after(self, others: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(others)).min(self.longest)
    }
}

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// Failures in a row that open it.
    pub(super) failures: u32,
    /// The first is that of opening; each failed probe brings the next.
    pub(super) pauses: Pauses,
}

/// The right to be the one call that tests the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe(u64);

#[derive(Debug)]
enum State {
    /// Calls go out.
    Working { failures: u32 },
    /// None does, but for a probe from `until` on.
    Down { reason: String, pauses: u32, until: Instant, probe: Option<Probe> },
}

/// One breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: Policy,
    state: State,
    /// Probes handed out, so that one that ends late is not taken for its successor.
    probes: u64,
}

impl Breaker {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, state: State::Working { failures: 0 }, probes: 0 }
    }

    /// What a call would meet now.
    pub(super) fn view(&self, now: Instant) -> Admission {
        match &self.state {
            State::Working { .. } => Admission::Open,
            State::Down { until, probe: None, .. } if now >= *until => Admission::Probe,
            State::Down { reason, .. } => Admission::Closed { reason: reason.clone() },
        }
    }

    /// Ends the pause: the next call may be the probe.
    pub(super) fn hasten(&mut self, now: Instant) {
        if let State::Down { until, .. } = &mut self.state {
            *until = now.min(*until);
        }
    }

    /// Takes the right to probe where [`Self::view`] is a probe; it is to be given back.
    pub(super) fn enter(&mut self, now: Instant) -> Option<Probe> {
        match &mut self.state {
            State::Down { until, probe: probe @ None, .. } if now >= *until => {
                self.probes += 1;
                *probe = Some(Probe(self.probes));
                *probe
            }
            State::Working { .. } | State::Down { .. } => None,
        }
    }

    /// Whether this probe is still out.
    pub(super) fn is_out(&self, of: Probe) -> bool {
        matches!(&self.state, State::Down { probe, .. } if *probe == Some(of))
    }

    /// Gives a probe back that ended without telling anything.
    pub(super) fn leave(&mut self, ended: Probe) {
        if let State::Down { probe, .. } = &mut self.state
            && *probe == Some(ended)
        {
            *probe = None;
        }
    }

    /// A call went through: whatever was wrong is over. Says whether something was.
    pub(super) fn worked(&mut self) -> bool {
        let was_down = matches!(self.state, State::Down { .. });
        self.state = State::Working { failures: 0 };
        was_down
    }

    /// A call failed; says whether that opened it. Once down, only the probe's failure counts:
    /// others were under way before.
    pub(super) fn failed(&mut self, now: Instant, ended: Option<Probe>, why: &str) -> bool {
        match &mut self.state {
            State::Working { failures } if *failures + 1 < self.policy.failures => *failures += 1,
            State::Working { .. } => {
                let until = now + self.policy.pauses.after(0);
                self.state = State::Down { reason: why.to_owned(), pauses: 0, until, probe: None };
                return true;
            }
            State::Down { reason, pauses, until, probe } if probe.is_some() && *probe == ended => {
                *pauses += 1;
                *until = now + self.policy.pauses.after(*pauses);
                *probe = None;
                why.clone_into(reason);
            }
            State::Down { .. } => {}
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

    fn down(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..3 {
            breaker.failed(now, None, "no answer");
        }
        breaker
    }

    fn closed(reason: &str) -> Admission {
        Admission::Closed { reason: reason.to_owned() }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_alone() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..5 {
            breaker.failed(now, None, "no answer");
            breaker.failed(now, None, "no answer");
            breaker.worked();
        }
        assert_eq!(breaker.view(now), Admission::Open);
        assert_eq!(breaker.enter(now), None, "nothing to probe");
        assert_eq!(down(now).view(now), closed("no answer"));
    }

    #[test]
    fn one_probe_at_a_time_tests_the_way_back() {
        let now = Instant::now();
        let mut breaker = down(now);
        assert_eq!(breaker.enter(now), None, "the pause is not over");
        let later = now + SECOND;
        assert_eq!(breaker.view(later), Admission::Probe);
        let probe = breaker.enter(later);
        assert!(probe.is_some());
        assert_eq!((breaker.view(later), breaker.enter(later)), (closed("no answer"), None));
        breaker.worked();
        assert_eq!(breaker.view(later), Admission::Open);
    }

    #[test]
    fn failed_probes_let_the_pause_grow_to_its_bound() {
        let mut now = Instant::now();
        let mut breaker = down(now);
        for pause in [1, 2, 4, 5, 5] {
            now += Duration::from_millis(pause * 1_000 - 1);
            assert_eq!(breaker.enter(now), None, "{pause}");
            now += Duration::from_millis(1);
            let probe = breaker.enter(now);
            assert!(probe.is_some(), "{pause}");
            breaker.failed(now, probe, "still no answer");
            assert_eq!(breaker.view(now), closed("still no answer"));
        }
        breaker.worked();
        for _ in 0..3 {
            breaker.failed(now, None, "again");
        }
        assert_eq!(breaker.view(now + SECOND), Admission::Probe, "a success resets the pause");
    }

    #[test]
    fn calls_that_were_under_way_do_not_lengthen_the_pause() {
        let now = Instant::now();
        let mut breaker = down(now);
        breaker.failed(now, None, "late");
        assert_eq!(breaker.view(now + SECOND), Admission::Probe);
        let probe = breaker.enter(now + SECOND);
        breaker.failed(now + SECOND, None, "later");
        assert_eq!(breaker.view(now + SECOND), closed("no answer"), "the probe is still out");
        breaker.failed(now + SECOND, probe, "probed");
        breaker.failed(now + SECOND, probe, "told twice");
        assert_eq!(breaker.view(now + 3 * SECOND), Admission::Probe);
    }

    #[test]
    fn a_probe_that_is_dropped_makes_room_for_the_next_and_for_no_other() {
        let mut breaker = down(Instant::now());
        let now = Instant::now() + SECOND;
        let first = breaker.enter(now).unwrap();
        breaker.leave(first);
        let second = breaker.enter(now);
        assert!(second.is_some());
        breaker.leave(first);
        assert_eq!(breaker.enter(now), None, "the second is still out");
    }
}
