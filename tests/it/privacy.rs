//! Names, phone numbers and places are in records and nowhere else: in no log line, metric or error, and in
//! no answer except those that show a record (`docs/service.md`, section 7).

use axum::body::Body;
use commcare_sf_integration::config::LogFormat;
use serde_json::{Value, json};

use crate::support::app::{TestAnswer, TestApp};
use crate::support::forms::{attendance, mill, mill_visit, registration};
use crate::support::log::Log;
use crate::support::postgres::TestDatabase;
use crate::support::salesforce::{Fault, SalesforceStandIn};

const FIRST_NAME: &str = "Zawditu";
const LAST_NAME: &str = "O'Wolde<Q>";
const PHONE: &str = "+251 955-123-987";
const NATIONAL_ID: &str = "ETH/55667788";
const GPS: &str = "7.7712345 39.9912345 1921.5 4.2";
/// Texts that must show nowhere: the values, and parts that say as much.
const MARKS: [&str; 10] =
    [FIRST_NAME, "Zawd", "Wolde", "WOLDE", PHONE, "123-987", "123987", "55667788", "7.7712345", "39.9912345"];

#[track_caller]
fn assert_unmarked(text: &str, place: &str) {
    for mark in MARKS {
        assert!(!text.contains(mark), "{mark} in {place}: {text}");
    }
}

fn marked(id: &str) -> Value {
    let mut form = registration(id);
    for (answer, value) in [
        ("First_Name", FIRST_NAME),
        ("Middle_Name", FIRST_NAME),
        ("Last_Name", LAST_NAME),
        ("Phone_Number", PHONE),
        ("National_ID_Number", NATIONAL_ID),
    ] {
        form["form"][answer] = value.into();
    }
    form
}

fn marked_attendance(id: &str) -> Value {
    let mut form = attendance(id, 1);
    form["form"]["gps_coordinates"] = GPS.into();
    form
}

/// Posts what must be answered without a mark, whatever the status.
async fn post(app: &TestApp, path: &str, body: impl Into<Body>) -> TestAnswer {
    let answer = app.post(path, body).await;
    assert_unmarked(&answer.text, path);
    answer
}

async fn drain(app: &TestApp) {
    post(app, "/process-firestore-to-sf?drain=true", "").await.expect(200);
}

/// Everything that can become of a form.
async fn every_way(app: &TestApp, stand_in: &SalesforceStandIn) {
    for form in [marked("good"), marked("good"), marked_attendance("early")] {
        post(app, "/process-data-cc", form.to_string()).await.expect(200);
    }
    drain(app).await;
    refused_by_the_webhook(app).await;
    failed_by_the_mapping(app).await;
    failed_by_salesforce(app, stand_in).await;
    for path in ["/retry/sf/good", "/retry/sf/early", "/retry/sf/refused-0", "/retry/sf/unmappable-0"] {
        let answer = app.get(path).await;
        assert_unmarked(&answer.text, path);
        answer.expect(200);
    }
    let ids = json!({ "ids": ["good", "early", "refused-0", "unmappable-0", "nobody"] }).to_string();
    for path in ["/batch_retry/sf/", "/bulk_update/commcare_collection/?dry_run=true"] {
        post(app, path, ids.clone()).await.expect(200);
    }
    for path in [
        "/status-count/commcare_collection",
        "/ready",
        "/health",
        "/failed/sf?summary=true",
        "/dashboard",
        "/dashboard/failed/sf",
        "/dashboard/search?id=nobody",
        "/dashboard/retry-failed/sf",
    ] {
        assert_unmarked(&app.get(path).await.text, path);
    }
    stand_in.expire_sessions();
    stand_in.refuse_logins(true);
    post(app, "/process-data-cc", marked("no-login").to_string()).await.expect(200);
    drain(app).await;
}

