//! The senders: CommCare and Salesforce, which send each payload until it is acknowledged, and what
//! has been.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use commcare_sf_integration::submission::{Origin, Status};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::Run;
use super::dice::Dice;
use super::services::Services;
use crate::mappings::map;
use crate::mappings::samples::sample;
use crate::support::forms::{attendance, attendance_light, mill, mill_visit, registration};
use crate::support::salesforce::SalesforceStandIn;

const FIRST_NAME: &str = "Zawditu";
const LAST_NAME: &str = "O'Wolde<Q>";
const PHONE: &str = "+251 955-123-987";
const GPS: &str = "7.7712345 39.9912345 1921.5 4.2";
/// What must show nowhere but in records: the values, and parts that say as much.
const MARKS: [&str; 7] =
    [FIRST_NAME, "Wolde", "955-123-987", "955123987", "7.7712345", "39.9912345", "Kaffa Washing"];
/// How long a sender waits for an answer before it sends again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one payload may be sent in vain.
const LONGEST: Duration = Duration::from_mins(1);

#[track_caller]
pub(super) fn assert_unmarked(text: &str, place: &str) {
    for mark in MARKS {
        assert!(!text.contains(mark), "{mark} in {place}: {text}");
    }
}

/// What Salesforce has before any form comes.
pub(super) fn seed(salesforce: &SalesforceStandIn) {
    let plan = map(&sample("Training Observation")).unwrap();
    let criteria = plan.upserts().iter().filter_map(|upsert| upsert.fields.get("Observation_Criterion__r"));
    for criterion in
        criteria.map(|criterion| criterion.to_json()["Unique_Name__c"].clone()).collect::<HashSet<_>>()
    {
        salesforce.seed("Observation_Criterion__c", "Unique_Name__c", criterion.as_str().unwrap(), json!({}));
    }
}

/// A payload on its way.
#[derive(Clone)]
pub(super) struct Mail {
    pub(super) origin: Origin,
    pub(super) payload: Value,
}

impl Mail {
    fn form(payload: Value) -> Self {
        Self { origin: Origin::CommCare, payload }
    }

    fn records(payload: Value) -> Self {
        Self { origin: Origin::Salesforce, payload }
    }

    pub(super) fn id(&self) -> &str {
        self.payload["id"].as_str().unwrap()
    }

    pub(super) fn path(&self) -> &'static str {
        match self.origin {
            Origin::CommCare => "/process-data-cc",
            Origin::Salesforce => "/process-data-sf",
        }
    }
}

