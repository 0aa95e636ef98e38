//! Payloads of records that no document can hold, in parts that one can.
//!
//! A part is the payload with a run of its records: the same id, job type and project, so that it is
//! processed as a payload of its own. Where the run began is kept with it, since a record's place in
//! the payload as it arrived is part of what CommCare knows it by.

mod text;

use std::sync::Arc;

use serde_json::Value;

use super::stored::Text;
use super::{QueueError, limits};
use crate::submission::Record;
pub(super) use text::split_text;

/// One document's share of a payload.
pub(super) struct Part {
    /// The document that it goes to.
    pub(super) doc_id: String,
    pub(super) record: Record,
    /// Its payload, where the record has only the head of it.
    pub(super) text: Text,
    /// Bytes that its payload takes.
    pub(super) size: usize,
    /// Records that it holds.
    held: usize,
}

impl Part {
    /// A part whose record has its payload.
    fn whole(record: Record, records: &str) -> Self {
        let held = record.data.get(records).and_then(Value::as_array).map_or(0, Vec::len);
        Self { doc_id: String::new(), size: limits::payload_size(&record.data), record, text: None, held }
    }
}

/// The parts of a fresh record: itself, where it fits.
pub(super) fn split(whole: Record, records: &str) -> Result<Vec<Part>, QueueError> {
    let part = |record| Part::whole(record, records);
    if fits(&whole.data, records) {
        return Ok(vec![part(whole)]);
    }
    let mut rest = Arc::try_unwrap(whole.data).unwrap_or_else(|shared| Value::clone(&shared));
    let template = Record { data: Arc::default(), ..whole };
    let Some(list) = rest.get_mut(records).and_then(Value::as_array_mut).map(std::mem::take) else {
        limits::check(&rest)?;
        return Ok(vec![part(Record { data: Arc::new(rest), ..template })]);
    };
    let room = limits::ROOM.saturating_sub(limits::size(&rest));
    let mut parts = Vec::new();
    let (mut run, mut used, mut first_position) = (Vec::new(), 0, 1_u32);
    for (record, position) in list.into_iter().zip(1_u32..) {
        let size = limits::record_size(&record);
        if size > room {
            return Err(QueueError::TooLarge { size, limit: room });
        }
        if used + size > room || run.len() == limits::KEYS {
            parts.push(part(holding(&template, &rest, records, std::mem::take(&mut run), first_position)));
            (used, first_position) = (0, position);
        }
        used += size;
        run.push(record);
    }
    parts.push(part(holding(&template, &rest, records, run, first_position)));
    Ok(parts)
}

/// Gives the parts their documents: `base`, or `base-1`, `base-2` and so on.
pub(super) fn name(parts: &mut [Part], base: &str) {
    let several = parts.len() > 1;
    for (number, part) in (1..).zip(parts) {
        part.doc_id = if several { format!("{base}-{number}") } else { base.to_owned() };
    }
}

/// What takes the place of a part that an edition with fewer parts leaves over: the same payload
/// after its last record.
pub(super) fn empty(last: &Part, records: &str) -> Part {
    let mut data = Value::clone(&last.record.data);
    data[records] = Value::Array(Vec::new());
    let first = last.record.first_position.unwrap_or(1);
    let after = first.saturating_add(u32::try_from(last.held).unwrap_or(u32::MAX));
    Part::whole(Record { data: Arc::new(data), first_position: Some(after), ..last.record.clone() }, records)
}

fn fits(data: &Value, records: &str) -> bool {
    let list = data.get(records).and_then(Value::as_array).map_or(0, Vec::len);
    let size = limits::size(data) + limits::deliveries_size(list);
    limits::check(data).is_ok() && size <= limits::ROOM && list <= limits::KEYS
}

fn holding(template: &Record, rest: &Value, records: &str, run: Vec<Value>, first_position: u32) -> Record {
    let mut data = rest.clone();
    data[records] = Value::Array(run);
    Record { data: Arc::new(data), first_position: Some(first_position), ..template.clone() }
}