/// Wet-mill forms that are stored, that no mapping takes and that the database refuses.
async fn stored_in_postgis(app: &TestApp) {
    let mut registered = mill("m");
    registered["form"]["wet_mill_details"] =
        json!({ "mill_registered_name": LAST_NAME, "manager_name": FIRST_NAME, "office_gps": GPS });
    let mut unmappable = mill("unmappable-mill");
    unmappable["form"]["wet_mill_details"]["manager_name"] = json!({ "given": FIRST_NAME });
    let mut undated = mill_visit("undated", "m", &json!({}));
    undated["form"]["date"] = PHONE.into();
    let completed = mill_visit("stored", "m", &json!({ "phone": PHONE }));
    let answers = json!({ "manager": FIRST_NAME, "phone": PHONE });
    let refused = mill_visit("refused-answer", "m", &answers);
    let unstorable = mill_visit("unstorable", "m", &json!({ "manager": format!("{FIRST_NAME}\u{0}") }));
    for (form, status) in [
        (registered, "completed"),
        (unmappable, "failed"),
        (undated, "failed"),
        (completed, "completed"),
        (refused, "failed"),
        (unstorable, "failed"),
    ] {
        let answer = post(app, "/process-data-cc", form.to_string()).await.expect(200);
        assert_eq!(answer["record_status"], status, "{answer}");
    }
}

async fn refused_by_the_webhook(app: &TestApp) {
    let mut edited = marked("good");
    edited["edited_on"] = "2026-03-02T00:00:00Z".into();
    post(app, "/process-data-cc", edited.to_string()).await.expect(200);
    post(app, "/process-data-cc", marked("good").to_string()).await.expect(200);
    let mut nameless = marked("x");
    nameless["form"].as_object_mut().unwrap().remove("@name");
    let mut without_id = marked("x");
    without_id["id"] = json!({ "name": FIRST_NAME });
    // A form type that isn't handled, named like a person.
    let mut unhandled = marked("x");
    unhandled["form"]["@name"] = FIRST_NAME.into();
    let skipped = app.post("/process-data-cc", unhandled.to_string()).await.expect(200);
    assert_eq!(skipped["status"], "Skipped, form type is not handled");
    app.get(&format!("/record/{FIRST_NAME}/{PHONE}").replace(' ', "%20")).await.expect(404);
    let mut too_large = marked("x");
    too_large["form"]["note"] = FIRST_NAME.repeat(200_000).into();
    let whole = marked("x").to_string();
    for (status, body) in [
        (422, nameless.to_string()),
        (422, without_id.to_string()),
        (413, too_large.to_string()),
        (400, whole[..whole.len() - 2].to_owned()),
        (400, format!("\"{FIRST_NAME} {PHONE}\"")),
        (400, whole.replacen(FIRST_NAME, &format!(r"{FIRST_NAME}\ud800"), 1)),
        (415, format!("<data><name>{FIRST_NAME}</name></data>")),
    ] {
        post(app, "/process-data-cc", body).await.expect(status);
    }
}

