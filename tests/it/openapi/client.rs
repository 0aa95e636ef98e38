//! A Python client that openapi-python-client makes of the document, against the running service
//! (`client.py`, beside this file).

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::queue::backend::Backend;
use crate::support::process::{Process, queue_variables};

const OPERATOR: &str = "client-operator-token";
const WEBHOOK_KEY: &str = "client-webhook-key";

/// The folder of the generator and of the Python that runs the client. Without it the test fails: nothing
/// stands in for it.
fn tools() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "tests/run says where it has installed it")]
    let program = std::env::var("OPENAPI_PYTHON_CLIENT");
    let program = program.expect("OPENAPI_PYTHON_CLIENT names no program; run tests/run");
    Path::new(&program).parent().unwrap().to_owned()
}

async fn succeed(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said.into_owned()
}

#[tokio::test]
async fn a_generated_client_makes_every_call() {
    let tools = tools();
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("openapi.json");
    let printed = Command::new(env!("CARGO_BIN_EXE_commcare-sf-integration")).arg("openapi").output().await;
    std::fs::write(&document, printed.unwrap().stdout).unwrap();
    let mut generate = Command::new(tools.join("openapi-python-client"));
    generate.args(["generate", "--fail-on-warning", "--meta", "none", "--path"]).arg(&document);
    generate.arg("--output-path").arg(folder.path().join("generated"));
    // It formats what it has made, by a program of the same folder.
    generate.env("PATH", &tools);
    succeed(&mut generate).await;

    let backend = Backend::sqlite();
    let mut variables = queue_variables(&backend);
    variables.push(("OPERATOR_TOKEN".to_owned(), OPERATOR.to_owned()));
    variables.push(("WEBHOOK_API_KEY".to_owned(), WEBHOOK_KEY.to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let service = Process::start(&variables).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut calls = Command::new(tools.join("python"));
    calls.arg(root.join("tests/it/openapi/client.py"));
    calls.args([&service.url, OPERATOR, WEBHOOK_KEY]).arg(root.join("src/samples"));
    calls.env("PYTHONPATH", folder.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let said = succeed(&mut calls).await;
    assert!(said.ends_with(" operations called\n"), "{said}");
}
