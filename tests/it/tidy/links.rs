//! Relative links of the Markdown pages.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::pages::{Page, is_markdown, pages, prose};
use super::{Text, none, root, texts};

static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s]+)\)").unwrap());
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]*`").unwrap());

#[test]
fn every_link_leads_somewhere() {
    let texts = texts();
    let pages = pages(&texts);
    let problems = texts.iter().filter(|text| is_markdown(&text.path)).flat_map(|text| broken(text, &pages));
    none(&problems.collect::<Vec<_>>());
}

fn broken(page: &Text, pages: &HashMap<&str, Page>) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in prose(&page.content) {
        let line = CODE.replace_all(line, "``");
        for link in LINK.captures_iter(&line) {
            if let Err(missing) = follow(&page.path, &link[1], pages) {
                problems.push(format!("{}:{number}: link {}: {missing}", page.path, &link[1]));
            }
        }
    }
    problems
}

fn follow(from: &str, link: &str, pages: &HashMap<&str, Page>) -> Result<(), String> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { from.to_owned() } else { beside(from, file)? };
    if !root().join(&path).exists() {
        return Err(format!("there is no {path}"));
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let page = pages.get(path.as_str()).ok_or_else(|| format!("{path} is no page, and has no anchors"))?;
    if page.anchors.contains(anchor) { Ok(()) } else { Err(format!("{path} has no anchor {anchor}")) }
}

/// The path from the root of what a page calls `file`.
pub(super) fn beside(from: &str, file: &str) -> Result<String, String> {
    let mut path = PathBuf::from(from);
    path.pop();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir if !path.pop() => return Err("leads out of the repository".to_owned()),
            Component::ParentDir | Component::CurDir => {}
            part => path.push(part),
        }
    }
    Ok(path.to_str().expect("links are UTF-8").to_owned())
}

#[test]
fn broken_links_are_found_with_their_line() {
    let content = "# Page\n[a](#page) [b](#nothing)\n```\n[c](none.md)\n```\n[d](../README.md#no-such) [e](none.md) `[f](g)`\n";
    let page = Text { path: "docs/README.md".to_owned(), content: content.to_owned() };
    let pages =
        HashMap::from([("docs/README.md", Page::new(content)), ("README.md", Page::new("# Readme\n"))]);
    let found = broken(&page, &pages);
    let lines: Vec<_> = found.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["docs/README.md:2", "docs/README.md:6", "docs/README.md:6"], "{found:#?}");
}
