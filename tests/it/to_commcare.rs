//! Salesforce → CommCare: mappings, sender, partial failure, payloads in parts.

mod answers;
mod bad_input;
mod killed;
mod newer;
mod outages;
mod partial;
mod parts;
mod previews;
mod properties;
mod sending;
pub(crate) mod vectors;

use serde_json::{Value, json};

/// So many participants of one group, with the fields that a client sends.
fn participants(id: &str, count: usize) -> Value {
    let records: Vec<Value> = (1..=count).map(|n| participant(&format!("case-{id}-{n}"))).collect();
    json!({
        "id": id,
        "jobType": "Participant",
        "uniqueProjectKey": "Coffee_KE_2024AC",
        "participants": records,
    })
}

fn participant(case_id: &str) -> Value {
    json!({
        "commCareCaseId": case_id,
        "participantName": "Wanjiru",
        "participantMiddleName": "Njeri",
        "participantLastName": "Kamau",
        "participantAge": 43,
        "participantGender": "F",
        "participantPhoneNumber": "0712 000 417",
        "participantOtherIDNumber": "KE-2207",
        "participantPrimaryHouseholdMember": true,
        "tnsId": "KE-004417",
        "householdId": "a0J5g000001DemoAAA",
        "householdPIMAId": "HH-004417",
        "HHID": 17,
        "householdFarmSize": "0.750000",
        "shadeTrees": "12",
        "status": "Active",
        "trainingGroupId": "group-1",
        "ccMobileWorkerGroupId": "f3d0c1a2b4e54f6d8a9b7c6d5e4f3a2b",
    })
}

/// One training group.
fn group(id: &str, case_id: &str) -> Value {
    json!({
        "id": id,
        "jobType": "Training Group",
        "uniqueProjectKey": "Coffee_KE_2024AC",
        "trainingGroups": [{ "commCareCaseId": case_id, "trainingGroupName": "Kiriga FFG" }],
    })
}
