//! What a newer payload has written to a case stays (`docs/service.md`, guarantee 10).

use serde_json::{Value, json};

use super::participant;
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::commcare::{CommCareStandIn, Fault, openrosa_body};
use crate::support::process::{borrowed, queue_variables};

on_both_back_ends!(
    a_late_retry_leaves_out_what_a_newer_payload_has_written,
    a_payload_that_was_overtaken_before_its_first_run_leaves_it_out_too,
    what_a_newer_payload_only_would_write_holds_nothing_back,
    of_two_records_of_one_case_the_one_further_back_stays,
    a_completed_payload_that_is_retried_follows_the_rule_and_force_overrides_it,
    participants_wait_for_their_group_and_follow_in_its_drain,
    while_nobody_knows_of_a_newer_payload_the_older_one_is_held,
);

async fn start(backend: &Backend) -> (CommCareStandIn, TestApp) {
    let hq = CommCareStandIn::start().await;
    let queue = queue_variables(backend);
    let app = TestApp::with(&[&borrowed(&queue), &hq.variables()[..]].concat()).await;
    (hq, app)
}

/// A payload of participants, each a case and its name.
fn named(id: &str, cases: &[(&str, &str)]) -> Value {
    let records = cases.iter().map(|(case_id, name)| {
        let mut record = participant(case_id);
        record["participantName"] = (*name).into();
        record
    });
    json!({
        "id": id,
        "jobType": "Participant",
        "uniqueProjectKey": "Coffee_KE_2024AC",
        "participants": records.collect::<Vec<_>>(),
    })
}

/// The next submissions of this case are not taken, as often as one run sends them.
fn fail(hq: &CommCareStandIn, case_id: &str) {
    for _ in 0..4 {
        hq.fail(case_id, Fault::Answer(422, openrosa_body("post_processing_failure", "later")));
    }
}

fn refuse(hq: &CommCareStandIn, case_id: &str) {
    hq.fail(case_id, Fault::Answer(422, openrosa_body("processing_failure", "no")));
}

fn name(hq: &CommCareStandIn, case_id: &str) -> String {
    hq.cases()[case_id]["case_name"].clone()
}

/// Makes a failed payload due, and takes what is due.
async fn auto_retry(app: &TestApp, id: &str) -> Value {
    let body = json!({ "ids": [id], "status": "failed" }).to_string();
    app.post("/bulk_update/salesforce_collection/", body).await.expect(200);
    app.post("/auto-retry-firestore-to-cc", "").await.expect(200)
}

async fn a_late_retry_leaves_out_what_a_newer_payload_has_written(backend: Backend) {
    let (hq, app) = start(&backend).await;
    fail(&hq, "shared");
    fail(&hq, "own");
    let old = app.process_for_commcare(&named("j-1", &[("shared", "Old"), ("own", "Own")])).await;
    assert_eq!((&old["status"], &old["written"]), (&json!("failed"), &json!(["case/own", "case/shared"])));
    app.process_for_commcare(&named("j-2", &[("shared", "New")])).await;
    let before = name(&hq, "shared");
    assert_eq!(auto_retry(&app, "j-1").await["processed_records"], json!(["j-1"]));
    assert_eq!(name(&hq, "shared"), before, "the newer name stays");
    assert!(name(&hq, "own").starts_with("Own"), "the others are sent");
    let record = app.commcare_record("j-1").await;
    assert_eq!((&record["status"], &record["delivered"]), (&json!("completed"), &json!([2])));
    let note = record["note"].as_str().unwrap();
    assert!(note.contains("record 1 (shared) by payload j-2"), "{note}");
    let page = app.get("/dashboard/record/salesforce_collection/j-1").await.text;
    assert!(page.contains("It has reached CommCare, except what was left out"), "{page}");
    let found = app.get("/record/salesforce_collection/shared").await.expect(200);
    let found: Vec<&Value> = found.as_array().unwrap().iter().map(|document| &document["id"]).collect();
    assert_eq!(found, ["j-1", "j-2"], "both are about the case");
}

async fn a_payload_that_was_overtaken_before_its_first_run_leaves_it_out_too(backend: Backend) {
    let (hq, app) = start(&backend).await;
    app.accept_for_commcare(&named("j-1", &[("shared", "Old")])).await;
    app.accept_for_commcare(&named("j-2", &[("shared", "New")])).await;
    app.get("/retry/cc/j-2").await.expect(200);
    let before = (name(&hq, "shared"), hq.requests());
    assert_eq!(app.drain_to_commcare("?drain=true").await["processed_records"], json!(["j-1"]));
    assert_eq!((name(&hq, "shared"), hq.requests()), before);
    let record = app.commcare_record("j-1").await;
    assert_eq!((&record["status"], record.get("delivered")), (&json!("completed"), None));
    assert!(record["note"].as_str().unwrap().contains("j-2"), "{record}");
}

