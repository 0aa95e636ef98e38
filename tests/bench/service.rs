//! The release binary as a process of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A running service on a queue of its own; killed when dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) first_answer: Duration,
    client: reqwest::Client,
    folder: TempDir,
}

const QUEUE: &str = "queue.db";

/// A folder on the disk that holds the build, rather than in memory.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The `state` column of a form that has just arrived.
pub(crate) fn state_of_a_new_record() -> String {
    let time = "2026-11-24T03:20:30.123456Z";
    json!({
        "data": null,
        "job_name": "Farmer Registration",
        "job_id": "00000000-0000-0000-0000-000000000000",
        "status": "new",
        "created_at": time,
        "timestamp": time,
        "updated_at": time,
        "run_retries": 0,
        "payload_hash": "0".repeat(64),
        "revision": 0,
    })
    .to_string()
}

/// Processor time of a process so far, in seconds: its number, or `self`. In steps of a hundredth
/// (`proc_pid_stat(5)`: `utime` and `stime`, in ticks of which Linux has a hundred a second).
pub(crate) fn cpu(process: impl std::fmt::Display) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name before it may hold spaces.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = |field: usize| fields.split_whitespace().nth(field).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

impl Service {
    /// Starts it with these variables and waits for its first 200.
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = folder();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let began = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_commcare-sf-integration"))
            .env_clear()
            .env("PORT", address.port().to_string())
            .env("QUEUE_URL", format!("sqlite://{}", folder.path().join(QUEUE).display()))
            .env("RUST_LOG", "warn")
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let client = reqwest::Client::new();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "it does not start");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let health = client.get(format!("http://{address}/health")).send().await.unwrap();
        assert_eq!(health.status(), 200);
        Self { child, address, first_answer: began.elapsed(), client, folder }
    }

    /// The file of its queue.
    pub(crate) fn queue(&self) -> PathBuf {
        self.folder.path().join(QUEUE)
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> Value {
        let request = self.client.post(format!("http://{}{path}", self.address)).body(body);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// The text that a path has.
    pub(crate) async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("http://{}{path}", self.address));
        request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }

    /// Its processor time so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    /// A figure of the process's memory, in MB: `VmRSS` now, `VmHWM` at most.
    pub(crate) fn memory(&self, figure: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
