//! When a call that failed is sent again, within the same delivery.
//!
//! Upserts and submissions can be repeated without harm, so a lost answer is no reason to hold back. The bound is
//! a share of the record's lease: whatever happens, its worker is heard of before it runs out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// Calls that one request is worth: the first and three more. jsforce makes up to five more, Salto
/// two, and what they don't catch the queue's own retries do.
const CALLS: u32 = 4;

/// How long retrying may go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryTimes {
    /// Bound of one call.
    pub(super) call: Duration,
    /// How long one request may be retried.
    pub(super) budget: Duration,
    /// The wait before the first retry; it doubles with each.
    pub(super) delay: Duration,
}

/// One request's retries.
#[derive(Debug)]
pub(super) struct Retries {
    calls: u32,
    delay: Duration,
    /// No wait ends later.
    last_start: Instant,
    /// No call ends later.
    deadline: Instant,
}

impl Retries {
    /// For a request of a delivery that started at `now`: the first call of all may take its whole
    /// time, and all requests of the delivery share the bound.
    pub(super) fn new(now: Instant, times: RetryTimes) -> Self {
        let last_start = now + times.budget;
        let deadline = last_start.max(now + times.call);
        Self { calls: 1, delay: times.delay, last_start, deadline }
    }

    /// When the call under way has to have ended.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long to wait before the next call; `None` to give up. `chance` is from 0 to 1: half of
    /// the wait is left to it, so that calls that failed together don't come back together.
    pub(super) fn next_wait(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        let full = self.delay.saturating_mul(2_u32.saturating_pow(self.calls - 1));
        let backoff = full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        let wait = retry_after.unwrap_or_default().max(backoff);
        if self.calls >= CALLS || self.last_start.saturating_duration_since(now) <= wait {
            return None;
        }
        self.calls += 1;
        Some(wait)
    }
}

/// What `Retry-After` asks for: seconds or an HTTP date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn retries(now: Instant, budget: Duration) -> Retries {
        let times = RetryTimes { call: 30 * SECOND, budget, delay: SECOND };
        Retries::new(now, times)
    }

    #[test]
    fn the_wait_doubles_and_half_of_it_is_left_to_chance() {
        let now = Instant::now();
        for (chance, expected) in [(0.0, [500, 1_000, 2_000]), (0.5, [750, 1_500, 3_000])] {
            let mut retries = retries(now, 60 * SECOND);
            for wait in expected {
                assert_eq!(retries.next_wait(now, None, chance), Some(Duration::from_millis(wait)));
            }
            assert_eq!(retries.next_wait(now, None, chance), None, "four calls are enough");
        }
    }

    #[test]
    fn a_longer_retry_after_is_honoured_and_a_shorter_one_does_not_hurry() {
        let now = Instant::now();
        let mut retries = retries(now, 60 * SECOND);
        assert_eq!(retries.next_wait(now, Some(20 * SECOND), 1.0), Some(20 * SECOND));
        assert_eq!(retries.next_wait(now, Some(Duration::ZERO), 1.0), Some(2 * SECOND));
    }

    #[test]
    fn nothing_is_waited_for_beyond_the_budget() {
        let now = Instant::now();
        assert_eq!(retries(now, 60 * SECOND).next_wait(now, Some(60 * SECOND), 0.0), None);
        let mut late = retries(now, 60 * SECOND);
        assert_eq!(late.next_wait(now + 59 * SECOND, None, 1.0), None);
        assert_eq!(late.next_wait(now + 61 * SECOND, None, 0.0), None);
        assert_eq!(retries(now, Duration::ZERO).next_wait(now, None, 0.0), None, "no budget, no retry");
        assert_eq!(late.deadline(), now + 60 * SECOND);
        assert_eq!(retries(now, SECOND).deadline(), now + 30 * SECOND, "the first call has its time");
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T10:00:00Z").unwrap().to_utc();
        for (value, expected) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("Sun, 01 Mar 2026 10:00:30 GMT", Some(30)),
            ("Sun, 01 Mar 2026 09:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
