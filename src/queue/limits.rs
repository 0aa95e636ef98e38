//! What a queue document may hold. Firestore sets the limits; both back ends keep them, so that
//! a record that one accepts can move to the other.

use serde_json::{Map, Number, Value, json};

use super::QueueError;
use crate::submission::Record;

/// Firestore: maximum size of a document, in bytes ("Usage and limits").
const DOCUMENT_LIMIT: usize = 1_048_576;
/// Kept free for what processing adds to an accepted record.
const RESERVE: usize = 24 * 1024;
/// Bytes that a cut plan takes beside its effects.
const CUT_NOTE_SIZE: usize = 256;
/// Firestore: maximum depth of maps and arrays ("Usage and limits"). Depth is counted from the
/// document's own fields, so a field's value may nest one level less.
const DEPTH_LIMIT: usize = 20;
/// Firestore: maximum size of a field name, in bytes.
const NAME_LIMIT: usize = 1_500;
/// Firestore: bytes that a document takes beside its fields (32, and its name: our collection and
/// document ids are short).
const DOCUMENT_OVERHEAD: usize = 512;

/// Firestore: bytes that a map takes beside its fields, as a document does ("Storage size
/// calculations").
const MAP_OVERHEAD: usize = 32;

/// Bytes of a record's fields without their texts and lists: thirty names of up to 17 bytes, and values of up to 8.
const FIELDS_SIZE: usize = 1_024;
/// Bytes of an attempt without its texts: a map of nine fields.
const ATTEMPT_SIZE: usize = MAP_OVERHEAD + 128;

/// Firestore: bytes of a text that an index holds whole: 1,500 for a value ("Usage and limits"), of which a
/// text takes one beside its own ("Storage size calculations"). A query for a longer text is refused.
pub(super) const INDEXED_TEXT: usize = 1_499;

/// Firestore: values that one `array-contains-any` may have ("Query limitations"). SQLite is asked for as many keys at a
/// time, so that a record that very many have written hides no writer of the others.
pub(super) const DISJUNCTIONS: usize = 30;

/// Bytes that a payload stored in parts may take, its positions included.
pub(super) const ROOM: usize = DOCUMENT_LIMIT - RESERVE - DOCUMENT_OVERHEAD;
/// Bytes that are kept about the delivery of a payload's record: its position, an integer, and the key of its case, of
/// which CommCare's have 42 bytes.
const DELIVERY_SIZE: usize = 8 + 48;

/// Keys that a document has at most, and records that a payload has in one document. Firestore: 40,000 index entries and
/// 8 MiB of them for a document ("Usage and limits"). Each key is in three indexes, and CommCare's longest case ids take
/// about 400 bytes in each.
pub(super) const KEYS: usize = 6_000;

/// Bytes that a value takes in a payload, whether that is kept as a map or as text.
pub(super) fn size(value: &Value) -> usize {
    value_size(value).max(text_size(value))
}

/// Bytes that a record takes in a payload, with what is kept about its delivery.
pub(super) fn record_size(record: &Value) -> usize {
    // The comma of the text.
    size(record) + 1 + DELIVERY_SIZE
}

/// Bytes that are kept about the delivery of so many records.
pub(super) fn deliveries_size(records: usize) -> usize {
    records * DELIVERY_SIZE
}

/// Memory that a value takes, about: tens of bytes for the smallest, and as much again for the place of a member.
pub(super) fn memory(value: &Value) -> usize {
    const VALUE: usize = 48;
    const MEMBER: usize = 112;
    match value {
        Value::Null | Value::Bool(_) => VALUE,
        Value::Number(_) => 2 * VALUE,
        Value::String(text) => VALUE + text.len(),
        Value::Array(items) => VALUE + items.iter().map(memory).sum::<usize>(),
        Value::Object(fields) => {
            let members = fields.iter().map(|(name, value)| MEMBER + name.len() + memory(value));
            VALUE + MEMBER + members.sum::<usize>()
        }
    }
}

/// Refuses a payload that no record could hold.
pub(super) fn check(data: &Value) -> Result<(), QueueError> {
    let size = payload_size(data) + DOCUMENT_OVERHEAD;
    let limit = DOCUMENT_LIMIT - RESERVE;
    if size > limit { Err(QueueError::TooLarge { size, limit }) } else { Ok(()) }
}