async fn what_a_newer_payload_only_would_write_holds_nothing_back(backend: Backend) {
    let (hq, app) = start(&backend).await;
    fail(&hq, "shared");
    app.process_for_commcare(&named("j-1", &[("shared", "Old")])).await;
    // The newer one has delivered another case, and this one not.
    refuse(&hq, "shared");
    let newer = app.process_for_commcare(&named("j-2", &[("shared", "New"), ("other", "Other")])).await;
    assert_eq!((&newer["status"], &newer["delivered"]), (&json!("failed"), &json!([2])));
    assert_eq!(auto_retry(&app, "j-1").await["processed_records"], json!(["j-1"]));
    assert!(name(&hq, "shared").starts_with("Old"));
    // Its other case has been written all the same.
    fail(&hq, "other");
    app.process_for_commcare(&named("j-0", &[("other", "x")])).await;
    app.process_for_commcare(&named("j-3", &[("other", "Third")])).await;
    auto_retry(&app, "j-0").await;
    assert!(name(&hq, "other").starts_with("Third"));
}

async fn of_two_records_of_one_case_the_one_further_back_stays(backend: Backend) {
    let (hq, app) = start(&backend).await;
    fail(&hq, "twice");
    let record = app.process_for_commcare(&named("j-1", &[("twice", "First"), ("twice", "Second")])).await;
    assert_eq!((&record["status"], &record["delivered"]), (&json!("failed"), &json!([2])));
    assert_eq!(auto_retry(&app, "j-1").await["processed_records"], json!(["j-1"]));
    assert!(name(&hq, "twice").starts_with("Second"));
    let record = app.commcare_record("j-1").await;
    assert!(
        record["note"].as_str().unwrap().contains("record 1 (twice) by record 2 of this payload"),
        "{record}"
    );
}

async fn a_completed_payload_that_is_retried_follows_the_rule_and_force_overrides_it(backend: Backend) {
    let (hq, app) = start(&backend).await;
    fail(&hq, "shared");
    app.process_for_commcare(&named("j-1", &[("shared", "Old"), ("own", "Own")])).await;
    app.process_for_commcare(&named("j-2", &[("shared", "New")])).await;
    auto_retry(&app, "j-1").await;
    let before = hq.requests();
    assert_eq!(app.get("/retry/cc/j-1").await.expect(200)["results"][0]["status"], "completed");
    assert_eq!(hq.requests() - before, 1, "all of it but the case");
    assert!(name(&hq, "shared").starts_with("New"));
    assert!(app.commcare_record("j-1").await["note"].is_string());
    let forced = app.get("/retry/cc/j-1?force=true").await.expect(200);
    assert_eq!(forced["results"][0]["status"], "completed");
    assert!(name(&hq, "shared").starts_with("Old"));
    let record = app.commcare_record("j-1").await;
    assert_eq!((record.get("note"), &record["delivered"]), (None, &json!([1, 2])));
}

async fn participants_wait_for_their_group_and_follow_in_its_drain(backend: Backend) {
    let (hq, app) = start(&backend).await;
    hq.check_parents();
    let waiting = app.process_for_commcare(&named("j-1", &[("p-1", "A"), ("p-2", "B")])).await;
    assert_eq!(
        (&waiting["error_kind"], &waiting["waits_for"]),
        (&json!("dependency"), &json!(["case/group-1"]))
    );
    app.accept_for_commcare(&super::group("g-1", "group-1")).await;
    let report = app.drain_to_commcare("?drain=true").await;
    assert_eq!(report["processed_records"], json!(["g-1", "j-1"]));
    assert_eq!(hq.cases().len(), 3);
    assert_eq!(app.commcare_record("j-1").await["run_retries"], 0);
}

async fn while_nobody_knows_of_a_newer_payload_the_older_one_is_held(backend: Backend) {
    let (hq, app) = start(&backend).await;
    fail(&hq, "shared");
    app.process_for_commcare(&named("j-1", &[("shared", "Old")])).await;
    // CommCare takes it, and the answer is lost however often it is sent.
    for _ in 0..4 {
        hq.fail("shared", Fault::CutAfter);
    }
    let newer = app.process_for_commcare(&named("j-2", &[("shared", "New")])).await;
    assert_eq!((&newer["status"], newer.get("delivered")), (&json!("new"), None));
    let held = auto_retry(&app, "j-1").await;
    assert_eq!(
        (&held["processed_records"], &held["released_records"]),
        (&json!([]), &json!(["j-1"])),
        "{held}"
    );
    for _ in 0..2 {
        app.drain_to_commcare("?drain=true").await;
    }
    let record = app.commcare_record("j-1").await;
    assert!(record["note"].as_str().unwrap().contains("payload j-2"), "{record}");
    assert_eq!(app.commcare_record("j-2").await["status"], "completed");
    assert!(name(&hq, "shared").starts_with("New"));
    assert_eq!(record["run_retries"], 0, "being held counts as nothing");
}
