//! Whether the scheduler calls, as every instance sees it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::queue::backend::Backend;
use crate::support::app::TestApp;
use crate::support::process::{Process, borrowed, queue_variables};

fn call<'s>(status: &'s Value, name: &str) -> &'s Value {
    let calls = status["scheduler"].as_array().unwrap();
    calls.iter().find(|call| call["call"] == name).unwrap()
}

#[tokio::test]
async fn before_the_first_call_there_is_nothing_to_tell() {
    let status = TestApp::start().await.get("/status").await.expect(200);
    let never = |call: &str| {
        json!({
            "call": call, "last_started_at": null, "last_finished_at": null, "last_status": null,
            "every_seconds": null, "late": false,
        })
    };
    let expected = json!({
        "destinations": [
            { "name": "salesforce", "dry_run": true },
            { "name": "commcare", "dry_run": true },
            { "name": "postgis", "dry_run": true },
        ],
        "scheduler": [
            never("process-firestore-to-sf"),
            never("process-firestore-to-cc"),
            never("auto-retry-firestore-to-sf"),
            never("auto-retry-firestore-to-cc"),
            never("reconcile-cc"),
        ],
    });
    assert_eq!(status, expected);
}

#[tokio::test]
async fn the_last_call_of_each_kind_is_kept_with_its_status() {
    let app = TestApp::with(&[("SCHEDULER_EVERY_SECONDS", "300"), ("OPERATOR_TOKEN", "token")]).await;
    let token = ("authorization", "Bearer token");
    let before = commcare_sf_integration::clock::now();
    app.call("POST", "/process-firestore-to-sf", &[token]).await.expect(200);
    app.call("POST", "/auto-retry-firestore-to-cc?limit=0", &[token]).await.expect(422);
    app.call("POST", "/process-firestore-to-cc", &[]).await.expect(401);
    let status = app.call("GET", "/status", &[token]).await.expect(200);
    let drained = call(&status, "process-firestore-to-sf");
    let time = |name: &str| drained[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(
        before <= time("last_started_at") && time("last_started_at") <= time("last_finished_at"),
        "{drained}"
    );
    assert_eq!((&drained["last_status"], &drained["every_seconds"]), (&json!(200), &json!(300)));
    assert_eq!(call(&status, "auto-retry-firestore-to-cc")["last_status"], 422);
    assert_eq!(call(&status, "process-firestore-to-cc")["last_started_at"], Value::Null, "it was not let in");
    assert_eq!(call(&status, "reconcile-cc")["every_seconds"], 86_400);
    assert!(status["scheduler"].as_array().unwrap().iter().all(|call| call["late"] == false), "{status}");
}

#[tokio::test]
async fn every_instance_knows_the_calls_of_the_others() {
    let backend = Backend::sqlite();
    let variables = queue_variables(&backend);
    let one = Process::start(&borrowed(&variables)).await;
    let other = Process::start(&borrowed(&variables)).await;
    one.call("/process-firestore-to-cc", &Value::Null).await;
    let status: Value = reqwest::get(format!("{}/status", other.url)).await.unwrap().json().await.unwrap();
    assert_eq!(call(&status, "process-firestore-to-cc")["last_status"], 200, "{status}");
}

#[tokio::test]
async fn a_call_that_does_not_come_is_late_after_three_times_its_period() {
    let app = TestApp::with(&[("SCHEDULER_EVERY_SECONDS", "1")]).await;
    let is_late = async || {
        let status = app.get("/status").await.expect(200);
        call(&status, "process-firestore-to-sf")["late"] == true
    };
    assert!(!is_late().await);
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while !is_late().await {
        assert!(tokio::time::Instant::now() < deadline, "it is never late");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let status = app.get("/status").await.expect(200);
    assert_eq!(call(&status, "reconcile-cc")["late"], false, "it is expected once a day");
    app.drain().await;
    assert!(!is_late().await);
}
