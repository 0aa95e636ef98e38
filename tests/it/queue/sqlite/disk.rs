//! A queue on a disk that is full, or that takes no writes. The disk is a small file system of the test's own, which
//! only root can mount.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use commcare_sf_integration::config::{QueueSettings, SqliteSettings};
use commcare_sf_integration::queue::Queue;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::queue::backend::{POLICY, is_unavailable};
use crate::support::app::TestApp;
use crate::support::forms::{attendance_light, registration};

/// A small file system; unmounted when dropped.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// `None` where this user may not mount one.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn mount() -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        let mounted = disk.run("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
        if !mounted {
            eprintln!("SKIPPED: no file system of its own can be mounted here (it takes root)");
        }
        mounted.then_some(disk)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let ended = Command::new(program).args(arguments).arg(self.folder.path()).output();
        ended.is_ok_and(|ended| ended.status.success())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn queue(&self) -> String {
        format!("sqlite://{}", self.path("queue.db").display())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A service that has just ended may have the file open for a moment.
        self.run("umount", &["-l"]);
    }
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut ballast = File::create(path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while ballast.write_all(&vec![0; size]).is_ok() {}
    }
}

const NOT_READY: &str = r#"{"status":"not ready","down":["queue"]}"#;

#[tokio::test]
async fn a_full_disk_refuses_webhooks_and_a_free_one_takes_them_again() {
    let Some(disk) = Disk::mount() else { return };
    let queue = disk.queue();
    let app = TestApp::with(&[("QUEUE_URL", queue.as_str())]).await;
    let mut taken = Vec::new();
    let post = async |id: String| {
        let status = app.post("/process-data-cc", registration(&id).to_string()).await.status;
        (id, status.as_u16())
    };
    taken.push(post("before".to_owned()).await);
    for round in 0..2 {
        let ballast = disk.path("ballast");
        fill(&ballast);
        let mut refused = 0;
        for number in 0..20 {
            let posted = post(format!("full-{round}-{number}")).await;
            refused += usize::from(posted.1 == 503);
            taken.push(posted);
        }
        assert!(refused >= 15, "what was free inside the file is used up soon: {taken:?}");
        let not_ready: Value = serde_json::from_str(NOT_READY).unwrap();
        assert_eq!(app.get("/ready").await.expect(503), not_ready);
        assert_eq!(app.get("/health").await.expect(200), json!({ "status": "ok" }));
        std::fs::remove_file(&ballast).unwrap();
        app.get("/ready").await.expect(200);
        for number in 0..5 {
            let (id, status) = post(format!("free-{round}-{number}")).await;
            assert_eq!(status, 200, "{id}");
            taken.push((id, status));
        }
        app.get("/ready").await.expect(200);
    }
    assert!(taken.iter().all(|(_, status)| [200, 503].contains(status)), "{taken:?}");
    let drained = app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
    let processed = drained["processed_records"].as_array().unwrap().len();
    let acknowledged = taken.iter().filter(|(_, status)| *status == 200).count();
    assert_eq!((processed, app.counts().await["new"].as_u64()), (acknowledged, Some(0)));
}

#[tokio::test]
async fn a_disk_that_fills_up_during_a_drain_loses_no_outcome() {
    let Some(disk) = Disk::mount() else { return };
    let queue = disk.queue();
    let app = TestApp::with(&[("QUEUE_URL", queue.as_str()), ("LEASE_SECONDS", "1")]).await;
    for number in 0..20 {
        app.accept(&attendance_light(&format!("f-{number}"))).await;
    }
    let ballast = disk.path("ballast");
    fill(&ballast);
    let full = app.post("/process-firestore-to-sf?drain=true", "").await;
    assert!([200, 503].contains(&full.status.as_u16()), "{full:?}");
    std::fs::remove_file(&ballast).unwrap();
    app.until_completed(20).await;
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_keeps_the_service_from_starting() {
    let Some(disk) = Disk::mount() else { return };
    let settings = QueueSettings::Sqlite(SqliteSettings { path: disk.path("queue.db") });
    drop(Queue::open(&settings, POLICY).await.unwrap());
    // A mount can be made read-only once nobody has its files open for writing.
    let mut tries = 50;
    while !disk.run("mount", &["-o", "remount,ro"]) {
        tries -= 1;
        assert!(tries > 0, "the queue keeps its file open");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let error = Queue::open(&settings, POLICY).await.map(drop).unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    assert!(disk.run("mount", &["-o", "remount,rw"]));
    drop(Queue::open(&settings, POLICY).await.unwrap());
}
