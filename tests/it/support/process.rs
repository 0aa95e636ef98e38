//! The real binary, as its own process.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderValue, header};
use commcare_sf_integration::config::QueueSettings;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::queue::backend::Backend;

/// The variables of a service on this queue.
pub(crate) fn queue_variables(backend: &Backend) -> Vec<(String, String)> {
    let variable = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    match (&backend.settings, &backend.firestore) {
        (_, Some(firestore)) => firestore.variables().map(variable).to_vec(),
        (QueueSettings::Sqlite(settings), None) => {
            vec![variable(("QUEUE_URL", &format!("sqlite://{}", settings.path.display())))]
        }
        (QueueSettings::Firestore(_), None) => unreachable!("Backend::firestore keeps it"),
    }
}

/// The same, as calls take them.
pub(crate) fn borrowed(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

const BINARY: &str = env!("CARGO_BIN_EXE_commcare-sf-integration");

/// A running service; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    client: Client,
    pub(crate) log: ProcessLog,
}

/// The log lines of a process, which outlive it.
#[derive(Clone, Default)]
pub(crate) struct ProcessLog(Arc<Mutex<Vec<String>>>);

impl ProcessLog {
    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Process {
    /// Starts the binary with these variables and nothing else of the environment, and waits until
    /// it listens.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let started = Self::try_start(variables).await;
        started.unwrap_or_else(|log| panic!("it did not start: {:#?}", log.lines()))
    }

    /// The same, or the log of a binary that ended instead.
    pub(crate) async fn try_start(variables: &[(&str, &str)]) -> Result<Self, ProcessLog> {
        Self::try_command(Command::new(BINARY), variables).await
    }

    /// The same after a command of the shell, such as `ulimit`.
    pub(crate) async fn start_after(command: &str, variables: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{command} && exec \"$0\""), BINARY]);
        let started = Self::try_command(shell, variables).await;
        started.unwrap_or_else(|log| panic!("it did not start: {:#?}", log.lines()))
    }

    async fn try_command(mut command: Command, variables: &[(&str, &str)]) -> Result<Self, ProcessLog> {
        let mut child = command
            .env_clear()
            .envs([("PORT", "0"), ("LOG_FORMAT", "json"), ("RUST_LOG", "info")])
            .envs(variables.iter().copied())
            .current_dir(std::env::temp_dir())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = ProcessLog::default();
        let address = loop {
            let Some(line) = lines.next_line().await.unwrap() else { return Err(log) };
            log.add(line.clone());
            // A binary that gives up says why in words.
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "service listening" {
                break event["address"].as_str().unwrap().to_owned();
            }
        };
        // A full pipe would stop the service.
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.add(line);
            }
        });
        Ok(Self { child, url: format!("http://{address}"), client: Client::new(), log })
    }

    /// Every call with this credential.
    pub(crate) fn with_bearer(self, token: &str) -> Self {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        Self { client: Client::builder().default_headers(headers).build().unwrap(), ..self }
    }

    /// Ends it with SIGKILL, as a failure of the machine would.
    pub(crate) async fn kill(&self) {
        self.signal("-KILL").await;
    }

    /// SIGTERM, without waiting for the end.
    pub(crate) async fn retire(&self) {
        self.signal("-TERM").await;
    }

    /// SIGTERM, as Cloud Run sends it; the exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        self.signal("-TERM").await;
        self.child.wait().await.unwrap().code()
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> reqwest::Result<Response> {
        let request = self.client.post(format!("{}{path}", self.url));
        request.header("content-type", "application/json").body(body).send().await
    }

    /// Gets an answer's JSON.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Posts, and takes the answer's JSON.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Value {
        self.post(path, body.to_string()).await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }
}
