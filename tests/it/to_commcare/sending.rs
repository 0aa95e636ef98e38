//! What reaches CommCare, and how fast.

use std::time::Duration;

use chrono::DateTime;
use serde_json::json;

use super::vectors::{Expect, Unsent, cases, difference};
use super::{group, participants};
use crate::support::app::TestApp;
use crate::support::commcare::CommCareStandIn;
use crate::support::xml;

#[tokio::test]
async fn every_vector_reaches_commcare_as_its_documents() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    for (number, mut case) in cases().into_iter().enumerate() {
        let name = &case.name;
        let id = &case.payload["id"];
        if !id.is_number() && id.as_str().is_none_or(|id| id.trim().is_empty()) {
            app.post("/process-data-sf", case.payload.to_string()).await.expect(422);
            continue;
        }
        // Some cases share an id, which would make one replace the other.
        let shared = app.get(&format!("/record/salesforce_collection/{}", plain(id))).await.status == 200;
        if shared {
            continue;
        }
        let before = hq.processed().len();
        let record = app.process_for_commcare(&case.payload).await;
        let sent = hq.processed().split_off(before);
        let Expect { documents, errors, .. } = &mut case.expect;
        let expected = documents.take().unwrap_or_default();
        let failed = !errors.is_empty();
        assert_eq!(
            record["status"],
            if failed { "failed" } else { "completed" },
            "{name} {number}: {record}"
        );
        if failed {
            assert_eq!(
                (&record["error_kind"], &record["next_retry_at"]),
                (&json!("permanent"), &json!(null))
            );
        }
        for Unsent { position, field } in errors {
            let error = record["error"].as_str().unwrap();
            let position = position.map(|position| format!("record {position}: ")).unwrap_or_default();
            assert!(error.contains(&position) && error.contains(field.as_deref().unwrap_or("not an object")));
        }
        let arrived = DateTime::parse_from_rfc3339(record["created_at"].as_str().unwrap()).unwrap();
        let now = arrived.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        assert_eq!(sent.len(), expected.len(), "{name}");
        for expected in &expected {
            // Whatever order they end in.
            let instance = |xml: &str| xml::parse(xml).unwrap().find("instanceID").unwrap().text.clone();
            let found = sent.iter().find(|sent| instance(sent) == instance(expected));
            let found = found.unwrap_or_else(|| panic!("{name}: {} is missing", instance(expected)));
            assert_eq!(difference(found, expected, &|text| text == now), None, "{name}");
        }
    }
    assert_eq!(hq.without_version(), 0);
    assert!(hq.forms().values().all(|form| form.processed && form.edits == 0 && form.duplicates == 0));
}

fn plain(id: &serde_json::Value) -> String {
    let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn fifty_are_under_way_and_connections_are_kept() {
    let hq = CommCareStandIn::start().await;
    hq.delay(Duration::from_millis(100));
    let app = TestApp::with(&hq.variables()).await;
    app.accept_for_commcare(&participants("j-1", 500)).await;
    let report = app.drain_to_commcare("").await;
    assert_eq!(report["processed_records"], json!(["j-1"]));
    assert_eq!((hq.requests(), hq.most_under_way(), hq.cases().len()), (500, 50, 500));
    assert!(hq.connections() <= 60, "{}", hq.connections());
}

#[tokio::test]
async fn the_bound_holds_over_payloads() {
    let hq = CommCareStandIn::start().await;
    hq.delay(Duration::from_millis(20));
    let app = TestApp::with(&[&hq.variables()[..], &[("CC_CONCURRENCY", "7")]].concat()).await;
    for number in 0..4 {
        app.accept_for_commcare(&participants(&format!("j-{number}"), 20)).await;
    }
    let report = app.drain_to_commcare("?drain=true").await;
    assert_eq!(report["processed_records"].as_array().unwrap().len(), 4, "{report}");
    assert_eq!((hq.requests(), hq.most_under_way()), (80, 7));
}

#[tokio::test]
async fn a_batch_is_one_record_unless_it_is_widened() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    for number in 0..9 {
        app.accept_for_commcare(&participants(&format!("j-{number}"), 1)).await;
    }
    let processed = |report: serde_json::Value| report["processed_records"].as_array().unwrap().len();
    assert_eq!(processed(app.drain_to_commcare("").await), 1);
    assert_eq!(processed(app.drain_to_commcare("?limit=6").await), 6, "more than are claimed at a time");
    assert_eq!(processed(app.drain_to_commcare("?drain=true").await), 2);
}

#[tokio::test]
async fn a_group_is_there_before_its_participants() {
    let hq = CommCareStandIn::start().await;
    hq.check_parents();
    hq.delay(Duration::from_millis(50));
    let app = TestApp::with(&hq.variables()).await;
    app.accept_for_commcare(&group("g-1", "group-1")).await;
    app.accept_for_commcare(&participants("j-1", 3)).await;
    let report = app.drain_to_commcare("?drain=true").await;
    assert_eq!(report["failed_records"], json!([]), "both were claimed together");
    assert_eq!(hq.requests(), 4);
}

#[tokio::test]
async fn records_of_one_case_are_sent_in_their_order() {
    let hq = CommCareStandIn::start().await;
    hq.delay(Duration::from_millis(20));
    let app = TestApp::with(&hq.variables()).await;
    let mut payload = participants("j-1", 20);
    for (number, record) in payload["participants"].as_array_mut().unwrap().iter_mut().enumerate() {
        record["commCareCaseId"] = "the-case".into();
        record["participantAge"] = number.into();
    }
    assert_eq!(app.process_for_commcare(&payload).await["status"], "completed");
    assert_eq!((hq.most_under_way(), hq.cases()["the-case"]["Age"].as_str()), (1, "19"));
}

#[tokio::test]
async fn a_completed_payload_runs_again_and_is_a_duplicate_to_commcare() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    let record = app.process_for_commcare(&participants("j-1", 3)).await;
    assert_eq!(record["delivered"], json!([1, 2, 3]));
    let answer = app.get("/retry/cc/j-1").await.expect(200);
    assert_eq!(answer["results"], json!([{ "doc_id": "j-1", "status": "completed", "error": null }]));
    assert_eq!(hq.requests(), 6);
    assert!(hq.forms().values().all(|form| form.duplicates == 1 && form.edits == 0), "the same bytes");
}

#[tokio::test]
async fn without_credentials_documents_are_recorded() {
    let app = TestApp::start().await;
    let mut payload = participants("j-1", 3);
    payload["participants"][1]["commCareCaseId"] = " ".into();
    let record = app.process_for_commcare(&payload).await;
    assert_eq!((&record["status"], &record["dry_run"]), (&json!("completed"), &json!(true)));
    assert_eq!(record["plan"]["documents"].as_array().unwrap().len(), 2);
    assert_eq!(record["plan"]["errors"][0]["position"], 2);
    assert!(record.get("delivered").is_none());
    app.get("/retry/cc/nobody").await.expect(404);
}
