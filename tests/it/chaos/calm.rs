//! The same payloads on a calm day: what the vendors must hold in the end.
//!
//! A service of the test's own works on vendors of its own, which nothing troubles. The state there is
//! what "each exactly once, nothing stale" means.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use regex::Regex;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::load::{Mail, seed};
use crate::postgis::rows;
use crate::support::app::TestApp;
use crate::support::commcare::CommCareStandIn;
use crate::support::postgres::TestDatabase;
use crate::support::salesforce::SalesforceStandIn;

/// Every object that the payloads write.
const OBJECTS: [&str; 7] = [
    "Attendance__c",
    "Household__c",
    "Observation_Result__c",
    "Observation__c",
    "Participant__c",
    "Training_Group__c",
    "Training_Session__c",
];

/// What the vendors hold, but for when it came and in which order.
#[derive(Debug)]
pub(super) struct State {
    /// The records of each object.
    salesforce: BTreeMap<&'static str, Vec<String>>,
    /// Instance ids, with how often each was taken as something new.
    forms: BTreeMap<String, usize>,
    cases: BTreeMap<String, BTreeMap<String, String>>,
    rows: Value,
}

impl State {
    pub(super) async fn of(
        salesforce: &SalesforceStandIn,
        hq: &CommCareStandIn,
        database: &TestDatabase,
    ) -> Self {
        let forms = hq.forms();
        assert!(forms.values().all(|form| form.processed), "a form that CommCare has not processed");
        Self {
            salesforce: OBJECTS.map(|object| (object, records(salesforce, object))).into(),
            forms: forms.into_iter().map(|(id, form)| (id, 1 + form.edits)).collect(),
            cases: hq.cases(),
            rows: serde_json::from_str(&without_port(&rows::stored(database).await.to_string())).unwrap(),
        }
    }

    /// Where this is not what it must be.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        let other = |what: &str, found: &dyn Debug, expected: &dyn Debug| {
            Some(format!("{what}:\n  found    {found:?}\n  expected {expected:?}\n"))
        };
        for (object, records) in &expected.salesforce {
            let found = &self.salesforce[object];
            let surplus: Vec<_> = found.iter().filter(|record| !records.contains(record)).collect();
            let missing: Vec<_> = records.iter().filter(|record| !found.contains(record)).collect();
            if found != records {
                return other(&format!("{object}, {} of {}", found.len(), records.len()), &surplus, &missing);
            }
        }
        if self.forms != expected.forms {
            return other("documents by instance id", &self.forms, &expected.forms);
        }
        if self.cases != expected.cases {
            return other("cases", &self.cases, &expected.cases);
        }
        rows::difference(&self.rows, &expected.rows)
    }
}

/// The records of an object without Salesforce's own ids.
fn records(salesforce: &SalesforceStandIn, object: &str) -> Vec<String> {
    let without_id = |mut record: Map<String, Value>| {
        record.remove("Id");
        without_port(&Value::Object(record).to_string())
    };
    let mut records: Vec<String> = salesforce.records(object).into_iter().map(without_id).collect();
    records.sort();
    records
}

/// A text whose attachments are at an HQ (`CC_BASE_URL`) without its port, which each HQ of the tests has for itself.
fn without_port(text: &str) -> String {
    Regex::new(r"http://127\.0\.0\.1:\d+").unwrap().replace_all(text, "http://hq").into_owned()
}

/// The state after these payloads, which came in this order.
pub(super) async fn after(mails: &[Mail]) -> State {
    let (salesforce, hq) = (SalesforceStandIn::start().await, CommCareStandIn::start().await);
    seed(&salesforce);
    hq.check_parents();
    salesforce.set_usage(0, 1_000_000);
    let database = TestDatabase::migrated().await;
    let mut variables = vec![("DATABASE_URL", database.url.as_str()), ("RETRY_BACKOFF_SECONDS", "1")];
    variables.extend(hq.variables());
    let app = TestApp::sending_to(&salesforce, &variables).await;
    for mail in mails {
        app.post(mail.path(), mail.payload.to_string()).await.expect(200);
    }
    until_completed(&app, mails.len()).await;
    State::of(&salesforce, &hq, &database).await
}

async fn until_completed(app: &TestApp, mails: usize) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut pause = tokio::time::interval(Duration::from_millis(200));
    loop {
        pause.tick().await;
        for dest in ["sf", "cc"] {
            for path in ["process", "auto-retry"] {
                app.post(&format!("/{path}-firestore-to-{dest}?drain=true"), "").await.expect(200);
            }
        }
        let mut counts = Vec::new();
        for collection in ["commcare_collection", "salesforce_collection"] {
            counts.push(
                app.get(&format!("/status-count/{collection}")).await.expect(200)["status_counts"].clone(),
            );
        }
        let of = |status: &str| counts.iter().map(|count| count[status].as_u64().unwrap()).sum::<u64>();
        if of("completed") == u64::try_from(mails).unwrap() {
            return;
        }
        assert!(Instant::now() < deadline, "even on a calm day: {}", json!(counts));
    }
}
