//! `docs/senders/cloud-scheduler.md`.

use std::path::Path;

use serde_json::json;

use crate::auth::scheduler::{KeyServer, token};
use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::page::{self, blocks, filled_in};

const PAGE: &str = include_str!("../../../docs/senders/cloud-scheduler.md");
const DEPLOY: &str = include_str!("../../../deploy/deploy");

/// A program that keeps its arguments, a line each, once the stand-in of the deployment's tests has taken them.
fn gcloud() -> String {
    let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stub-gcloud");
    format!("#!/bin/sh\nset -e\n{} \"$@\" >&2\nprintf '%s\\n' \"$@\"\n", stub.display())
}

/// The flags that the page gives to gcloud.
async fn flags() -> Vec<(String, String)> {
    let [block] = &blocks(PAGE, "bash")[..] else { panic!("the page has one block of commands") };
    let folder = page::workplace(&[], &[("gcloud", &gcloud())]);
    let state = tempfile::tempdir().unwrap();
    let variables = [("STUB_STATE", state.path().to_str().unwrap())];
    let block = filled_in(block, &[("SERVICE_URL", "http://service")]);
    let ran = page::run(&folder, &block, "", &variables).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    let flags = ran.output.lines().filter_map(|line| line.strip_prefix("--")?.split_once('='));
    flags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn the_job_of_the_page_drains_and_another_identity_does_not() {
    let flags = flags().await;
    let flag = |name: &str| {
        let found = flags.iter().find(|(flag, _)| flag == name);
        found.unwrap_or_else(|| panic!("the page gives no --{name}")).1.as_str()
    };
    let (audience, email) = (flag("oidc-token-audience"), flag("oidc-service-account-email"));
    let keys = KeyServer::start().await;
    let app = TestApp::with(&[
        ("SCHEDULER_OIDC_AUDIENCE", audience),
        ("SCHEDULER_OIDC_EMAIL", email),
        ("OIDC_JWKS_URL", &keys.url),
        ("OPERATOR_TOKEN", "operator"),
        ("WEBHOOK_API_KEY", "key-1"),
    ])
    .await;
    let form = registration("f-1").to_string();
    app.call_with("POST", "/process-data-cc", &[("x-api-key", "key-1")], form).await.expect(200);

    // As Cloud Scheduler calls: an empty body, a type of bytes, its own marks.
    let path = flag("uri").strip_prefix("http://service").unwrap();
    let call = async |token: &str| {
        let headers = [
            ("authorization", token),
            ("content-type", "application/octet-stream"),
            ("content-length", "0"),
            ("user-agent", "Google-Cloud-Scheduler"),
            ("x-cloudscheduler", "true"),
        ];
        app.call(&flag("http-method").to_uppercase(), path, &headers).await
    };
    let other = token(&json!({ "aud": audience, "email": "other@project.iam.gserviceaccount.com" }));
    call(&other).await.expect(403);
    call(&token(&json!({ "aud": "https://elsewhere", "email": email }))).await.expect(401);
    let report = call(&token(&json!({ "aud": audience, "email": email }))).await.expect(200);
    assert_eq!(report["processed_records"], json!(["f-1"]));

    // A scheduler of one's own, as the page says.
    let operator = [("authorization", "Bearer operator")];
    app.call("POST", path, &operator).await.expect(200);
}

#[test]
fn the_jobs_of_the_page_are_those_that_are_deployed() {
    for (job, call, every) in [
        ("drain-to-salesforce", "/process-firestore-to-sf?drain=true", "DRAIN_TO_SALESFORCE:=*/5 "),
        ("drain-to-commcare", "/process-firestore-to-cc?drain=true", "DRAIN_TO_COMMCARE:=*/2 "),
        ("retry-to-salesforce", "/auto-retry-firestore-to-sf?drain=true", "RETRY_TO_SALESFORCE:=*/10 "),
        ("retry-to-commcare", "/auto-retry-firestore-to-cc?drain=true", "RETRY_TO_COMMCARE:=*/10 "),
    ] {
        let variable = every.split_once(':').unwrap().0;
        assert!(DEPLOY.contains(&format!("make_job {job} \"${variable}\" '{call}'")), "{job}");
        assert!(DEPLOY.contains(every), "{every}");
        let minutes = every.rsplit_once('/').unwrap().1.trim();
        let row = format!("| `…-{job}` | `POST {call}` | {minutes} minutes |");
        assert!(PAGE.contains(&row), "{row}");
    }
}
