//! What operators read: `/record`, `/failed`, `/status-count`.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::forms::{UNMAPPABLE, registration, unmappable};

#[tokio::test]
async fn a_record_is_shown_with_its_history() {
    let app = TestApp::start().await;
    app.process(&unmappable("f-1")).await;
    let found = app.get("/record/commcare_collection/f-1").await.expect(200);
    assert_eq!(found[0]["id"], "f-1");
    let record = &found[0]["data"];
    assert_eq!(record["data"], unmappable("f-1"));
    assert_eq!((&record["status"], &record["error"]), (&json!("failed"), &json!(UNMAPPABLE)));
    assert_eq!((&record["error_kind"], &record["last_step"]), (&json!("permanent"), &json!("mapping")));
    assert_eq!(record["created_at"], record["timestamp"]);
    assert_eq!(record["next_retry_at"], Value::Null);
    assert!(record.get("lease_owner").is_none());
    let attempt = &record["attempts"][0];
    assert_eq!((&attempt["trigger"], &attempt["outcome"]), (&json!("batch"), &json!("failed")));
    assert_eq!((&attempt["step"], &attempt["error"]), (&json!("mapping"), &json!(UNMAPPABLE)));
    assert!(
        attempt["started"].is_string() && attempt["finished"].is_string() && attempt["worker"].is_string()
    );
}

#[tokio::test]
async fn an_unknown_record_is_not_found_by_name_of_its_collection() {
    let app = TestApp::start().await;
    for collection in ["commcare_collection", "salesforce_collection"] {
        let answer = app.get(&format!("/record/{collection}/nobody")).await.expect(404);
        let expected = json!({ "message": format!("No records found in {collection}"), "id": "nobody" });
        assert_eq!(answer, expected);
    }
}

async fn fail(app: &TestApp, ids: &[&str]) {
    for id in ids {
        app.process(&unmappable(id)).await;
    }
}

fn ids(page: &Value) -> Vec<&str> {
    let jobs = page["failed_jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn failed_records_are_listed_last_changed_first() {
    let app = TestApp::start().await;
    app.process(&registration("good")).await;
    fail(&app, &["f-1", "f-2"]).await;
    let page = app.get("/failed/sf").await.expect(200);
    assert_eq!((ids(&page), &page["next_cursor"]), (vec!["f-2", "f-1"], &Value::Null));
    let job = &page["failed_jobs"][0];
    assert_eq!(job["collection"], "commcare_collection");
    assert_eq!((&job["data"], &job["error"]), (&unmappable("f-2"), &json!(UNMAPPABLE)));
    let nothing = json!({ "failed_jobs": [], "next_cursor": null });
    assert_eq!(app.get("/failed/cc").await.expect(200), nothing);
}

#[tokio::test]
async fn pages_follow_one_another_by_cursor() {
    let app = TestApp::start().await;
    fail(&app, &["f-1", "f-2", "f-3", "f-4", "f-5"]).await;
    let mut path = "/failed/sf?limit=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = app.get(&path).await.expect(200);
        pages.push(ids(&page).join(" "));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/failed/sf?limit=2&cursor={cursor}");
    }
    assert_eq!(pages, ["f-5 f-4", "f-3 f-2", "f-1"]);
}

#[tokio::test]
async fn the_list_is_filtered_by_form_type_and_kind() {
    let app = TestApp::start().await;
    fail(&app, &["f-1"]).await;
    for (query, found) in [
        ("job_name=Farmer%20Registration", vec!["f-1"]),
        ("job_name=Farmer%20Registration&error_kind=permanent", vec!["f-1"]),
        ("job_name=&error_kind=", vec!["f-1"]),
        ("job_name=Training%20Observation", vec![]),
        ("job_name=Farmer%20Registration&error_kind=transient", vec![]),
    ] {
        assert_eq!(ids(&app.get(&format!("/failed/sf?{query}")).await.expect(200)), found, "{query}");
    }
}

