//! A queue on a disk that is full, or that takes no writes.

use std::time::Duration;

use commcare_sf_integration::config::{QueueSettings, SqliteSettings};
use commcare_sf_integration::queue::Queue;
use serde_json::{Value, json};

use crate::queue::backend::{POLICY, is_unavailable};
use crate::support::app::TestApp;
use crate::support::disk::Disk;
use crate::support::forms::{attendance_light, registration};

const NOT_READY: &str = r#"{"status":"not ready","down":["queue"]}"#;

#[tokio::test]
async fn a_full_disk_refuses_webhooks_and_a_free_one_takes_them_again() {
    let Some(disk) = Disk::mount("4m") else { return };
    let queue = disk.queue();
    let app = TestApp::with(&[("QUEUE_URL", queue.as_str())]).await;
    let mut taken = Vec::new();
    let post = async |id: String| {
        let status = app.post("/process-data-cc", registration(&id).to_string()).await.status;
        (id, status.as_u16())
    };
    taken.push(post("before".to_owned()).await);
    for round in 0..2 {
        disk.fill();
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
        disk.empty();
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
    let Some(disk) = Disk::mount("4m") else { return };
    let queue = disk.queue();
    let app = TestApp::with(&[("QUEUE_URL", queue.as_str()), ("LEASE_SECONDS", "1")]).await;
    for number in 0..20 {
        app.accept(&attendance_light(&format!("f-{number}"))).await;
    }
    disk.fill();
    let full = app.post("/process-firestore-to-sf?drain=true", "").await;
    assert!([200, 503].contains(&full.status.as_u16()), "{full:?}");
    disk.empty();
    app.until_completed(20).await;
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_keeps_the_service_from_starting() {
    let Some(disk) = Disk::mount("4m") else { return };
    let settings = QueueSettings::Sqlite(SqliteSettings { path: disk.path("queue.db") });
    drop(Queue::open(&settings, POLICY).await.unwrap());
    // A mount can be made read-only once nobody has its files open for writing.
    let mut tries = 50;
    while !disk.make_read_only() {
        tries -= 1;
        assert!(tries > 0, "the queue keeps its file open");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let error = Queue::open(&settings, POLICY).await.map(drop).unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    assert!(disk.make_writable());
    drop(Queue::open(&settings, POLICY).await.unwrap());
}

#[tokio::test]
async fn a_disk_that_becomes_read_only_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::mount_ext4() else { return };
    let queue = disk.queue();
    let app = TestApp::with(&[("QUEUE_URL", queue.as_str())]).await;
    for number in 0..5 {
        app.accept(&attendance_light(&format!("f-{number}"))).await;
    }
    app.get("/ready").await.expect(200);
    if disk.break_down().is_none() {
        return;
    }
    for number in 0..5 {
        let answer = app.post("/process-data-cc", registration(&format!("late-{number}")).to_string()).await;
        answer.expect(503);
        assert!(answer.headers.contains_key("retry-after"));
    }
    let not_ready: Value = serde_json::from_str(NOT_READY).unwrap();
    assert_eq!(app.get("/ready").await.expect(503), not_ready);
    app.get("/health").await.expect(200);
    let drained = app.post("/process-firestore-to-sf?drain=true", "").await;
    assert!([200, 503].contains(&drained.status.as_u16()), "{drained:?}");
    drop(app);
    let mut tries = 100;
    while !disk.repair() {
        tries -= 1;
        assert!(tries > 0, "the queue keeps its file open");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let restarted = TestApp::with(&[("QUEUE_URL", queue.as_str())]).await;
    restarted.until_completed(5).await;
}
