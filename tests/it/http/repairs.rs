//! `POST /batch_retry/{dest}/` and `POST /bulk_update/{collection}/`.

use commcare_sf_integration::submission::{Origin, Trigger};
use serde_json::{Value, json};

use crate::support::app::{TestAnswer, TestApp};
use crate::support::claims::ClaimMany;
use crate::support::forms::{UNMAPPABLE, registration, unmappable};
use crate::support::salesforce::SalesforceStandIn;

async fn batch_retry(app: &TestApp, query: &str, body: Value) -> TestAnswer {
    app.post(&format!("/batch_retry/sf/{query}"), body.to_string()).await
}

async fn bulk_update(app: &TestApp, query: &str, body: Value) -> TestAnswer {
    app.post(&format!("/bulk_update/commcare_collection/{query}"), body.to_string()).await
}

/// Has a record processed by another worker.
async fn hold(app: &TestApp, id: &str) {
    app.accept(&registration(id)).await;
    let claims =
        app.app.queue.claim_oldest(Origin::CommCare, 1, "another", Trigger::Batch).await.unwrap().claims;
    assert_eq!(claims.len(), 1);
}

#[tokio::test]
async fn a_batch_retry_says_what_became_of_each_id() {
    let app = TestApp::start().await;
    app.process(&registration("good")).await;
    app.process(&unmappable("bad")).await;
    hold(&app, "held").await;
    let body = json!({ "ids": ["bad", "nobody", "good", "held", "bad"] });
    let answer = batch_retry(&app, "", body).await.expect(200);
    let result = |doc_id: &str, status: &str, error: Value| json!([{ "doc_id": doc_id, "status": status, "error": error }]);
    let done = "Retry completed";
    let expected = json!({
        "message": "Batch retry completed",
        "results": [
            { "id": "bad", "message": done, "results": result("bad", "failed", json!(UNMAPPABLE)) },
            { "id": "nobody", "message": "No records found in commcare_collection", "results": [] },
            { "id": "good", "message": done, "results": result("good", "completed", Value::Null) },
            { "id": "held", "message": done, "results": result("held", "processing", Value::Null) },
        ],
    });
    assert_eq!(answer, expected);
    let attempts = app.record("bad").await["attempts"].clone();
    assert_eq!(attempts.as_array().unwrap().len(), 2, "an id that is named twice runs once");
    assert_eq!((&attempts[1]["trigger"], &attempts[1]["role"]), (&json!("manual"), &json!("anyone")));
}

