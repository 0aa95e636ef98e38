//! Wet-mill forms that are stored inside their webhook call, and forms that fail there.

use std::time::Duration;

use commcare_sf_integration::submission::{Origin, Trigger};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, timeout};

use super::rows;
use crate::support::app::TestApp;
use crate::support::claims::ClaimMany;
use crate::support::forms::{mill, mill_visit, registration};
use crate::support::postgres::TestDatabase;
use crate::support::salesforce::{Fault, SalesforceStandIn};

/// A service with its own database. Failed forms are due again after a second.
async fn start(variables: &[(&str, &str)]) -> (TestDatabase, TestApp) {
    let database = TestDatabase::migrated().await;
    let given = [("DATABASE_URL", database.url.as_str()), ("RETRY_BACKOFF_SECONDS", "1")];
    let app = TestApp::with(&[&given, variables].concat()).await;
    (database, app)
}

/// A connection that keeps everybody from writing visits until it is closed.
async fn lock_visits(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE form_visits").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn a_wet_mill_form_is_stored_inside_its_call() {
    let (database, app) = start(&[]).await;
    let answer = app.accept(&mill("m")).await;
    assert_eq!(
        answer,
        json!({
            "status": "Data stored, processing deferred",
            "request_id": "m",
            "job_name": "Wet Mill Registration Form",
            "doc_id": "m",
            "duplicate": false,
            "record_status": "completed",
        })
    );
    let record = app.record("m").await;
    assert_eq!(record["attempts"][0]["trigger"], "inline");
    assert_eq!((&record["run_retries"], &record["dry_run"]), (&json!(0), &Value::Null));
    assert_eq!(database.count("wetmills").await, 1);
    let forwarded = app.accept(&registration("f")).await;
    assert_eq!(forwarded.get("record_status"), None, "forms to Salesforce wait for the drain");
}

#[tokio::test]
async fn a_visit_waits_for_its_mill_and_then_succeeds_by_itself() {
    let (database, app) = start(&[]).await;
    let answer = app.accept(&mill_visit("v", "m", &json!({ "volume": "40" }))).await;
    assert_eq!(answer["record_status"], "failed");
    let record = app.record("v").await;
    assert_eq!((&record["error_kind"], &record["last_step"]), (&json!("dependency"), &json!("wetmills")));
    assert_eq!(record["error"], "no mill is registered with the case id case-m");
    assert!(record["next_retry_at"].is_string(), "{record}");
    app.accept(&mill("m")).await;
    app.until_completed(2).await;
    assert_eq!(database.count("survey_question_responses").await, 1);
}

