//! `docs/operating.md`: its commands, run as the page has them, and what they print.

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::queue::backend::Backend;
use crate::reconcile::form;
use crate::support::forms_api::HqForms;
use crate::support::page::{self, Step, blocks, filled_in, run, steps};
use crate::support::process::{Process, borrowed, queue_variables};
use crate::support::salesforce::{CLIENT_ID, CLIENT_SECRET, SalesforceStandIn};

const PAGE: &str = include_str!("../../docs/operating.md");
/// A list, with a name before its first token.
const OPERATORS: &str = "amina:first-token,second-token";

/// The page's block with this command.
fn block(command: &str) -> Vec<Step> {
    let mut found: Vec<_> = blocks(PAGE, "console").iter().map(|block| steps(block)).collect();
    assert_eq!(found.len(), 9, "the page's blocks: one is gcloud's, and the tests below run the others");
    found.retain(|steps| steps.iter().any(|step| step.command.starts_with(command)));
    assert_eq!(found.len(), 1, "the page's blocks with {command}");
    found.remove(0)
}

/// The block's commands, as one script.
fn script(steps: &[Step]) -> String {
    steps.iter().map(|step| step.command.as_str()).collect::<Vec<_>>().join("\n")
}

/// What the page says that the block prints.
fn printed(steps: &[Step]) -> String {
    steps.iter().map(|step| step.output.as_str()).collect()
}

/// A clone of the repository, with the program and gcloud in the path.
fn workplace() -> TempDir {
    let program = format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_commcare-sf-integration"));
    let asked = "secrets versions access latest --secret=commcare-sf-integration-operator-token";
    let gcloud = format!("#!/bin/sh\n[ \"$*\" = '{asked}' ] && echo '{OPERATORS}'\n");
    page::workplace(&["src"], &[("commcare-sf-integration", &program), ("gcloud", &gcloud)])
}

/// A text without times that a run takes.
fn timeless(text: &str) -> String {
    Regex::new(r#""time_taken":"[\d.]+ "#).unwrap().replace_all(text, "\"time_taken\":\"").into_owned()
}

#[tokio::test]
async fn settings_and_a_preview_are_printed_as_the_page_has_them() {
    for command in ["commcare-sf-integration check-config", "commcare-sf-integration preview"] {
        let steps = block(command);
        let ran = run(&workplace(), &script(&steps), "", &[]).await;
        assert_eq!((ran.code, ran.output), (Some(0), printed(&steps)));
    }
}

#[tokio::test]
async fn findings_are_printed_as_the_page_has_them() {
    let salesforce = SalesforceStandIn::start().await;
    salesforce.patch_org(&json!({
        "Attendance__c": { "Status__c": { "values": ["Absent"] } },
        "Participant__c": { "Age__c": null },
    }));
    let login_url = salesforce.settings().login_url.to_string();
    let variables = [
        ("SALESFORCE_LOGIN_URL", &*login_url),
        ("SF_CLIENT_ID", CLIENT_ID),
        ("SF_CLIENT_SECRET", CLIENT_SECRET),
    ];
    let steps = block("commcare-sf-integration check-destinations");
    let ran = run(&workplace(), &script(&steps), "", &variables).await;
    assert_eq!((ran.code, ran.output), (Some(1), printed(&steps)));
}

#[tokio::test]
async fn calls_are_answered_as_the_page_has_them() {
    let backend = Backend::sqlite();
    let service = Process::start(&borrowed(&queue_variables(&backend))).await;
    let steps = block("S=");
    let script = script(&steps).replace("localhost:8080", service.url.strip_prefix("http://").unwrap());
    // An answer ends without a line break, as the prompt of a shell would show.
    let ran = run(&workplace(), &script.replace("\ncurl", "\necho; curl"), "", &[]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    assert_eq!(timeless(ran.output.trim()), timeless(printed(&steps).trim()));
}

#[tokio::test]
async fn an_operator_gets_in_and_asks_as_the_page_says() {
    let (backend, hq) = (Backend::sqlite(), HqForms::start().await);
    hq.has(&form("f-1", 20));
    let queue = queue_variables(&backend);
    let credentials = [("OPERATOR_TOKEN", OPERATORS), ("WEBHOOK_API_KEY", "key")];
    let variables = [&borrowed(&queue)[..], &hq.variables()[..], &credentials[..]].concat();
    let service = Process::start(&variables).await.with_bearer("key");
    // Nothing is fetched into an empty queue.
    hq.has(&form("f-0", 48));
    service.call("/process-data-cc", &form("f-0", 48)).await;
    let reconcile = block("curl -s -X POST -H \"Authorization: Bearer $TOKEN\" $URL/reconcile-cc");
    let check = block("curl -s -X POST -H \"Authorization: Bearer $TOKEN\" $URL/check-destinations");
    let commands = [block("URL="), check, reconcile.clone()].concat();
    let commands = filled_in(&script(&commands), &[("URL", &service.url)]);
    let ran = run(&workplace(), &commands, "", &[]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    let answers: Vec<Value> =
        serde_json::Deserializer::from_str(&ran.output).into_iter().map(Result::unwrap).collect();
    let [ready, counts, failed, check, reconciled] = &answers[..] else { panic!("{}", ran.output) };
    assert_eq!(ready, &json!({ "status": "ready" }));
    assert!(counts["status_counts"].is_object(), "{counts}");
    assert!(failed["failed_jobs"].is_array(), "{failed}");
    assert!(check["findings"].is_array(), "{check}");
    // The page's counts and days are those of another HQ.
    let shown: Value = serde_json::from_str(&printed(&reconcile)).unwrap();
    assert_eq!(members(reconciled), members(&shown), "{reconciled}");
}

/// The names of an answer's members, and of their members.
fn members(answer: &Value) -> Vec<String> {
    let Some(object) = answer.as_object() else { return Vec::new() };
    let below = |(name, value): (&String, &Value)| {
        let within =
            members(value.get(0).unwrap_or(value)).into_iter().map(move |member| format!(".{member}"));
        std::iter::once(String::new())
            .chain(within)
            .map(|member| format!("{name}{member}"))
            .collect::<Vec<_>>()
    };
    object.iter().flat_map(below).collect()
}

#[tokio::test]
async fn the_past_is_counted_as_the_page_has_it() {
    let (backend, hq) = (Backend::sqlite(), HqForms::start().await);
    hq.has(&form("f-1", 20));
    let queue = queue_variables(&backend);
    let variables = [&borrowed(&queue)[..], &hq.variables()[..]].concat();
    let steps = block("commcare-sf-integration reconcile");
    let ran = run(&workplace(), &script(&steps), "", &variables).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    // The page's counts and days are those of another HQ.
    let label = |line: &str| line.split("  ").next().unwrap().trim().to_owned();
    let report =
        |text: &str| text.lines().map(label).take_while(|label| label != "Missing").collect::<Vec<_>>();
    assert_eq!(report(&ran.output), report(&printed(&steps)), "{}", ran.output);
    let missing = |text: &str| text.lines().find(|line| line.starts_with("Missing ")).unwrap().to_owned();
    assert_eq!(missing(&ran.output), missing(&printed(&steps)));
}
