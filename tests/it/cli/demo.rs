//! `demo`, as `README.md` shows it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use regex::Regex;

use super::command;
use crate::support::page::blocks;

const PAGE: &str = include_str!("../../../README.md");

#[tokio::test]
async fn the_demo_prints_what_the_page_shows_and_goes_on_serving() {
    let mut child = command(&["demo"], &[("PORT", "0")]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut printed = Vec::new();
    while printed.last().is_none_or(|line: &String| !line.contains("curl ") || !line.contains("salesforce")) {
        printed.push(lines.next().expect("the demo goes on"));
    }
    let serving = printed.iter().find_map(|line| line.strip_prefix("Serving on ")).expect("an address");
    let (address, folder) = serving.split_once(" with the queue in ").unwrap();
    let folder = folder.split_once(';').unwrap().0;

    let shown = blocks(PAGE, "text").into_iter().find(|block| block.contains("Serving on ")).unwrap();
    let shown = shown.replace("http://127.0.0.1:8080", address).replace("/tmp/commcare-sf-demo-…", folder);
    // A new form type is one sample more.
    let samples = printed.iter().filter(|line| line.contains(" (completed): ")).count();
    let shown = Regex::new(r"\d+ submissions").unwrap().replace(&shown, format!("{samples} submissions"));
    for line in shown.lines().filter(|line| !line.trim_start().starts_with('[')) {
        assert!(printed.iter().any(|printed| printed == line), "{line}\nis not in\n{}", printed.join("\n"));
    }

    let dashboard = reqwest::get(format!("{address}/dashboard")).await.unwrap();
    assert_eq!(dashboard.status(), 200);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!Path::new(folder).exists(), "{folder} is left");
}
