//! Firestore's clock, as its answers tell it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// How far Firestore's clock is ahead of this machine's; cheap to clone. The last commit tells.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerClock(Arc<AtomicI64>);

impl ServerClock {
    pub(super) fn offset(&self) -> TimeDelta {
        TimeDelta::microseconds(self.0.load(Ordering::Relaxed))
    }

    /// A request was sent at `sent`, answered at `answered`, and done at `done` by Firestore's clock. Within the time
    /// that the request took, nothing can be told: then the clocks count as the same.
    pub(super) fn learn(&self, sent: DateTime<Utc>, answered: DateTime<Utc>, done: DateTime<Utc>) {
        let offset = if done < sent { done - sent } else { (done - answered).max(TimeDelta::zero()) };
        self.0.store(offset.num_microseconds().unwrap_or_default(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_what_the_request_itself_cannot_explain() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let clock = ServerClock::default();
        for (done, offset) in [(11, 0), (10, 0), (12, 0), (72, 60), (0, -10)] {
            clock.learn(at(10), at(12), at(done));
            assert_eq!(clock.offset(), TimeDelta::seconds(offset), "{done}");
        }
    }
}
