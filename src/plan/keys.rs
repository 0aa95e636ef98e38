//! Keys: the words by which the queue knows the records of the destinations, as `object/external id`
//! (`docs/service.md`, section 3, `written` and `waits_for`).

use std::collections::HashSet;

use serde_json::Value;

use super::rows::Rows;
use super::{Effects, Plan, Upsert};
use crate::submission::Record;

/// The fewest characters of an id that cannot be part of another id by chance. CommCare's ids have 36.
const UNMISTAKABLE: usize = 16;

/// CommCare's cases, among the objects.
const CASE: &str = "case";
/// The table of mills.
const MILL: &str = "wetmills";
/// The programme's own ids of mills, which only the search knows them by.
const MILL_NUMBER: &str = "wetmill_tns_id";

/// Everything that a key may be about.
const OBJECTS: [&str; 17] = [
    "Attendance__c",
    "Check__c",
    "Coffee_Variety__c",
    "FV_Best_Practice_Results__c",
    "FV_Best_Practices__c",
    "Farm_Visit__c",
    "Farm__c",
    "Household__c",
    "Observation_Result__c",
    "Observation__c",
    "Participant__c",
    "Training_Group__c",
    "Training_Session__c",
    "form_visits",
    CASE,
    MILL,
    MILL_NUMBER,
];

/// The objects that forms write by an external-id field, and that other forms refer to by it.
const WRITTEN_BY: &[(&str, &[&str])] = &[
    ("CommCare_Case_Id__c", &["Participant__c", "Training_Group__c", "Training_Session__c"]),
    ("Household_ID__c", &["Household__c"]),
    ("Submission_ID__c", &["Observation__c"]),
    ("FV_Submission_ID__c", &["Farm_Visit__c", "FV_Best_Practices__c"]),
    ("TNS_Id__c", &["Farm__c"]),
];

/// An external id in the form in which Salesforce compares it: trimmed and in lower case. A few fields are
/// case-sensitive. Two of their ids may be equal here, which only makes forms wait for each other.
pub fn comparable(external_id: &str) -> String {
    external_id.trim().to_lowercase()
}

/// The key of a record.
pub fn record_key(object: &str, external_id: &str) -> String {
    format!("{object}/{}", comparable(external_id))
}

/// The keys that `id` may mean: an external id of any object, or a key.
pub fn search_keys(id: &str) -> Vec<String> {
    let by_object = OBJECTS.iter().map(|object| record_key(object, id));
    let is_key = id.split_once('/').filter(|(object, _)| OBJECTS.contains(object));
    by_object.chain(is_key.map(|(object, external_id)| record_key(object, external_id))).collect()
}

impl Plan {
    /// The records that other submissions may write as well. A record belongs to this submission alone if its external
    /// id contains the submission's id. A short submission id may be part of another id by chance, so that then every
    /// record counts as shared. CommCare's cases are left out: they have rules of their own (`docs/service.md`,
    /// guarantee 10).
    pub fn shared_records(&self, job_id: &str) -> Vec<String> {
        if matches!(self.effects, Effects::Documents(_)) {
            return Vec::new();
        }
        let is_own = |id: &str| job_id.len() >= UNMISTAKABLE && id.contains(job_id);
        let shared = self.writes().into_iter().filter(|(_, external_id)| !is_own(external_id));
        unique(shared.map(|(object, external_id)| record_key(object, external_id)))
    }

    /// [`Plan::shared_records`] for a queue record.
    pub fn shared_records_of(&self, record: &Record, doc_id: &str) -> Vec<String> {
        // The original service's documents may lack the id beside their payload.
        let in_payload = || record.data.get("id").and_then(Value::as_str);
        self.shared_records(record.job_id.as_deref().or_else(in_payload).unwrap_or(doc_id))
    }

    /// What `written` of a queue record says of this plan. The ids of a form's own records are left out: the form's
    /// id, which is part of them, finds it.
    pub fn written_keys(&self, record: &Record, doc_id: &str) -> Vec<String> {
        match &self.effects {
            Effects::Documents(documents) => {
                unique(documents.iter().map(|document| case_key(&document.case_id)))
            }
            Effects::Rows(rows) => {
                let number = rows.mill_number().map(|id| record_key(MILL_NUMBER, id));
                unique(self.shared_records_of(record, doc_id).into_iter().chain(number))
            }
            Effects::Upserts(_) => self.shared_records_of(record, doc_id),
        }
    }

    /// Those of `shared` for which other forms may wait.
    pub fn awaitable(shared: &[String]) -> Vec<String> {
        let objects = || WRITTEN_BY.iter().flat_map(|(_, objects)| *objects).chain(&[MILL]);
        let is_awaited = |key: &&String| {
            key.split_once('/').is_some_and(|(object, _)| objects().any(|awaited| *awaited == object))
        };
        shared.iter().filter(is_awaited).cloned().collect()
    }

    /// The records that it refers to and does not write itself. A relationship names the external-id field and not the
    /// object: each object that forms write by that field is meant.
    pub fn awaited_records(&self) -> Vec<String> {
        let referred: Vec<String> = match &self.effects {
            Effects::Upserts(upserts) => upserts.iter().flat_map(referred_records).collect(),
            Effects::Rows(rows) => rows.reference().map(|id| record_key(MILL, id)).into_iter().collect(),
            Effects::Documents(_) => self.references().into_iter().map(case_key).collect(),
        };
        let written: HashSet<String> =
            self.writes().into_iter().map(|(object, id)| record_key(object, id)).collect();
        unique(referred.into_iter().filter(|key| !written.contains(key)))
    }
}

/// The key of a CommCare case.
pub(crate) fn case_key(case_id: &str) -> String {
    record_key(CASE, case_id)
}

/// The records that an upsert's relationships name, as far as forms write such records.
fn referred_records(upsert: &Upsert) -> impl Iterator<Item = String> {
    upsert.fields.related().flat_map(|(key, value)| {
        let objects =
            WRITTEN_BY.iter().find(|(field, _)| *field == key).map_or(&[][..], |(_, objects)| *objects);
        let id = value.as_str().filter(|id| !id.is_empty());
        id.into_iter().flat_map(move |id| objects.iter().map(move |object| record_key(object, id)))
    })
}

fn unique(keys: impl Iterator<Item = String>) -> Vec<String> {
    let mut keys: Vec<String> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl Rows {
    /// The programme's own id of the mill that the rows register.
    fn mill_number(&self) -> Option<&str> {
        match self {
            Self::Mill(mill) => Some(&mill.wet_mill_unique_id),
            Self::Visit(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_of_any_object_and_a_key_is_itself() {
        let keys = search_keys(" Farmer-1");
        assert!(keys.contains(&"Participant__c/farmer-1".to_owned()), "{keys:?}");
        assert!(keys.contains(&"case/farmer-1".to_owned()), "{keys:?}");
        assert_eq!(search_keys("case/C-1").last().unwrap(), "case/c-1");
        assert_eq!(search_keys("a/b").len(), OBJECTS.len(), "no such object");
    }

    #[test]
    fn an_attendance_is_nothing_that_a_form_waits_for() {
        let keys = ["Attendance__c/a", "Training_Session__c/s", "wetmills/m"].map(str::to_owned);
        assert_eq!(Plan::awaitable(&keys), ["Training_Session__c/s", "wetmills/m"]);
    }
}
