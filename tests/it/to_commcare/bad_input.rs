//! Payloads that no client should send: a spec'd result, or an error that names position and field.

use serde_json::{Value, json};

use super::participants;
use crate::support::app::TestApp;
use crate::support::commcare::CommCareStandIn;

/// The one document of a payload's preview.
async fn document(app: &TestApp, payload: &Value) -> String {
    let answer = app.post("/preview/sf", payload.to_string()).await.expect(200);
    assert_eq!(answer["documents"].as_array().unwrap().len(), 1, "{answer}");
    answer["documents"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_payload_without_records_completes_and_says_so() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    for (id, records) in [("j-1", Some(json!([]))), ("j-2", None)] {
        let mut payload = participants(id, 0);
        match records {
            Some(records) => payload["participants"] = records,
            None => drop(payload.as_object_mut().unwrap().remove("participants")),
        }
        let record = app.process_for_commcare(&payload).await;
        assert_eq!(
            (&record["status"], &record["note"]),
            (&json!("completed"), &json!("the payload's participants holds no record"))
        );
    }
    assert_eq!(hq.requests(), 0);
}

#[tokio::test]
async fn a_refused_payload_is_stored_and_fails_for_good() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    let refused = |id: &str, field: &str, value: Value| {
        let mut payload = participants(id, 2);
        payload[field] = value;
        payload
    };
    let key = "payload: uniqueProjectKey is missing or blank";
    let list = "payload: participants is not a list of records";
    for (number, (payload, error)) in [
        (refused("j-0", "uniqueProjectKey", Value::Null), key),
        (refused("j-1", "uniqueProjectKey", json!(" \u{a0}\u{1}")), key),
        (refused("j-2", "uniqueProjectKey", json!(7)), key),
        (refused("j-3", "participants", Value::Null), list),
        (refused("j-4", "participants", json!({ "a": 1 })), list),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(app.post("/preview/sf", payload.to_string()).await.expect(422), json!({ "error": error }));
        let record = app.process_for_commcare(&payload).await;
        assert_eq!(
            (&record["error"], &record["error_kind"]),
            (&json!(error), &json!("permanent")),
            "{number}"
        );
        assert_eq!(record["next_retry_at"], Value::Null);
    }
    assert_eq!(hq.requests(), 0);
}

#[tokio::test]
async fn an_unknown_project_key_is_a_project_like_any_other() {
    let app = TestApp::start().await;
    let mut payload = participants("j-1", 1);
    payload["uniqueProjectKey"] = "Nobody's <PROJECT>".into();
    let xml = document(&app, &payload).await;
    assert!(xml.contains("<case_type>nobody&apos;s &lt;project&gt;_participant</case_type>"), "{xml}");
    assert!(xml.contains("<Cooperative_Membership_Number></Cooperative_Membership_Number>"), "{xml}");
    assert!(xml.contains("<Number_of_Trees>0.750000</Number_of_Trees>"), "{xml}");
}

#[tokio::test]
async fn records_that_cannot_be_sent_name_position_and_field() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    let mut payload = participants("j-1", 12);
    let records = payload["participants"].as_array_mut().unwrap();
    for (at, value) in [Value::Null, json!("text"), json!([{}]), json!(7)].into_iter().enumerate() {
        records[at] = value;
    }
    for (at, value) in
        [Value::Null, json!(""), json!(" \u{2003}"), json!("\u{1}"), json!(0)].into_iter().enumerate()
    {
        records[4 + at]["commCareCaseId"] = value;
    }
    records[9]["participantAge"] = json!([43]);
    records[10]["participantName"] = json!({ "first": "Wanjiru" });
    let record = app.process_for_commcare(&payload).await;
    let error = |n: usize| match n {
        1..=4 => format!("record {n}: not an object"),
        5..=9 => format!("record {n}: commCareCaseId is missing or blank"),
        10 => format!("record {n}: participantAge is not a number or text"),
        _ => format!("record {n}: participantName is not a number or text"),
    };
    assert_eq!(record["error"], (1..=11).map(error).collect::<Vec<_>>().join("; "));
    assert_eq!((&record["delivered"], hq.requests()), (&json!([12]), 1));
    assert_eq!(record["error_kind"], "permanent");
}

#[tokio::test]
async fn numbers_and_control_characters_are_written_as_the_contract_says() {
    let app = TestApp::start().await;
    let mut payload = participants("j-1", 1);
    let record = &mut payload["participants"][0];
    record["commCareCaseId"] = json!(4711);
    record["participantName"] = json!(12.0);
    record["participantLastName"] = json!("Ka\u{0}m\u{8}au\r\n]]> & <b>\u{ffff}\u{1f33f}");
    record["tnsId"] = json!(0);
    record["participantAge"] = json!(43.9);
    record["ccMobileWorkerGroupId"] = json!(true);
    payload["id"] = json!("tab\tand\nline");
    let xml = document(&app, &payload).await;
    let document = crate::support::xml::parse(&xml).unwrap();
    let text = |name: &str| document.find(name).unwrap().text.clone();
    assert_eq!(text("Name"), "12.0 Njeri Kamau\n]]> & <b>\u{1f33f}");
    assert_eq!(
        (text("First_Name"), text("Farmer_Id"), text("Age")),
        ("12.0".into(), String::new(), "43".into())
    );
    assert_eq!((text("owner_id"), text("jobID")), ("True".into(), "tab\tand\nline".into()));
    assert_eq!(document.find("case").unwrap().attributes["case_id"], "4711");
}

#[tokio::test]
async fn a_payload_without_an_id_is_refused_on_arrival() {
    let app = TestApp::start().await;
    for id in [Value::Null, json!(""), json!("  "), json!([])] {
        let mut payload = participants("j-1", 1);
        payload["id"] = id;
        let refused = app.post("/process-data-sf", payload.to_string()).await.expect(422);
        assert_eq!(refused["error"], "Payload has no id");
    }
}