#[tokio::test]
async fn forms_on_one_record_are_retried_in_the_order_of_their_arrival() {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &[]).await;
    let ids: Vec<String> = (0..12).map(|n| format!("edition-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        let mut form = registration("h");
        form["id"] = json!(id);
        form["form"]["Number_of_Trees"] = json!(n.to_string());
        app.accept(&form).await;
    }
    let backwards: Vec<&String> = ids.iter().rev().collect();
    let answer = batch_retry(&app, "", json!({ "ids": backwards })).await.expect(200);
    let results = answer["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["results"][0]["status"] == "completed"), "{answer}");
    assert_eq!(salesforce.records("Household__c")[0]["Farm_Size__c"], "11", "the last counts");
}

#[tokio::test]
async fn a_dry_run_counts_and_touches_nothing() {
    let app = TestApp::start().await;
    app.process(&unmappable("bad")).await;
    app.accept(&registration("waits")).await;
    app.process(&registration("good")).await;
    hold(&app, "held").await;
    let before = app.record("bad").await;
    let ids = json!({ "ids": ["bad", "good", "held", "nobody", "good"] });
    let expected =
        json!({ "dry_run": true, "records": 2, "not_found": ["nobody"], "skipped_processing": ["held"] });
    assert_eq!(batch_retry(&app, "?dry_run=true", ids.clone()).await.expect(200), expected);
    assert_eq!(bulk_update(&app, "?dry_run=true", ids).await.expect(200), expected);
    assert_eq!(app.record("bad").await, before);
}

#[tokio::test]
async fn a_bulk_update_sets_the_status_and_leaves_records_in_work_alone() {
    let app = TestApp::with(&[("OPERATOR_TOKEN", "token"), ("WEBHOOK_API_KEY", "key")]).await;
    let operator = [("authorization", "Bearer token"), ("content-type", "application/json")];
    let send = async |method: &str, path: &str, body: Value| {
        app.call_with(method, path, &operator, body.to_string()).await.expect(200)
    };
    let key = [("x-api-key", "key"), ("content-type", "application/json")];
    let accept = async |form: Value| {
        app.call_with("POST", "/process-data-cc", &key, form.to_string()).await.expect(200);
    };
    accept(unmappable("bad")).await;
    accept(unmappable("worse")).await;
    send("POST", "/process-firestore-to-sf", Value::Null).await;
    accept(registration("held")).await;
    assert_eq!(
        app.app
            .queue
            .claim_oldest(Origin::CommCare, 1, "another", Trigger::Batch)
            .await
            .unwrap()
            .claims
            .len(),
        1
    );

    let body = json!({ "ids": ["bad", "nobody", "held", "worse"] });
    let answer = send("POST", "/bulk_update/commcare_collection/", body).await;
    let expected = json!({
        "message": "Update completed",
        "updated": 2,
        "not_found": ["nobody"],
        "skipped_processing": ["held"],
    });
    assert_eq!(answer, expected);
    let records = send("GET", "/record/commcare_collection/bad", Value::Null).await;
    let record = &records[0]["data"];
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)));
    let updated = &record["attempts"][1];
    assert_eq!((&updated["outcome"], &updated["role"]), (&json!("updated"), &json!("operator")));
    assert_eq!(updated["step"], "status: failed → new");
    // The next drain takes them.
    let drained = send("POST", "/process-firestore-to-sf", Value::Null).await;
    assert_eq!(drained["failed_records"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn any_of_the_four_statuses_can_be_set() {
    let app = TestApp::start().await;
    app.process(&registration("good")).await;
    for status in ["failed", "completed", "processing", "new"] {
        let body = json!({ "ids": ["good"], "status": status });
        assert_eq!(bulk_update(&app, "", body).await.expect(200)["updated"], 1, "{status}");
        assert_eq!(app.record("good").await["status"], status);
    }
}

#[tokio::test]
async fn a_bad_body_is_named_and_touches_nothing() {
    let app = TestApp::start().await;
    app.process(&unmappable("bad")).await;
    let list = "ids: must be a list of ids";
    let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    for (body, status, error) in [
        (json!([]), 422, list),
        (json!({}), 422, list),
        (json!({ "ids": "bad" }), 422, list),
        (json!({ "ids": [] }), 422, "ids: must have 1 to 1000 entries, but has 0"),
        (json!({ "ids": many }), 422, "ids: must have 1 to 1000 entries, but has 1001"),
        (json!({ "ids": ["bad", " "] }), 422, "ids: entry 2 is blank"),
        (json!({ "ids": ["bad", null] }), 422, "ids: entry 2 is neither a text nor a number"),
    ] {
        assert_eq!(batch_retry(&app, "", body).await.expect(status), json!({ "error": error }));
    }
    for status in [json!("done"), json!(""), json!(3), Value::Null] {
        let body = json!({ "ids": ["bad"], "status": status });
        let error = json!({ "error": "status: must be new, processing, completed or failed" });
        assert_eq!(bulk_update(&app, "", body).await.expect(422), error, "{status}");
    }
    for path in ["/batch_retry/sf/", "/bulk_update/commcare_collection/"] {
        for body in ["", "{", "ids=bad"] {
            assert_eq!(app.post(path, body).await.expect(400)["error"], "Invalid payload", "{body:?}");
        }
        let flag = json!({ "error": "dry_run: must be true or false" });
        let answer = app.post(&format!("{path}?dry_run=perhaps"), r#"{"ids":["bad"]}"#).await;
        assert_eq!(answer.expect(422), flag);
    }
    assert_eq!(app.record("bad").await["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn numbers_name_records_too() {
    let app = TestApp::start().await;
    app.process(&unmappable("17")).await;
    let answer = bulk_update(&app, "", json!({ "ids": [17] })).await.expect(200);
    assert_eq!((&answer["updated"], &answer["not_found"]), (&json!(1), &json!([])));
}
