//! Dates and date-times that people give: in parameters, and on the command line.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// What a time must be.
pub(crate) const RULE: &str = "must be a date or date-time, such as 2026-11-24 or 2026-11-24T08:00:00Z";

/// The side of a range that a time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The range begins with it.
    From,
    /// The range ends before it; with a date alone, after that day.
    Before,
    /// The range ends with it; with a date alone, with the last millisecond of that day.
    Through,
}

/// An ISO-8601 date or date-time; UTC where it has no zone.
pub(crate) fn read(text: &str, edge: Edge) -> Option<DateTime<Utc>> {
    // Firestore has years of four digits.
    read_any(text.trim(), edge).filter(|time| (1..=9_999).contains(&time.year()))
}

fn read_any(text: &str, edge: Edge) -> Option<DateTime<Utc>> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let begins = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
        let next = date.checked_add_days(Days::new(1)).map(begins);
        return match edge {
            Edge::From => Some(begins(date)),
            Edge::Before => next,
            Edge::Through => next.map(|next| next - TimeDelta::milliseconds(1)),
        };
    }
    let (date, time) = text.split_once(['T', 't', ' '])?;
    // A plus that is not percent-encoded arrives as a blank.
    let text = format!("{date}T{}", time.replace(' ', "+").trim_end_matches(['Z', 'z']));
    let zoned = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
    let zoned = zoned.iter().find_map(|format| DateTime::parse_from_str(&text, format).ok());
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let naive = || naive.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok());
    zoned.map(|time| time.to_utc()).or_else(|| Some(naive()?.and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv;

    #[test]
    fn times_are_read_as_iso_8601_writes_them() {
        for (text, time) in [
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("2026-11-24T08:30", "2026-11-24T08:30:00Z"),
            ("2026-11-24T08:30Z", "2026-11-24T08:30:00Z"),
            ("2026-11-24 08:30:15.5", "2026-11-24T08:30:15.500Z"),
            ("2026-11-24T08:30:15+03:00", "2026-11-24T05:30:15Z"),
            ("2026-11-24T08:30:15 03:00", "2026-11-24T05:30:15Z"),
            ("2026-11-24T08:30-0300", "2026-11-24T11:30:00Z"),
        ] {
            assert_eq!(read(text, Edge::From).map(csv::time).as_deref(), Some(time), "{text}");
        }
        assert_eq!(read("2026-11-24", Edge::Before).map(csv::time).as_deref(), Some("2026-11-25T00:00:00Z"));
        let through = read("2026-11-24", Edge::Through).map(csv::time);
        assert_eq!(through.as_deref(), Some("2026-11-24T23:59:59.999Z"));
        for bad in [
            "yesterday",
            "2026-13-01",
            "2026-11",
            "24.11.2026",
            "2026-11-24T",
            "T08:00",
            "1700000000",
            "-0001-01-01",
            "",
        ] {
            assert_eq!(read(bad, Edge::From), None, "{bad}");
        }
    }
}
