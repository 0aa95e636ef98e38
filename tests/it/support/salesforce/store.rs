//! The records, and Salesforce's rules for one write.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Refusal;

/// Fields that a record can be found by, object by object.
const EXTERNAL_IDS: &[(&str, &str)] = &[
    ("Attendance__c", "Submission_ID__c"),
    ("Check__c", "Submission_ID__c"),
    ("Coffee_Variety__c", "Name"),
    ("FV_Best_Practice_Results__c", "Best_Practice_Result_Submission_ID__c"),
    ("FV_Best_Practices__c", "FV_Submission_ID__c"),
    ("Farm_Visit__c", "FV_Submission_ID__c"),
    ("Farm__c", "TNS_Id__c"),
    ("Household__c", "Household_ID__c"),
    ("Observation_Criterion__c", "Unique_Name__c"),
    ("Observation_Result__c", "Submission_ID__c"),
    ("Observation__c", "Submission_ID__c"),
    ("Participant__c", "CommCare_Case_Id__c"),
    ("Training_Group__c", "CommCare_Case_Id__c"),
    ("Training_Session__c", "CommCare_Case_Id__c"),
];

/// What a relationship refers to.
const RELATIONSHIPS: &[(&str, &str)] = &[
    ("FV_Best_Practices__r", "FV_Best_Practices__c"),
    ("Farm_Visit__r", "Farm_Visit__c"),
    ("Farm_Visited__r", "Participant__c"),
    ("Farm__r", "Farm__c"),
    ("Household__r", "Household__c"),
    ("Lastest_Visit_with_FIS__r", "Farm_Visit__c"),
    ("Latest_Farm_Visit_Record__r", "Farm_Visit__c"),
    ("Observation_Criterion__r", "Observation_Criterion__c"),
    ("Observation__r", "Observation__c"),
    ("Participant__r", "Participant__c"),
    ("Secondary_Farmer__r", "Participant__c"),
    ("Training_Group__r", "Training_Group__c"),
    ("Training_Session__r", "Training_Session__c"),
];

#[derive(Default)]
pub(super) struct Store {
    records: HashMap<String, Vec<Map<String, Value>>>,
    /// Positions by object, field and value; ids are compared without case, as in Salesforce.
    index: HashMap<(String, String, String), Vec<usize>>,
    created: u64,
    undo: Vec<Undo>,
    /// Whether a reference to an unknown record creates it, and a blank one is let pass.
    pub(super) lenient: bool,
}

enum Undo {
    Creation { object: String },
    Update { object: String, position: usize, before: Map<String, Value> },
}

/// A record that was written.
pub(super) struct Written {
    pub(super) id: String,
    pub(super) created: bool,
}

