//! `preview`.

use std::path::Path;

use serde_json::{Value, json};

use super::{fail, run_with, succeed};
use crate::support::app::TestApp;
use crate::support::forms::{UNMAPPABLE, registration, unmappable};

/// Exit code, standard output and standard error.
fn both(arguments: &[&str], input: &str) -> (i32, String, String) {
    let output = run_with(arguments, &[], input);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

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
        assert_eq!(
            succeed(&["preview", &file, "--json"], &[], "").len(),
            printed.len(),
            "the origin is recognised"
        );
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

#[test]
fn a_payload_from_salesforce_is_recognised_by_its_looks() {
    let payload = json!({
        "jobType": "Wetmill", "uniqueProjectKey": "coffee", "wetmills": [{ "commCareCaseId": "c-1" }],
    });
    let printed = succeed(&["preview", "-"], &[], &payload.to_string());
    assert!(printed.starts_with("Wetmill → commcare\n    1  <data "), "{printed}");
    let complaint = fail(1, &["preview", "-", "--origin", "cc"], &[], &payload.to_string());
    assert_eq!(complaint, "error: form.@name: missing\n");
}

#[test]
fn a_job_name_that_differs_in_case_or_blanks_is_recognised() {
    let form = json!({ "id": "f-1", "form": { "@name": "farmer registration" } }).to_string();
    let printed = succeed(&["preview", "-"], &[], &form);
    assert_eq!(
        printed,
        "no form type is named \"farmer registration\": the service would store and send nothing\n\
         did you mean \"Farmer Registration\"?\n"
    );
    assert!(succeed(&["preview", "-", "--json"], &[], &form).contains("did you mean"));
}

#[test]
fn a_payload_of_which_some_records_would_fail_is_shown_and_fails() {
    let mut payload = json!({
        "jobType": "Wetmill", "uniqueProjectKey": "coffee",
        "wetmills": [{ "commCareCaseId": "c-1", "wetmillName": "Kiriga" }, { "commCareCaseId": " " }],
    });
    let (code, printed, complaint) = both(&["preview", "-"], &payload.to_string());
    assert_eq!((code, complaint.as_str()), (1, "error: record 2: commCareCaseId is missing or blank\n"));
    assert!(printed.contains("Kiriga") && printed.contains("  not sent: record 2: "), "{printed}");

    payload["wetmills"][1] = json!({ "commCareCaseId": "c-2", "wetmillName": "n".repeat(300) });
    for json in [&[][..], &["--json"]] {
        let (code, printed, complaint) = both(&[&["preview", "-"], json].concat(), &payload.to_string());
        let warning =
            "record 2: case_name has 300 characters, and CommCare takes 255: it would refuse this record";
        assert_eq!((code, complaint), (1, format!("error: {warning}\n")));
        assert!(printed.contains(warning), "{printed}");
    }
}

#[test]
fn a_byte_order_mark_is_skipped_and_another_encoding_is_named() {
    let form = registration("f-1").to_string();
    let marked = succeed(&["preview", "-"], &[], &format!("\u{feff}{form}"));
    assert_eq!(marked, succeed(&["preview", "-"], &[], &form));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latin.json");
    std::fs::write(&file, b"{\"form\":{\"@name\":\"Mari\xe9\"}}").unwrap();
    let file = file.to_str().unwrap();
    let complaint = fail(1, &["preview", file], &[], "");
    assert_eq!(complaint, format!("error: {file}: form.@name: byte 23 of the payload is not UTF-8\n"));
}

#[test]
fn texts_of_a_document_are_shown_as_they_are() {
    let payload = json!({
        "jobType": "Wetmill", "uniqueProjectKey": "coffee",
        "wetmills": [{ "commCareCaseId": "c-1", "comments": " A & B <near> \"the\" river ", "managerName": "&amp;" }],
    });
    let printed = succeed(&["preview", "-"], &[], &payload.to_string());
    for line in [
        "         <comments> A &amp; B &lt;near&gt; &quot;the&quot; river </comments>",
        "         <manager_name>&amp;amp;</manager_name>",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\nis not in\n{printed}");
    }
}
