//! Every command of every page is run by a test, parsed by gcloud, or said not to be run.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use super::pages::{is_markdown, prose};
use super::{Text, none, root, texts};

/// How a command of a page is known to be right.
#[derive(Clone, Copy)]
enum By {
    /// This test runs it.
    Run(&'static str),
    /// `tests/deploy-script` gives it to `tests/real-gcloud`.
    Parsed,
    /// The page says so, in these words.
    NotRun(&'static str),
}
use By::{NotRun, Parsed, Run};

const BENCH: By = NotRun("`tests/run` compiles the benchmark and does not run it");
const DEPLOY_SCRIPT: By = Run("tests/deploy-script");
const HELP: By = Run("tests/it/cli/help.rs");
const OPERATING: By = Run("tests/it/operating.rs");

/// Page, how commands begin, and how they are covered; the first that fits holds. A block of `bash` or `sql` is one
/// command, for its tests run all of it.
const COVERED: &[(&str, &str, By)] = &[
    (".github/ISSUE_TEMPLATE/bug.yml", "commcare-sf-integration --version", HELP),
    (".github/ISSUE_TEMPLATE/bug.yml", "commcare-sf-integration preview", Run("tests/it/cli/preview.rs")),
    (".github/SECURITY.md", "```bash", DEPLOY_SCRIPT),
    (".github/SECURITY.md", "cargo bench", BENCH),
    (".github/SECURITY.md", "deploy/deploy --redeploy", DEPLOY_SCRIPT),
    ("CONTRIBUTING.md", "cargo +nightly fuzz", NotRun("`tests/run` does not run it: it needs nightly Rust")),
    ("CONTRIBUTING.md", "cargo run -- preview", Run("tests/follow-contributing")),
    ("CONTRIBUTING.md", "cargo test --test it", NotRun("No test runs the commands that run tests")),
    ("CONTRIBUTING.md", "tests/run --help", DEPLOY_SCRIPT),
    ("CONTRIBUTING.md", "tests/run", NotRun("No test runs the commands that run tests")),
    ("README.md", "cargo run -- demo", Run("tests/it/cli/demo.rs")),
    ("deploy/CUTOVER.md", "```bash", Run("tests/it/cutover.rs")),
    ("deploy/CUTOVER.md", "```sql", Run("tests/it/postgis/migrations.rs")),
    ("deploy/CUTOVER.md", "export SALESFORCE_INSTANCE", Run("tests/it/cutover/comparison.rs")),
    ("deploy/CUTOVER.md", "for j in", Parsed),
    ("deploy/CUTOVER.md", "gcloud", Parsed),
    ("deploy/README.md", "deploy/deploy", DEPLOY_SCRIPT),
    ("deploy/README.md", "gcloud", Parsed),
    ("deploy/alerts/README.md", "for ", Parsed),
    ("deploy/alerts/README.md", "gcloud", Parsed),
    ("deploy/alerts/README.md", "promtool test rules", DEPLOY_SCRIPT),
    ("docs/benchmarks.md", "cargo bench", BENCH),
    ("docs/deployment.md", "${EDITOR:-nano}", NotRun("the editor needs a person: neither was run here")),
    ("docs/deployment.md", "cp deploy/settings.env.example", DEPLOY_SCRIPT),
    ("docs/deployment.md", "deploy/deploy", DEPLOY_SCRIPT),
    ("docs/deployment.md", "gcloud auth login", NotRun("`gcloud auth login` needs a Google account")),
    ("docs/deployment.md", "gcloud", Parsed),
    ("docs/deployment.md", "printf", Parsed),
    ("docs/destinations.md", "mappings --format csv", Run("tests/it/cli/mappings.rs")),
    ("docs/operating.md", "S=", OPERATING),
    ("docs/operating.md", "TOKEN=", OPERATING),
    ("docs/operating.md", "URL=", OPERATING),
    ("docs/operating.md", "cargo build --release", NotRun("No test makes the release build")),
    ("docs/operating.md", "cargo run -- COMMAND", Run("tests/follow-contributing")),
    ("docs/operating.md", "check-config [", HELP),
    ("docs/operating.md", "check-destinations [", HELP),
    ("docs/operating.md", "commcare-sf-integration", OPERATING),
    ("docs/operating.md", "curl", OPERATING),
    ("docs/operating.md", "gcloud", Parsed),
    ("docs/operating.md", "mappings [", HELP),
    ("docs/operating.md", "migrate [", HELP),
    ("docs/operating.md", "preview FILE", HELP),
    ("docs/operating.md", "reconcile [", HELP),
    ("docs/operating.md", "summary [", HELP),
    ("docs/senders/cloud-scheduler.md", "```bash", Run("tests/it/senders/cloud_scheduler.rs")),
    ("docs/senders/cloud-scheduler.md", "curl", Run("tests/it/senders/cloud_scheduler.rs")),
    ("docs/senders/commcare-hq.md", "```bash", Run("tests/it/senders/commcare_hq.rs")),
    ("docs/senders/commcare-hq.md", "curl", NotRun("not tried against a running HQ")),
    ("docs/senders/commcare-hq.md", "gcloud", Parsed),
    ("docs/senders/postgresql-client.md", "```bash", Run("tests/it/senders/postgresql_client.rs")),
    ("docs/senders/postgresql-client.md", "```sql", NotRun("which is not part of this repository")),
    ("docs/senders/postgresql-client.md", "gcloud", Parsed),
    ("docs/senders/salesforce.md", "```bash", Run("tests/it/senders/salesforce.rs")),
    ("docs/senders/salesforce.md", "gcloud", Parsed),
];

static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([^`]+)`").unwrap());
/// Code that is a command, where a word follows: alone it is the program's name.
static PROGRAM: LazyLock<Regex> = LazyLock::new(|| {
    let commands =
        "serve|demo|migrate|preview|check-config|check-destinations|mappings|reconcile|summary|openapi";
    let programs = "cargo|curl|docker|gcloud|git|jq|openssl|promtool|psql|rustup|(?:tests|deploy)/[a-z-]+";
    Regex::new(&format!(r"^(?:{programs}|(?:\S*/)?commcare-sf-integration|{commands})\s")).unwrap()
});
/// The variables that a command is given.
static GIVEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(?:[A-Z_]+=\S+ +)+").unwrap());

/// The commands in a page's blocks and in its sentences.
fn commands(page: &str) -> Vec<String> {
    let mut commands: Vec<String> = page
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("$ ") || ["```bash", "```sh", "```sql"].contains(line))
        .map(|line| line.trim_start_matches("$ ").to_owned())
        .collect();
    let sentences: Vec<_> = prose(page).map(|(_, line)| line).collect();
    let code = sentences.join("\n");
    let code = CODE.captures_iter(&code).map(|code| code[1].to_owned());
    commands.extend(code.filter(|code| PROGRAM.is_match(&GIVEN.replace(code, ""))));
    commands
}

fn is_page(path: &str) -> bool {
    is_markdown(path) || path.starts_with(".github/ISSUE_TEMPLATE/")
}

/// Why the command of the page is not covered, and the row of the table that covers it.
fn check(page: &Text, command: &str) -> Result<usize, String> {
    let bare = GIVEN.replace(command, "");
    let fits = |(path, begin, _): &(&str, &str, By)| {
        *path == page.path && (bare.starts_with(begin) || command.starts_with(begin))
    };
    let row =
        COVERED.iter().position(fits).ok_or("tests/it/tidy/commands.rs does not say how it is covered")?;
    match COVERED[row].2 {
        Run(test) if !root().join(test).exists() => Err(format!("there is no {test}")),
        Parsed if !command.contains("gcloud ") || command.contains('…') => {
            Err("gcloud cannot parse it".to_owned())
        }
        NotRun(words) if !one_line(&page.content).contains(words) => {
            Err(format!("the page does not say {words:?}"))
        }
        _ => Ok(row),
    }
}

/// A text without its line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_of_every_page_is_run_or_parsed_or_said_not_to_be() {
    let (mut problems, mut used) = (Vec::new(), HashSet::new());
    for page in texts().iter().filter(|text| is_page(&text.path)) {
        for command in commands(&page.content) {
            match check(page, &command) {
                Ok(row) => drop(used.insert(row)),
                Err(why) => problems.push(format!("{}: {command}: {why}", page.path)),
            }
        }
    }
    let unused = COVERED.iter().enumerate().filter(|(row, _)| !used.contains(row));
    problems.extend(unused.map(|(_, (page, begin, _))| format!("{page}: there is no command {begin}…")));
    none(&problems);
}

/// Commands that no test runs name variables, parts of the benchmark and targets of the fuzzer.
#[test]
fn names_in_commands_are_those_of_the_code() {
    let texts = texts();
    let source = |path: &str| &texts.iter().find(|text| text.path == path).expect(path).content;
    let names = |pattern: &str, text: &str| -> BTreeSet<String> {
        Regex::new(pattern).unwrap().captures_iter(text).map(|name| name[1].to_owned()).collect()
    };
    let contributing = source("CONTRIBUTING.md");
    assert_eq!(
        names(r"(CHAOS_[A-Z]+)=", contributing),
        names(r#"setting\("(\w+)"\)"#, source("tests/it/chaos.rs"))
    );
    let fuzzed = contributing.split("--fuzz-dir tests/fuzz").nth(1).unwrap().split(')').next().unwrap();
    let targets = texts.iter().filter_map(|text| text.path.strip_prefix("tests/fuzz/fuzz_targets/"));
    let targets = targets.map(|file| file.trim_end_matches(".rs").to_owned());
    assert_eq!(names("([a-z_]+)`", fuzzed), targets.collect());
    let bench = source("tests/bench/main.rs");
    for page in [".github/SECURITY.md", "docs/benchmarks.md"] {
        for part in names(r"cargo bench -- (\w+)", source(page)) {
            assert!(bench.contains(&format!("\"{part}\"")), "{page}: cargo bench knows no {part}");
        }
    }
    for (variable, file) in [("BENCH_DATABASE_URL", "postgis"), ("FIRESTORE_EMULATOR_HOST", "firestore")] {
        assert!(source("docs/benchmarks.md").contains(&format!("`{variable}=")), "{variable}");
        let read = source(&format!("tests/bench/{file}.rs")).contains(variable);
        assert!(read, "{variable}");
    }
}

#[test]
fn commands_are_found_in_blocks_and_in_sentences() {
    let page = "Run `cargo`, `A=1 cargo\nbench` or `tests/run x`.\n```console\n$ one | two\nits output\n```\n\
        - in a list:\n  ```bash\n  three\n  ```\n`cargo-deny`, `GET /ready`, `summary`, `summary --since x`\n";
    let found = ["one | two", "```bash", "A=1 cargo\nbench", "tests/run x", "summary --since x"];
    assert_eq!(commands(page), found);
}
