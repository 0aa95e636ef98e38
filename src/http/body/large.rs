//! A large payload of Salesforce's: its lists of records stay text.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{HttpError, invalid};
use crate::jobs::JOBS;
use crate::payload;
use crate::text::shorten;

/// Bytes from which on a payload counts as large: what one document of the queue holds.
pub(super) const LARGE: usize = 1024 * 1024;

/// Bytes that the members beside the list may have: they are repeated in each part of the payload.
const HEAD: usize = 256 * 1024;

/// Characters of a member's name that an error quotes.
const NAME_QUOTED: usize = 100;

/// The members that are read whatever else there is.
const NAMES: [&str; 2] = ["jobType", "id"];

/// Memory that such a payload takes beside its text: the values of one part at a time, and what is made of them.
pub(super) const MEMORY: usize = 64 * 1024 * 1024;

/// A payload whose lists of records are text.
#[derive(Debug)]
pub(in crate::http) struct LargePayload {
    body: Bytes,
    /// The other members. Where they are too large together, not all of them are here.
    head: Map<String, Value>,
    /// The lists that a job has its records in, by their names.
    lists: Vec<(&'static str, Bytes)>,
    /// Bytes of the members beside the list.
    size: usize,
    /// The largest of them, and its bytes.
    largest: (String, usize),
}

impl LargePayload {
    /// Reads it. All of it is checked, and nothing but the head becomes values.
    pub(super) fn read(body: &Bytes) -> Result<Self, HttpError> {
        payload::check(body).map_err(HttpError::from)?;
        let body = body.slice_ref(payload::without_mark(body));
        let mut large = Self {
            body: body.clone(),
            head: Map::new(),
            lists: Vec::new(),
            size: 0,
            largest: (String::new(), 0),
        };
        let read = (&mut large).deserialize(&mut serde_json::Deserializer::from_slice(&body));
        // The JSON was checked: what is left to be wrong is that it is no object.
        read.map_err(|_| invalid("must be an object"))?;
        Ok(large)
    }

    /// The members beside the lists, as far as they are not too large.
    pub(super) fn head(&self) -> Value {
        self.head.clone().into()
    }

    /// Everything but the list of a job, and that list, which the payload may lack.
    pub(in crate::http) fn take_apart(mut self, records: &str) -> Result<(Value, Option<Bytes>), HttpError> {
        let mut taken = None;
        for (name, list) in std::mem::take(&mut self.lists) {
            if name == records {
                taken = Some(list);
            } else {
                // A list that the job does not know is a member like others.
                self.add(name.to_owned(), &list);
            }
        }
        if self.size > HEAD {
            let (name, bytes) = &self.largest;
            let details = format!(
                "the records are the list {records}; of the other members {} is the largest, with {bytes} bytes; leave \
                 it out, or send its entries in {records}",
                shorten(name, NAME_QUOTED)
            );
            return Err(HttpError::HeadTooLarge { size: self.size, limit: HEAD, details });
        }
        Ok((self.head.into(), taken))
    }

    fn add(&mut self, name: String, text: &[u8]) {
        let bytes = name.len() + text.len();
        self.size += bytes;
        if bytes > self.largest.1 {
            self.largest = (name.clone(), bytes);
        }
        let has_room = self.size <= HEAD || (NAMES.contains(&&*name) && text.len() <= HEAD);
        if let Some(value) = has_room.then(|| serde_json::from_slice(text).ok()).flatten() {
            self.head.insert(name, value);
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut LargePayload {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut LargePayload {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            let text: &RawValue = members.next_value()?;
            let list = JOBS.iter().filter_map(|job| job.records).find(|records| *records == name);
            match list {
                Some(list) if text.get().starts_with('[') => {
                    self.lists.retain(|(known, _)| *known != list);
                    self.lists.push((list, self.body.slice_ref(text.get().as_bytes())));
                }
                _ => self.add(name, text.get().as_bytes()),
            }
        }
        Ok(())
    }
}