#[tokio::test]
async fn the_same_content_again_is_tried_again() {
    let (_database, app) = start(&[("RETRY_BACKOFF_SECONDS", "3600")]).await;
    let visit = mill_visit("v", "m", &json!({}));
    app.accept(&visit).await;
    app.accept(&mill("m")).await;
    for _ in 0..2 {
        let again = app.accept(&visit).await;
        assert_eq!((&again["duplicate"], &again["record_status"]), (&json!(true), &json!("completed")));
    }
    assert_eq!(app.record("v").await["attempts"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_older_edition_is_not_tried() {
    let (database, app) = start(&[]).await;
    let edition = |time: &str, name: &str| {
        let mut form = mill("m");
        form["server_modified_on"] = time.into();
        form["form"]["wet_mill_details"]["mill_registered_name"] = name.into();
        form
    };
    app.accept(&edition("2026-03-02T00:00:00Z", "new")).await;
    let late = app.accept(&edition("2026-03-01T00:00:00Z", "old")).await;
    assert_eq!((&late["stale"], late.get("record_status")), (&json!(true), None));
    assert_eq!(rows::stored(&database).await["wetmills"][0]["name"], "new");
}

#[tokio::test]
async fn a_record_in_other_hands_is_left_to_them() {
    let (_database, app) = start(&[]).await;
    let visit = mill_visit("v", "m", &json!({}));
    app.accept(&visit).await;
    let queue = &app.app.queue;
    let held = queue.claim_for_retry(Origin::CommCare, "v", "another", Trigger::Manual, None).await.unwrap();
    assert_eq!(app.accept(&visit).await["record_status"], "processing");
    drop(held);
}

#[tokio::test]
async fn a_form_that_is_not_tried_keeps_the_status_that_its_record_has() {
    let (_database, app) = start(&[("RETRY_BACKOFF_SECONDS", "3600")]).await;
    let (mill, visit) = (mill("m"), mill_visit("v", "another", &json!({})));
    app.accept(&mill).await;
    app.accept(&visit).await;
    // A service that stops begins no try.
    app.shutdown.begin();
    for (form, status) in [(mill, "completed"), (visit, "failed"), (crate::support::forms::mill("n"), "new")]
    {
        assert_eq!(app.accept(&form).await["record_status"], status);
    }
    assert_eq!(app.record("m").await["attempts"].as_array().unwrap().len(), 1);
}

mod firestore {
    use tonic::Code;

    use super::*;
    use crate::support::firestore::Firestore;

    #[tokio::test]
    async fn a_status_that_the_queue_does_not_tell_is_left_out() {
        let firestore = Firestore::start();
        let app = TestApp::with(&firestore.variables()).await;
        // The record is read before the try, and after it for its status.
        firestore.fail_next("GetDocument", Code::PermissionDenied, 2);
        let answer = app.accept(&mill("m")).await;
        assert_eq!((&answer["duplicate"], answer.get("record_status")), (&json!(false), None));
        assert_eq!(app.record("m").await["status"], "new");
        assert_eq!(app.accept(&mill("m")).await["record_status"], "completed");
    }
}

#[tokio::test]
async fn a_form_that_takes_too_long_is_put_back() {
    let (database, app) = start(&[("INLINE_SECONDS", "1")]).await;
    app.accept(&mill("m")).await;
    let lock = lock_visits(&database).await;
    let began = Instant::now();
    let answer = app.accept(&mill_visit("v", "m", &json!({}))).await;
    assert_eq!(answer["record_status"], "new");
    assert!(began.elapsed() < Duration::from_secs(15), "half of what a call to the database may take");
    let record = app.record("v").await;
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)));
    lock.close().await.unwrap();
    assert_eq!(app.drain().await["processed_records"], json!(["v"]));
}

