//! Every case of `tests/vectors/commcare-to-postgis/`, on each kind of database.

use std::collections::BTreeMap;
use std::fs;

use commcare_sf_integration::destinations::postgis;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::rows;
use super::starts::{DOCUMENTED, EMPTY, ORIGINAL, Start, everything};
use crate::support::app::TestApp;
use crate::support::postgres::TestDatabase;
use crate::support::salesforce::{Fault, SalesforceStandIn};

#[derive(Deserialize)]
struct Scenario {
    #[serde(rename = "case")]
    name: String,
    users: Vec<User>,
    project_roles: BTreeMap<String, Option<String>>,
    steps: Vec<Step>,
    rows: Value,
}

#[derive(Deserialize)]
struct User {
    user_id: String,
    sf_user_id: Option<String>,
}

#[derive(Deserialize)]
struct Step {
    job_name: String,
    payload: Value,
    expect: String,
    error_names: Option<String>,
    salesforce: Option<String>,
}

#[tokio::test]
async fn registrations() {
    every_case_of("registration").await;
}

#[tokio::test]
async fn visits() {
    every_case_of("visit").await;
}

#[tokio::test]
async fn surveys() {
    every_case_of("surveys").await;
}

#[tokio::test]
async fn answers() {
    every_case_of("answers").await;
}

#[tokio::test]
async fn answers_with_several_values() {
    every_case_of("multi-answers").await;
}

#[tokio::test]
async fn resubmissions() {
    every_case_of("resubmission").await;
}

#[tokio::test]
async fn mixed_forms() {
    every_case_of("mixed").await;
}

/// Runs a file's cases on an empty database and on both kinds of production database, beside the rows that were
/// there before.
async fn every_case_of(file: &str) {
    let path = format!("{}/tests/vectors/commcare-to-postgis/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let scenarios: Vec<Scenario> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(!scenarios.is_empty());
    let failures = [EMPTY, DOCUMENTED, ORIGINAL].map(|start| failures(start, &scenarios));
    let failures = join_all(failures).await.concat();
    let shown = failures.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {} cases differ:\n{shown}", failures.len(), 3 * scenarios.len());
}

async fn failures(start: Start, scenarios: &[Scenario]) -> Vec<String> {
    let database = start.database().await;
    postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
    database
        .run("CREATE TABLE old_mills AS SELECT id FROM wetmills; CREATE TABLE old_users AS TABLE tbl_users")
        .await;
    let (before, rows_before) = (everything(&database, "form_visits").await, rows::stored(&database).await);
    let mut failures = Vec::new();
    for scenario in scenarios {
        let failure = match run(&start, &database, scenario).await {
            Ok(()) => rows::difference(&new_rows(&database, &rows_before).await, &scenario.rows),
            Err(failure) => Some(failure),
        };
        failures.extend(failure.map(|failure| format!("{}, {}: {failure}", start.name, scenario.name)));
        database
            .run(
                "DELETE FROM wetmills WHERE id NOT IN (SELECT id FROM old_mills);
                 DELETE FROM tbl_users WHERE user_id NOT IN (SELECT user_id FROM old_users)",
            )
            .await;
    }
    assert_eq!(everything(&database, "form_visits").await, before, "{}: the rows it had", start.name);
    failures
}

/// The stored rows, except those that were there before.
async fn new_rows(database: &TestDatabase, before: &Value) -> Value {
    let mut stored = rows::stored(database).await;
    for (table, rows) in stored.as_object_mut().unwrap() {
        let before = before[table].as_array().unwrap();
        rows.as_array_mut().unwrap().retain(|row| !before.contains(row));
    }
    stored
}

async fn run(start: &Start, database: &TestDatabase, scenario: &Scenario) -> Result<(), String> {
    for User { user_id, sf_user_id } in &scenario.users {
        database.run(&start.user(user_id, sf_user_id.as_deref())).await;
    }
    let stand_in = SalesforceStandIn::start().await;
    for (role, staff) in &scenario.project_roles {
        stand_in.set_role(role, staff.as_deref());
    }
    let app = TestApp::sending_to(&stand_in, &[("DATABASE_URL", &database.url)]).await;
    for (number, step) in (1..).zip(&scenario.steps) {
        let unreachable = step.salesforce.as_deref() == Some("unreachable");
        stand_in.set_outage(unreachable.then_some(Fault::CutBefore));
        let answer = app.accept(&step.payload).await;
        assert_eq!(answer["job_name"], step.job_name.as_str());
        let record = app.record(answer["request_id"].as_str().unwrap()).await;
        let error = record["error"].as_str().unwrap_or_default();
        let expected = if step.expect == "ok" { "completed" } else { "failed" };
        if answer["record_status"] != expected || record["status"] != expected {
            return Err(format!("step {number} is {} and not {expected}: {error}", answer["record_status"]));
        }
        if let Some(path) = step.error_names.as_deref().filter(|path| !error.contains(path)) {
            return Err(format!("step {number}: the error does not name {path}: {error}"));
        }
    }
    Ok(())
}