/// Answers that no mapping takes, each with a mark where it goes wrong.
async fn failed_by_the_mapping(app: &TestApp) {
    for (position, (answer, value)) in [
        ("subcase_0", json!(FIRST_NAME)),
        ("subcase_0", json!({ "case": { "@case_id": { FIRST_NAME: PHONE } } })),
        ("Household_Id", json!([FIRST_NAME])),
        ("training_session", json!({ "name": LAST_NAME })),
        ("First_Name", json!({ "given": FIRST_NAME })),
        ("Phone_Number", json!([PHONE])),
        ("existing_household", json!([FIRST_NAME, PHONE])),
        ("survey_detail", json!([LAST_NAME])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut form = marked(&format!("unmappable-{position}"));
        form["form"][answer] = value;
        post(app, "/process-data-cc", form.to_string()).await.expect(200);
        let preview = app.post("/preview/cc", form.to_string()).await;
        if preview.status == 422 {
            assert_unmarked(&preview.text, "an error of a preview");
        }
    }
    let mut form = marked_attendance("unmappable-gps");
    form["form"]["gps_coordinates"] = json!({ "at": GPS });
    post(app, "/process-data-cc", form.to_string()).await.expect(200);
    drain(app).await;
    assert_eq!(app.record("unmappable-0").await["status"], "failed");
}

async fn failed_by_salesforce(app: &TestApp, stand_in: &SalesforceStandIn) {
    let messages = [
        format!("First Name: {FIRST_NAME} is not allowed"),
        format!("duplicate value found: {PHONE} of {FIRST_NAME} {LAST_NAME}"),
        format!("invalid number 251955123987 in {NATIONAL_ID}"),
        "value too large: O&#39;Wolde&lt;Q&gt;".to_owned(),
        "value too large: O%27Wolde%3CQ%3E".to_owned(),
        "invalid number +251 (955) 123987, 55667788".to_owned(),
        "not a name: Zawd…".to_owned(),
        "not unique: WOLDE".to_owned(),
    ];
    for (position, message) in messages.iter().enumerate() {
        let id = format!("refused-{position}");
        stand_in.refuse_row(&format!("farmer-{id}"), 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message);
        post(app, "/process-data-cc", marked(&id).to_string()).await.expect(200);
    }
    drain(app).await;
    assert_eq!(app.record("refused-0").await["status"], "failed");
    let whole = json!([{ "errorCode": "JSON_PARSER_ERROR", "message": format!("at {FIRST_NAME} {PHONE}") }]);
    for fault in [
        Fault::Answer(400, whole.to_string()),
        Fault::Answer(502, format!("<html>{FIRST_NAME}</html>")),
        Fault::Answer(200, format!("{FIRST_NAME} {PHONE}")),
        Fault::CutBefore,
        Fault::HalfAnswer,
    ] {
        stand_in.fail_next(fault);
        post(app, "/process-data-cc", marked("faulty").to_string()).await.expect(200);
        drain(app).await;
        assert_unmarked(&app.get("/retry/sf/faulty").await.text, "a retry");
    }
}

async fn shows_nothing(format: LogFormat) -> String {
    let stand_in = SalesforceStandIn::start().await;
    let database = TestDatabase::migrated().await;
    let constraint = format!("CHECK (value_text <> '{FIRST_NAME}')");
    database.run(&format!("ALTER TABLE survey_question_responses ADD {constraint}")).await;
    let log = Log::capture(format, None);
    let app = TestApp::sending_to(&stand_in, &[("DATABASE_URL", &database.url)]).await;
    // A call site that another test met for the first time just when the capture began may be taken
    // for one that nobody listens to.
    tracing::callsite::rebuild_interest_cache();
    stored_in_postgis(&app).await;
    every_way(&app, &stand_in).await;
    let failed = app.get("/failed/sf?limit=1000").await.expect(200);
    for job in failed["failed_jobs"].as_array().unwrap() {
        // The payload itself is what an operator looks for here; the rest is for everybody.
        let mut rest = job.clone();
        rest.as_object_mut().unwrap().remove("data");
        assert_unmarked(&rest.to_string(), "a failed record");
    }
    let metrics = app.get("/metrics").await;
    assert!(metrics.status == 200 && metrics.text.contains("outcome=\"failed\""), "{metrics:?}");
    assert_unmarked(&metrics.text, "a metric");
    let text = log.text();
    for line in text.lines() {
        assert_unmarked(line, "a log line");
    }
    text
}

#[tokio::test]
async fn log_lines_for_people_and_answers_hold_no_payload_value() {
    let text = shows_nothing(LogFormat::Pretty).await;
    for event in ["webhook accepted", "record failed", "destination takes no records", "drain ended"] {
        assert!(text.contains(event), "{event} is not in the log: the test saw nothing");
    }
}

#[tokio::test]
async fn log_lines_for_cloud_logging_and_answers_hold_no_payload_value() {
    let text = shows_nothing(LogFormat::Json).await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed = lines.iter().find(|line| line["message"] == "record failed").unwrap();
    assert_eq!(failed["severity"], "WARNING");
    for field in ["time", "request_id", "doc_id", "job_name", "processing_step", "error"] {
        assert!(failed[field].is_string(), "{field}: {failed}");
    }
}
