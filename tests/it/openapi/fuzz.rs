//! Schemathesis, a fuzzer that makes its calls from the OpenAPI document, against the running service:
//! no 5xx, no status, header, content type or body that is not described, nothing refused that the
//! document allows, nothing taken that it forbids, and no call that forgets its credential.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::queue::backend::Backend;
use crate::support::process::{Process, queue_variables};

/// The operator's token, as in schemathesis.toml.
const OPERATOR: &str = "fuzz-operator";

/// Cases for each call and kind of generation: half a minute's worth.
const CASES: &str = "25";

/// The program. Without it the test fails: nothing stands in for it.
fn program() -> String {
    #[expect(clippy::disallowed_methods, reason = "tests/run says where it has installed it")]
    std::env::var("SCHEMATHESIS").expect("SCHEMATHESIS names no program; run tests/run")
}

/// A service that asks for every credential, and has no destination.
async fn service(backend: &Backend) -> Process {
    let mut variables = queue_variables(backend);
    variables.extend(
        [
            ("OPERATOR_TOKEN", OPERATOR),
            ("WEBHOOK_API_KEY", "fuzz-webhook"),
            ("WEBHOOK_BASIC_AUTH", "fuzz:fuzz"),
            ("DRAIN_BUDGET_SECONDS", "2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Process::start(&variables).await
}

/// Posts the document's own examples, so that calls about records find some.
async fn post_examples(url: &str, document: &Value) {
    let client = reqwest::Client::new();
    for webhook in ["/process-data-cc", "/process-data-sf"] {
        let body = &document["paths"][webhook]["post"]["requestBody"]["content"]["application/json"];
        for reference in body["examples"].as_object().unwrap().values() {
            let place = reference["$ref"].as_str().unwrap().trim_start_matches('#');
            let example = document.pointer(place).unwrap()["value"].to_string();
            let post =
                client.post(format!("{url}{webhook}")).header("x-api-key", "fuzz-webhook").body(example);
            post.send().await.unwrap().error_for_status().unwrap();
        }
    }
}

async fn document(url: &str) -> Value {
    let get = reqwest::Client::new().get(format!("{url}/openapi.json")).bearer_auth(OPERATOR);
    get.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing() {
    let program = program();
    let backend = Backend::sqlite();
    let service = service(&backend).await;
    let document = document(&service.url).await;
    post_examples(&service.url, &document).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openapi/schemathesis.toml");
    let run = Command::new(program)
        .arg("--config-file")
        .arg(settings)
        .arg("run")
        .arg(&file)
        .args(["--url", &service.url, "--checks", "all", "--continue-on-failure"])
        .args(["--max-examples", CASES, "--seed", "20261124", "--generation-database", "none"])
        .args(["--request-timeout", "20", "--no-color"])
        // Schemathesis leaves reports in its working folder.
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(Duration::from_mins(5), run).await.expect("it takes too long").unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{report}\n{}", String::from_utf8_lossy(&run.stderr));
    // Every call was made, and no call was left out for want of a credential.
    let calls: usize =
        document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert!(report.contains(&format!("Tested: {calls}\n")), "{report}");
    assert!(!report.contains("Authentication failed"), "{report}");
}