impl Store {
    /// Starts a transaction.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
    }

    /// Undoes everything since [`Store::begin`].
    pub(super) fn roll_back(&mut self) {
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Creation { object } => {
                    let position = self.records[&object].len() - 1;
                    self.set_indexed(&object, position, false);
                    self.records.get_mut(&object).unwrap().pop();
                }
                Undo::Update { object, position, before } => {
                    self.set_indexed(&object, position, false);
                    self.records.get_mut(&object).unwrap()[position] = before;
                    self.set_indexed(&object, position, true);
                }
            }
        }
    }

    pub(super) fn records(&self, object: &str) -> Vec<Map<String, Value>> {
        self.records.get(object).cloned().unwrap_or_default()
    }

    /// Adds a record, under the `Id` among its fields if there is one; gives its id.
    pub(super) fn create(&mut self, object: &str, mut fields: Map<String, Value>) -> String {
        self.created += 1;
        let id = fields.entry("Id").or_insert_with(|| format!("a0X5g{:010}AAA", self.created).into());
        let id = id.as_str().unwrap().to_owned();
        let records = self.records.entry(object.to_owned()).or_default();
        records.push(fields);
        let position = records.len() - 1;
        self.set_indexed(object, position, true);
        self.undo.push(Undo::Creation { object: object.to_owned() });
        id
    }

    /// One upsert. By `Id` it updates, and never creates.
    pub(super) fn upsert(
        &mut self,
        object: &str,
        field: &str,
        external_id: &str,
        fields: &Map<String, Value>,
    ) -> Result<Written, Refusal> {
        if !is_external_id(object, field) {
            let message = format!("Provided external ID field does not exist or is not accessible: {field}");
            return Err(refusal(404, "NOT_FOUND", message));
        }
        for (relationship, target) in fields.iter().filter(|(_, value)| value.is_object()) {
            self.resolve(object, relationship, target)?;
        }
        match self.find(object, field, external_id)[..] {
            [] if field == "Id" => Err(refusal(404, "NOT_FOUND", "The requested resource does not exist")),
            [] => {
                let mut fields = fields.clone();
                fields.insert(field.to_owned(), external_id.into());
                Ok(Written { id: self.create(object, fields), created: true })
            }
            [position] => {
                self.update(object, position, fields);
                let id = self.records[object][position]["Id"].as_str().unwrap().to_owned();
                Ok(Written { id, created: false })
            }
            _ => Err(refusal(300, "", "")),
        }
    }

    fn update(&mut self, object: &str, position: usize, fields: &Map<String, Value>) {
        self.set_indexed(object, position, false);
        let record = &mut self.records.get_mut(object).unwrap()[position];
        let before = record.clone();
        record.extend(fields.clone());
        self.undo.push(Undo::Update { object: object.to_owned(), position, before });
        self.set_indexed(object, position, true);
    }

    fn resolve(&mut self, object: &str, relationship: &str, target: &Value) -> Result<(), Refusal> {
        let Some((_, entity)) = RELATIONSHIPS.iter().find(|(name, _)| *name == relationship) else {
            let message = format!("No such column '{relationship}' on sobject of type {object}");
            return Err(refusal(400, "INVALID_FIELD", message));
        };
        let (field, id) = target.as_object().unwrap().iter().next().unwrap();
        let id = id.as_str().unwrap_or_default();
        if !is_external_id(entity, field) {
            let message = format!("No such column '{field}' on sobject of type {entity}");
            return Err(refusal(400, "INVALID_FIELD", message));
        }
        if self.find(entity, field, id).is_empty() {
            if !self.lenient {
                let message =
                    format!("Foreign key external ID: {id} not found for field {field} in entity {entity}");
                return Err(refusal(400, "INVALID_FIELD", message));
            }
            if !id.is_empty() {
                self.create(entity, Map::from_iter([(field.clone(), id.into())]));
            }
        }
        Ok(())
    }

    fn find(&self, object: &str, field: &str, value: &str) -> Vec<usize> {
        self.index.get(&key(object, field, value)).cloned().unwrap_or_default()
    }

    fn set_indexed(&mut self, object: &str, position: usize, indexed: bool) {
        let record = &self.records[object][position];
        for (field, value) in record.iter().filter(|(field, _)| is_external_id(object, field)) {
            let positions =
                self.index.entry(key(object, field, value.as_str().unwrap_or_default())).or_default();
            positions.retain(|other| *other != position);
            if indexed {
                positions.push(position);
            }
        }
    }
}

fn is_external_id(object: &str, field: &str) -> bool {
    field == "Id" || EXTERNAL_IDS.contains(&(object, field))
}

/// Whether Salesforce knows the object.
pub(super) fn is_object(object: &str) -> bool {
    EXTERNAL_IDS.iter().any(|(known, _)| *known == object)
}

fn key(object: &str, field: &str, value: &str) -> (String, String, String) {
    (object.to_owned(), field.to_owned(), value.trim().to_lowercase())
}

pub(super) fn refusal(status: u16, code: &str, message: impl Into<String>) -> Refusal {
    Refusal { status, code: code.to_owned(), message: message.into() }
}
