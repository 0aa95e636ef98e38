//! Reads what the original service and older versions wrote, wherever the meaning is clear.
//!
//! An empty text and null both mean "absent". A time is a timestamp, ISO 8601 text, or that text with a space in
//! place of the `T`; without a zone it is UTC. A number may be written as text. Anything else is an error, and the
//! record is reported as unreadable.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A field that holds a time.
pub(super) enum TimeField {
    /// Null.
    Null,
    /// An empty text.
    Blank,
    /// A time.
    At(DateTime<Utc>),
}

impl<'de> Deserialize<'de> for TimeField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = TimeField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }

    fn visit_unit<E: Error>(self) -> Result<TimeField, E> {
        Ok(TimeField::Null)
    }

    fn visit_none<E: Error>(self) -> Result<TimeField, E> {
        Ok(TimeField::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<TimeField, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TimeField, E> {
        match text.trim() {
            "" => Ok(TimeField::Blank),
            text => parse(text).map(TimeField::At).ok_or_else(|| E::custom("a text that is not a time")),
        }
    }
}

/// A time as text: `2026-03-02T08:15:30.123456Z`, `2026-01-02 03:04:05+00:00`, with or without a zone.
fn parse(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z"))
        .map(|time| time.to_utc());
    let naive = |format| NaiveDateTime::parse_from_str(text, format).map(|time| time.and_utc());
    zoned.or_else(|_| naive("%Y-%m-%d %H:%M:%S%.f")).or_else(|_| naive("%Y-%m-%dT%H:%M:%S%.f")).ok()
}

pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(match TimeField::deserialize(deserializer)? {
        TimeField::Null | TimeField::Blank => None,
        TimeField::At(time) => Some(time),
    })
}

/// A value, or none where it is null or an empty text.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.filter(|value| !value.is_null() && value.as_str() != Some("")))
}

pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match present(deserializer)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(D::Error::custom("not a text")),
    }
}

/// An id: the original service kept a number as it was.
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match present(deserializer)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(D::Error::custom("neither a text nor a number")),
    }
}

/// A count, which Firestore's console also keeps as a double or as text.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = match present(deserializer)? {
        None => return Ok(0),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(_) => return Err(D::Error::custom("not a number")),
    };
    let whole = number.strip_suffix(".0").unwrap_or(&number);
    whole.parse().map_err(|_| D::Error::custom("not a whole number from 0 on"))
}

/// One of a closed set of words.
pub(super) fn word<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let Some(value) = present(deserializer)? else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|_| D::Error::custom("not a known word"))
}

/// The same, where a later version may know more words: an unknown one is absent.
pub(super) fn known_word<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(present(deserializer)?.and_then(|value| serde_json::from_value(value).ok()))
}

pub(super) fn blank_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    match present(deserializer)? {
        None => Ok(T::default()),
        Some(value) => serde_json::from_value(value).map_err(D::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::submission::{NextRetry, Record};

    fn record(field: &str, value: serde_json::Value) -> Result<Record, serde_json::Error> {
        let mut record = json!({ "status": "new" });
        record[field] = value;
        serde_json::from_value(record)
    }

    #[test]
    fn blank_and_null_are_absent_in_every_optional_field() {
        for field in [
            "job_id",
            "created_at",
            "timestamp",
            "updated_at",
            "first_received_at",
            "fetched_at",
            "run_retries",
            "last_retried_at",
            "error",
            "error_kind",
            "cause",
            "waits_for",
            "undecided_since",
            "last_step",
            "lease_owner",
            "lease_expires_at",
            "expires_at",
            "payload_hash",
            "revision",
            "attempts",
            "note",
            "dry_run",
            "unmapped",
            "written",
            "delivered",
            "refused",
            "refusals",
        ] {
            let absent = serde_json::from_value::<Record>(json!({ "status": "new" })).unwrap();
            for value in [json!(""), json!(null)] {
                assert_eq!(record(field, value).unwrap(), absent, "{field}");
            }
        }
        assert_eq!(record("next_retry_at", json!("")).unwrap().next_retry_at, NextRetry::Unset);
        assert_eq!(record("next_retry_at", json!(null)).unwrap().next_retry_at, NextRetry::Never);
    }

    #[test]
    fn a_time_is_read_in_every_shape_that_is_clear() {
        let expected = record("updated_at", json!("2026-01-02T03:04:05Z")).unwrap();
        for text in [
            "2026-01-02 03:04:05+00:00",
            "2026-01-02 03:04:05",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05Z",
            "2026-01-02 03:04:05.000000+00:00",
            "2026-01-02T05:04:05+02:00",
            "2026-01-02 03:04:05+0000",
        ] {
            assert_eq!(record("updated_at", json!(text)).unwrap(), expected, "{text}");
        }
        let fraction = record("updated_at", json!("2026-01-02 03:04:05.678901+00:00")).unwrap();
        assert_eq!(fraction.updated_at.unwrap().timestamp_subsec_micros(), 678_901);
        for odd in [json!("yesterday"), json!(17), json!(["2026-01-02"]), json!("2026-01-02 25:00:00")] {
            assert!(record("updated_at", odd.clone()).is_err(), "{odd}");
            assert!(record("next_retry_at", odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_count_may_be_a_double_or_text_and_nothing_else() {
        for three in [json!(3), json!(3.0), json!("3")] {
            assert_eq!(record("run_retries", three.clone()).unwrap().run_retries, 3, "{three}");
        }
        for odd in [json!(-1), json!(2.5), json!("many"), json!({})] {
            assert!(record("run_retries", odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_cause_that_a_later_version_wrote_is_no_reason_to_refuse_a_record() {
        assert_eq!(record("cause", json!("moon_phase")).unwrap().cause, None);
        assert!(record("error_kind", json!("moon_phase")).is_err());
    }
}
