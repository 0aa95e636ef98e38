//! What operators ask, with a thousand completed records and with a million.
//!
//! The million are put into the file by SQL, copies of one that the service has completed; ten records
//! are failed and ten wait, as on a working day.

use std::time::Instant;

use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::service::Service;
use crate::{REGISTRATION, Table};

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
/// Times that each call is made; the median counts.
const TIMES: usize = 41;

/// The calls, and what they post.
fn calls() -> [(&'static str, String, Option<Value>); 9] {
    let ids = json!({ "ids": (0..10).map(|n| format!("failed-{n}")).collect::<Vec<_>>() });
    [
        ("GET /status-count", "/status-count/commcare_collection".to_owned(), None),
        ("GET /failed", "/failed/sf?summary=true".to_owned(), None),
        (
            "GET /failed, filtered",
            "/failed/sf?job_name=Farmer%20Registration&error_kind=permanent".to_owned(),
            None,
        ),
        ("GET /record", "/record/commcare_collection/failed-3".to_owned(), None),
        ("GET /retry", "/retry/sf/failed-3".to_owned(), None),
        ("POST /batch_retry, dry run", "/batch_retry/sf?dry_run=true".to_owned(), Some(ids.clone())),
        ("POST /bulk_update, dry run", "/bulk_update/commcare_collection?dry_run=true".to_owned(), Some(ids)),
        ("POST /auto-retry, nothing due", "/auto-retry-firestore-to-sf".to_owned(), Some(Value::Null)),
        ("GET /metrics", "/metrics".to_owned(), None),
    ]
}

/// Adds a line for each call.
pub(crate) async fn measure(lines: &mut Table) {
    let few = Stage::set(FEW).await;
    let many = Stage::set(MANY).await;
    for (name, path, body) in calls() {
        let (few, many) = (few.median(&path, body.as_ref()).await, many.median(&path, body.as_ref()).await);
        let what = format!("{name}, 1,000,000 done");
        lines.add(&what, format!("{many:.2} ms"), &format!("{:.2} × {few:.2} ms", many / few), "2 ×");
    }
    // It reads the last day's runs as well, of which both have as many.
    let (few, many) = (few.median("/dashboard", None).await, many.median("/dashboard", None).await);
    lines.add(
        "GET /dashboard, 1,000,000 done",
        format!("{many:.1} ms"),
        &format!("{:.2} × {few:.1} ms", many / few),
        "2 ×",
    );
}

struct Stage {
    service: Service,
    client: reqwest::Client,
}

impl Stage {
    /// A service with so many completed records.
    async fn set(completed: u64) -> Self {
        let service = Service::start(&[]).await;
        let mut form: Value = serde_json::from_str(REGISTRATION).unwrap();
        let mut post = async |id: String, broken: bool| {
            form["id"] = id.into();
            let subcase = form["form"]["subcase_0"].clone();
            if broken {
                form["form"]["subcase_0"] = Value::Null;
            }
            service.post("/process-data-cc", form.to_string()).await;
            form["form"]["subcase_0"] = subcase;
        };
        post("completed".to_owned(), false).await;
        for number in 0..10 {
            post(format!("failed-{number}"), true).await;
        }
        service.post("/process-firestore-to-sf?drain=true", String::new()).await;
        let mut form: Value = serde_json::from_str(REGISTRATION).unwrap();
        for number in 0..10 {
            form["id"] = format!("waits-{number}").into();
            service.post("/process-data-cc", form.to_string()).await;
        }
        copy(&service, completed).await;
        let counts = reqwest::get(format!("http://{}/status-count/commcare_collection", service.address));
        let counts: Value = counts.await.unwrap().json().await.unwrap();
        let expected = json!({ "new": 10, "processing": 0, "completed": completed + 1, "failed": 10 });
        assert_eq!(counts["status_counts"], expected);
        Self { service, client: reqwest::Client::new() }
    }

    /// Milliseconds that a call takes, at the median.
    async fn median(&self, path: &str, body: Option<&Value>) -> f64 {
        let url = format!("http://{}{path}", self.service.address);
        let mut taken = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let request = match body {
                Some(body) => self.client.post(&url).body(body.to_string()),
                None => self.client.get(&url),
            };
            let began = Instant::now();
            let answer = request.send().await.unwrap().error_for_status().unwrap();
            answer.bytes().await.unwrap();
            taken.push(began.elapsed().as_secs_f64() * 1e3);
        }
        taken.sort_by(f64::total_cmp);
        taken[TIMES / 2]
    }
}

/// Copies the completed record, a second apart each, so that all but the last days' are old. The payload
/// and the plan are left out: a million of them would fill the disk, and no index holds them.
async fn copy(service: &Service, completed: u64) {
    let options = SqliteConnectOptions::new().filename(service.queue());
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?) \
         INSERT INTO submissions (collection, doc_id, status, created_at, updated_at, state, data) \
         SELECT collection, 'copy-' || n, status, created_at - n * 1000000, updated_at - n * 1000000, \
         json_remove(state, '$.plan'), '{}' FROM number, submissions WHERE doc_id = 'completed'",
    )
    .bind(i64::try_from(completed).unwrap())
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
}
