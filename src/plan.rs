//! A plan: everything that a form would do, complete and ordered. Jobs make plans, destinations perform
//! them; they share nothing else.
//!
//! A plan leaves its destination nothing to decide: it has no optional steps and no look-ups by name. The
//! `note` of a plan that sends nothing says why (`docs/service.md`, guarantee 8).

pub mod fields;
mod keys;
pub mod rows;
pub(crate) mod table;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::submission::{ERRORS_LISTED, Unmapped};
use fields::{FieldValue, Fields};
pub(crate) use keys::case_key;
pub use keys::{comparable, record_key, search_keys};
use rows::Rows;

/// The effects of one submission.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The effects, in the order in which they happen.
    #[serde(flatten)]
    pub effects: Effects,
    /// Why nothing is sent, for a plan without effects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Answers whose code no label table knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<Unmapped>,
    /// Records of the payload that are not sent, in their order. The others are sent.
    #[serde(rename = "errors", skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Records of the payload that are sent, and that the destination would refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// The effects of a plan, by destination. The names are those of the HTTP API.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effects {
    /// Salesforce records to write, in order.
    Upserts(Vec<Upsert>),
    /// Rows of the wet-mill tables.
    Rows(Rows),
    /// Documents to submit to CommCare, each on its own.
    Documents(Vec<Document>),
}

impl Plan {
    /// A plan of Salesforce upserts. [`Plan::nothing`] makes an empty one.
    pub fn salesforce(upserts: Vec<Upsert>) -> Self {
        Self::new(Effects::Upserts(upserts))
    }

    /// A plan of CommCare documents, of the records that cannot be sent, and of those that CommCare would refuse.
    pub fn commcare(documents: Vec<Document>, refused: Vec<Refused>, warnings: Vec<Warning>) -> Self {
        Self { refused, warnings, ..Self::new(Effects::Documents(documents)) }
    }

    /// A plan of PostGIS rows.
    pub fn postgis(rows: Rows) -> Self {
        Self::new(Effects::Rows(rows))
    }

    fn new(effects: Effects) -> Self {
        Self { effects, note: None, unmapped: Vec::new(), refused: Vec::new(), warnings: Vec::new() }
    }

    /// The Salesforce records that the plan writes.
    pub fn upserts(&self) -> &[Upsert] {
        match &self.effects {
            Effects::Upserts(upserts) => upserts,
            Effects::Rows(_) | Effects::Documents(_) => &[],
        }
    }

    /// The records that the plan writes and that other forms may write or refer to: object or table, and
    /// external id.
    pub fn writes(&self) -> Vec<(&'static str, &str)> {
        match &self.effects {
            Effects::Upserts(upserts) => {
                upserts.iter().map(|upsert| (upsert.object, upsert.external_id.as_str())).collect()
            }
            Effects::Rows(rows) => vec![rows.written()],
            Effects::Documents(documents) => {
                documents.iter().map(|document| ("case", document.case_id.as_str())).collect()
            }
        }
    }

    /// The external ids to which the plan refers.
    pub fn references(&self) -> Vec<&str> {
        match &self.effects {
            Effects::Upserts(upserts) => upserts.iter().flat_map(Upsert::references).collect(),
            Effects::Rows(rows) => rows.reference().into_iter().collect(),
            Effects::Documents(documents) => {
                let parents = documents.iter().filter_map(|document| document.parent_id.as_deref());
                parents.filter(|id| !id.is_empty()).collect()
            }
        }
    }

    /// Memory that it takes, about.
    pub fn memory(&self) -> usize {
        /// A record or document, with the short texts that it has beside its long ones.
        const EACH: usize = 256;
        /// A field, with a short value.
        const FIELD: usize = 160;
        let effects: usize = match &self.effects {
            Effects::Upserts(upserts) => {
                upserts.iter().map(|upsert| EACH + FIELD * upsert.fields.len()).sum()
            }
            Effects::Documents(documents) => documents.iter().map(|document| EACH + document.xml.len()).sum(),
            Effects::Rows(_) => EACH,
        };
        effects + EACH * (self.refused.len() + self.warnings.len() + self.unmapped.len())
    }

