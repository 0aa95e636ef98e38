//! The real binary, as its own process.

use std::process::Stdio;

use commcare_sf_integration::config::QueueSettings;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::queue::backend::Backend;

/// The variables of a service on this queue.
pub(crate) fn queue_variables(backend: &Backend) -> Vec<(String, String)> {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match &backend.settings {
        QueueSettings::Sqlite(settings) => {
            vec![variable("QUEUE_URL", &format!("sqlite://{}", settings.path.display()))]
        }
        QueueSettings::Firestore(settings) => vec![
            variable("QUEUE_URL", "firestore"),
            variable("GOOGLE_CLOUD_PROJECT", &settings.project),
            variable("FIRESTORE_EMULATOR_HOST", settings.emulator_host.as_deref().unwrap()),
        ],
    }
}

/// A running service; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    client: Client,
}

impl Process {
    /// Starts the binary with these variables and nothing else of the environment, and waits until
    /// it listens.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_commcare-sf-integration"))
            .env_clear()
            .envs([("PORT", "0"), ("LOG_FORMAT", "json"), ("RUST_LOG", "info")])
            .envs(variables.iter().copied())
            .current_dir(std::env::temp_dir())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let address = loop {
            let Some(line) = lines.next_line().await.unwrap() else { panic!("it did not start: {seen:#?}") };
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if event["message"] == "server.listening" {
                break event["address"].as_str().unwrap().to_owned();
            }
            seen.push(line);
        };
        // A full pipe would stop the service.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, url: format!("http://{address}"), client: Client::new() }
    }

    /// Ends it as the machine's failure would: SIGKILL, whatever it is doing.
    pub(crate) async fn kill(&self) {
        self.signal("-KILL").await;
    }

    /// SIGTERM, as Cloud Run sends it; the exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        self.signal("-TERM").await;
        self.child.wait().await.unwrap().code()
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> reqwest::Result<Response> {
        let request = self.client.post(format!("{}{path}", self.url));
        request.header("content-type", "application/json").body(body).send().await
    }

    /// Posts, and takes the answer's JSON.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Value {
        self.post(path, body.to_string()).await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }
}
