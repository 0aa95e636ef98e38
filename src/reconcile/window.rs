//! Which forms a reconciliation asks for.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A reconciliation that is not told so never goes back further than this before the first form that arrived.
const BEFORE_THE_FIRST: TimeDelta = TimeDelta::days(1);
/// How much of what an earlier run has read is read again.
const OVERLAP: TimeDelta = TimeDelta::days(1);
/// How much before the removal of their records forms are not asked for any more.
const BEFORE_REMOVAL: TimeDelta = TimeDelta::days(1);

/// The time that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Forms that HQ indexed from this time on.
    pub(super) indexed_from: DateTime<Utc>,
    /// And received from this time on: HQ may index all of its forms anew.
    received_from: DateTime<Utc>,
    /// And up to this one.
    pub(super) received_until: Option<DateTime<Utc>>,
}

impl Window {
    /// The forms that somebody asks for.
    pub(super) fn of_the_past(since: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Self {
        Self { indexed_from: since.trunc_subsecs(3), received_from: since, received_until: until }
    }

    /// The forms of the last days: as many as `days`, or more where the last run that came to its end was longer ago. Not
    /// those from before the `first` form that the queue has; nor those from so long ago that their records may have been
    /// removed.
    pub(super) fn of_late(
        now: DateTime<Utc>,
        days: Duration,
        retention: Option<Duration>,
        first: DateTime<Utc>,
        finished_up_to: Option<DateTime<Utc>>,
    ) -> Self {
        let ago = |time: Duration| now - TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX / 2);
        let still_known = retention.map(|kept| ago(kept) + BEFORE_REMOVAL);
        let received_from =
            still_known.map_or(first - BEFORE_THE_FIRST, |known| known.max(first - BEFORE_THE_FIRST));
        let wanted = finished_up_to.map_or(ago(days), |up_to| ago(days).min(up_to - OVERLAP));
        Self { indexed_from: wanted.max(received_from).trunc_subsecs(3), received_from, received_until: None }
    }

    /// Whether a form is meant that CommCare received then. One that does not say so is.
    pub(super) fn holds(&self, received: Option<DateTime<Utc>>) -> bool {
        received.is_none_or(|received| {
            received >= self.received_from && self.received_until.is_none_or(|until| received <= until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn day(day: u32) -> DateTime<Utc> {
        format!("2026-03-{day:02}T12:00:00Z").parse().unwrap()
    }

    #[test]
    fn it_goes_back_some_days_and_not_before_the_first_form() {
        let from = |first, up_to| Window::of_late(day(20), 7 * DAY, None, first, up_to).indexed_from;
        assert_eq!(from(day(1), None), day(13));
        assert_eq!(from(day(18), None), day(17), "a day before the first");
        assert_eq!(from(day(1), Some(day(19))), day(13), "what was read is read again");
        assert_eq!(from(day(1), Some(day(9))), day(8), "nothing is left out after a pause");
        assert_eq!(from(day(9), Some(day(9))), day(8));
    }

    #[test]
    fn what_may_have_been_removed_is_not_asked_for() {
        let window = Window::of_late(day(30), 20 * DAY, Some(7 * DAY), day(1), None);
        assert_eq!(window.indexed_from, day(24));
        assert!(!window.holds(Some(day(23))) && window.holds(Some(day(25))) && window.holds(None));
    }

    #[test]
    fn a_form_of_the_past_is_meant_by_when_it_was_received() {
        let window = Window::of_the_past(day(2), Some(day(4)));
        let held: Vec<u32> = (1..6).filter(|n| window.holds(Some(day(*n)))).collect();
        assert_eq!(held, [2, 3, 4]);
    }
}
