//! `POST /preview/sf`, and the vectors through it.

use chrono::{DateTime, TimeDelta};
use commcare_sf_integration::clock;
use serde_json::{Value, json};

use super::participants;
use super::vectors::{Unsent, cases, difference};
use crate::support::app::TestApp;

#[tokio::test]
async fn every_vector_is_previewed_as_it_would_be_sent() {
    let app = TestApp::start().await;
    let began = clock::now() - TimeDelta::milliseconds(1);
    let is_now = |text: &str| {
        let time =
            DateTime::parse_from_rfc3339(text).ok().filter(|_| text.len() == 24 && text.ends_with('Z'));
        time.is_some_and(|time| time >= began && time <= clock::now())
    };
    for case in cases() {
        let name = &case.name;
        let status = if case.expect.error { 422 } else { 200 };
        let answer = app.post("/preview/sf", case.payload.to_string()).await.expect(status);
        if case.expect.error {
            let error = answer["error"].as_str().unwrap();
            for Unsent { position, field } in &case.expect.errors {
                let position = position.map(|position| format!("record {position}: ")).unwrap_or_default();
                assert!(
                    error.contains(&position) && error.contains(field.as_deref().unwrap_or_default()),
                    "{name}"
                );
            }
            continue;
        }
        assert_eq!(
            (&answer["job_name"], &answer["destination"]),
            (&json!(case.job_name), &json!("commcare"))
        );
        let expected = case.expect.documents.unwrap();
        let documents = answer["documents"].as_array().unwrap();
        assert_eq!(documents.len(), expected.len(), "{name}");
        for (found, expected) in documents.iter().zip(&expected) {
            assert_eq!(difference(found.as_str().unwrap(), expected, &is_now), None, "{name}");
        }
        assert_eq!(answer.get("errors").is_some(), !case.expect.errors.is_empty(), "{name}");
        let errors: Vec<Unsent> = answer.get("errors").map_or(Vec::new(), |errors| {
            let members = |error: &Value| json!({ "position": error["position"], "field": error["field"] });
            let errors =
                errors.as_array().unwrap().iter().inspect(|error| assert!(error["error"].is_string()));
            errors.map(|error| serde_json::from_value(members(error)).unwrap()).collect()
        });
        assert_eq!(errors, case.expect.errors, "{name}");
    }
    let counts = app.get("/status-count/salesforce_collection").await.expect(200);
    assert_eq!(counts["status_counts"]["new"], 0, "nothing is stored");
}

#[tokio::test]
async fn a_preview_needs_no_id() {
    let app = TestApp::start().await;
    let mut payload = participants("j-1", 1);
    payload.as_object_mut().unwrap().remove("id");
    let answer = app.post("/preview/sf", payload.to_string()).await.expect(200);
    assert!(answer["documents"][0].as_str().unwrap().contains("<jobID></jobID>"), "{answer}");
}

#[tokio::test]
async fn a_job_type_that_is_not_handled_is_noted() {
    let app = TestApp::start().await;
    let answer = app.post("/preview/sf", json!({ "jobType": "Nobody" }).to_string()).await.expect(200);
    assert!(answer["note"].as_str().unwrap().contains("not handled"), "{answer}");
}

/// A project key, so that a case type `{key}_participant` has so many characters.
fn key(length: usize) -> String {
    "k".repeat(length - "_participant".len())
}

#[tokio::test]
async fn what_commcare_would_refuse_for_its_length_is_warned_of() {
    let app = TestApp::start().await;
    let mut payload = participants("j-1", 3);
    payload["uniqueProjectKey"] = key(255).into();
    let records = payload["participants"].as_array_mut().unwrap();
    // CommCare counts characters. Middle and last name are empty, so that the name is the first one.
    for (record, name) in records.iter_mut().zip(["é".repeat(255), "é".repeat(256), "x".to_owned()]) {
        record["participantName"] = name.into();
        record["participantMiddleName"] = "".into();
        record["participantLastName"] = "".into();
    }
    let spaces = 1;
    records[0]["participantName"] = "é".repeat(255 - spaces).into();
    records[2]["ccMobileWorkerGroupId"] = "g".repeat(256).into();
    let answer = app.post("/preview/sf", payload.to_string()).await.expect(200);
    assert_eq!(answer["documents"].as_array().unwrap().len(), 3, "they would be sent");
    let told = |position: u32, field: &str, length: usize| {
        let warning = format!(
            "record {position}: {field} has {length} characters, and CommCare takes 255: it would refuse this record"
        );
        json!({ "position": position, "field": field, "warning": warning })
    };
    let expected = json!([told(2, "case_name", 256 + spaces), told(3, "owner_id", 256)]);
    assert_eq!(answer["warnings"], expected);

    payload["uniqueProjectKey"] = key(256).into();
    payload["participants"].as_array_mut().unwrap().truncate(1);
    let answer = app.post("/preview/sf", payload.to_string()).await.expect(200);
    assert_eq!(answer["warnings"], json!([told(1, "case_type", 256)]));
    payload["uniqueProjectKey"] = "coffee".into();
    assert!(app.post("/preview/sf", payload.to_string()).await.expect(200).get("warnings").is_none());
}
