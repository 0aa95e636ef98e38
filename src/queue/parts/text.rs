//! A payload whose list of records is JSON text, in parts: only one part at a time is values in memory.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Part, fits};
use crate::queue::edition::ContentHash;
use crate::queue::{QueueError, limits};
use crate::submission::Record;

/// Bytes of text that a record may have. One that a document holds has less, unless it is mostly blanks.
const RECORD_TEXT: usize = 4 * 1024 * 1024;

/// The parts of a fresh record whose `data` has everything but the list `records`, which is `list`: JSON that has
/// been checked.
pub(in crate::queue) fn split_text(
    head: Record,
    records: &str,
    list: &[u8],
) -> Result<Vec<Part>, QueueError> {
    let mut rest = Value::clone(&head.data);
    rest[records] = Value::Array(Vec::new());
    let room = limits::ROOM.saturating_sub(limits::size(&rest));
    let count: Counted = serde_json::from_slice(list).map_err(not_readable)?;
    let before = Value::clone(&head.data);
    let mut parts = Parts {
        hash: ContentHash::begin(&before, records, count.0),
        head,
        rest,
        records,
        room,
        run: Vec::new(),
        used: 0,
        first_position: 1,
        position: 1,
        done: Vec::new(),
        trouble: None,
    };
    let read = parts.deserialize(&mut serde_json::Deserializer::from_slice(list));
    if let Some(trouble) = parts.trouble {
        return Err(trouble);
    }
    read.map_err(not_readable)?;
    parts.end();
    let Parts { hash, mut done, .. } = parts;
    let hash = hash.end();
    for part in &mut done {
        part.record.payload_hash = Some(hash.clone());
    }
    one_if_it_fits(done, records)
}

/// The length of a list.
struct Counted(usize);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = Counted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Counted, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Counted(count))
            }
        }
        deserializer.deserialize_seq(Count)
    }
}

fn not_readable(error: serde_json::Error) -> QueueError {
    QueueError::unavailable("reading the records of a payload", error)
}

/// Two parts are one where their whole is, taken exactly, within the limits.
fn one_if_it_fits(mut parts: Vec<Part>, records: &str) -> Result<Vec<Part>, QueueError> {
    let texts: Vec<&Arc<str>> = parts.iter().filter_map(|part| part.text.as_ref()).collect();
    let mut whole = match texts[..] {
        [only] => serde_json::from_str::<Value>(only).map_err(not_readable)?,
        [first, second] => {
            let mut whole: Value = serde_json::from_str(first).map_err(not_readable)?;
            let mut rest: Value = serde_json::from_str(second).map_err(not_readable)?;
            if let (Some(list), Some(more)) = (whole[records].as_array_mut(), rest[records].as_array_mut()) {
                list.append(more);
            }
            whole
        }
        _ => return Ok(parts),
    };
    if !fits(&whole, records) {
        return Ok(parts);
    }
    let first = parts.swap_remove(0).record;
    let record = Record { first_position: None, data: Arc::new(whole.take()), ..first };
    Ok(vec![Part::whole(record, records)])
}

/// Parts in the making.
struct Parts<'r> {
    hash: ContentHash<'r>,
    head: Record,
    /// The payload without its records.
    rest: Value,
    records: &'r str,
    /// Bytes that a part has for its records.
    room: usize,
    /// The records of the part that is being filled.
    run: Vec<Value>,
    used: usize,
    first_position: u32,
    position: u32,
    done: Vec<Part>,
    trouble: Option<QueueError>,
}

impl Parts<'_> {
    fn add(&mut self, text: &RawValue) -> Result<(), QueueError> {
        let too_large = |size| QueueError::TooLarge { size, limit: self.room };
        if text.get().len() > RECORD_TEXT {
            return Err(too_large(text.get().len()));
        }
        let record: Value = serde_json::from_str(text.get()).map_err(not_readable)?;
        let size = limits::record_size(&record);
        if size > self.room {
            return Err(too_large(size));
        }
        if self.used + size > self.room || self.run.len() == limits::KEYS {
            self.end();
        }
        self.hash.add(&record);
        self.used += size;
        self.run.push(record);
        self.position = self.position.saturating_add(1);
        Ok(())
    }

    /// Ends the part that is being filled.
    fn end(&mut self) {
        let held = self.run.len();
        self.rest[self.records] = Value::Array(std::mem::take(&mut self.run));
        let record = Record { first_position: Some(self.first_position), ..self.head.clone() };
        let (size, text) = (limits::payload_size(&self.rest), self.rest.to_string());
        self.rest[self.records] = Value::Array(Vec::new());
        self.done.push(Part { doc_id: String::new(), record, text: Some(text.into()), size, held });
        (self.used, self.first_position) = (0, self.position);
    }
}

