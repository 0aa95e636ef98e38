//! Records as Firestore documents, and back.
//!
//! Times are Firestore timestamps, as the original service wrote them; everything else is what
//! its JSON is. A payload or plan that Firestore cannot hold as a map is kept as JSON text in
//! `data_json` or `plan_json`, with `data.id` beside it to be found by.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::{ArrayValue, MapValue, Value as Firestore};
use gcloud_sdk::prost_types::Timestamp;
use serde_json::{Map, Number, Value};

use super::super::limits::fits_map;
use super::super::question::OrderedBy;
use super::super::unreadable::Unreadable;
use crate::submission::{Attempt, Record};

/// Fields that hold times, in records and in their attempts.
const TIMES: [&str; 12] = [
    "created_at",
    "timestamp",
    "updated_at",
    "first_received_at",
    "fetched_at",
    "last_retried_at",
    "next_retry_at",
    "lease_expires_at",
    "undecided_since",
    "expires_at",
    "started",
    "finished",
];

/// Fields that hold what others decide, and the fields that keep them as text where they must be.
const FREE: [(&str, &str); 2] = [("data", "data_json"), ("plan", "plan_json")];

/// All of them.
const LARGE: [&str; 4] = ["data", "data_json", "plan", "plan_json"];

/// Every field of a record but those of [`FREE`], which are large.
pub(super) const SUMMARY: [&str; 31] = [
    "job_name",
    "job_id",
    "status",
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
    "next_retry_at",
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
    "first_position",
    "delivered",
    "refused",
    "refusals",
];

/// The fields of a record's document.
pub(super) fn encode(record: &Record) -> HashMap<String, Firestore> {
    let Ok(Value::Object(fields)) = serde_json::to_value(record) else {
        unreachable!("a record is a struct of plain values, which serialises to an object");
    };
    let mut document = HashMap::with_capacity(fields.len());
    for (name, value) in fields {
        let text_name = FREE.iter().find(|(free, _)| *free == name).map(|(_, text)| *text);
        match text_name {
            Some(text_name) if !fits_map(&value) => {
                document.insert(text_name.to_owned(), text(&value.to_string()));
                let id = value.get("id").filter(|id| fits_map(id)).cloned();
                let stub = Map::from_iter(id.map(|id| ("id".to_owned(), id)));
                document.insert(name, plain(Value::Object(stub)));
            }
            Some(_) => {
                document.insert(name, plain(value));
            }
            None => {
                let value = with_times(&name, value);
                document.insert(name, value);
            }
        }
    }
    document
}

/// The fields that a change writes, and the names of all that it touches.
pub(super) fn changed(before: &Record, after: &Record) -> (HashMap<String, Firestore>, Vec<String>) {
    changed_or(before, after, &[])
}

/// The same for a record whose payload another one replaces: its large fields are written whatever was read of them.
pub(super) fn replaced(before: &Record, after: &Record) -> (HashMap<String, Firestore>, Vec<String>) {
    changed_or(before, after, &LARGE)
}

fn changed_or(before: &Record, after: &Record, always: &[&str]) -> (HashMap<String, Firestore>, Vec<String>) {
    let before = encode(before);
    let mut fields = encode(after);
    let names: BTreeSet<&str> =
        before.keys().chain(fields.keys()).map(String::as_str).chain(always.iter().copied()).collect();
    let is_written = |name: &str| always.contains(&name) || before.get(name) != fields.get(name);
    let changed: Vec<String> = names.into_iter().filter(|name| is_written(name)).map(str::to_owned).collect();
    fields.retain(|name, _| changed.contains(name));
    (fields, changed)
}

/// The record of a document's fields.
pub(super) fn decode(doc_id: &str, mut fields: HashMap<String, Firestore>) -> Result<Record, Unreadable> {
    let mut large = HashMap::new();
    for (name, text_name) in FREE {
        let plain = fields.remove(name).map(json);
        let value = match fields.remove(text_name).map(json) {
            Some(Value::String(text)) => {
                let parsed = serde_json::from_str(&text);
                Some(parsed.map_err(|_| Unreadable::new(doc_id, text_name, "not JSON"))?)
            }
            _ => plain,
        };
        large.extend(value.filter(|value| !value.is_null()).map(|value| (name, value)));
    }
    let record: Map<String, Value> = fields.into_iter().map(|(name, value)| (name, json(value))).collect();
    let record: Record = serde_path_to_error::deserialize(Value::Object(record))
        .map_err(|error| Unreadable::from_decoding(doc_id, &error))?;
    let data = Arc::new(large.remove("data").unwrap_or_default());
    Ok(Record { data, plan: large.remove("plan"), ..record })
}

/// A value of our own fields: those that are named as times become timestamps.
fn with_times(name: &str, value: Value) -> Firestore {
    match value {
        Value::String(written) if TIMES.contains(&name) => DateTime::parse_from_rfc3339(&written)
            .map_or_else(|_| text(&written), |time| timestamp(time.to_utc())),
        Value::Array(items) => array(items.into_iter().map(|item| with_times(name, item)).collect()),
        Value::Object(fields) => map(fields
            .into_iter()
            .map(|(name, value)| {
                let value = with_times(&name, value);
                (name, value)
            })
            .collect()),
        other => plain(other),
    }
}

