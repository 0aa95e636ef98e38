//! Files of the queue that somebody deletes, replaces or damages while the service runs.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use commcare_sf_integration::config::{QueueSettings, SqliteSettings};
use commcare_sf_integration::queue::Queue;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use crate::queue::backend::{POLICY, is_unavailable};
use crate::support::app::TestApp;
use crate::support::forms::registration;

/// A service whose files the test knows.
async fn start() -> (TestApp, TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let app = TestApp::with(&[("QUEUE_URL", &format!("sqlite://{}", path.display()))]).await;
    (app, folder, path)
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// Moves the log into the database and empties it, as a backup does.
async fn checkpoint(database: &Path) {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn payload(id: &str) -> Value {
    json!({
        "id": id,
        "jobType": "Training Group",
        "uniqueProjectKey": "Coffee_KE_2024AC",
        "trainingGroups": [{ "commCareCaseId": format!("case-{id}"), "trainingGroupName": "Kiriga FFG" }],
    })
}

/// Whatever is asked of a queue whose file is gone, the answer is 503.
async fn answers_503(app: &TestApp) {
    let webhooks = [
        ("/process-data-cc", registration("f-2")),
        ("/process-data-cc", registration("f-1")),
        ("/process-data-sf", payload("j-2")),
        ("/process-data-sf", payload("j-1")),
    ];
    for (path, body) in webhooks {
        let answer = app.post(path, body.to_string()).await;
        answer.expect(503);
        assert!(answer.headers.contains_key("retry-after"), "{path}");
    }
    for path in ["/process-firestore-to-sf", "/process-firestore-to-cc", "/auto-retry-firestore-to-sf"] {
        app.post(path, "").await.expect(503);
    }
    for path in ["/record/commcare_collection/f-1", "/failed/sf", "/status-count/commcare_collection"] {
        app.get(path).await.expect(503);
    }
    assert_eq!(app.get("/ready").await.expect(503), json!({ "status": "not ready", "down": ["queue"] }));
    app.get("/health").await.expect(200);
}

#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_takes_nothing_more() {
    let deleted = |database: &Path| fs::remove_file(database).unwrap();
    let all_deleted = |database: &Path| {
        for end in ["", "-wal", "-shm"] {
            fs::remove_file(beside(database, end)).unwrap();
        }
    };
    let log_deleted = |database: &Path| fs::remove_file(beside(database, "-wal")).unwrap();
    let replaced = |database: &Path| {
        let copy = beside(database, "-copy");
        fs::copy(database, &copy).unwrap();
        fs::rename(copy, database).unwrap();
    };
    let troubles: [&dyn Fn(&Path); 4] = [&deleted, &all_deleted, &log_deleted, &replaced];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let (app, _folder, path) = start().await;
        app.accept(&registration("f-1")).await;
        app.accept_for_commcare(&payload("j-1")).await;
        app.get("/ready").await.expect(200);
        trouble(&path);
        answers_503(&app).await;
        assert!(number == 3 || number == 2 || !path.exists(), "it is not made anew");
        answers_503(&app).await;
    }
}

#[tokio::test]
async fn damaged_pages_lose_nothing_that_is_acknowledged_afterwards() {
    let (app, _folder, path) = start().await;
    for number in 0..60 {
        app.accept(&registration(&format!("f-{number}"))).await;
    }
    checkpoint(&path).await;
    let damaged = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // The first pages hold the schema, without which nothing can be opened.
    let (from, length) = (16 * 4096, damaged.metadata().unwrap().len());
    assert!(length > 2 * from, "{length}");
    damaged.write_all_at(&vec![0xA5; usize::try_from(length - from).unwrap()], from).unwrap();
    drop(damaged);
    for number in 0..10 {
        let id = format!("later-{number}");
        let answer = app.post("/process-data-cc", registration(&id).to_string()).await;
        match answer.status.as_u16() {
            200 => assert_eq!(app.record(&id).await["status"], "new"),
            status => {
                assert_eq!(status, 503, "{answer:?}");
                app.get("/ready").await.expect(503);
            }
        }
    }
    let drain = app.post("/process-firestore-to-sf?drain=true", "").await.status.as_u16();
    assert!([200, 503].contains(&drain), "{drain}");
    app.get("/health").await.expect(200);
    drop(app);
    let settings = QueueSettings::Sqlite(SqliteSettings { path });
    let error = Queue::open(&settings, POLICY).await.map(drop).unwrap_err();
    assert!(is_unavailable(&error), "the next start says so: {error:?}");
}

#[tokio::test]
async fn a_log_that_is_cut_off_takes_nothing_more_and_one_that_is_emptied_does() {
    let (app, _folder, path) = start().await;
    app.accept(&registration("f-1")).await;
    app.accept_for_commcare(&payload("j-1")).await;
    app.get("/ready").await.expect(200);
    checkpoint(&path).await;
    app.get("/ready").await.expect(200);
    app.accept(&registration("f-3")).await;
    app.accept(&registration("f-4")).await;
    let log = fs::OpenOptions::new().write(true).open(beside(&path, "-wal")).unwrap();
    log.set_len(log.metadata().unwrap().len() / 2).unwrap();
    answers_503(&app).await;
}