/// Makes a record fit: drops the oldest attempts, then keys of written records and reasons of refused
/// ones, and shortens the plan of a dry run, saying so.
pub(super) fn fit(record: &mut Record) {
    let payload = payload_size(&record.data);
    fit_beside(record, payload);
}

/// The same for a record whose payload of so many bytes is elsewhere.
pub(super) fn fit_beside(record: &mut Record, payload: usize) {
    // Room for the fields of the next claim.
    let limit = DOCUMENT_LIMIT - RESERVE / 4;
    while payload + history_size(record) > limit && record.attempts.len() > 1 {
        record.attempts.remove(0);
    }
    record.written.truncate(KEYS);
    // A record that waits looks by itself as well.
    while payload + history_size(record) > limit && record.waits_for.len() > 1 {
        record.waits_for.truncate(record.waits_for.len() / 2);
    }
    while payload + history_size(record) > limit && record.unmapped.pop().is_some() {}
    while payload + history_size(record) > limit && !record.written.is_empty() {
        record.written.truncate(record.written.len() / 2);
    }
    while payload + history_size(record) > limit && record.refusals.pop().is_some() {}
    let room = limit.saturating_sub(payload + history_size(record));
    if let Some(plan) = record.plan.take() {
        record.plan = Some(cut_plan(plan, room));
    }
}

/// As many of the plan's effects as `room` bytes hold. Some may have been cut before: then `total` says how many there
/// were.
fn cut_plan(mut plan: Value, room: usize) -> Value {
    let total = plan.as_object_mut().and_then(|plan| plan.remove("total"));
    if total.is_none() && size(&plan) <= room {
        return plan;
    }
    let list = |name: &'static str| Some((name, plan.get_mut(name)?.as_array_mut().map(std::mem::take)?));
    let Some((name, mut effects)) = ["upserts", "documents"].into_iter().find_map(list) else {
        return json!({ "cut": "it would not fit" });
    };
    let total = total.as_ref().and_then(Value::as_u64).unwrap_or(effects.len() as u64);
    let mut used = CUT_NOTE_SIZE;
    let fitting = effects.iter().take_while(|effect| {
        used += size(effect) + 1;
        used <= room
    });
    effects.truncate(fitting.count());
    let cut = format!("{} of {total} {name} are kept: all of them would not fit", effects.len());
    json!({ name: effects, "cut": cut })
}

/// Whether Firestore can hold `value` as a map: no array directly in an array, at most 20 levels,
/// integers of 64 bits, numbers that are the same as doubles, usable names.
pub(super) fn fits_map(value: &Value) -> bool {
    fits(value, DEPTH_LIMIT - 1)
}

fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.is_i64() || is_exact_double(number),
        Value::Array(items) => {
            levels > 0 && items.iter().all(|item| !item.is_array() && fits(item, levels - 1))
        }
        Value::Object(fields) => {
            levels > 0 && fields.iter().all(|(name, value)| name_fits(name) && fits(value, levels - 1))
        }
    }
}

/// Whether a number is the same once it has been a double: `1.10` would come back as `1.1`.
fn is_exact_double(number: &Number) -> bool {
    let double = number.as_f64().filter(|_| number.is_f64()).and_then(Number::from_f64);
    double.is_some_and(|double| double.to_string() == number.to_string())
}

fn name_fits(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_LIMIT && !(name.starts_with("__") && name.ends_with("__"))
}

/// Bytes that a payload takes: as a map where it can be one, else as text.
pub(super) fn payload_size(data: &Value) -> usize {
    if fits_map(data) { value_size(data) } else { text_size(data) }
}

fn history_size(record: &Record) -> usize {
    let text = |field: &Option<String>| field.as_ref().map_or(0, String::len);
    let attempts: usize = record
        .attempts
        .iter()
        .map(|attempt| {
            let by = attempt.by.as_ref().map_or(0, |by| by.len());
            ATTEMPT_SIZE + attempt.worker.len() + by + text(&attempt.step) + text(&attempt.error)
        })
        .sum();
    let keys: usize = record.written.iter().chain(&record.waits_for).map(|key| key.len() + 1).sum();
    let unmapped: usize =
        record.unmapped.iter().map(|answer| MAP_OVERHEAD + 16 + answer.path.len() + answer.code.len()).sum();
    let positions = (record.delivered.len() + record.refused.len()) * size_of::<i64>();
    let refusals: usize = record.refusals.iter().map(|refusal| 64 + refusal.error.len()).sum();
    DOCUMENT_OVERHEAD
        + FIELDS_SIZE
        + positions
        + refusals
        + attempts
        + unmapped
        + keys
        + text(&record.error)
        + text(&record.last_step)
        + text(&record.note)
}

