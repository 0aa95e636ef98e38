//! The layers of `docs/architecture.md`: imports go from left to right, and never in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::{Import, ModulePath, Modules, Target};
use super::{Text, none, texts};

/// Known to all, and knowing only each other.
const BOTTOM: &[&str] =
    &["submission", "plan", "clock", "config", "metrics", "bounded", "retry", "text", "time"];

/// What a module may import beside itself and, except `jobs`, beside [`BOTTOM`].
const LAYERS: &[(&str, &[&str])] = &[
    ("submission", &[]),
    ("plan", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("metrics", &[]),
    ("bounded", &[]),
    ("retry", &[]),
    ("text", &[]),
    ("time", &[]),
    ("jobs", &["submission", "plan"]),
    ("queue", &[]),
    ("destinations", &[]),
    ("worker", &["jobs", "queue", "destinations"]),
    ("mappings", &["jobs", "csv"]),
    ("reconcile", &["jobs", "queue", "destinations", "worker"]),
    ("check", &["jobs", "queue", "destinations"]),
    ("app", &["jobs", "queue", "destinations", "worker", "reconcile", "check"]),
];

/// Modules in which what comes out depends only on what goes in.
const PURE: &[&str] = &["jobs", "plan"];

/// Crates that only turn values into other values.
const HARMLESS: &[&str] = &[
    "chrono",
    "geo_types",
    "percent_encoding",
    "quick_xml",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "url",
    "utoipa",
    "uuid",
];

/// Parts of the standard library that act, or depend on when and where they run.
const ACTING: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread", "time"];

#[test]
fn imports_go_from_left_to_right() {
    none(&upwards(&Modules::read(&texts()).imports()));
}

#[test]
fn mappings_import_nothing_that_acts() {
    none(&impure(&Modules::read(&texts()).imports(), &dependencies()));
}

#[test]
fn no_imports_go_in_a_circle() {
    none(&circles(&Modules::read(&texts()).imports()));
}

fn upwards(imports: &[Import<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for import in imports {
        let (Some(from), Target::Module(to)) = (import.from.first(), &import.to) else { continue };
        let (Some((_, allowed)), Some(to_layer)) =
            (LAYERS.iter().find(|(module, _)| module == from), to.first())
        else {
            continue;
        };
        let below = BOTTOM.contains(&to_layer.as_str()) && from != "jobs";
        let fine = from == to_layer || below || allowed.contains(&to_layer.as_str());
        // Once for each file: the first place is the one to mend.
        if !fine && seen.insert((import.from, to)) {
            problems.push(format!("{}: {from} may not import {}", import.place, to.join("::")));
        }
    }
    problems
}

fn impure(imports: &[Import<'_>], dependencies: &[String]) -> Vec<String> {
    let mut problems = BTreeSet::new();
    for import in imports {
        let (Some(from), Target::Foreign(to)) = (import.from.first(), &import.to) else { continue };
        if !PURE.contains(&from.as_str()) {
            continue;
        }
        let mut parts = to.split("::");
        let (crate_name, part) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let acts = match crate_name {
            "std" => ACTING.contains(&part),
            other => dependencies.iter().any(|name| name == other) && !HARMLESS.contains(&other),
        };
        if acts {
            problems.insert(format!("{}: {from} is pure, and may not use {to}", import.place));
        }
    }
    problems.into_iter().collect()
}

/// The crates that `Cargo.toml` names, as code calls them.
fn dependencies() -> Vec<String> {
    let manifest = std::fs::read_to_string(super::root().join("Cargo.toml")).unwrap();
    let (_, list) = manifest.split_once("\n[dependencies]\n").expect("it has dependencies");
    let list = list.split("\n[").next().expect("there is a first part");
    list.lines().filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect()
}

/// Imports between the files of one folder, by folder: from, to, and a place where it is written.
type Graphs<'a> = BTreeMap<ModulePath, BTreeMap<String, BTreeMap<String, &'a str>>>;

/// A file and the folder of its name count as one. What a file and those in its folder are to each other is left
/// free: it is made of them, and they use its words.
fn graphs<'a>(imports: &'a [Import<'_>]) -> Graphs<'a> {
    let mut graphs = Graphs::new();
    for import in imports {
        let Target::Module(to) = &import.to else { continue };
        let shared = import.from.iter().zip(to).take_while(|(from, to)| from == to).count();
        if let (Some(from), Some(to)) = (import.from.get(shared), to.get(shared)) {
            let graph = graphs.entry(import.from[..shared].to_vec()).or_default();
            graph.entry(from.clone()).or_default().entry(to.clone()).or_insert(&import.place);
        }
    }
    graphs
}

/// A shortest circle through each file that is in one, each circle once.
fn circles(imports: &[Import<'_>]) -> Vec<String> {
    let mut problems = BTreeMap::new();
    for (folder, graph) in &graphs(imports) {
        for start in graph.keys() {
            let Some(circle) = way_back(graph, start) else { continue };
            let files: BTreeSet<_> = circle.iter().cloned().collect();
            let steps = circle.iter().zip(circle.iter().cycle().skip(1));
            let steps: Vec<_> =
                steps.map(|(from, to)| format!("{from} imports {to} ({})", graph[from][to])).collect();
            let folder =
                ["src"].into_iter().chain(folder.iter().map(String::as_str)).collect::<Vec<_>>().join("/");
            problems
                .entry((folder.clone(), files))
                .or_insert_with(|| format!("{folder}: {}", steps.join(", ")));
        }
    }
    problems.into_values().collect()
}

/// The files of a shortest way from one back to itself.
fn way_back(graph: &BTreeMap<String, BTreeMap<String, &str>>, start: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let text = |(path, content): &(&str, &str)| Text {
            path: format!("src/{path}"),
            content: (*content).to_owned(),
        };
        Modules::read(&files.iter().map(text).collect::<Vec<_>>())
    }

    #[test]
    fn an_import_upwards_is_found_wherever_it_is_written() {
        let modules = modules(&[
            ("lib.rs", "pub mod http; pub mod jobs; pub mod queue; pub mod submission;"),
            ("http.rs", "use crate::queue::{self, Record};"),
            ("submission.rs", "pub struct Record;"),
            ("jobs.rs", "use crate::submission::Record;"),
            (
                "queue.rs",
                "mod sqlite;\npub use crate::submission::Record;\n// use crate::http;\n#[cfg(test)]\nuse crate::http;",
            ),
            (
                "queue/sqlite.rs",
                "use super::Record;\nfn a() { let b = \"crate::http\"; vec![crate::http::body()] }",
            ),
        ]);
        assert_eq!(upwards(&modules.imports()), ["src/queue/sqlite.rs:2: queue may not import http"]);
    }

    #[test]
    fn jobs_may_not_act() {
        let modules = modules(&[
            ("lib.rs", "pub mod jobs; mod clock;"),
            ("clock.rs", ""),
            (
                "jobs.rs",
                "use serde_json::Value;\nuse std::{collections::HashMap, fs as files};\nfn a() { tokio::spawn(async {}) }\nuse crate::clock;",
            ),
        ]);
        let imports = modules.imports();
        let dependencies = dependencies();
        assert_eq!(upwards(&imports), ["src/jobs.rs:4: jobs may not import clock"]);
        let expected = [
            "src/jobs.rs:2: jobs is pure, and may not use std::fs",
            "src/jobs.rs:3: jobs is pure, and may not use tokio::spawn",
        ];
        assert_eq!(impure(&imports, &dependencies), expected);
    }

    #[test]
    fn a_circle_is_found_through_re_exports_and_folders() {
        let modules = modules(&[
            ("lib.rs", "pub mod queue;"),
            ("queue.rs", "mod firestore; mod limits; mod store;\npub use store::Stored;\nuse limits::fit;"),
            ("queue/store.rs", "use super::firestore::Client;"),
            ("queue/firestore.rs", "mod codec;"),
            ("queue/firestore/codec.rs", "use crate::queue::Stored;"),
            ("queue/limits.rs", "use super::Stored;"),
        ]);
        let expected = "src/queue: firestore imports store (src/queue/firestore/codec.rs:1), store imports firestore (src/queue/store.rs:1)";
        assert_eq!(circles(&modules.imports()), [expected]);
    }

    #[test]
    fn a_file_and_those_in_its_folder_may_use_each_other() {
        let modules = modules(&[
            ("lib.rs", "pub mod jobs;"),
            ("jobs.rs", "mod survey;\npub struct Facts;\nfn all() { survey::map(Facts) }"),
            ("jobs/survey.rs", "use super::Facts;"),
        ]);
        assert_eq!(circles(&modules.imports()), [""; 0]);
    }
}
