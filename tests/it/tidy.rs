//! What nobody would notice in time: a citation that leads nowhere, an import that points the wrong way.
//! `cargo test --test it tidy` runs these alone, and takes a second.

mod citations;
mod commands;
mod imports;
mod layers;
mod links;
mod pages;

use std::fs;
use std::path::{Path, PathBuf};

/// Written by machines, or test data: none of it cites anything.
const NOT_READ: &[&str] = &[
    ".git",
    ".sqlx",
    "Cargo.lock",
    "LICENSE",
    "data",
    "target",
    "tests/fuzz/corpus",
    "tests/fuzz/target",
    "tests/vectors",
];

/// A text file of the repository.
struct Text {
    /// Its path from the root, with `/`.
    path: String,
    content: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text of the repository that people write.
fn texts() -> Vec<Text> {
    let mut files = Vec::new();
    collect(root(), &mut files);
    files.sort();
    let read = |file: PathBuf| {
        // A picture is no text.
        let content = fs::read_to_string(&file).ok()?;
        Some(Text { path: from_root(&file), content })
    };
    files.into_iter().filter_map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if NOT_READ.contains(&from_root(&path).as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().expect("paths are UTF-8").to_owned()
}

/// Fails with every problem, a line each.
#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "{} found:\n{}", problems.len(), problems.join("\n"));
}
