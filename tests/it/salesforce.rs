//! The Salesforce destination over the wire, against the stand-in.

mod failures;
mod gate;
mod logins;
mod masking;
mod retries;
mod sessions;
mod stand_in;
mod unfamiliar;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use commcare_sf_integration::config::salesforce::SalesforceSettings;
use commcare_sf_integration::destinations::Suspicion;
use commcare_sf_integration::destinations::salesforce::{Health, Salesforce, Soql};
use commcare_sf_integration::destinations::{Admission, DeliveryError, Failure};
use commcare_sf_integration::metrics::Metrics;
use commcare_sf_integration::plan::{Plan, Upsert};
use serde_json::{Value, json};

use crate::support::salesforce::SalesforceStandIn;

const SESSION: &str = "5c0e1f5a-1a5c-4f0c-8a38-d8f4c4a3e5b1";

async fn start() -> (SalesforceStandIn, Salesforce) {
    let stand_in = SalesforceStandIn::start().await;
    let salesforce = Salesforce::new(stand_in.settings(), Metrics::default()).unwrap();
    (stand_in, salesforce)
}

/// A destination that never retries and has met nothing yet, to see what a single call comes to.
fn fresh(stand_in: &SalesforceStandIn) -> Salesforce {
    Salesforce::new(
        SalesforceSettings { retry_budget: Duration::ZERO, ..stand_in.settings() },
        Metrics::default(),
    )
    .unwrap()
}

/// Lets `seconds` pass in no time.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// A training session and `participants` who were present at it.
fn attendance(participants: usize) -> Plan {
    let session = Upsert::new("Training_Session__c", "CommCare_Case_Id__c", SESSION).set("Female__c", 12);
    let rows = (0..participants).map(|n| {
        Upsert::new("Attendance__c", "Submission_ID__c", format!("{SESSION}p-{n}"))
            .set("Status__c", "Present")
            .relate("Training_Session__r", "CommCare_Case_Id__c", SESSION)
            .relate("Participant__r", "CommCare_Case_Id__c", format!("p-{n}"))
    });
    Plan::salesforce(std::iter::once(session).chain(rows).collect())
}

fn household(id: &str, name: &str) -> Upsert {
    Upsert::new("Household__c", "Household_ID__c", id).set("Name", name)
}

fn households(count: usize) -> Vec<Upsert> {
    (0..count).map(|n| household(&format!("hh-{n}"), "12")).collect()
}

fn seed_participants(stand_in: &SalesforceStandIn, count: usize) {
    for n in 0..count {
        stand_in.seed("Participant__c", "CommCare_Case_Id__c", &format!("p-{n}"), json!({}));
    }
}

/// The failure of a plan that must fail.
async fn failure(salesforce: &Salesforce, plan: &Plan) -> DeliveryError {
    salesforce.execute(plan, Suspicion::None).await.unwrap_err()
}

/// Fails unless a one-household plan ends as `expected`; gives the message.
async fn expect(salesforce: &Salesforce, expected: Failure) -> String {
    let error = failure(salesforce, &Plan::salesforce(households(1))).await;
    assert_eq!(error.failure, expected, "{error}");
    error.message
}

/// The reason of a destination that takes no work.
async fn paused(salesforce: &Salesforce) -> String {
    match salesforce.admission().await {
        Admission::Paused { reason } => {
            assert_eq!(salesforce.health().admission, Admission::Paused { reason: reason.clone() });
            reason
        }
        admission => panic!("{admission:?}"),
    }
}

/// Twenty plans at once: how many succeeded, and the failures of the others.
async fn twenty_at_once(salesforce: &Arc<Salesforce>) -> (usize, Vec<Failure>) {
    let plans = (0..20).map(|n| {
        let salesforce = Arc::clone(salesforce);
        tokio::spawn(async move {
            salesforce
                .execute(&Plan::salesforce(vec![household(&format!("hh-{n}"), "12")]), Suspicion::None)
                .await
        })
    });
    let mut failures = Vec::new();
    for plan in plans.collect::<Vec<_>>() {
        failures.extend(plan.await.unwrap().err().map(|error| error.failure));
    }
    (20 - failures.len(), failures)
}

fn error_body(code: &str, message: &str) -> String {
    json!([{ "errorCode": code, "message": message }]).to_string()
}

fn subrequests(body: &Value) -> &Vec<Value> {
    body["compositeRequest"].as_array().unwrap()
}