fn plain(value: Value) -> Firestore {
    match value {
        Value::Null => of(ValueType::NullValue(0)),
        Value::Bool(value) => of(ValueType::BooleanValue(value)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => self::integer(integer),
            (None, double) => of(ValueType::DoubleValue(double.unwrap_or_default())),
        },
        Value::String(value) => of(ValueType::StringValue(value)),
        Value::Array(items) => array(items.into_iter().map(plain).collect()),
        Value::Object(fields) => map(fields.into_iter().map(|(name, value)| (name, plain(value))).collect()),
    }
}

fn json(value: Firestore) -> Value {
    match value.value_type {
        Some(ValueType::BooleanValue(value)) => Value::Bool(value),
        Some(ValueType::IntegerValue(value)) => Value::from(value),
        Some(ValueType::DoubleValue(value)) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        Some(ValueType::TimestampValue(time)) => written(&time),
        Some(ValueType::StringValue(value) | ValueType::ReferenceValue(value)) => Value::String(value),
        Some(ValueType::ArrayValue(array)) => array.values.into_iter().map(json).collect(),
        Some(ValueType::MapValue(map)) => {
            map.fields.into_iter().map(|(name, value)| (name, json(value))).collect()
        }
        // Null; and bytes, places and the values of pipelines, which neither service writes.
        None | Some(_) => Value::Null,
    }
}

fn written(time: &Timestamp) -> Value {
    let time = DateTime::from_timestamp(time.seconds, time.nanos.unsigned_abs());
    time.map_or(Value::Null, |time| Value::String(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}

fn of(value: ValueType) -> Firestore {
    Firestore { value_type: Some(value) }
}

/// An array value.
pub(super) fn array(values: Vec<Firestore>) -> Firestore {
    of(ValueType::ArrayValue(ArrayValue { values }))
}

fn map(fields: HashMap<String, Firestore>) -> Firestore {
    of(ValueType::MapValue(MapValue { fields }))
}

/// A text value.
pub(super) fn text(text: &str) -> Firestore {
    of(ValueType::StringValue(text.to_owned()))
}

/// An integer value.
pub(super) fn integer(integer: i64) -> Firestore {
    of(ValueType::IntegerValue(integer))
}

/// A timestamp value.
pub(super) fn timestamp(time: DateTime<Utc>) -> Firestore {
    let nanos = i32::try_from(time.timestamp_subsec_micros() * 1_000).unwrap_or_default();
    of(ValueType::TimestampValue(Timestamp { seconds: time.timestamp(), nanos }))
}

/// What a listing is ordered by, of a document with this value.
pub(super) fn order_of(value: Option<&Firestore>) -> OrderedBy {
    match value.and_then(|value| value.value_type.as_ref()) {
        Some(ValueType::TimestampValue(time)) => {
            DateTime::from_timestamp(time.seconds, time.nanos.unsigned_abs())
                .map_or(OrderedBy::Null, OrderedBy::Time)
        }
        Some(ValueType::StringValue(text)) => OrderedBy::Text(text.clone()),
        Some(ValueType::IntegerValue(number)) => OrderedBy::Integer(*number),
        _ => OrderedBy::Null,
    }
}

/// The value that a cursor begins after.
pub(super) fn of_order(order: &OrderedBy) -> Firestore {
    match order {
        OrderedBy::Time(time) => timestamp(*time),
        OrderedBy::Text(value) => text(value),
        OrderedBy::Integer(value) => integer(*value),
        OrderedBy::Null => of(ValueType::NullValue(0)),
    }
}

/// The name of a document, as a cursor takes it.
pub(super) fn reference(name: String) -> Firestore {
    of(ValueType::ReferenceValue(name))
}

/// The history of a document of which nothing else was read; what is none is left out.
pub(super) fn attempts(mut fields: HashMap<String, Firestore>) -> Vec<Attempt> {
    let attempts = fields.remove("attempts").map(json);
    attempts.and_then(|attempts| serde_json::from_value(attempts).ok()).unwrap_or_default()
}

/// The text that a value is.
pub(super) fn as_text(value: &Firestore) -> Option<String> {
    match &value.value_type {
        Some(ValueType::StringValue(text)) => Some(text.clone()),
        _ => None,
    }
}

/// The integer that a count is.
pub(super) fn as_integer(value: &Firestore) -> Option<i64> {
    match value.value_type {
        Some(ValueType::IntegerValue(value)) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn a_summary_has_every_field_of_a_record_but_the_large_ones() {
        let schema = json!(Record::schema());
        let mut fields: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        for (large, _) in FREE {
            assert!(fields.remove(large));
        }
        assert_eq!(BTreeSet::from(SUMMARY), fields);
    }
}
