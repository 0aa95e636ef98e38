//! When something that failed is tried again, within one go.
//!
//! Used where a repeat does no harm and a lost answer is therefore no reason to hold back: upserts,
//! submissions, transactions, outcomes. The time is bounded by the caller: a share of a record's lease, say,
//! so that its worker is heard of before the lease runs out.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::debug;

/// How often, how long, and with which waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryTimes {
    /// Tries in all, the first one included.
    pub(crate) tries: u32,
    /// How long the tries may go on: no wait ends later.
    pub(crate) budget: Duration,
    /// The wait before the second try. It doubles with each further one.
    pub(crate) first_wait: Duration,
}

/// The tries of one piece of work.
#[derive(Debug)]
pub(crate) struct Retries {
    times: RetryTimes,
    tried: u32,
    last_start: Instant,
}

impl Retries {
    /// For work that began at `start`.
    pub(crate) fn new(start: Instant, times: RetryTimes) -> Self {
        Self { times, tried: 1, last_start: start + times.budget }
    }

    /// Tries until `attempt` succeeds or the tries are over; the last error is the result. `may_pass` says of
    /// each error whether another try may go better, and how long to wait at least: what a `Retry-After`
    /// asks for, or no time at all.
    pub(crate) async fn run<T, E: Display, F: Future<Output = Result<T, E>>>(
        mut self,
        mut attempt: impl FnMut() -> F,
        mut may_pass: impl FnMut(&E) -> Option<Duration>,
    ) -> Result<T, E> {
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(at_least) = may_pass(&error) else { return Err(error) };
            let Some(wait) = self.next_wait(Instant::now(), at_least, rand::random()) else {
                return Err(error);
            };
            debug!(reason = %error, wait_ms = wait.as_millis(), "an attempt failed and is repeated");
            sleep(wait).await;
        }
    }

    /// How long to wait before the next try; `None` where there is none. `chance` is from 0 to 1: it decides
    /// over half of the wait, so that what failed together does not come back together.
    fn next_wait(&mut self, now: Instant, at_least: Duration, chance: f64) -> Option<Duration> {
        let full = self.times.first_wait.saturating_mul(2_u32.saturating_pow(self.tried - 1));
        let backoff = full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        let wait = at_least.max(backoff);
        if self.tried >= self.times.tries || self.last_start.saturating_duration_since(now) <= wait {
            return None;
        }
        self.tried += 1;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NO_TIME: Duration = Duration::ZERO;

    fn retries(now: Instant, budget: Duration) -> Retries {
        Retries::new(now, RetryTimes { tries: 4, budget, first_wait: SECOND })
    }

    #[test]
    fn the_wait_doubles_and_half_of_it_is_left_to_chance() {
        let now = Instant::now();
        for (chance, expected) in [(0.0, [500, 1_000, 2_000]), (0.5, [750, 1_500, 3_000])] {
            let mut retries = retries(now, 60 * SECOND);
            for wait in expected {
                assert_eq!(retries.next_wait(now, NO_TIME, chance), Some(Duration::from_millis(wait)));
            }
            assert_eq!(retries.next_wait(now, NO_TIME, chance), None, "four tries are enough");
        }
    }

    #[test]
    fn a_longer_retry_after_is_honoured_and_a_shorter_one_does_not_hurry() {
        let now = Instant::now();
        let mut retries = retries(now, 60 * SECOND);
        assert_eq!(retries.next_wait(now, 20 * SECOND, 1.0), Some(20 * SECOND));
        assert_eq!(retries.next_wait(now, NO_TIME, 1.0), Some(2 * SECOND));
    }

    #[test]
    fn nothing_is_waited_for_beyond_the_budget() {
        let now = Instant::now();
        assert_eq!(retries(now, 60 * SECOND).next_wait(now, 60 * SECOND, 0.0), None);
        let mut late = retries(now, 60 * SECOND);
        assert_eq!(late.next_wait(now + 59 * SECOND, NO_TIME, 1.0), None);
        assert_eq!(late.next_wait(now + 61 * SECOND, NO_TIME, 0.0), None);
        assert_eq!(retries(now, NO_TIME).next_wait(now, NO_TIME, 0.0), None, "no budget, no retry");
    }

    /// How often work is tried whose first tries end as `errors` say: each text and whether it may pass.
    async fn tries(errors: &[(&'static str, bool)]) -> (usize, Result<(), &'static str>) {
        let mut tried = 0;
        let attempt = || {
            tried += 1;
            std::future::ready(errors.get(tried - 1).map_or(Ok(()), |(error, _)| Err(*error)))
        };
        let passes = |error: &&str| errors.contains(&(*error, true)).then_some(NO_TIME);
        let ended = retries(Instant::now(), 60 * SECOND).run(attempt, passes).await;
        (tried, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_tried_until_it_succeeds_or_cannot() {
        assert_eq!(tries(&[]).await, (1, Ok(())));
        assert_eq!(tries(&[("busy", true), ("busy", true)]).await, (3, Ok(())));
        assert_eq!(tries(&[("busy", true), ("wrong", false)]).await, (2, Err("wrong")));
        assert_eq!(tries(&[("busy", true); 9]).await, (4, Err("busy")));
    }
}
