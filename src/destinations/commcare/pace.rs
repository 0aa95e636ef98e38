//! How many submissions are under way at a time, over the whole process.
//!
//! At most `CC_CONCURRENCY`. When HQ says that it is too much (423, 429, 503), all submissions pause for a while and
//! half as many go on. Each submission that goes well lets a few more in again, as TCP does it. The pauses double
//! for as long as HQ goes on saying that it is too much.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

/// The longest pause that is not asked for: HQ's own limits are counted by the second and the minute
/// (CommCare's page on form submission rate limiting).
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that `Retry-After` may ask for. The queue's own retries cover what lies beyond.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// Lets submissions in.
pub(super) struct Pace {
    most: usize,
    first_pause: Duration,
    state: Mutex<State>,
    left: Notify,
}

struct State {
    under_way: usize,
    /// How many may be under way. Not a whole number: each success adds a part of one.
    allowed: f64,
    not_before: Option<Instant>,
    next_pause: Duration,
}

/// A submission under way; over when dropped.
pub(super) struct Slot<'p>(&'p Pace);

impl Pace {
    pub(super) fn new(most: usize, first_pause: Duration) -> Self {
        let state =
            State { under_way: 0, allowed: as_share(most), not_before: None, next_pause: first_pause };
        Self { most, first_pause, state: Mutex::new(state), left: Notify::new() }
    }

    /// Waits until one more submission may be under way.
    pub(super) async fn enter(&self) -> Slot<'_> {
        loop {
            let left = self.left.notified();
            match self.try_enter(Instant::now()) {
                Ok(slot) => return slot,
                Err(Some(until)) => sleep_until(until).await,
                Err(None) => left.await,
            }
        }
    }

    /// A slot; or the time to try again; or `None` when another submission must end first.
    fn try_enter(&self, now: Instant) -> Result<Slot<'_>, Option<Instant>> {
        let mut state = self.state();
        if let Some(until) = state.not_before.filter(|until| *until > now) {
            return Err(Some(until));
        }
        if as_share(state.under_way + 1) > state.allowed {
            return Err(None);
        }
        state.under_way += 1;
        Ok(Slot(self))
    }

    /// HQ took a submission.
    pub(super) fn went_well(&self) {
        let mut state = self.state();
        let slowed = state.allowed < as_share(self.most);
        state.allowed = (state.allowed + 1.0 / state.allowed).min(as_share(self.most));
        if slowed && state.allowed >= as_share(self.most) {
            state.next_pause = self.first_pause;
            info!("submissions to CommCare are at full speed again");
        }
    }

    /// HQ says that it is too much. Submissions that were under way together count as one that was told so.
    pub(super) fn slow_down(&self, now: Instant, asked: Option<Duration>) {
        let mut state = self.state();
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        if state.not_before.is_some_and(|until| until > now) {
            state.not_before = state.not_before.max(Some(now + asked));
            return;
        }
        let pause = state.next_pause.max(asked);
        state.not_before = Some(now + pause);
        state.next_pause = state.next_pause.saturating_mul(2).min(LONGEST_PAUSE.max(self.first_pause));
        state.allowed = (state.allowed / 2.0).max(1.0);
        warn!(pause_ms = pause.as_millis(), at_a_time = state.allowed.floor(), "CommCare asks to slow down");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        // As more are allowed, a submission that ends may make room for two.
        self.0.left.notify_one();
        self.0.left.notify_one();
    }
}

/// Submissions are few: a float holds the number exactly.
fn as_share(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(500);

    fn fill(pace: &Pace, now: Instant) -> Vec<Slot<'_>> {
        std::iter::from_fn(|| pace.try_enter(now).ok()).collect()
    }

    #[test]
    fn no_more_than_configured_are_under_way() {
        let pace = Pace::new(50, PAUSE);
        let now = Instant::now();
        let slots = fill(&pace, now);
        assert_eq!(slots.len(), 50);
        for _ in 0..100 {
            pace.went_well();
        }
        assert!(pace.try_enter(now).is_err());
        drop(slots);
        assert_eq!(fill(&pace, now).len(), 50);
    }

    #[test]
    fn all_pause_and_half_as_many_go_on() {
        let pace = Pace::new(8, PAUSE);
        let now = Instant::now();
        for _ in 0..8 {
            pace.slow_down(now, None);
        }
        assert!(pace.try_enter(now + PAUSE / 2).is_err());
        let later = now + PAUSE;
        assert_eq!(fill(&pace, later).len(), 4, "eight that were under way together say it once");
        pace.slow_down(later, None);
        assert!(pace.try_enter(later + PAUSE).is_err(), "the next pause is twice as long");
        assert_eq!(fill(&pace, later + 2 * PAUSE).len(), 2);
        for _ in 0..100 {
            pace.went_well();
        }
        assert_eq!(fill(&pace, later + 2 * PAUSE).len(), 8, "back to full speed");
        pace.slow_down(later + 2 * PAUSE, None);
        assert!(pace.try_enter(later + 3 * PAUSE).is_ok(), "and to short pauses");
    }

    #[test]
    fn it_never_stops_altogether_and_honours_what_is_asked() {
        let pace = Pace::new(1, PAUSE);
        let now = Instant::now();
        pace.slow_down(now, Some(Duration::from_secs(20)));
        assert!(pace.try_enter(now + Duration::from_secs(19)).is_err());
        assert_eq!(fill(&pace, now + Duration::from_secs(20)).len(), 1);
        pace.slow_down(now + Duration::from_secs(20), Some(Duration::from_hours(5)));
        assert!(pace.try_enter(now + Duration::from_secs(20) + LONGEST_ASKED).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_let_in_when_another_leaves() {
        let pace = Pace::new(1, PAUSE);
        let slot = pace.enter().await;
        let waiting = pace.enter();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(slot);
        drop(waiting.await);
    }
}
