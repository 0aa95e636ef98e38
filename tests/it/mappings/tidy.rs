//! What keeps the mapping layer pure, and its table whole.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use commcare_sf_integration::jobs::JOBS;

/// Crates that would let a mapping do something, or depend on when it runs.
const IMPURE: [&str; 6] = ["reqwest", "sqlx", "axum", "tokio", "firestore", "tracing"];

#[test]
fn mappings_import_nothing_that_acts() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join("jobs.rs"), src.join("plan.rs")];
    collect_files(&src.join("jobs"), &mut files);
    assert!(files.len() > 5);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for name in IMPURE {
                let imports = line.contains(&format!("{name}::")) || line.contains(&format!("use {name}"));
                assert!(!imports, "{} uses {name}: {line}", file.display());
            }
        }
    }
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

#[test]
fn no_job_is_in_the_table_twice() {
    let mut seen = HashSet::new();
    for job in JOBS {
        assert!(seen.insert((job.origin, job.name)), "{} is there twice", job.name);
    }
}
