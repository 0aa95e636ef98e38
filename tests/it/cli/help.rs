//! `--help`, wrong usage, and `openapi`.

use std::io::Read;

use serde_json::Value;

use super::{command, fail, succeed};
use crate::support::app::TestApp;

const COMMANDS: [&str; 10] = [
    "serve",
    "demo",
    "preview",
    "migrate",
    "check-config",
    "summary",
    "check-destinations",
    "mappings",
    "reconcile",
    "openapi",
];

#[test]
fn help_explains_every_command_with_examples_and_exit_codes() {
    let general = succeed(&["--help"], &[], "");
    for name in COMMANDS {
        assert!(general.contains(&format!("\n  {name} ")), "{name}: {general}");
        let help = succeed(&[name, "--help"], &[], "");
        for part in
            ["Usage: commcare-sf-integration", "Examples:\n", "Exit codes:\n  0  ", "\n  2  wrong usage"]
        {
            assert!(help.contains(part), "{name} has no {part:?}: {help}");
        }
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 110, "{name}: {help}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["serv"][..],
        &["preview"],
        &["preview", "form.json", "--origin", "salesforce"],
        &["check-config", "--yaml"],
        &["openapi", "extra"],
    ] {
        let complaint = fail(2, arguments, &[], "");
        assert!(complaint.contains("Usage:") || complaint.contains("possible values"), "{complaint}");
    }
}

#[tokio::test]
async fn openapi_prints_what_the_service_gives() {
    let printed: Value = serde_json::from_str(&succeed(&["openapi"], &[], "")).unwrap();
    assert_eq!(printed, TestApp::start().await.get("/openapi.json").await.expect(200));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [&["openapi"][..], &["check-config", "--json"], &["--help"]] {
        let mut child = command(arguments, &[]).spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stdin.take());
        let mut complaint = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        assert_eq!((child.wait().unwrap().code(), complaint.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
