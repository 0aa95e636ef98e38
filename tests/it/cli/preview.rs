//! `preview`.

use std::path::Path;

use serde_json::{Value, json};

use super::{fail, succeed};
use crate::support::app::TestApp;
use crate::support::forms::{UNMAPPABLE, registration, unmappable};

#[test]
fn a_form_is_shown_for_people() {
    let printed = succeed(&["preview", "-"], &[], &registration("f-1").to_string());
    assert!(printed.starts_with("Farmer Registration → salesforce\n    1  Training_Group__c"), "{printed}");
    assert!(printed.contains("CommCare_Case_Id__c = group-f-1\n"), "{printed}");
}

#[tokio::test]
async fn json_is_the_answer_of_the_http_call() {
    let app = TestApp::start().await;
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/samples");
    let sample = |name: &str| samples.join(name).to_str().unwrap().to_owned();
    for (origin, file) in [
        ("cc", "farm_visit_full.json"),
        ("cc", "attendance_light_current_module.json"),
        ("cc", "wet_mill_registration_form.json"),
        ("sf", "training_group.json"),
    ] {
        let file = sample(file);
        let printed = succeed(&["preview", &file, "--origin", origin, "--json"], &[], "");
        let mut printed: Value = serde_json::from_str(&printed).unwrap();
        let body = std::fs::read_to_string(&file).unwrap();
        let mut answered = app.post(&format!("/preview/{origin}"), body).await.expect(200);
        // Documents say when they were made.
        for made in [&mut printed, &mut answered] {
            if let Some(documents) = made.get_mut("documents") {
                *documents = documents.as_array().unwrap().len().into();
            }
        }
        assert_eq!(printed, answered, "{file}");
    }
}

#[test]
fn a_form_type_that_is_not_handled_would_be_skipped() {
    let form = json!({ "id": "f-1", "form": { "@name": "Soil Survey" } }).to_string();
    let printed = succeed(&["preview", "-"], &[], &form);
    assert_eq!(printed, "no form type is named \"Soil Survey\": the service would store and send nothing\n");
    let printed: Value = serde_json::from_str(&succeed(&["preview", "-", "--json"], &[], &form)).unwrap();
    assert_eq!(
        printed,
        json!({ "job_name": "Soil Survey", "note": "this form type is not handled: nothing would be stored or sent" })
    );
}

#[test]
fn what_would_fail_fails_with_the_error_that_its_record_would_get() {
    let mut without_id = registration("f-1");
    without_id.as_object_mut().unwrap().remove("id");
    for json in [&[][..], &["--json"]] {
        for (input, complaint) in [
            (unmappable("f-1").to_string(), format!("error: {UNMAPPABLE}\n")),
            (without_id.to_string(), "error: id: missing\n".to_owned()),
            (json!({ "id": "f-1" }).to_string(), "error: form.@name: missing\n".to_owned()),
            ("{".to_owned(), "error: -: EOF while parsing an object at line 1 column 1\n".to_owned()),
        ] {
            assert_eq!(fail(1, &[&["preview", "-"], json].concat(), &[], &input), complaint);
        }
        let complaint = fail(1, &[&["preview", "/nowhere/form.json"], json].concat(), &[], "");
        assert!(complaint.starts_with("error: /nowhere/form.json: No such file"), "{complaint}");
        let complaint =
            fail(1, &[&["preview", "-", "--origin", "sf"], json].concat(), &[], "{\"id\":\"p-1\"}");
        assert_eq!(complaint, "error: jobType: missing\n");
    }
}

#[test]
fn the_settings_decide_what_is_written() {
    let form = registration("f-1").to_string();
    let attendances = |variables: &[(&str, &str)]| {
        let printed = succeed(&["preview", "-", "--json"], variables, &form);
        printed.matches("\"Attendance__c\"").count()
    };
    assert_eq!((attendances(&[]), attendances(&[("SF_SANDBOX_ATTENDANCE", "true")])), (0, 1));
    let complaint = fail(1, &["preview", "-"], &[("PORT", "http")], &form);
    assert!(complaint.contains("PORT: must be a whole number"), "{complaint}");
}
