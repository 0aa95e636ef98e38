//! `POST /preview/cc`.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::forms::{UNMAPPABLE, registration, unmappable};

async fn preview(app: &TestApp, payload: &Value, status: u16) -> Value {
    app.post("/preview/cc", payload.to_string()).await.expect(status)
}

#[tokio::test]
async fn photos_of_another_hq_have_its_address() {
    let app = TestApp::with(&[("CC_BASE_URL", "https://india.commcarehq.org/")]).await;
    let answer = preview(&app, &crate::mappings::samples::sample("Wet Mill Registration Form"), 200).await;
    let photo = answer["rows"]["wetmills"][0]["office_entrance_picture"].as_str().unwrap();
    assert!(photo.starts_with("https://india.commcarehq.org/a/"), "{photo}");
    assert!(photo.contains("/api/form/attachment/"), "{photo}");
}

#[tokio::test]
async fn a_preview_is_the_plan_and_stores_nothing() {
    let app = TestApp::with(&[("SF_SANDBOX_ATTENDANCE", "true")]).await;
    let answer = preview(&app, &registration("f-1"), 200).await;
    assert_eq!(
        (&answer["job_name"], &answer["destination"]),
        (&json!("Farmer Registration"), &json!("salesforce"))
    );
    assert_eq!(
        answer["upserts"][0],
        json!({
            "object": "Training_Group__c",
            "external_id_field": "CommCare_Case_Id__c",
            "external_id": "group-f-1",
            "fields": { "Household_Counter__c": "18" },
        })
    );
    let objects: Vec<&str> =
        answer["upserts"].as_array().unwrap().iter().map(|step| step["object"].as_str().unwrap()).collect();
    let expected =
        ["Training_Group__c", "Household__c", "Participant__c", "Training_Session__c", "Attendance__c"];
    assert_eq!(objects, expected);
    app.get("/record/commcare_collection/f-1").await.expect(404);
    assert_eq!(app.drain().await["processed_records"], json!([]));
    // A dry run records the same as the preview showed.
    assert_eq!(app.process(&registration("f-1")).await["plan"]["upserts"], answer["upserts"]);
}

#[tokio::test]
async fn a_sandbox_previews_no_attendance_of_a_registration() {
    let app = TestApp::start().await;
    let answer = preview(&app, &registration("f-1"), 200).await;
    assert!(!answer["upserts"].to_string().contains("Attendance__c"), "{answer}");
}

#[tokio::test]
async fn a_plan_that_changes_nothing_says_why() {
    let app = TestApp::start().await;
    let mut form = registration("f-1");
    form["form"]["survey_detail"] = "Something Else".into();
    let answer = preview(&app, &form, 200).await;
    assert_eq!(answer["upserts"], json!([]));
    let note = answer["note"].as_str().unwrap();
    assert!(note.contains("matches no registration step"), "{note}");
    assert_eq!(app.process(&form).await["note"], note, "its record says the same");
}

#[tokio::test]
async fn a_form_type_that_is_not_handled_is_noted() {
    let app = TestApp::start().await;
    let answer = preview(&app, &json!({ "form": { "@name": "Nobody's form" } }), 200).await;
    assert_eq!(answer["job_name"], "Nobody's form");
    assert!(answer["note"].as_str().unwrap().contains("not handled"), "{answer}");
}

#[tokio::test]
async fn a_job_name_that_differs_in_case_or_blanks_is_recognised() {
    let app = TestApp::start().await;
    for (path, payload, name) in [
        ("/preview/cc", json!({ "form": { "@name": "farm  visit FULL " } }), "Farm Visit Full"),
        ("/preview/cc", json!({ "form": { "@name": "WetMill Visit" } }), "Wet Mill Visit"),
        ("/preview/sf", json!({ "jobType": "training group" }), "Training Group"),
    ] {
        let answer = app.post(path, payload.to_string()).await.expect(200);
        let expected =
            format!("this form type is not handled: nothing would be stored or sent; did you mean {name:?}?");
        assert_eq!(answer["note"], expected);
    }
    let other = preview(&app, &json!({ "form": { "@name": "Participant" } }), 200).await;
    assert!(!other["note"].as_str().unwrap().contains("did you mean"), "of the other direction: {other}");
}

#[tokio::test]
async fn a_payload_of_the_other_direction_is_recognised() {
    let app = TestApp::start().await;
    let error = "Job name not provided in payload";
    let answer = preview(&app, &json!({ "jobType": "Participant", "participants": [] }), 422).await;
    let details = "it has a jobType, as payloads from Salesforce have: POST it to /preview/sf";
    assert_eq!(answer, json!({ "error": error, "details": details }));
    let answer = app.post("/preview/sf", registration("f-1").to_string()).await.expect(422);
    let details = "it has a form, as forms from CommCare have: POST it to /preview/cc";
    assert_eq!(answer, json!({ "error": error, "details": details }));
    // A webhook names the member that it looked for.
    let answer = app.post("/process-data-sf", registration("f-1").to_string()).await.expect(422);
    assert_eq!(answer, json!({ "error": error, "details": "jobType is missing, blank or no text" }));
}

#[tokio::test]
async fn a_payload_that_would_fail_gets_the_error_of_its_record() {
    let app = TestApp::start().await;
    assert_eq!(preview(&app, &unmappable("f-1"), 422).await, json!({ "error": UNMAPPABLE }));
    assert_eq!(app.process(&unmappable("f-1")).await["error"], UNMAPPABLE);
    let mut nameless = registration("f-1");
    nameless.as_object_mut().unwrap().remove("id");
    assert_eq!(preview(&app, &nameless, 422).await["error"], "Payload has no id");
    let refused = preview(&app, &json!({ "id": "f-1", "form": {} }), 422).await;
    assert_eq!(refused["error"], "Job name not provided in payload");
}

#[tokio::test]
async fn codes_that_no_label_table_knows_are_shown() {
    let app = TestApp::start().await;
    let sample = include_str!("../../../src/samples/demo_plot_observation.json");
    let mut form: Value = serde_json::from_str(sample).unwrap();
    assert!(preview(&app, &form, 200).await.get("unmapped").is_none());
    form["form"]["best_practice_questions"]["mulch"]["thickness_of_mulch"] = "77".into();
    let path = "form.best_practice_questions.mulch.thickness_of_mulch";
    let unmapped = json!([{ "path": path, "code": "77" }]);
    assert_eq!(preview(&app, &form, 200).await["unmapped"], unmapped);
    assert_eq!(app.process(&form).await["unmapped"], unmapped);
}
