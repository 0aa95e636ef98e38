//! The parts that both kinds of observation share: the place, and the frame of a result.

use crate::jobs::MapError;
use crate::jobs::form::Form;
use crate::plan::Upsert;

/// The paths of the position: the phone's own, else the one that the observer took.
const LOCATION: [&str; 2] = ["form.meta.location.#text", "form.gps_information.gps_location"];

/// Fields for latitude, longitude and altitude.
const LOCATION_FIELDS: [&str; 3] =
    ["Observation_Location__Latitude__s", "Observation_Location__Longitude__s", "Altitude__c"];

/// The observation with this id and its place. Only coordinates of exactly four pieces count (`gps4` of
/// `docs/mappings/commcare-to-salesforce.md`, section 5.1).
pub(super) fn observation(form: &Form, id: &str) -> Result<Upsert, MapError> {
    let mut observation = Upsert::new("Observation__c", "Submission_ID__c", id);
    let mut text = form.text(LOCATION[0])?;
    if text.is_empty() {
        text = form.text(LOCATION[1])?;
    }
    let pieces: Vec<&str> = text.trim().split(' ').collect();
    for (piece, field) in LOCATION_FIELDS.into_iter().enumerate() {
        observation = observation.set(field, if pieces.len() == 4 { pieces[piece] } else { "" });
    }
    Ok(observation)
}

/// One result of the observation with this id. `suffix` tells the results of one criterion apart.
pub(super) fn result(id: &str, criterion: &str, suffix: &str, record_type: &str) -> Upsert {
    Upsert::new("Observation_Result__c", "Submission_ID__c", format!("{id}{criterion}{suffix}"))
        .relate("Observation__r", "Submission_ID__c", id)
        .set("RecordTypeId", record_type)
        .relate("Observation_Criterion__r", "Unique_Name__c", criterion)
}
