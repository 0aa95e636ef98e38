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

#[test]
fn the_table_of_commands_has_the_flags_of_the_help() {
    let page = include_str!("../../../docs/operating.md");
    let table = page.split("| command |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<_> = table.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let names: Vec<_> = rows.iter().map(|row| row.split([' ', '`']).next().unwrap()).collect();
    assert_eq!(sorted(&names), sorted(&COMMANDS));
    for (name, row) in names.into_iter().zip(rows) {
        let usage = row.split("` |").next().unwrap();
        let help = succeed(&[name, "--help"], &[], "");
        for flag in usage.split([' ', '[', ']']).filter(|word| word.starts_with("--")) {
            assert!(
                help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                "{name} {flag}"
            );
        }
    }
}

fn sorted<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

#[test]
fn the_version_is_that_which_a_report_of_a_bug_asks_for() {
    assert!(
        include_str!("../../../.github/ISSUE_TEMPLATE/bug.yml")
            .contains("`commcare-sf-integration --version`")
    );
    let version = concat!("commcare-sf-integration ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(succeed(&["--version"], &[], ""), version);
}
