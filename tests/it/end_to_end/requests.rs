//! How forms travel: in how few requests, and in which order.

use std::time::Duration;

use serde_json::{Value, json};

use super::start;
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms::{attendance, registration};
use crate::support::process::{borrowed, queue_variables};

on_both_back_ends!(
    a_registration_is_one_request,
    an_attendance_of_two_hundred_is_one_request,
    a_farm_visit_is_one_request_and_its_last_row_takes_all_of_it_back,
    a_form_that_refers_to_another_of_its_batch_waits_for_it,
    an_attendance_that_comes_before_its_farmer_is_done_once_the_farmer_is_there,
    a_repeat_writes_nothing_twice,
    an_edited_form_reaches_salesforce_after_the_first,
    a_form_that_matches_no_rule_completes_with_a_note_and_calls_nobody,
    a_dry_run_keeps_the_plan_with_the_record,
);

fn subrequests(body: &Value) -> usize {
    body["compositeRequest"].as_array().unwrap().len()
}

async fn a_registration_is_one_request(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    let record = app.process(&registration("f-1")).await;
    assert_eq!((&record["status"], record.get("dry_run")), (&json!("completed"), None));
    assert!(record.get("plan").is_none(), "a plan that was sent is not kept");
    assert_eq!((stand_in.logins(), stand_in.requests()), (1, 1));
    assert_eq!(subrequests(&stand_in.bodies()[0]), 5);
    let participant = &stand_in.records("Participant__c")[0];
    assert_eq!(
        (&participant["CommCare_Case_Id__c"], &participant["Name"]),
        (&json!("farmer-f-1"), &json!("Almaz"))
    );
    assert_eq!(stand_in.records("Attendance__c").len(), 1);
}

async fn an_attendance_of_two_hundred_is_one_request(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    for n in 0..200 {
        stand_in.seed("Participant__c", "CommCare_Case_Id__c", &format!("farmer-a-1-{n}"), json!({}));
    }
    let record = app.process(&attendance("a-1", 200)).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!((stand_in.requests(), subrequests(&stand_in.bodies()[0])), (1, 2));
    assert_eq!(stand_in.records("Attendance__c").len(), 200);
    let session = &stand_in.records("Training_Session__c")[0];
    assert_eq!(session["Number_in_Attendance__c"], "200");
}

/// A farmer's first attendance.
fn attendance_of(registered: &str) -> Value {
    let mut form = attendance("a-1", 0);
    form["form"]["present_participants"] = format!("farmer-{registered}").into();
    form
}

async fn a_farm_visit_is_one_request_and_its_last_row_takes_all_of_it_back(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    stand_in.create_unknown_references();
    let visit: Value =
        serde_json::from_str(include_str!("../../../src/samples/farm_visit_full.json")).unwrap();
    let plan = app.post("/preview/cc", visit.to_string()).await.expect(200)["upserts"].clone();
    let plan = plan.as_array().unwrap();
    let last = plan.last().unwrap()["external_id"].as_str().unwrap();
    assert!(plan.len() > 5, "{plan:#?}");

    stand_in.refuse_row(last, 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "not today");
    let record = app.process(&visit).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("permanent")));
    assert_eq!(record["last_step"], plan.last().unwrap()["object"]);
    assert_eq!(stand_in.requests(), 1);
    for upsert in plan {
        let object = upsert["object"].as_str().unwrap();
        let own = stand_in
            .records(object)
            .into_iter()
            .filter(|record| record.values().any(|value| *value == upsert["external_id"]));
        assert_eq!(own.count(), 0, "{object} was left behind");
    }
    let id = visit["id"].as_str().unwrap();
    app.get(&format!("/retry/sf/{id}")).await.expect(200);
    assert_eq!(app.record(id).await["status"], "completed");
    assert_eq!(stand_in.requests(), 2);
}

async fn a_form_that_refers_to_another_of_its_batch_waits_for_it(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    stand_in.delay(Duration::from_millis(20));
    app.accept(&registration("f-1")).await;
    app.accept(&attendance_of("f-1")).await;
    assert_eq!(app.drain().await["processed_records"], json!(["f-1", "a-1"]));
    assert_eq!(stand_in.records("Attendance__c").len(), 2);
}

async fn an_attendance_that_comes_before_its_farmer_is_done_once_the_farmer_is_there(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    let record = app.process(&attendance_of("f-1")).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("dependency")));
    assert_eq!(record["last_step"], "Attendance__c");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("farmer-f-1") && error.contains("Participant__c"), "{error}");
    assert!(record["next_retry_at"].is_string());
    assert!(stand_in.records("Training_Session__c").is_empty(), "all or nothing");

    app.process(&registration("f-1")).await;
    let retried = app.get("/retry/sf/a-1").await.expect(200);
    assert_eq!(retried["results"][0]["status"], "completed");
    let record = app.record("a-1").await;
    assert_eq!((&record["status"], record.get("error")), (&json!("completed"), None));
}

async fn a_repeat_writes_nothing_twice(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    app.process(&registration("f-1")).await;
    app.get("/retry/sf/f-1").await.expect(200);
    assert_eq!(stand_in.requests(), 2);
    for object in ["Household__c", "Participant__c", "Attendance__c", "Training_Session__c"] {
        assert_eq!(stand_in.records(object).len(), 1, "{object}");
    }
}

async fn an_edited_form_reaches_salesforce_after_the_first(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    app.process(&registration("f-1")).await;
    let mut edited = registration("f-1");
    edited["edited_on"] = "2026-03-01T00:00:00Z".into();
    edited["form"]["First_Name"] = "Aster".into();
    app.process(&edited).await;
    assert_eq!(stand_in.records("Participant__c")[0]["Name"], "Aster");
}

async fn a_form_that_matches_no_rule_completes_with_a_note_and_calls_nobody(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    let mut form = registration("f-1");
    form["form"]["survey_detail"] = "Something Else".into();
    let record = app.process(&form).await;
    assert_eq!(record["status"], "completed");
    assert!(record["note"].as_str().unwrap().contains("survey_detail"), "{record}");
    assert_eq!((stand_in.logins(), stand_in.requests()), (0, 0));
}

async fn a_dry_run_keeps_the_plan_with_the_record(backend: Backend) {
    let app = TestApp::with(&borrowed(&queue_variables(&backend))).await;
    let record = app.process(&registration("f-1")).await;
    assert_eq!((&record["status"], &record["dry_run"]), (&json!("completed"), &json!(true)));
    assert_eq!(record["plan"]["upserts"][2]["object"], "Participant__c");
    assert_eq!(record["note"], "dry run: the plan was recorded, nothing was sent");
}
