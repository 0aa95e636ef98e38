//! `POST /process-data-{cc|sf}` with good payloads, and with payloads that lack one thing.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::forms::registration;

async fn counts(app: &TestApp, collection: &str) -> Value {
    app.get(&format!("/status-count/{collection}")).await.expect(200)["status_counts"].clone()
}

#[tokio::test]
async fn a_form_is_stored_and_the_answer_says_so() {
    let app = TestApp::start().await;
    let answer = app.accept(&registration("f-1")).await;
    let expected = json!({
        "status": "Data stored, processing deferred",
        "request_id": "f-1",
        "job_name": "Farmer Registration",
        "doc_id": "f-1",
        "duplicate": false,
    });
    assert_eq!(answer, expected);
    let record = app.record("f-1").await;
    assert_eq!(record["data"], registration("f-1"));
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)));
}

#[tokio::test]
async fn the_same_form_again_queues_nothing() {
    let app = TestApp::start().await;
    app.accept(&registration("f-1")).await;
    let mut again = registration("f-1");
    again["indexed_on"] = "2026-02-11T08:41:09Z".into();
    let answer = app.accept(&again).await;
    let expected = json!({
        "status": "Data stored, processing deferred",
        "request_id": "f-1",
        "job_name": "Farmer Registration",
        "doc_id": "f-1",
        "duplicate": true,
    });
    assert_eq!(answer, expected);
    assert_eq!(counts(&app, "commcare_collection").await["new"], 1);
}

#[tokio::test]
async fn an_edited_form_replaces_and_an_older_edition_is_stale() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    let edition = |edited_on: &str, name: &str| {
        let mut form = registration("f-1");
        form["edited_on"] = edited_on.into();
        form["form"]["First_Name"] = name.into();
        form
    };
    let replaced = app.accept(&edition("2026-03-02T00:00:00Z", "Second")).await;
    assert_eq!((&replaced["duplicate"], &replaced["replaced"]), (&json!(false), &json!(true)));
    let record = app.record("f-1").await;
    assert_eq!((&record["status"], &record["data"]["form"]["First_Name"]), (&json!("new"), &json!("Second")));
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1, "the history is kept");

    let stale = app.accept(&edition("2026-03-01T00:00:00Z", "First")).await;
    assert_eq!((&stale["duplicate"], &stale["stale"]), (&json!(false), &json!(true)));
    assert!(stale.get("replaced").is_none());
    assert_eq!(app.record("f-1").await["data"]["form"]["First_Name"], "Second");
}