impl<'de> DeserializeSeed<'de> for &mut Parts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Parts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(text) = list.next_element::<&RawValue>()? {
            if let Err(trouble) = self.add(text) {
                self.trouble = Some(trouble);
                return Err(serde::de::Error::custom("a record is too large"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::split;
    use super::*;
    use crate::queue::{Arriving, arrival};
    use crate::submission::Origin;

    fn arrived(data: Value) -> Record {
        let arriving = Arriving {
            origin: Origin::Salesforce,
            job_name: "Participant".to_owned(),
            job_id: "p-1".to_owned(),
            data: Arc::new(data),
            records: Some("participants"),
        };
        arrival::arrive(&arriving, crate::clock::now())
    }

    /// Where a part begins, its hash, what it holds, its size and the number of its records.
    type Told = (Option<u32>, Option<String>, Value, usize, usize);

    fn told(parts: &[Part]) -> Vec<Told> {
        let told = parts.iter().map(|part| {
            let data = match &part.text {
                Some(text) => serde_json::from_str(text).unwrap(),
                None => Value::clone(&part.record.data),
            };
            (part.record.first_position, part.record.payload_hash.clone(), data, part.size, part.held)
        });
        told.collect()
    }

    /// Splits a payload both ways.
    fn assert_same(records: Vec<Value>) -> usize {
        let mut head = json!({ "id": "p-1", "jobType": "Participant", "edited_on": null });
        let list = Value::Array(records);
        let mut whole = head.clone();
        whole["participants"] = list.clone();
        // Text with blanks is the same payload.
        let list = format!("{list:#}");
        let by_text = split_text(arrived(head.take()), "participants", list.as_bytes()).unwrap();
        let by_values = split(arrived(whole), "participants").unwrap();
        assert_eq!(told(&by_text).len(), told(&by_values).len());
        for (by_text, by_values) in told(&by_text).iter().zip(told(&by_values)) {
            assert_eq!((by_text.0, &by_text.1), (by_values.0, &by_values.1));
            assert_eq!((by_text.3, by_text.4), (by_values.3, by_values.4));
            assert!(by_text.2 == by_values.2);
        }
        by_text.len()
    }

    #[test]
    fn a_payload_is_split_alike_as_text_and_as_values() {
        let record = |n: usize| json!({ "Id": format!("a0A{n}"), "count": n, "text": "é\n".repeat(n % 90) });
        assert_eq!(assert_same(Vec::new()), 1);
        assert_eq!(assert_same((0..3_000).map(record).collect()), 1);
        assert!(assert_same((0..20_000).map(record).collect()) > 2);
        let small = (0..=limits::KEYS).map(|n| json!({ "Id": n }));
        assert_eq!(
            assert_same(small.collect()),
            2,
            "a document has room for their bytes, and not for their keys"
        );
    }

    #[test]
    fn two_parts_are_one_where_their_whole_fits() {
        // One kind takes more as text, the other more as values: each alone is counted by its larger size.
        let numbers = (0..5_000).map(|n| json!({ "n": vec![n % 10; 20] }));
        let texts = (0..1_700).map(|_| json!({ "t": "\u{1}".repeat(40) }));
        assert_eq!(assert_same(numbers.clone().take(2_500).chain(texts.clone()).collect()), 1);
        for count in [3_000, 3_500, 4_000, 4_200, 4_400, 5_000] {
            assert_same(numbers.clone().take(count).chain(texts.clone()).collect());
        }
    }

    #[test]
    fn a_record_that_no_document_holds_is_refused() {
        let list = json!([{ "Id": "a" }, { "text": "x".repeat(1_100_000) }]).to_string();
        let refused = split_text(arrived(json!({ "id": "p-1" })), "participants", list.as_bytes());
        assert!(matches!(refused, Err(QueueError::TooLarge { .. })));
    }
}
