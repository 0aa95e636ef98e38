//! Payloads of all types that hang on one another.

use std::collections::{HashMap, HashSet};
use std::fmt;

use commcare_sf_integration::jobs::{self, Facts};
use commcare_sf_integration::plan::fields::FieldValue;
use commcare_sf_integration::plan::{Plan, comparable};
use commcare_sf_integration::submission::Origin;
use serde_json::{Value, json};

use crate::mappings::samples::sample;
use crate::support::forms::{mill, mill_visit, registration};

/// A payload on its way.
#[derive(Clone)]
pub(super) struct Mail {
    origin: Origin,
    pub(super) payload: Value,
    /// Whether others wait for it.
    pub(super) is_needed: bool,
}

/// Payloads are long, and a story has many.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edition = if self.payload.get("edited_on").is_some() { ", edited" } else { "" };
        write!(f, "{}{edition}", self.id())
    }
}

impl Mail {
    fn new(origin: Origin, id: &str, mut payload: Value) -> Self {
        payload["id"] = id.into();
        if origin == Origin::CommCare {
            payload["server_modified_on"] = "2026-04-15T08:00:00Z".into();
        }
        Self { origin, payload, is_needed: false }
    }

    fn needed(self) -> Self {
        Self { is_needed: true, ..self }
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

    /// A later edition with another answer, of the forms that have one.
    pub(super) fn edited(&self) -> Option<Self> {
        let mut mail = self.clone();
        let form = mail.payload.get_mut("form")?;
        if form.get("Age").is_some() {
            form["Age"] = "42".into();
        } else if form.get("surveys").is_some() {
            form["surveys"] = json!({ "kpis": { "volume": "77" } });
        } else {
            return None;
        }
        mail.payload["edited_on"] = "2026-04-20T08:00:00Z".into();
        mail.payload["server_modified_on"] = "2026-04-20T08:00:00Z".into();
        Some(mail)
    }

    pub(super) fn plan(&self) -> Plan {
        let name = jobs::job_name(self.origin, &self.payload).unwrap();
        (jobs::find(self.origin, name).unwrap().mapping)(&self.payload, &Facts::new(true)).unwrap()
    }
}

/// One of each type, and rivals: payloads that write the same records with other values.
pub(super) fn all() -> Vec<Mail> {
    let mut mails = vec![
        registered("reg", "100").needed(),
        registered("reg-rival", "200"),
        Mail::new(Origin::CommCare, "mill", mill("m")).needed(),
        Mail::new(Origin::CommCare, "visit", mill_visit("visit", "m", &json!({ "volume": "40", "a": "1" }))),
        Mail::new(Origin::CommCare, "visit-2", mill_visit("visit-2", "m", &json!({ "volume": "41" }))),
    ];
    let forms = [
        "Field Day Farmer Registration",
        "Edit Farmer Details",
        "Attendance Full - Current Module",
        "Attendance Light - Current Module",
        "Field Day Attendance Full",
        "Training Observation",
        "Demo Plot Observation",
        "Farm Visit Full",
        "Farm Visit - AA",
    ];
    mails.extend(forms.map(form));
    mails.extend([
        records("Project Role", "staff").needed(),
        records("Training Group", "group").needed(),
        records("Participant", "people"),
        people_rival(),
        records("Training Session", "session"),
        records("Household Sampling", "sampling"),
        records("Wetmill", "cc-mill"),
    ]);
    mails
}

/// A registration of the family's farmer.
fn registered(id: &str, trees: &str) -> Mail {
    let mut form = registration("x");
    form["form"]["Number_of_Trees"] = trees.into();
    Mail::new(Origin::CommCare, id, form)
}

/// A sample whose references are to the family's records, and whose other records are its own.
fn form(name: &str) -> Mail {
    let sample = sample(name);
    let plan = crate::mappings::map(&sample).unwrap();
    let written: HashSet<&str> = plan.writes().into_iter().map(|(_, id)| id).collect();
    let mut ids: HashMap<String, String> = HashMap::new();
    for upsert in plan.upserts() {
        for (relationship, target) in upsert.fields.iter() {
            let FieldValue::Related { id, .. } = target else { continue };
            let id = id.as_str().unwrap_or_default();
            let of_family = match relationship {
                "Training_Group__r" => "group-x",
                "Training_Session__r" => "session-x",
                "Household__r" => "household-x",
                "Observation_Criterion__r" => continue,
                _ => "farmer-x",
            };
            if !id.is_empty() && !written.contains(id) {
                ids.insert(id.to_owned(), of_family.to_owned());
            }
        }
    }
    let mut text = sample.to_string();
    for (id, of_family) in ids {
        text = text.replace(&id, &of_family);
    }
    let id = name.to_lowercase().replace([' ', '-'], "");
    Mail::new(Origin::CommCare, &id, serde_json::from_str(&text).unwrap())
}

/// A sample whose cases are named after it, below the family's group and staff.
fn records(name: &str, id: &str) -> Mail {
    let sample = Mail::new(Origin::Salesforce, id, sample(name));
    let mut text = sample.payload.to_string();
    for document in sample.plan().documents() {
        text = text.replace(&document.case_id, &format!("case-{id}-{}", document.position));
        if let Some(parent) = document.parent_id.as_deref().filter(|parent| !parent.is_empty()) {
            text = text.replace(parent, if id == "group" { "case-staff-1" } else { "case-group-1" });
        }
    }
    Mail::new(Origin::Salesforce, id, serde_json::from_str(&text).unwrap())
}

/// Other names of the same participants.
fn people_rival() -> Mail {
    let mut people = records("Participant", "people").payload;
    for person in people["participants"].as_array_mut().unwrap() {
        person["participantName"] = "Rival".into();
    }
    Mail::new(Origin::Salesforce, "people-rival", people)
}

/// Households that a plan writes only after it has referred to them: a visit of a farm whose household is known.
pub(super) fn referred_before_written(plan: &Plan) -> impl Iterator<Item = String> {
    let mut referred: HashSet<&str> = HashSet::new();
    let mut known = HashSet::new();
    for upsert in plan.upserts() {
        if upsert.object == "Household__c" && referred.contains(upsert.external_id.as_str()) {
            known.insert(upsert.external_id.clone());
        }
        if let Some(FieldValue::Related { id, .. }) = upsert.fields.get("Household__r") {
            referred.extend(id.as_str());
        }
    }
    known.into_iter()
}

/// Each once what it refers to is there, otherwise as they arrived.
pub(super) fn in_the_right_order(arrived: &[Mail]) -> Vec<Mail> {
    let mut left: Vec<(Mail, Plan)> = arrived.iter().map(|mail| (mail.clone(), mail.plan())).collect();
    let ids = |plan: &Plan| -> HashSet<String> {
        plan.writes().into_iter().map(|(_, id)| comparable(id)).collect()
    };
    let all: HashSet<String> = left.iter().flat_map(|(_, plan)| ids(plan)).collect();
    let (mut there, mut ordered) = (HashSet::new(), Vec::new());
    while !left.is_empty() {
        let may_go = |(_, plan): &(Mail, Plan)| {
            let own = ids(plan);
            let mut needed = plan.references().into_iter().map(comparable).filter(|id| all.contains(id));
            needed.all(|id| there.contains(&id) || own.contains(&id))
        };
        let next = left.iter().position(may_go).expect("no circle");
        let (mail, plan) = left.remove(next);
        there.extend(ids(&plan));
        ordered.push(mail);
    }
    ordered
}