#[tokio::test]
async fn a_form_type_that_is_not_handled_is_skipped_before_its_id_is_looked_at() {
    let app = TestApp::start().await;
    for payload in
        [json!({ "id": "f-1", "form": { "@name": "Followup" } }), json!({ "form": { "@name": "Followup" } })]
    {
        let answer = app.accept(&payload).await;
        let expected = json!({ "status": "Skipped, form type is not handled", "job_name": "Followup" });
        assert_eq!(answer, expected);
    }
    let answer = app.post("/process-data-sf", r#"{ "jobType": "Farmer Registration" }"#).await.expect(200);
    assert_eq!(answer["status"], "Skipped, form type is not handled", "it is CommCare's");
    for collection in ["commcare_collection", "salesforce_collection"] {
        let nothing = json!({ "new": 0, "processing": 0, "completed": 0, "failed": 0 });
        assert_eq!(counts(&app, collection).await, nothing);
    }
}

#[tokio::test]
async fn a_followup_of_a_light_attendance_is_a_light_attendance() {
    let app = TestApp::start().await;
    let payload = json!({ "id": "f-1", "form": { "@name": "Followup", "survey_type": "Attendance Light" } });
    let answer = app.accept(&payload).await;
    assert_eq!(answer["job_name"], "Attendance Light - Current Module");
    assert_eq!(app.record("f-1").await["job_name"], "Attendance Light - Current Module");
}

#[tokio::test]
async fn a_number_as_id_counts_as_its_text() {
    let app = TestApp::start().await;
    let mut payload = registration("f-1");
    payload["id"] = 4711.into();
    let answer = app.accept(&payload).await;
    assert_eq!((&answer["request_id"], &answer["doc_id"]), (&json!("4711"), &json!("4711")));
    assert_eq!(app.record("4711").await["job_id"], "4711");
}

#[tokio::test]
async fn an_id_that_could_leave_its_path_is_stored_under_another_name() {
    let app = TestApp::start().await;
    let mut payload = registration("f-1");
    payload["id"] = "a/../b c%".into();
    let answer = app.accept(&payload).await;
    assert_eq!(answer["request_id"], "a/../b c%");
    let doc_id = answer["doc_id"].as_str().unwrap();
    assert!(doc_id.starts_with("sha256-"), "{doc_id}");
    for path in [doc_id, "a%2F..%2Fb%20c%25"] {
        assert_eq!(app.record(path).await["data"]["id"], "a/../b c%");
    }
}

#[tokio::test]
async fn an_id_that_reads_like_anothers_document_is_a_submission_of_its_own() {
    let app = TestApp::start().await;
    let job = |id: &str| json!({ "id": id, "jobType": "Participant" }).to_string();
    let first = app.post("/process-data-sf", job("a b")).await.expect(200);
    let doc_id = first["doc_id"].as_str().unwrap();
    for id in [doc_id.to_owned(), format!("{doc_id}-1")] {
        let answer = app.post("/process-data-sf", job(&id)).await.expect(200);
        assert_eq!(answer["duplicate"], false, "{id}");
        assert_eq!(app.post("/process-data-sf", job(&id)).await.expect(200)["duplicate"], true, "{id}");
    }
    assert_eq!(app.post("/process-data-sf", job("a b")).await.expect(200)["duplicate"], true);
    let mut form = registration("a b");
    let doc_id = app.accept(&form).await["doc_id"].clone();
    form["id"] = doc_id;
    assert_eq!(app.accept(&form).await["duplicate"], false);
    assert_eq!(app.counts().await["new"], 2);
}

#[tokio::test]
async fn a_payload_without_an_id_is_refused() {
    let app = TestApp::start().await;
    let blank = [json!(null), json!(""), json!("  \t"), json!(true), json!(false), json!([]), json!({})];
    for id in blank.into_iter().map(Some).chain([None]) {
        let mut payload = registration("f-1");
        match &id {
            Some(id) => payload["id"] = id.clone(),
            None => drop(payload.as_object_mut().unwrap().remove("id")),
        }
        let answer = app.post("/process-data-cc", payload.to_string()).await.expect(422);
        let details = "the top-level member id is missing, blank, or neither a text nor a number";
        assert_eq!(answer, json!({ "error": "Payload has no id", "details": details }), "{id:?}");
    }
}

#[tokio::test]
async fn a_payload_without_a_job_name_is_refused() {
    let app = TestApp::start().await;
    let refused = |details: &str| json!({ "error": "Job name not provided in payload", "details": details });
    let of_salesforce = refused("jobType is missing, blank or no text");
    let refused = refused("form.@name is missing, blank or no text");
    for name in [json!(null), json!(""), json!(" "), json!(7), json!(true), json!([]), json!({})] {
        let payload = json!({ "id": "f-1", "form": { "@name": name } });
        assert_eq!(app.post("/process-data-cc", payload.to_string()).await.expect(422), refused, "{name}");
        let payload = json!({ "id": "f-1", "jobType": name });
        let answer = app.post("/process-data-sf", payload.to_string()).await.expect(422);
        assert_eq!(answer, of_salesforce, "{name}");
    }
    for form in [json!(null), json!(""), json!("Farmer Registration"), json!([]), json!({}), json!(1)] {
        let payload = json!({ "id": "f-1", "form": form });
        assert_eq!(app.post("/process-data-cc", payload.to_string()).await.expect(422), refused, "{form}");
    }
    let payload = json!({ "id": "f-1" });
    assert_eq!(app.post("/process-data-cc", payload.to_string()).await.expect(422), refused);
}

#[tokio::test]
async fn what_salesforce_sends_is_kept_in_its_own_collection() {
    let app = TestApp::start().await;
    let payload = json!({ "id": "j-1", "jobType": "Participant", "data": [{ "Name": "x" }] });
    let answer = app.post("/process-data-sf", payload.to_string()).await.expect(200);
    let expected = json!({
        "status": "Data stored, processing deferred",
        "request_id": "j-1",
        "job_name": "Participant",
        "doc_id": "j-1",
        "duplicate": false,
    });
    assert_eq!(answer, expected);
    let found = app.get("/record/salesforce_collection/j-1").await.expect(200);
    assert_eq!((&found[0]["id"], &found[0]["data"]["data"]), (&json!("j-1"), &payload));
    app.get("/record/commcare_collection/j-1").await.expect(404);
}

#[tokio::test]
async fn a_payload_is_kept_as_it_came() {
    let app = TestApp::start().await;
    let mut payload = registration("f-1");
    let kept = json!({
        "empty": {},
        "nested": [[1, 2.5], ["é", "\u{0}", "🌱"]],
        "__name__": null,
        "big": 18_446_744_073_709_551_615_u64,
        "a.b": "dots",
    });
    payload["kept"] = kept.clone();
    app.accept(&payload).await;
    assert_eq!(app.record("f-1").await["data"]["kept"], kept);
}