    /// The documents that the plan submits to CommCare.
    pub fn documents(&self) -> &[Document] {
        match &self.effects {
            Effects::Documents(documents) => documents,
            Effects::Upserts(_) | Effects::Rows(_) => &[],
        }
    }

    /// The same plan without the documents of these positions.
    #[must_use]
    pub fn without(mut self, positions: &BTreeSet<u32>) -> Self {
        if let Effects::Documents(documents) = &mut self.effects {
            documents.retain(|document| !positions.contains(&document.position));
        }
        self
    }

    /// The error of a plan that has nothing to send because every record of the payload is refused.
    pub fn refusal(&self) -> Option<String> {
        let all = self.documents().is_empty() && !self.refused.is_empty();
        all.then(|| list_errors(self.refused.iter().map(|refused| refused.error.as_str())))
    }

    /// The plan as the HTTP API shows it (`docs/service.md`, section 2, preview).
    pub fn to_json(&self) -> Value {
        json!(self)
    }

    /// The plan as JSON whose effects have about `room` bytes at most. One that is longer is cut, and its `total` says
    /// how many effects it has.
    pub fn to_json_within(&self, room: usize) -> Value {
        let (total, kept) = match &self.effects {
            Effects::Upserts(upserts) => (upserts.len(), fitting(upserts, room)),
            Effects::Documents(documents) => (documents.len(), fitting(documents, room)),
            Effects::Rows(_) => return self.to_json(),
        };
        if kept == total {
            return self.to_json();
        }
        let effects = match &self.effects {
            Effects::Upserts(upserts) => Effects::Upserts(upserts[..kept].to_vec()),
            Effects::Documents(documents) => Effects::Documents(documents[..kept].to_vec()),
            Effects::Rows(rows) => Effects::Rows(rows.clone()),
        };
        let unmapped = self.unmapped.clone();
        let mut cut = json!(Self { note: self.note.clone(), unmapped, ..Self::new(effects) });
        cut["total"] = total.into();
        cut
    }

    /// Object or table, and external id, of the first record of this plan that would undo a change of
    /// `newer`: a Salesforce record for which both plans set one field to different values, or a mill or
    /// visit for which the two rows differ.
    pub fn overwrites(&self, newer: &Self) -> Option<(&'static str, &str)> {
        if let (Effects::Rows(rows), Effects::Rows(others)) = (&self.effects, &newer.effects) {
            let written = rows.written();
            return (written == others.written() && rows != others).then_some(written);
        }
        let undone = self
            .upserts()
            .iter()
            .find(|upsert| newer.upserts().iter().any(|other| upsert.undone_of(other).next().is_some()));
        undone.map(|upsert| (upsert.object, upsert.external_id.as_str()))
    }

    /// The fields of `newer` to which this plan would give other values.
    pub fn undone_of(&self, newer: &Self) -> Vec<Field> {
        if let (Effects::Rows(rows), Effects::Rows(_)) = (&self.effects, &newer.effects) {
            let undone = self.overwrites(newer).map(|_| Field::of_row(rows.written()));
            return undone.into_iter().collect();
        }
        let pairs =
            self.upserts().iter().flat_map(|upsert| newer.upserts().iter().map(move |other| (upsert, other)));
        pairs.flat_map(|(upsert, other)| upsert.undone_of(other)).collect()
    }

    /// The fields that it sets.
    pub fn fields(&self) -> Vec<Field> {
        if let Effects::Rows(rows) = &self.effects {
            return vec![Field::of_row(rows.written())];
        }
        self.upserts().iter().flat_map(Upsert::fields).collect()
    }

    /// A plan that sends nothing, and the reason.
    pub fn nothing(note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..Self::salesforce(Vec::new()) }
    }

    /// The same plan with the reason why it sends nothing.
    #[must_use]
    pub fn noting(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// The same plan with the answers whose code no label table knows.
    #[must_use]
    pub fn reporting(self, unmapped: Vec<Unmapped>) -> Self {
        Self { unmapped, ..self }
    }
}

/// How many of the first items have at most `room` bytes of JSON together.
fn fitting(items: &[impl Serialize], room: usize) -> usize {
    let mut used = 0;
    let fits = |item: &&_| {
        used += serde_json::to_string(item).map_or(usize::MAX, |text| text.len());
        used <= room
    };
    items.iter().take_while(fits).count()
}

