//! When a failed record is tried again (`docs/service.md`, guarantees 6 and 11).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::RetryPolicy;
use crate::submission::{ErrorKind, NextRetry};

/// The back-off of a transient failure grows by this factor with each retry.
const GROWTH: f64 = 5.0;
/// Every back-off varies by this share, so that records that failed together do not return together.
const JITTER: f64 = 0.2;
/// No back-off is longer, whatever is configured.
const CEILING: Duration = Duration::from_hours(30 * 24);
/// Waits of a record whose reference is missing, in back-offs; then one a day.
const WAITS: [u32; 5] = [1, 5, 25, 120, 600];
const DAY: Duration = Duration::from_hours(24);

/// A record that has just failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) kind: ErrorKind,
    /// Retries so far.
    pub(super) retries: u32,
    /// When this service got its payload.
    pub(super) arrived: DateTime<Utc>,
}

impl Failed {
    /// When auto-retry may take the record. `jitter` is from −1 to 1.
    pub(super) fn next_retry(self, now: DateTime<Utc>, policy: &RetryPolicy, jitter: f64) -> NextRetry {
        match self.kind {
            ErrorKind::Permanent => NextRetry::Never,
            ErrorKind::Transient if self.retries >= policy.max_retries => NextRetry::Never,
            ErrorKind::Transient => {
                let growth = GROWTH.powi(i32::try_from(self.retries).unwrap_or(i32::MAX));
                NextRetry::At(now + varied(policy.retry_backoff.as_secs_f64() * growth, jitter))
            }
            ErrorKind::Dependency => self.next_look(now, policy, jitter),
        }
    }

    /// By age and not by count: the first wait that is longer than the record's age, then a day; the last look is
    /// at the end of `DEPENDENCY_PATIENCE_DAYS`.
    fn next_look(self, now: DateTime<Utc>, policy: &RetryPolicy, jitter: f64) -> NextRetry {
        let end = self.arrived + policy.dependency_patience;
        if now >= end {
            return NextRetry::Never;
        }
        let age = (now - self.arrived).to_std().unwrap_or_default();
        let mut waits = WAITS.into_iter().map(|times| policy.retry_backoff.saturating_mul(times));
        let wait = waits.find(|wait| *wait > age && *wait < DAY).unwrap_or(DAY);
        NextRetry::At((now + varied(wait.as_secs_f64(), jitter)).min(end))
    }
}

fn varied(seconds: f64, jitter: f64) -> TimeDelta {
    let seconds = seconds * (1.0 + JITTER * jitter);
    let delay = Duration::try_from_secs_f64(seconds).unwrap_or(CEILING).min(CEILING);
    TimeDelta::microseconds(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        lease: Duration::from_mins(2),
        max_retries: 3,
        retry_backoff: Duration::from_mins(1),
        outage_patience: Duration::from_hours(7 * 24),
        dependency_patience: Duration::from_hours(30 * 24),
        retention: None,
    };

    fn wait(kind: ErrorKind, retries: u32, age: TimeDelta) -> Option<i64> {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        match (Failed { kind, retries, arrived: now - age }).next_retry(now, &POLICY, 0.0) {
            NextRetry::At(time) => Some((time - now).num_minutes()),
            NextRetry::Never => None,
            NextRetry::Unset => unreachable!("a failed record always says when"),
        }
    }

    #[test]
    fn a_transient_failure_waits_longer_with_each_retry_and_then_for_a_person() {
        let waits = [0, 1, 2, 3].map(|retries| wait(ErrorKind::Transient, retries, TimeDelta::zero()));
        assert_eq!(waits, [Some(1), Some(5), Some(25), None]);
        assert_eq!(wait(ErrorKind::Permanent, 0, TimeDelta::zero()), None);
    }

    #[test]
    fn a_missing_reference_is_looked_for_by_age_whatever_the_count() {
        let mut age = TimeDelta::zero();
        let mut waits = Vec::new();
        while let Some(minutes) = wait(ErrorKind::Dependency, 99, age) {
            waits.push(minutes);
            age += TimeDelta::minutes(minutes);
        }
        assert_eq!(waits[..7], [1, 5, 25, 120, 600, 1_440, 1_440]);
        assert_eq!(age, TimeDelta::days(30), "the last look is at the end of the patience");
    }

    #[test]
    fn the_jitter_is_a_fifth_and_no_wait_overflows() {
        let now = DateTime::UNIX_EPOCH;
        let failed = Failed { kind: ErrorKind::Transient, retries: 0, arrived: now };
        let at = |jitter| failed.next_retry(now, &POLICY, jitter);
        assert_eq!(at(1.0), NextRetry::At(now + TimeDelta::seconds(72)));
        assert_eq!(at(-1.0), NextRetry::At(now + TimeDelta::seconds(48)));
        let patient = RetryPolicy { max_retries: 100, retry_backoff: Duration::MAX, ..POLICY };
        let latest = NextRetry::At(now + TimeDelta::days(30));
        assert_eq!(Failed { retries: 99, ..failed }.next_retry(now, &patient, 0.0), latest);
        let waiting = Failed { kind: ErrorKind::Dependency, ..failed };
        assert_eq!(waiting.next_retry(now, &patient, 0.0), NextRetry::At(now + TimeDelta::days(1)));
    }
}
