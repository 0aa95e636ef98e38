//! The parts that both kinds of observation share: the place, and the frame of a result.

use serde_json::Value;

use crate::jobs::MapError;
use crate::jobs::entry::Gives;
use crate::jobs::fields::Piece::{Answer, Own};
use crate::jobs::fields::Source::{self, Given, Id};
use crate::jobs::fields::{Row, Rule};
use crate::jobs::form::Form;
use crate::jobs::record::{Record, Table, table};

/// The paths of the position: the phone's own, else the one that the observer took.
const LOCATION: &[&str] = &["form.meta.location.#text", "form.gps_information.gps_location"];

const PLACE_ROWS: &[Row] = &[
    ("Observation_Location__Latitude__s", LATITUDE),
    ("Observation_Location__Longitude__s", LONGITUDE),
    ("Altitude__c", ALTITUDE),
];

const LATITUDE: Source = Source::Rule(&gps4(|form| piece(form, 0)));
const LONGITUDE: Source = Source::Rule(&gps4(|form| piece(form, 1)));
const ALTITUDE: Source = Source::Rule(&gps4(|form| piece(form, 2)));

const fn gps4(read: fn(&Form) -> Result<Value, MapError>) -> Rule {
    let says = "from the phone's own position, else from the one that the observer took; blank unless that has \
                latitude, longitude, altitude and accuracy";
    Rule { says, paths: LOCATION, labels: &[], gives: Gives::Coordinate, read }
}

/// The place of an observation.
pub(super) const PLACE: Table = table!(PLACE_ROWS);

/// The observation with its place. A job adds its own table.
pub(super) const OBSERVATION: Record = Record {
    object: "Observation__c",
    key: "Submission_ID__c",
    id: &[Answer("payload.id")],
    when: "",
    tables: &[&PLACE],
    optional: &[],
};

/// One result of the observation.
pub(super) const RESULT: Record = Record {
    object: "Observation_Result__c",
    key: "Submission_ID__c",
    id: &[Answer("payload.id"), Own(CRITERION), Own(SUFFIX)],
    when: "",
    tables: &[&FRAME],
    optional: &[],
};

/// What every result has.
pub(super) const FRAME: Table = table!(FRAME_ROWS);

const FRAME_ROWS: &[Row] = &[
    ("Observation__r.Submission_ID__c", Id(&[Answer("payload.id")])),
    ("RecordTypeId", Given(RECORD_TYPE)),
    ("Observation_Criterion__r.Unique_Name__c", Given(CRITERION)),
    ("Result__c", Given(FOUND)),
];

/// The names of what a step knows of a result.
pub(super) const CRITERION: &str = "criterion";
/// Tells the results of one criterion apart.
pub(super) const SUFFIX: &str = "suffix";
/// Salesforce's record type.
pub(super) const RECORD_TYPE: &str = "record type";
/// The result.
pub(super) const FOUND: &str = "result";

/// A piece of the place. Only coordinates of exactly four pieces count (`gps4` of
/// `docs/mappings/commcare-to-salesforce.md`, section 5.1).
fn piece(form: &Form, index: usize) -> Result<Value, MapError> {
    let mut text = form.text(LOCATION[0])?;
    if text.is_empty() {
        text = form.text(LOCATION[1])?;
    }
    let pieces: Vec<&str> = text.trim().split(' ').collect();
    Ok(if pieces.len() == 4 { pieces[index].into() } else { "".into() })
}