#[tokio::test]
async fn a_summary_leaves_payload_and_plan_out() {
    let app = TestApp::start().await;
    fail(&app, &["f-1"]).await;
    let page = app.get("/failed/sf?summary=true").await.expect(200);
    let job = page["failed_jobs"][0].as_object().unwrap();
    assert!(!job.contains_key("data") && !job.contains_key("plan"), "{job:?}");
    assert!(["id", "collection", "job_name", "error", "attempts"].iter().all(|key| job.contains_key(*key)));
}

#[tokio::test]
async fn a_page_of_large_records_ends_early_and_goes_on() {
    let app = TestApp::start().await;
    for n in 0..45 {
        let mut form = unmappable(&format!("large-{n}"));
        form["form"]["remark"] = "x".repeat(900_000).into();
        app.accept(&form).await;
    }
    app.post("/process-firestore-to-sf?drain=true&limit=500", "").await.expect(200);
    let first = app.get("/failed/sf").await.expect(200);
    let second = app.get(&format!("/failed/sf?cursor={}", first["next_cursor"].as_str().unwrap())).await;
    let second = second.expect(200);
    assert_eq!((ids(&first).len(), ids(&second).len()), (40, 5), "32 MiB of payloads");
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(ids(&app.get("/failed/sf?summary=true").await.expect(200)).len(), 45);
}

#[tokio::test]
async fn an_id_that_nothing_can_have_is_not_found() {
    let app = TestApp::start().await;
    let long = "x".repeat(1_501);
    app.get(&format!("/record/commcare_collection/{long}")).await.expect(404);
    app.get(&format!("/retry/sf/{long}")).await.expect(404);
}

#[tokio::test]
async fn a_bad_parameter_of_the_list_is_named() {
    let app = TestApp::start().await;
    let limit = json!({ "error": "limit: must be a whole number from 1 to 1000" });
    for bad in ["0", "1001", "all"] {
        assert_eq!(app.get(&format!("/failed/sf?limit={bad}")).await.expect(422), limit);
    }
    let summary = json!({ "error": "summary: must be true or false" });
    assert_eq!(app.get("/failed/sf?summary=maybe").await.expect(422), summary);
    let cursor = json!({ "error": "cursor: must be the next_cursor of an earlier answer" });
    // The last three are base64 of "x", "x y" and "99999999999999999999 y".
    for bad in ["", "x", "!!", "%FF", "eA", "eCB5", "OTk5OTk5OTk5OTk5OTk5OTk5OTkgeQ"] {
        assert_eq!(app.get(&format!("/failed/sf?cursor={bad}")).await.expect(422), cursor, "{bad}");
    }
    // Base64 of a record with a slash, one without an id, and one of the year 50,000.
    for bad in ["MTcwMDAwMDAwMDAwMDAwMCBhL2I", "MTcwMDAwMDAwMDAwMDAwMCA", "MTUxNTY3MDIwMDAwMDAwMDAwMCBh"] {
        assert_eq!(app.get(&format!("/failed/sf?cursor={bad}")).await.expect(422), cursor, "{bad}");
    }
    let kind = json!({ "error": "error_kind: must be transient, dependency or permanent" });
    assert_eq!(app.get("/failed/sf?error_kind=fatal").await.expect(422), kind);
}

#[tokio::test]
async fn counts_are_by_status_with_the_age_of_the_oldest_that_waits() {
    let app = TestApp::start().await;
    app.process(&registration("good")).await;
    fail(&app, &["bad"]).await;
    let path = "/status-count/commcare_collection";
    let none_waits = json!({
        "status_counts": { "new": 0, "processing": 0, "completed": 1, "failed": 1 },
        "oldest_new_seconds": null,
    });
    assert_eq!(app.get(path).await.expect(200), none_waits);
    app.accept(&registration("waits")).await;
    let answer = app.get(path).await.expect(200);
    assert_eq!(answer["status_counts"]["new"], 1);
    assert!(answer["oldest_new_seconds"].as_i64().is_some_and(|age| (0..60).contains(&age)), "{answer}");
    assert_eq!(app.get("/status-count/salesforce_collection").await.expect(200)["status_counts"]["new"], 0);
}