/// One Salesforce record: updated where its external id exists, else created.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upsert {
    /// API name of the object, e.g. `Household__c`.
    pub object: &'static str,
    /// API name of the external-id field. `Id` stands for Salesforce's own id.
    pub external_id_field: &'static str,
    /// The value of that field, never empty.
    pub external_id: String,
    /// The fields to write. A relationship (`…__r`) is an object that names the other record by an
    /// external id.
    pub fields: Fields,
}

impl Upsert {
    /// An upsert that writes no field yet.
    pub fn new(
        object: &'static str,
        external_id_field: &'static str,
        external_id: impl Into<String>,
    ) -> Self {
        Self { object, external_id_field, external_id: external_id.into(), fields: Fields::default() }
    }

    /// Adds one field.
    #[must_use]
    pub fn set(mut self, field: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.fields.insert(field, FieldValue::Plain(value.into()));
        self
    }

    /// Adds a relationship (`…__r`) to the record whose external-id field `key` has this value.
    #[must_use]
    pub fn relate(mut self, relationship: &'static str, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.insert(relationship, FieldValue::Related { key: key.into(), id: value.into() });
        self
    }

    /// Adds one field under its name in the mapping tables. A name with a dot
    /// (`Household__r.Household_ID__c`) is a relationship.
    #[must_use]
    pub fn put(self, name: &'static str, value: impl Into<Value>) -> Self {
        match name.split_once('.') {
            Some((relationship, key)) => self.relate(relationship, key, value),
            None => self.set(name, value),
        }
    }

    /// The fields that both set to different values, if both write the same record.
    fn undone_of(&self, other: &Self) -> impl Iterator<Item = Field> {
        let same =
            self.object == other.object && comparable(&self.external_id) == comparable(&other.external_id);
        let fields = self.fields.iter().filter(move |_| same);
        let differs =
            |(field, value): &(&str, &FieldValue)| other.fields.get(field).is_some_and(|set| set != *value);
        fields.filter(differs).map(|(field, _)| self.field(field))
    }

    /// The fields that it sets.
    fn fields(&self) -> impl Iterator<Item = Field> {
        self.fields.iter().map(|(field, _)| self.field(field))
    }

    fn field(&self, name: &str) -> Field {
        Field { object: self.object, record: comparable(&self.external_id), name: name.to_owned() }
    }

    /// The external ids in the relationships.
    fn references(&self) -> impl Iterator<Item = &str> {
        self.fields.related().filter_map(|(_, id)| id.as_str()).filter(|id| !id.is_empty())
    }
}

/// One field of one record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    object: &'static str,
    /// The external id, as it is compared.
    record: String,
    /// The field; empty for a whole row.
    name: String,
}

impl Field {
    fn of_row((table, key): (&'static str, &str)) -> Self {
        Self { object: table, record: comparable(key), name: String::new() }
    }
}

/// The errors of several records as one text, shortened after [`ERRORS_LISTED`].
pub fn list_errors<'e>(errors: impl Iterator<Item = &'e str>) -> String {
    let mut errors = errors.fuse();
    let text = errors.by_ref().take(ERRORS_LISTED).collect::<Vec<_>>().join("; ");
    match errors.count() {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}

/// One `XForm` instance, made of one record of a Salesforce payload. The HTTP API shows the XML.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// 1-based position of the record in the payload as it arrived.
    pub position: u32,
    /// The case that it writes.
    pub case_id: String,
    /// The parent case; blank or `None` where there is none.
    pub parent_id: Option<String>,
    /// The document. One record of the queue always gives the same bytes.
    pub xml: String,
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.xml)
    }
}

/// A record of a payload that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refused {
    /// 1-based position in the payload as it arrived.
    pub position: u32,
    /// The field that is wrong; `None` where the record is not even an object.
    pub field: Option<&'static str>,
    /// What is wrong, with position and field.
    pub error: String,
}

/// A record of a payload that is sent, and that its destination would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// 1-based position in the payload as it arrived.
    pub position: u32,
    /// The part of the document that is wrong.
    pub field: &'static str,
    /// What is wrong, with position and field.
    pub warning: String,
}
