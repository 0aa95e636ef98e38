//! The destinations held against the mappings: the command, the calls, and what is kept of them.

mod commcare;
mod kept;
mod postgis;
mod salesforce;

use std::process::Command;

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::support::salesforce::{CLIENT_ID, CLIENT_SECRET, SalesforceStandIn};

/// Exit code and output of `check-destinations`.
async fn check(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commcare-sf-integration"));
    command.arg("check-destinations").args(arguments);
    command.env_clear().envs(variables.iter().copied()).current_dir(std::env::temp_dir());
    let output = spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaint, "");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The report as JSON.
async fn report(variables: &[(&str, &str)]) -> (i32, Value) {
    let (code, printed) = check(&["--json"], variables).await;
    (code, serde_json::from_str(&printed).unwrap())
}

/// Place and problem of each finding.
fn findings(report: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(finding, "field"), text(finding, "problem"))).collect()
}

/// The variables of a service that writes to this Salesforce.
fn to_salesforce(salesforce: &SalesforceStandIn) -> Vec<(String, String)> {
    let login_url = salesforce.settings().login_url.to_string();
    let variables = [
        ("SALESFORCE_LOGIN_URL", &*login_url),
        ("SF_CLIENT_ID", CLIENT_ID),
        ("SF_CLIENT_SECRET", CLIENT_SECRET),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

#[tokio::test]
async fn without_credentials_nothing_is_checked_and_nothing_is_wrong() {
    let (code, printed) = check(&[], &[]).await;
    assert_eq!(code, 0);
    assert_eq!(
        printed,
        "salesforce  not checked: no credentials; plans are recorded and not sent\n\
         commcare    not checked: no credentials; plans are recorded and not sent\n\
         postgis     not checked: no credentials; plans are recorded and not sent\n\
         firestore   not checked: the queue is no Firestore\n\
         \n\
         nothing found that would fail; not checked: salesforce, commcare, postgis, firestore\n"
    );
}
