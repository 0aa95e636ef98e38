//! Stored documents that are no records are shown and stop nobody, on SQLite and on Firestore (`docs/service.md`,
//! section 3).

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::backend::Backend;
use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::log::Log;
use crate::support::metrics::Metrics;
use crate::support::process::{borrowed, queue_variables};
use commcare_sf_integration::config::QueueSettings;

const COLLECTION: &str = "commcare_collection";

async fn start(backend: &Backend) -> TestApp {
    let variables = queue_variables(backend);
    let app = TestApp::with(&borrowed(&variables)).await;
    for id in ["good-1", "good-2"] {
        app.accept(&registration(id)).await;
    }
    app
}

/// Another program's connection to the file.
async fn connect(backend: &Backend) -> SqliteConnection {
    let QueueSettings::Sqlite(settings) = &backend.settings else { panic!("SQLite") };
    SqliteConnectOptions::new().filename(&settings.path).connect().await.unwrap()
}

/// Makes a stored form unreadable.
pub(crate) async fn spoil(backend: &Backend, id: &str) {
    if let Some(firestore) = &backend.firestore {
        firestore.put(COLLECTION, id, &json!({ "status": "new", "attempts": "not a list" })).await;
        return;
    }
    set(backend, id, r#"state = '{"status": "new", "attempts": "not a list"}'"#).await;
}

/// Changes a row as another program does.
pub(crate) async fn set(backend: &Backend, id: &str, what: &str) {
    let mut connection = connect(backend).await;
    let sql = format!("UPDATE submissions SET {what} WHERE doc_id = '{id}'");
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    connection.close().await.unwrap();
}

fn listed(answer: &Value) -> Vec<&str> {
    let jobs = answer["failed_jobs"].as_array().unwrap();
    let odd = jobs.iter().filter(|job| job["unreadable"] == json!(true));
    odd.map(|job| job["id"].as_str().unwrap()).collect()
}

/// Everything that reads the queue goes on beside documents that cannot be read.
async fn stopped_nobody(app: &TestApp, odd: &[&str], on_overview: &[&str]) {
    assert_eq!(app.drain().await["processed_records"].as_array().unwrap().len(), 2);
    assert_eq!(app.auto_retry().await["failed_records"], json!([]));
    assert_eq!(app.counts().await["completed"], 2);
    let failed = app.get("/failed/sf").await.expect(200);
    for id in odd {
        assert!(listed(&failed).contains(id), "{id}: {failed}");
        let found = app.get(&format!("/record/{COLLECTION}/{id}")).await.expect(200);
        assert_eq!((&found[0]["id"], &found[0]["unreadable"]), (&json!(id), &json!(true)), "{found}");
        assert!(found[0]["field"].is_string() && found[0].get("data").is_none(), "{found}");
        let page = app.get(&format!("/dashboard/record/{COLLECTION}/{id}")).await;
        assert!(page.status == 200 && page.text.contains("unreadable") && page.text.contains(id), "{page:?}");
    }
    for (path, odd) in [("/dashboard", on_overview), ("/dashboard/failed/sf", odd)] {
        let page = app.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(odd.iter().all(|id| page.text.contains(id)), "{path}: {}", page.text);
    }
    let table = app.get("/failed/sf?format=csv").await.text;
    for id in on_overview {
        let row = format!("\r\n{id},{COLLECTION},,,,,,,cannot be read: ");
        assert!(table.contains(&row), "{row}: {table}");
    }
    for filter in ["summary=true", "job_name=Farmer%20Registration", "error_kind=transient"] {
        app.get(&format!("/failed/sf?{filter}")).await.expect(200);
    }
    let met = Metrics::of(app).await.text;
    let series = "commcare_sf_unreadable_records_total{collection=\"commcare_collection\"} ";
    let count = met.lines().find_map(|line| line.strip_prefix(series)).unwrap();
    assert!(count.parse::<f64>().unwrap() > 0.0, "{count}");
    app.get("/ready").await.expect(200);
}

async fn a_form_whose_stored_document_is_unreadable_is_to_be_sent_again(backend: Backend) {
    let app = start(&backend).await;
    spoil(&backend, "good-1").await;
    let log = Log::production(None);
    for again in 0..2 {
        let mut form = registration("good-1");
        form["form"]["First_Name"] = json!(format!("Edited {again}"));
        let answer = app.post("/process-data-cc", form.to_string()).await;
        let error = answer.expect(503)["error"].clone();
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        assert_eq!(
            error,
            "The document good-1, which the queue has for this id, cannot be read (attempts: not what this field \
             holds); mend or remove it, then send this again"
        );
    }
    assert_eq!(log.events("webhook not stored").len(), 2, "{}", log.text());
    // The queue itself is well.
    app.get("/ready").await.expect(200);
    assert_eq!(app.accept(&registration("good-2")).await["duplicate"], true);
}

#[tokio::test]
async fn a_form_whose_row_is_unreadable_is_to_be_sent_again() {
    a_form_whose_stored_document_is_unreadable_is_to_be_sent_again(Backend::sqlite()).await;
}

#[tokio::test]
async fn one_behind_many_others_is_shown_too() {
    let backend = Backend::sqlite();
    let app = start(&backend).await;
    for number in 0..20 {
        app.accept(&registration(&format!("f-{number}"))).await;
    }
    spoil(&backend, "f-19").await;
    let failed = app.get("/failed/sf").await.expect(200);
    assert_eq!(listed(&failed), ["f-19"], "{failed}");
}

#[tokio::test]
async fn rows_that_are_no_records_stop_nobody() {
    let backend = Backend::sqlite();
    let app = start(&backend).await;
    let broken = [
        ("state", "status = 'new', state = '{\"status\": '"),
        ("fields", "status = 'new', state = '{\"attempts\": \"not a list\"}'"),
        ("payload", "status = 'new', data = '[1,'"),
        ("in-work", "status = 'processing', state = 'no JSON'"),
        ("failed", "status = 'failed', due_at = 0, state = '{}'"),
        ("failed-payload", "status = 'failed', due_at = 0, data = ''"),
    ];
    for (id, what) in broken {
        app.accept(&registration(id)).await;
        set(&backend, id, what).await;
    }
    let odd = broken.map(|(id, _)| id);
    // The overview reads no payload of a failed record.
    stopped_nobody(&app, &odd, &odd[..5]).await;
}

mod firestore {
    use super::*;

    #[tokio::test]
    async fn a_form_whose_document_is_unreadable_is_to_be_sent_again() {
        a_form_whose_stored_document_is_unreadable_is_to_be_sent_again(Backend::firestore()).await;
    }

    #[tokio::test]
    async fn documents_that_are_no_records_stop_nobody() {
        let backend = Backend::firestore();
        let app = start(&backend).await;
        let firestore = backend.firestore.as_ref().unwrap();
        let arrived = json!({ "timestamp": "2026-01-05T08:00:00Z" });
        let document = |status: Value| {
            json!({
                "data": { "id": "x", "form": { "@name": "Farmer Registration" } },
                "job_name": "Farmer Registration",
                "status": status,
                "created_at": arrived,
                "updated_at": arrived,
                "timestamp": arrived,
            })
        };
        for (id, status) in [("attempts", "new"), ("failed-attempts", "failed"), ("in-work", "processing")] {
            let mut fields = document(status.into());
            fields["attempts"] = "not a list".into();
            firestore.put(COLLECTION, id, &fields).await;
        }
        firestore.put(COLLECTION, "unknown-status", &document("done".into())).await;
        firestore.put(COLLECTION, "number-status", &document(7.into())).await;
        let mut without = document(Value::Null);
        without.as_object_mut().unwrap().remove("status");
        firestore.put(COLLECTION, "no-status", &without).await;
        let odd = ["attempts", "failed-attempts", "in-work", "unknown-status", "number-status"];
        stopped_nobody(&app, &odd, &odd).await;
        // No query of Firestore finds a document by a field that it lacks: this one is found by its id.
        let found = app.get(&format!("/record/{COLLECTION}/no-status")).await.expect(200);
        assert_eq!((&found[0]["unreadable"], &found[0]["field"]), (&json!(true), &json!("status")));
    }

    #[tokio::test]
    async fn a_payload_that_is_unreadable_fails_no_other_retry_of_a_batch() {
        let backend = Backend::firestore();
        let app = start(&backend).await;
        let arrived = json!({ "timestamp": "2026-01-05T08:00:00Z" });
        let spoilt = json!({
            "data_json": "[1,",
            "job_name": "Farmer Registration",
            "status": "failed",
            "created_at": arrived,
            "updated_at": arrived,
            "timestamp": arrived,
        });
        backend.firestore.as_ref().unwrap().put(COLLECTION, "spoilt", &spoilt).await;
        let ids = json!({ "ids": ["spoilt", "good-1"] });
        let answer = app.post("/batch_retry/sf", ids.to_string()).await.expect(200);
        let [spoilt, good] = &answer["results"].as_array().unwrap()[..] else { panic!("{answer}") };
        assert_eq!(good["results"][0]["status"], "completed", "{answer}");
        assert!(spoilt.to_string().contains("cannot be read"), "{answer}");
    }
}
