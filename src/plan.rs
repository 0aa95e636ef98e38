//! What a form would do, complete and ordered: the only thing that jobs and destinations share.
//!
//! A plan leaves its destination nothing to decide: no optional steps, no look-ups by name.
//! A plan that sends nothing says why in its `note` (`service.md`, guarantee 8).

pub mod rows;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::submission::Unmapped;
use rows::Rows;

/// Characters from which on an id stands in no other by chance. CommCare's have 36.
const UNMISTAKABLE: usize = 16;

/// An external id as Salesforce compares it: trimmed, and without case unless the field says
/// otherwise. Two ids that differ for Salesforce and not here only make forms wait for each other.
pub fn comparable(external_id: &str) -> String {
    external_id.trim().to_lowercase()
}

/// What one submission would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Its effects, in the order in which they happen.
    #[serde(flatten)]
    pub effects: Effects,
    /// Why nothing is sent, for a plan without effects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Answers whose code no label table knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<Unmapped>,
}

/// The effects of a plan, by what performs them. Named as the HTTP API shows them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effects {
    /// Salesforce records to write, in order.
    Upserts(Vec<Upsert>),
    /// Rows of the wet-mill tables.
    Rows(Rows),
}

impl Plan {
    /// A plan of Salesforce upserts. An empty one is made by [`Plan::nothing`].
    pub fn salesforce(upserts: Vec<Upsert>) -> Self {
        Self { effects: Effects::Upserts(upserts), note: None, unmapped: Vec::new() }
    }

    /// A plan of PostGIS rows.
    pub fn postgis(rows: Rows) -> Self {
        Self { effects: Effects::Rows(rows), note: None, unmapped: Vec::new() }
    }

    /// The Salesforce records that it writes.
    pub fn upserts(&self) -> &[Upsert] {
        match &self.effects {
            Effects::Upserts(upserts) => upserts,
            Effects::Rows(_) => &[],
        }
    }

    /// What it writes that other forms may write or refer to: object or table, and external id.
    pub fn writes(&self) -> Vec<(&'static str, &str)> {
        match &self.effects {
            Effects::Upserts(upserts) => {
                upserts.iter().map(|upsert| (upsert.object, upsert.external_id.as_str())).collect()
            }
            Effects::Rows(rows) => vec![rows.written()],
        }
    }

    /// The external ids that it refers to.
    pub fn references(&self) -> Vec<&str> {
        match &self.effects {
            Effects::Upserts(upserts) => upserts.iter().flat_map(Upsert::references).collect(),
            Effects::Rows(rows) => rows.reference().into_iter().collect(),
        }
    }

    /// The plan as the HTTP API shows it (`service.md`, section 2, preview).
    pub fn to_json(&self) -> Value {
        json!(self)
    }

    /// The records that it writes and that are not the form's own, as `object/external id`: those
    /// whose external id is not made of the submission's. A short submission id may stand in others
    /// by chance: with one, no record counts as its own.
    pub fn shared_records(&self, job_id: &str) -> Vec<String> {
        let is_own = |id: &str| job_id.len() >= UNMISTAKABLE && id.contains(job_id);
        let shared = self.writes().into_iter().filter(|(_, external_id)| !is_own(external_id));
        let mut records: Vec<String> =
            shared.map(|(object, external_id)| format!("{object}/{}", comparable(external_id))).collect();
        records.sort_unstable();
        records.dedup();
        records
    }

    /// The first record of this plan that would undo what `newer` has written: one that both write,
    /// with another value in a field that both set.
    pub fn overwrites(&self, newer: &Self) -> Option<&Upsert> {
        self.upserts().iter().find(|upsert| {
            newer.upserts().iter().any(|other| {
                let same_record = upsert.object == other.object
                    && comparable(&upsert.external_id) == comparable(&other.external_id);
                same_record
                    && upsert
                        .fields
                        .iter()
                        .any(|(field, value)| other.fields.get(field).is_some_and(|newer| newer != value))
            })
        })
    }

    /// A success that sends nothing, and why.
    pub fn nothing(note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..Self::salesforce(Vec::new()) }
    }

    /// The same plan, with the answers whose code no label table knows.
    #[must_use]
    pub fn reporting(self, unmapped: Vec<Unmapped>) -> Self {
        Self { unmapped, ..self }
    }
}

/// One Salesforce record, written by its external id: updated where it exists, else created.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upsert {
    /// API name of the object, e.g. `Household__c`.
    pub object: &'static str,
    /// API name of the external-id field that finds the record; `Id` updates that very record.
    pub external_id_field: &'static str,
    /// Its value: never empty.
    pub external_id: String,
    /// The fields to write. A relationship (`…__r`) is an object that names the other record by
    /// its own external id.
    pub fields: Map<String, Value>,
}

impl Upsert {
    /// An upsert that writes no field yet.
    pub fn new(
        object: &'static str,
        external_id_field: &'static str,
        external_id: impl Into<String>,
    ) -> Self {
        Self { object, external_id_field, external_id: external_id.into(), fields: Map::new() }
    }

    /// Adds one field.
    #[must_use]
    pub fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// Adds a relationship: `relationship` (`…__r`) names the other record by the value of its
    /// external-id field `key`.
    #[must_use]
    pub fn relate(self, relationship: &str, key: &str, value: impl Into<Value>) -> Self {
        let target = Map::from_iter([(key.to_owned(), value.into())]);
        self.set(relationship, target)
    }

    /// Adds one field under its name in the contracts: with a dot (`Household__r.Household_ID__c`)
    /// a relationship, else a plain field.
    #[must_use]
    pub fn put(self, name: &str, value: impl Into<Value>) -> Self {
        match name.split_once('.') {
            Some((relationship, key)) => self.relate(relationship, key, value),
            None => self.set(name, value),
        }
    }

    /// The external ids that its relationships name.
    fn references(&self) -> impl Iterator<Item = &str> {
        let targets = self.fields.values().filter_map(Value::as_object).flat_map(|target| target.values());
        targets.filter_map(Value::as_str).filter(|id| !id.is_empty())
    }
}
