//! How many rows one collection may have.
//!
//! The triggers and flows of an org see all rows of a collection in one transaction, and some do too much for 200 of
//! them (Apex Developer Guide, "Execution Governors and Limits"). Which number an object bears is learnt from
//! refusals, and remembered for a while, so that the next form starts with it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

/// How long a smaller size holds: then a full collection is tried again, since the org may have changed.
const REMEMBERED: Duration = Duration::from_hours(1);

/// The sizes of one org.
pub(super) struct Sizes {
    /// `SF_COLLECTION_SIZE`.
    most: usize,
    /// By object: the size, and until when it holds.
    learnt: Mutex<HashMap<&'static str, (usize, Instant)>>,
}

impl Sizes {
    pub(super) fn new(most: usize) -> Self {
        Self { most, learnt: Mutex::default() }
    }

    /// Rows that a collection of `object` may have now.
    pub(super) fn most(&self, object: &str, now: Instant) -> usize {
        let learnt = self.learnt();
        learnt.get(object).filter(|(_, until)| now < *until).map_or(self.most, |(size, _)| *size)
    }

    /// A collection of so many rows, more than one, was too much.
    pub(super) fn too_much(&self, object: &'static str, rows: usize, now: Instant) {
        let half = rows.div_ceil(2);
        let size = self.most(object, now).min(half);
        warn!(object, rows, size, "Salesforce's own triggers cannot bear so many rows at once");
        self.learnt().insert(object, (size, now + REMEMBERED));
    }

    fn learnt(&self) -> MutexGuard<'_, HashMap<&'static str, (usize, Instant)>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_halved_down_to_one_and_forgotten_after_an_hour() {
        let now = Instant::now();
        let sizes = Sizes::new(200);
        let mut rows = 200;
        for half in [100, 50, 25, 13, 7, 4, 2, 1] {
            sizes.too_much("A", rows, now);
            assert_eq!((sizes.most("A", now), sizes.most("B", now)), (half, 200));
            rows = half;
        }
        sizes.too_much("A", 30, now);
        assert_eq!(sizes.most("A", now), 1, "an answer that comes late makes no size larger");
        assert_eq!(sizes.most("A", now + REMEMBERED), 200);
    }
}
