//! The fields of one Salesforce record, in little memory.
//!
//! A form of a whole day's attendance makes tens of thousands of records with three fields each. A JSON object for
//! each of them, and one more for each relationship, would take 640 bytes apiece whatever it holds.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// API names and values, in the order of the names. Each name is there once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<(Cow<'static, str>, FieldValue)>);

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// As it is written.
    Plain(Value),
    /// Another record, by the value of one of its external-id fields: the `…__r` of a relationship.
    Related {
        /// The external-id field.
        key: Cow<'static, str>,
        /// Its value.
        id: Value,
    },
}

impl FieldValue {
    /// As Salesforce takes it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Related { key, id } => Map::from_iter([(key.clone().into_owned(), id.clone())]).into(),
        }
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Related { key, id } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(key, id)?;
                map.end()
            }
        }
    }
}

impl Fields {
    /// Sets a field.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: FieldValue) {
        let name = name.into();
        match self.place(&name) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// The value of a field, where it is set.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.place(name).ok().map(|at| &self.0[at].1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Their values.
    pub fn values(&self) -> impl Iterator<Item = &FieldValue> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The external ids by which they name other records, each with its field.
    pub fn related(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values().filter_map(|value| match value {
            FieldValue::Related { key, id } => Some((&**key, id)),
            FieldValue::Plain(_) => None,
        })
    }

    /// As Salesforce takes them.
    pub fn to_json(&self) -> Map<String, Value> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
