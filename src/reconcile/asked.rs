//! What somebody asks a reconciliation for.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::time::{self, Edge};

/// What somebody asks for; by default the forms of the last days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Forms that CommCare received from this time on, however long ago that is.
    pub since: Option<DateTime<Utc>>,
    /// And up to this one.
    pub until: Option<DateTime<Utc>>,
    /// Whether forms are only counted.
    pub dry_run: bool,
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {rule}")]
pub struct AskedError {
    /// Which part.
    pub name: &'static str,
    /// What it must be.
    pub rule: String,
}

impl Asked {
    /// Reads it from texts. `retention` is how long completed records are kept: whether a form was processed before that
    /// is not known any more.
    pub fn from_texts(
        since: Option<&str>,
        until: Option<&str>,
        dry_run: bool,
        now: DateTime<Utc>,
        retention: Option<Duration>,
    ) -> Result<Self, AskedError> {
        let error = |name, rule: &str| AskedError { name, rule: rule.to_owned() };
        let read = |name, text: Option<&str>, edge| {
            text.map(|text| time::read(text, edge).ok_or_else(|| error(name, time::RULE))).transpose()
        };
        let since = read("since", since, Edge::From)?;
        let until = read("until", until, Edge::Through)?;
        if since.is_some_and(|since| since > now) {
            return Err(error("since", "must not be in the future"));
        }
        match (since, until) {
            (None, Some(_)) => return Err(error("until", "needs since")),
            (Some(since), Some(until)) if until < since => {
                return Err(error("until", "must not be before since"));
            }
            _ => {}
        }
        if let (Some(since), Some(kept)) = (since, retention)
            && now - since > TimeDelta::from_std(kept).unwrap_or(TimeDelta::MAX)
        {
            let rule = "must be within COMPLETED_RETENTION_DAYS: which older forms were processed is not known any more, \
                        and they would be processed again; set it to 0 to bring them in";
            return Err(error("since", rule));
        }
        Ok(Self { since, until, dry_run })
    }

    /// Whether it is what the scheduler asks for every day.
    pub fn is_routine(&self) -> bool {
        self.since.is_none() && !self.dry_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn asked(since: Option<&str>, until: Option<&str>) -> Result<Asked, String> {
        let week = Some(Duration::from_hours(7 * 24));
        let retention = week.filter(|_| since == Some("2026-03-01"));
        Asked::from_texts(since, until, false, at("2026-03-17T12:00:00Z"), retention)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_date_is_all_of_its_day() {
        let day = asked(Some("2024-01-01"), Some("2024-01-31")).unwrap();
        assert_eq!(day.since, Some(at("2024-01-01T00:00:00Z")));
        assert_eq!(day.until, Some(at("2024-01-31T23:59:59.999Z")));
        let time = asked(Some("2024-01-01T06:00:00"), Some("2024-01-01T08:00:00+02:00")).unwrap();
        assert_eq!(
            (time.since, time.until),
            (Some(at("2024-01-01T06:00:00Z")), Some(at("2024-01-01T06:00:00Z")))
        );
        // A plus that is not percent-encoded arrives as a blank.
        let zoned = asked(Some("2024-01-01T06:00:00 03:00"), None).unwrap();
        assert_eq!(zoned.since, Some(at("2024-01-01T03:00:00Z")));
        assert!(asked(None, None).unwrap().is_routine() && !day.is_routine());
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (since, until, expected) in [
            (Some("yesterday"), None, "since: must be a date or date-time"),
            (Some("-0001-01-01"), None, "since: must be a date or date-time"),
            (Some("2024-13-01"), None, "since: must be a date or date-time"),
            (Some("2024-01-01"), Some(""), "until: must be a date or date-time"),
            (Some("2026-03-18"), None, "since: must not be in the future"),
            (None, Some("2026-03-01"), "until: needs since"),
            (Some("2026-01-02"), Some("2026-01-01"), "until: must not be before since"),
            (Some("2026-03-01"), None, "since: must be within COMPLETED_RETENTION_DAYS"),
        ] {
            let error = asked(since, until).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