/// The last edition of each submission that was acknowledged, by origin's collection and id.
#[derive(Default)]
pub(super) struct Ledger(Mutex<BTreeMap<(&'static str, String), Mail>>);

impl Ledger {
    fn acknowledged(&self, mail: Mail) {
        let key = (mail.origin.collection(), mail.id().to_owned());
        self.0.lock().unwrap().insert(key, mail);
    }

    pub(super) fn all(&self) -> Vec<Mail> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

/// Sends families of payloads until the time is over, one after the other.
pub(super) async fn send(run: &Run, sender: usize) {
    let Run { services, ledger, queue, seed, until, .. } = run;
    let mut dice = Dice::new(*seed, &format!("sender {sender}"));
    let mut number = 0;
    // A family is sent whole: what waits for another of it is to find it.
    while Instant::now() < *until {
        let id = format!("{sender}-{number}");
        for mail in family(&id, &mut dice) {
            deliver(services, ledger, mail, &mut dice).await;
            tokio::time::sleep(dice.millis(1..80)).await;
        }
        // A registration whose worker was killed, and whose change was faster, fails for good, as guarantee
        // 10 wants it: the change comes once it is there.
        let registered = format!("reg-{id}");
        // A queue that is in trouble itself does not tell.
        let found = queue.find(Origin::CommCare, &registered).await.unwrap_or_default();
        if found.records.iter().any(|(_, record)| record.status == Status::Completed) {
            deliver(services, ledger, Mail::form(change_of(&format!("change-{id}"), &registered)), &mut dice)
                .await;
        }
        number += 1;
    }
}

/// Sends a payload until it is acknowledged.
async fn deliver(services: &Services, ledger: &Ledger, mail: Mail, dice: &mut Dice) {
    let deadline = Instant::now() + LONGEST;
    loop {
        let posted = services.post(dice.below(2), mail.path(), mail.payload.to_string());
        if let Ok(Some(answer)) = timeout(PATIENCE, posted).await {
            assert_unmarked(&answer.text, "an answer of a webhook");
            match answer.status {
                StatusCode::OK => {
                    let body = answer.json();
                    assert_eq!(
                        (&body["request_id"], &body["stale"]),
                        (&mail.payload["id"], &Value::Null),
                        "{body}"
                    );
                    ledger.acknowledged(mail);
                    return;
                }
                StatusCode::SERVICE_UNAVAILABLE => assert!(answer.retry_after, "503 without Retry-After"),
                status => panic!("{status} for {}: {}", mail.id(), answer.text),
            }
        }
        assert!(Instant::now() < deadline, "{} is never taken", mail.id());
        tokio::time::sleep(dice.millis(50..300)).await;
    }
}

/// Payloads that hang on one another and on no other family's, partly in an order in which they cannot
/// go through, some followed by an edition of themselves.
fn family(id: &str, dice: &mut Dice) -> Vec<Mail> {
    let farmer = format!("reg-{id}");
    let visit = format!("visit-{id}");
    let mut first = vec![
        Mail::form(marked_registration(&farmer, "41")),
        Mail::form(attendance_of(&format!("att-{id}"), &farmer)),
        Mail::form(attendance_light(&format!("light-{id}"))),
        Mail::form(observation(&format!("obs-{id}"), &farmer)),
        Mail::form(marked_mill(&format!("mill-{id}"))),
        Mail::form(mill_visit(&visit, &format!("mill-{id}"), &json!({ "a": "1", "b": "2", "phone": PHONE }))),
        Mail::records(group(&format!("group-{id}"))),
        Mail::records(participants(&format!("people-{id}"), &format!("group-{id}"))),
    ];
    dice.shuffle(&mut first);
    if dice.chance(60) {
        first.push(edited(Mail::form(marked_registration(&farmer, "42"))));
    }
    if dice.chance(60) {
        let fewer = json!({ "a": "3" });
        first.push(edited(Mail::form(mill_visit(&visit, &format!("mill-{id}"), &fewer))));
    }
    first
}

/// A later edition, as CommCare forwards it.
fn edited(mut mail: Mail) -> Mail {
    mail.payload["edited_on"] = "2026-03-20T08:00:00Z".into();
    mail
}

fn marked_registration(id: &str, age: &str) -> Value {
    let mut form = registration(id);
    for (answer, value) in
        [("First_Name", FIRST_NAME), ("Last_Name", LAST_NAME), ("Phone_Number", PHONE), ("Age", age)]
    {
        form["form"][answer] = value.into();
    }
    form
}

/// The farmer whom `registration` registers, at the session that it is of; both say the same of that.
fn attendance_of(id: &str, registered: &str) -> Value {
    let of = registration(registered);
    let mut form = attendance(id, 1);
    form["form"]["training_session"] = of["form"]["training_session"].clone();
    form["form"]["trainer"] = of["form"]["trainer"].clone();
    form["form"]["date"] = of["form"]["registration_date"].clone();
    form["form"]["present_participants"] = format!("farmer-{registered}").into();
    form["form"]["gps_coordinates"] = GPS.into();
    form
}

/// Other details of the farmer whom `registration` registers: another form writes the same records.
fn change_of(id: &str, registered: &str) -> Value {
    let mut form = sample("Edit Farmer Details");
    form["id"] = id.into();
    form["form"]["Household_Id"] = format!("household-{registered}").into();
    form["form"]["case"]["@case_id"] = format!("farmer-{registered}").into();
    form
}

/// An observation in which the farmer whom `registration` registers was asked.
fn observation(id: &str, registered: &str) -> Value {
    let mut form = sample("Training Observation");
    form["id"] = id.into();
    for section in form["form"].as_object_mut().unwrap().values_mut() {
        if section.get("participant_id").is_some() {
            section["participant_id"] = format!("farmer-{registered}").into();
        }
    }
    form["form"]["gps_information"]["gps_location"] = GPS.into();
    form
}

fn marked_mill(id: &str) -> Value {
    let mut form = mill(id);
    form["form"]["wet_mill_details"] = json!({
        "mill_registered_name": "Kaffa Washing Station",
        "manager_name": FIRST_NAME,
        "office_gps": GPS,
    });
    form
}

fn group(id: &str) -> Value {
    json!({
        "id": id,
        "jobType": "Training Group",
        "uniqueProjectKey": "Coffee_KE_2024AC",
        "trainingGroups": [{ "commCareCaseId": format!("case-{id}"), "trainingGroupName": "Kiriga FFG" }],
    })
}

fn participants(id: &str, group: &str) -> Value {
    let records: Vec<Value> = (1..=4)
        .map(|number| {
            json!({
                "commCareCaseId": format!("case-{id}-{number}"),
                "participantName": FIRST_NAME,
                "participantLastName": LAST_NAME,
                "participantAge": 43,
                "participantGender": "F",
                "participantPhoneNumber": PHONE,
                "householdId": "a0J5g000001DemoAAA",
                "status": "Active",
                "trainingGroupId": format!("case-{group}"),
                "ccMobileWorkerGroupId": "f3d0c1a2b4e54f6d8a9b7c6d5e4f3a2b",
            })
        })
        .collect();
    json!({ "id": id, "jobType": "Participant", "uniqueProjectKey": "Coffee_KE_2024AC", "participants": records })
}