#[tokio::test]
async fn a_form_is_stored_although_its_caller_hangs_up() {
    let (database, app) = start(&[]).await;
    app.accept(&mill("m")).await;
    let lock = lock_visits(&database).await;
    let visit = mill_visit("v", "m", &json!({}));
    assert!(timeout(Duration::from_millis(300), app.accept(&visit)).await.is_err());
    assert_eq!(app.record("v").await["status"], "processing");
    lock.close().await.unwrap();
    app.until_completed(2).await;
    assert_eq!(app.record("v").await["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(database.count("form_visits").await, 1);
}

#[tokio::test]
async fn salesforce_in_trouble_holds_up_no_wet_mill_form() {
    let database = TestDatabase::migrated().await;
    let stand_in = SalesforceStandIn::start().await;
    stand_in.refuse_logins(true);
    let app = TestApp::sending_to(&stand_in, &[("DATABASE_URL", &database.url)]).await;
    app.accept(&registration("f")).await;
    assert_eq!(app.drain().await["stopped"]["destination"], "salesforce");
    let mut form = mill("m");
    form["form"]["subcase_0"]["case"]["index"]["parent"]["#text"] = "role".into();
    assert_eq!(app.accept(&form).await["record_status"], "completed");
    let visit = mill_visit("v", "m", &json!({}));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    assert_eq!(app.get("/retry/sf/v").await.expect(200)["results"][0]["status"], "completed");
    assert_eq!(rows::stored(&database).await["wetmills"][0]["user_id"], Value::Null);
}

#[tokio::test]
async fn salesforce_is_asked_for_the_user_of_a_role_and_only_then() {
    let database = TestDatabase::migrated().await;
    let user = "4d9825ce-c46e-4ce1-8cf3-7670ab346adb";
    database.run(&format!("INSERT INTO tbl_users VALUES ('{user}', '005demo')")).await;
    let stand_in = SalesforceStandIn::start().await;
    stand_in.set_role("a'role", Some("005demo"));
    let app = TestApp::sending_to(&stand_in, &[("DATABASE_URL", &database.url)]).await;
    let mut form = mill("m");
    app.accept(&form).await;
    app.accept(&mill_visit("v", "m", &json!({}))).await;
    assert_eq!(stand_in.queries(), Vec::<String>::new());
    form["form"]["subcase_0"]["case"]["index"]["parent"]["#text"] = "a'role".into();
    app.accept(&form).await;
    assert_eq!(stand_in.queries(), [r"SELECT Staff__c FROM Project_Role__c WHERE Id = 'a\'role'"]);
    assert_eq!(rows::stored(&database).await["wetmills"][0]["user_id"], user);
}

#[tokio::test]
async fn a_salesforce_that_never_answers_does_not_lose_the_mill() {
    let database = TestDatabase::migrated().await;
    let stand_in = SalesforceStandIn::start().await;
    stand_in.set_outage(Some(Fault::Hang));
    let app = TestApp::sending_to(&stand_in, &[("DATABASE_URL", &database.url)]).await;
    let mut form = mill("m");
    form["form"]["subcase_0"]["case"]["index"]["parent"]["#text"] = "role".into();
    assert_eq!(app.accept(&form).await["record_status"], "completed");
    assert_eq!(database.count("wetmills WHERE user_id IS NULL").await, 1);
}

#[tokio::test]
async fn a_later_registration_is_not_overwritten_by_the_retry_of_an_earlier_one() {
    let (database, app) = start(&[]).await;
    database.run("ALTER TABLE wetmills ADD CONSTRAINT named CHECK (name <> '')").await;
    let registration = |id: &str, name: &str| {
        let mut form = mill(id);
        form["form"]["subcase_0"]["case"]["@case_id"] = "case".into();
        form["form"]["wet_mill_details"]["mill_registered_name"] = name.into();
        form
    };
    assert_eq!(app.accept(&registration("first", "")).await["record_status"], "failed");
    app.accept(&registration("second", "Karuthi Hill")).await;
    database.run("ALTER TABLE wetmills DROP CONSTRAINT named").await;
    let retried = app.get("/retry/sf/first").await.expect(200);
    let error = retried["results"][0]["error"].as_str().unwrap();
    assert!(error.contains("form second arrived later and has written wetmills case"), "{error}");
    assert_eq!(rows::stored(&database).await["wetmills"][0]["name"], "Karuthi Hill");
}

#[tokio::test]
async fn without_a_database_the_rows_are_shown() {
    let app = TestApp::start().await;
    let visit = mill_visit("v", "m", &json!({ "volume": "40", "photo_of_cherry_receipts": "1.jpg" }));
    let rows = json!({
        "form_visits": [{
            "submission_id": "WV-v",
            "wetmill": "case-m",
            "form_name": "Wet Mill Visit - KE",
            "visit_date": "2026-03-17",
            "entrance_photograph": null,
            "geo_location": { "lon": 37.03, "lat": -0.42 },
        }],
        "survey_responses": [{
            "submission_id": "SR-v-kpis",
            "form_visit": "WV-v",
            "survey_type": "kpis",
            "completed_date": null,
            "general_feedback": null,
        }],
        "survey_question_responses": [
            {
                "submission_id": "SQR-v-kpis-photo_of_cherry_receipts",
                "survey_response": "SR-v-kpis",
                "section_name": null,
                "question_name": "photo_of_cherry_receipts",
                "field_type": "text",
                "value_text": "https://www.commcarehq.org/a/coffee-kenya-demo/api/form/attachment/instance-v/1.jpg",
            },
            {
                "submission_id": "SQR-v-kpis-volume",
                "survey_response": "SR-v-kpis",
                "section_name": null,
                "question_name": "volume",
                "field_type": "number",
                "value_number": 40.0,
            },
        ],
    });
    let preview = app.post("/preview/cc", visit.to_string()).await.expect(200);
    assert_eq!(preview, json!({ "job_name": "Wet Mill Visit", "destination": "postgis", "rows": rows }));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    let record = app.record("v").await;
    assert_eq!((&record["dry_run"], &record["plan"]["rows"]), (&json!(true), &rows));
}
