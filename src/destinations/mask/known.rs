//! What a mask knows of the plan that it is for: the values to take out, the ids to leave, and the words of names.

use std::collections::HashSet;

use serde_json::Value;
use uuid::Uuid;

use super::Mask;
use super::folded::Folded;
use crate::plan::Upsert;
use crate::plan::fields::FieldValue;

/// What a mask is made of, folded, each once.
#[derive(Default)]
pub(super) struct Known {
    pub(super) values: HashSet<Vec<char>>,
    pub(super) ids: HashSet<Vec<char>>,
    /// The words of the names.
    pub(super) names: HashSet<String>,
}

impl Known {
    pub(super) fn of(mask: &Mask<'_>) -> Self {
        let mut known = Self::default();
        for Upsert { object, external_id_field, external_id, fields } in mask.upserts {
            known.add_id(external_id);
            known.add_name(object);
            known.add_name(external_id_field);
            for (field, value) in fields.iter() {
                known.add_name(field);
                match value {
                    FieldValue::Plain(value) => known.add(value),
                    FieldValue::Related { key, id } => {
                        known.add_name(key);
                        id.as_str().into_iter().for_each(|id| known.add_id(id));
                    }
                }
            }
        }
        mask.texts.iter().for_each(|text| known.add_text(text));
        mask.ids.iter().for_each(|id| known.add_id(id));
        mask.names.iter().for_each(|name| known.add_name(name));
        known
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add_text(text),
            Value::Number(number) => self.add_text(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(members) => members.values().for_each(|member| self.add(member)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        let place = if is_id(text) { &mut self.ids } else { &mut self.values };
        place.insert(Folded::new(text).chars);
    }

    fn add_id(&mut self, id: &str) {
        self.ids.insert(Folded::new(id).chars);
    }

    fn add_name(&mut self, name: &str) {
        let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        self.names.extend(words.map(str::to_lowercase));
    }
}

/// Whether a value looks like a CommCare case id (a UUID) or a Salesforce record id: 15 or 18
/// characters whose key prefix starts with a digit, or with `a` for a custom object (SOAP API
/// guide, ID field type), letters and digits among them. A phone number is not one.
fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has_prefix = match bytes {
        [b'a', rest @ ..] => rest.iter().take(2).any(u8::is_ascii_digit),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    let is_record_id = matches!(bytes.len(), 15 | 18)
        && has_prefix
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && bytes.iter().any(u8::is_ascii_alphabetic);
    is_record_id || (bytes.len() == 36 && Uuid::try_parse(text).is_ok())
}
