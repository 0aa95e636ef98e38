//! The two processes on one queue: killed, deployed anew, and called as Cloud Scheduler calls them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::load::assert_unmarked;
use crate::support::process::{Process, ProcessLog, borrowed};

/// What Cloud Scheduler calls.
const CALLS: [&str; 4] = [
    "/process-firestore-to-sf?drain=true",
    "/process-firestore-to-cc?drain=true",
    "/auto-retry-firestore-to-sf?drain=true",
    "/auto-retry-firestore-to-cc?drain=true",
];
/// How long a process may take to start, however often it has to be started.
const START: Duration = Duration::from_secs(30);

pub(super) struct Services {
    variables: Mutex<Vec<(String, String)>>,
    running: Mutex<Vec<Arc<Process>>>,
    /// Those that were told to end, kept while they do.
    retired: Mutex<Vec<Arc<Process>>>,
    logs: Mutex<Vec<ProcessLog>>,
    kills: AtomicUsize,
}

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: bool,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Services {
    pub(super) async fn start(variables: Vec<(String, String)>) -> Self {
        let services = Self {
            variables: Mutex::new(variables),
            running: Mutex::default(),
            retired: Mutex::default(),
            logs: Mutex::default(),
            kills: AtomicUsize::new(0),
        };
        for _ in 0..2 {
            let process = services.start_one().await;
            services.running.lock().unwrap().push(process);
        }
        services
    }

    /// Starts a process again and again until it runs, as Cloud Run does: without a queue it ends.
    async fn start_one(&self) -> Arc<Process> {
        let variables = self.variables.lock().unwrap().clone();
        let variables = borrowed(&variables);
        let deadline = Instant::now() + START;
        loop {
            let started = timeout(Duration::from_secs(5), Process::try_start(&variables)).await;
            if let Ok(Ok(process)) = started {
                self.logs.lock().unwrap().push(process.log.clone());
                return Arc::new(process);
            }
            assert!(Instant::now() < deadline, "no process starts");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn running(&self, slot: usize) -> Arc<Process> {
        Arc::clone(&self.running.lock().unwrap()[slot])
    }

    /// SIGKILL in the middle of whatever it does; another takes its place after a while.
    pub(super) async fn kill(&self, slot: usize, pause: Duration) {
        self.kills.fetch_add(1, Ordering::SeqCst);
        self.running(slot).kill().await;
        tokio::time::sleep(pause).await;
        let process = self.start_one().await;
        self.running.lock().unwrap()[slot] = process;
    }

    /// The same with a variable changed.
    pub(super) async fn deploy_with(&self, (name, value): (&str, &str)) {
        // Later ones count.
        self.variables.lock().unwrap().push((name.to_owned(), value.to_owned()));
        self.deploy().await;
    }

    /// Replaces every process, as a deployment does: the new one first, then SIGTERM to the old.
    pub(super) async fn deploy(&self) {
        for slot in 0..2 {
            let new = self.start_one().await;
            let old = std::mem::replace(&mut self.running.lock().unwrap()[slot], new);
            old.retire().await;
            self.retired.lock().unwrap().push(old);
        }
    }

    /// The end of the log of each running process.
    pub(super) fn last_words(&self) -> String {
        let running = self.running.lock().unwrap();
        let last = |lines: Vec<String>| lines[lines.len().saturating_sub(12)..].join("\n");
        let words =
            running.iter().map(|process| format!("{}:\n{}\n", process.url, last(process.log.lines())));
        words.collect::<Vec<_>>().concat()
    }

    pub(super) fn kills(&self) -> usize {
        self.kills.load(Ordering::SeqCst)
    }

    /// Calls one of the processes; `None` where it was gone before it had answered.
    pub(super) async fn post(&self, slot: usize, path: &str, body: String) -> Option<Answer> {
        let response = self.running(slot).post(path, body).await.ok()?;
        let status = response.status();
        let retry_after = response.headers().contains_key("retry-after");
        let text = response.text().await.ok()?;
        Some(Answer { status, retry_after, text })
    }

    /// One round of the scheduler at one process: all calls at once. It takes no answer but that the
    /// work is done, or that the queue cannot be reached.
    pub(super) async fn scheduled(&self, slot: usize) {
        join_all(CALLS.map(|path| async move {
            if let Some(answer) = self.post(slot, path, String::new()).await {
                let expected = [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE];
                assert!(expected.contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
                assert_unmarked(&answer.text, path);
            }
        }))
        .await;
    }

    /// Ends every process, and holds their logs against what no log may hold.
    pub(super) fn finish(self) {
        for process in self.running.lock().unwrap().drain(..).chain(self.retired.lock().unwrap().drain(..)) {
            drop(process);
        }
        let logs: Vec<String> = self.logs.lock().unwrap().iter().flat_map(ProcessLog::lines).collect();
        assert!(logs.iter().any(|line| line.contains("webhook accepted")), "the logs were not seen");
        for line in logs {
            for sign in ["panicked", "broke_down", "RUST_BACKTRACE"] {
                assert!(!line.contains(sign), "{line}");
            }
            assert_unmarked(&line, "a log line");
        }
    }
}