/// Bytes of JSON text, without building it.
fn text_size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 2 + items.iter().map(|item| text_size(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            // Escapes can make a name or text longer, up to six bytes for one.
            2 + fields.iter().map(|(name, value)| escaped_size(name) + 2 + text_size(value)).sum::<usize>()
        }
        Value::String(text) => escaped_size(text),
        Value::Null | Value::Bool(_) => 5,
        Value::Number(number) => number.to_string().len(),
    }
}

fn escaped_size(text: &str) -> usize {
    let escape = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..=0x1f => 5,
        _ => 0,
    };
    text.len() + 2 + text.bytes().map(escape).sum::<usize>()
}

/// Bytes of a value by Firestore's rules ("Storage size calculations").
fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 1,
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Object(fields) => MAP_OVERHEAD + map_size(fields),
    }
}

fn map_size(fields: &Map<String, Value>) -> usize {
    fields.iter().map(|(name, value)| name.len() + 1 + value_size(value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_firestore_cannot_hold_as_a_map_does_not_fit() {
        let nested = |levels: usize| (0..levels).fold(json!("x"), |inner, _| json!({ "a": inner }));
        assert!(fits_map(&nested(19)));
        assert!(!fits_map(&nested(20)));
        assert!(!fits_map(&json!({ "a": [[1]] })));
        assert!(fits_map(&json!({ "a": [{ "b": [1] }] })));
        assert!(!fits_map(&json!({ "a": u64::MAX })));
        assert!(!fits_map(&json!({ "__name__": 1 })));
        assert!(!fits_map(&json!({ "": 1 })));
    }

    #[test]
    fn a_record_that_waits_for_much_and_had_much_to_tell_fits_beside_the_largest_payload() {
        let attempt = json!({
            "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:01Z", "worker": "w".repeat(60),
            "trigger": "auto-retry", "role": "operator", "by": "n".repeat(60), "outcome": "undecided",
            "step": "s".repeat(60), "error": "e".repeat(1_000),
        });
        let answer = json!({ "path": "p".repeat(100), "code": "c".repeat(30) });
        let times = ["created_at", "timestamp", "updated_at", "first_received_at", "fetched_at"]
            .map(|name| (name.to_owned(), json!("2026-01-01T00:00:00Z")));
        let mut record = json!({
            "job_name": "Attendance Full - Current Module", "job_id": "i".repeat(36), "status": "failed",
            "payload_hash": "h".repeat(64), "error": "e".repeat(4_000), "error_kind": "dependency",
            "last_step": "s".repeat(60), "note": "n".repeat(300), "attempts": vec![attempt; 20],
            "waits_for": (0..100).map(|key| format!("{key:0250}")).collect::<Vec<_>>(),
            "written": (0..100).map(|key| format!("{key:0250}")).collect::<Vec<_>>(),
            "unmapped": vec![answer; 100],
        });
        record.as_object_mut().unwrap().extend(times);
        let largest = DOCUMENT_LIMIT - RESERVE - DOCUMENT_OVERHEAD;
        for payload in [largest, largest - 20_000] {
            let mut record: Record = serde_json::from_value(record.clone()).unwrap();
            fit_beside(&mut record, payload);
            let Value::Object(mut fields) = serde_json::to_value(&record).unwrap() else { panic!("a map") };
            fields.remove("data");
            let size = payload + map_size(&fields) + DOCUMENT_OVERHEAD;
            assert!(size <= DOCUMENT_LIMIT - RESERVE / 4, "{size}");
            assert!(!record.attempts.is_empty() && !record.waits_for.is_empty() && record.error.is_some());
        }
    }

    #[test]
    fn text_size_is_that_of_the_text() {
        let value = json!({ "a\"\n\u{1}": ["é", 1.5, null, true, -7], "b": {} });
        let estimate = text_size(&value);
        let real = value.to_string().len();
        assert!(estimate >= real && estimate <= real + 8, "{estimate} for {real}");
    }
}
