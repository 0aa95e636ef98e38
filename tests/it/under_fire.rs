//! Salesforce fails in every way it has, and the forms still arrive: once, in order, by themselves.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms::{attendance, registration};
use crate::support::salesforce::{Fault, SalesforceStandIn};

/// A service whose failures are due again after a second.
async fn start(backend: &Backend) -> (SalesforceStandIn, TestApp) {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::on(backend, &stand_in, &[("RETRY_BACKOFF_SECONDS", "1")]).await;
    (stand_in, app)
}

async fn start_embedded() -> (SalesforceStandIn, TestApp) {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&stand_in, &[("RETRY_BACKOFF_SECONDS", "1")]).await;
    (stand_in, app)
}

async fn thirty_forms_come_through_everything(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    let drain = async || app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
    app.process(&registration("f-0")).await;
    for n in 1..30 {
        app.accept(&registration(&format!("f-{n}"))).await;
    }
    // An outage: those under way fail for the time being, the others are put back untouched.
    stand_in.set_outage(Some(Fault::CutBefore));
    let report = drain().await;
    assert_eq!(report["stopped"]["destination"], "salesforce", "{report}");
    assert_eq!(report["processed_records"], json!([]));
    // Eight at a time, and two more until the third failure says that it is an outage.
    assert!(report["failed_records"].as_array().unwrap().len() <= 10, "{report}");
    let ready = app.get("/ready").await.expect(200);
    assert_eq!(ready, json!({ "status": "ready", "down": ["salesforce"] }));
    stand_in.set_outage(None);
    // The daily calls are used up.
    stand_in.set_usage(15_000, 15_000);
    until_stopped(&app).await;
    stand_in.set_usage(100, 15_000);
    // The session runs out, and a row is locked.
    stand_in.expire_sessions();
    stand_in.refuse_row("household-f-7", 400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access");
    app.until_completed(30).await;
    // One at first, one of each probe, in the outage and after it, and one for the expiry where no probe met that.
    assert!((3..=4).contains(&stand_in.logins()), "{}", stand_in.logins());
    for object in ["Household__c", "Participant__c", "Training_Session__c", "Attendance__c"] {
        assert_eq!(stand_in.records(object).len(), 30, "{object}");
    }
    assert_eq!(app.get("/ready").await.expect(200), json!({ "status": "ready" }));
}

/// Drains until Salesforce is asked again, and says that its calls are used up.
async fn until_stopped(app: &TestApp) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut pause = tokio::time::interval(Duration::from_millis(200));
    loop {
        pause.tick().await;
        let report = app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
        let reason = report["stopped"]["reason"].as_str().unwrap_or_default();
        assert_eq!(report["processed_records"], json!([]), "{report}");
        if reason.contains("daily") {
            return;
        }
        assert!(Instant::now() < deadline, "{report}");
    }
}

async fn attendance_before_its_registration_completes_by_itself(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    // The session and the participant of this attendance are those of the registration `r`.
    let mut early = attendance("a", 1);
    early["form"]["training_session"] = "session-r".into();
    early["form"]["present_participants"] = "farmer-r".into();
    // Both say the same of the session: nothing newer would be undone.
    early["form"]["trainer"] = registration("r")["form"]["trainer"].clone();
    early["form"]["date"] = registration("r")["form"]["registration_date"].clone();
    let record = app.process(&early).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("dependency")));
    assert_eq!(record["last_step"], "Attendance__c");
    assert!(record["next_retry_at"].is_string(), "{record}");
    assert_eq!(record["waits_for"], json!(["Participant__c/farmer-r"]));
    app.process(&registration("r")).await;
    app.until_completed(2).await;
    let record = app.record("a").await;
    assert_eq!(record["run_retries"], 0, "waiting uses up no retry: {record}");
    assert_eq!(record["attempts"][1]["trigger"], "batch", "the registration's drain took it");
    assert!(record.get("waits_for").is_none(), "{record}");
    assert_eq!(stand_in.records("Attendance__c").len(), 1);
}

/// One of several forms about the household `h`.
fn edit(id: &str, trees: &str) -> Value {
    let mut form = registration("h");
    form["id"] = id.into();
    form["form"]["Number_of_Trees"] = trees.into();
    form
}

async fn a_retry_overwrites_nothing_newer_unless_by_force(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    // Monday's form fails, Tuesday's edit of the same household goes through.
    stand_in.refuse_row("household-h", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "not today");
    assert_eq!(app.process(&edit("monday", "100")).await["status"], "failed");
    assert_eq!(app.process(&edit("tuesday", "200")).await["status"], "completed");
    let trees = || stand_in.records("Household__c")[0]["Farm_Size__c"].clone();
    assert_eq!(trees(), "200");

    let answer = app.get("/retry/sf/monday").await.expect(200);
    assert_eq!(answer["results"][0]["status"], "failed");
    let error = answer["results"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("form tuesday arrived later and has written "), "{error}");
    assert_eq!(app.record("monday").await["error_kind"], "permanent");
    assert_eq!(trees(), "200");
    // What it wrote is told by record, and its own would not be among it.
    let written = app.record("tuesday").await["written"].clone();
    assert!(written.as_array().unwrap().contains(&json!("Household__c/household-h")), "{written}");
    // The later one may be repeated at any time.
    assert_eq!(app.get("/retry/sf/tuesday").await.expect(200)["results"][0]["status"], "completed");

    let answer = app.get("/retry/sf/monday?force=true").await.expect(200);
    assert_eq!(answer["results"][0]["status"], "completed");
    assert_eq!(trees(), "100");
    app.get("/retry/sf/monday?force=perhaps").await.expect(422);
}

/// Drains `slow` alone, whose call to Salesforce takes its time, and meanwhile `fast`.
async fn overtake(stand_in: &SalesforceStandIn, app: &TestApp, slow: &str, fast: &[&str]) {
    stand_in.delay(Duration::from_millis(1_500));
    let slow_drain = app.post("/process-firestore-to-sf?limit=1", "");
    let fast_drain = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        while app.record(slow).await["status"] != "processing" {
            pause.tick().await;
        }
        // Its call is asleep by now, or falls asleep in a moment.
        tokio::time::sleep(Duration::from_millis(300)).await;
        stand_in.delay(Duration::ZERO);
        // A drain leaves them to the one that has the record in work; a person does not wait.
        let drained = app.post("/process-firestore-to-sf", "").await.expect(200);
        assert_eq!(drained["processed_records"], json!([]), "{drained}");
        app.post("/batch_retry/sf/", json!({ "ids": fast }).to_string()).await.expect(200)
    };
    let (slow_drain, fast_drain) = tokio::join!(slow_drain, fast_drain);
    let results = fast_drain["results"].as_array().unwrap();
    assert!(results.iter().all(|one| one["results"][0]["status"] == "completed"), "{fast_drain}");
    assert_eq!(slow_drain.expect(200)["processed_records"], json!([slow]));
}

fn trees(stand_in: &SalesforceStandIn) -> Value {
    let households = stand_in.records("Household__c");
    households.iter().find(|found| found["Household_ID__c"] == "household-h").unwrap()["Farm_Size__c"].clone()
}

async fn statuses(app: &TestApp, ids: &[&str]) -> Vec<String> {
    let mut statuses = Vec::new();
    for id in ids {
        statuses.push(app.record(id).await["status"].as_str().unwrap().to_owned());
    }
    statuses
}

async fn the_newer_of_two_forms_that_overlap_stands_in_the_end(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    // A session, so that the calls below are the forms' own.
    app.process(&registration("first")).await;
    app.accept(&edit("monday", "100")).await;
    app.accept(&edit("tuesday", "200")).await;
    let before = stand_in.requests();
    overtake(&stand_in, &app, "monday", &["tuesday"]).await;
    assert_eq!(trees(&stand_in), "100", "monday's call came last");
    let tuesday = app.record("tuesday").await;
    assert_eq!((&tuesday["status"], &tuesday["attempts"][1]["outcome"]), (&json!("new"), &json!("updated")));
    assert_eq!(app.drain().await["processed_records"], json!(["tuesday"]));
    assert_eq!((trees(&stand_in), stand_in.requests() - before), (json!("200"), 3));
    assert_eq!(app.drain().await["processed_records"], json!([]), "and that is the end of it");
    assert_eq!(statuses(&app, &["monday", "tuesday"]).await, ["completed"; 2]);
}

async fn overlapping_drains_of_one_household_cost_at_most_two_writes_a_form(backend: Backend) {
    const EDITS: usize = 60;
    let (stand_in, app) = start(&backend).await;
    app.process(&registration("first")).await;
    for n in 0..EDITS {
        app.accept(&edit(&format!("edit-{n:02}"), &n.to_string())).await;
    }
    let before = stand_in.requests();
    stand_in.delay(Duration::from_millis(5));
    let drain_until_done = async || {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
            let counts = app.get("/status-count/commcare_collection").await.expect(200);
            if counts["status_counts"]["completed"] == EDITS + 1 {
                return;
            }
            assert!(Instant::now() < deadline, "{counts}");
        }
    };
    tokio::join!(drain_until_done(), drain_until_done(), drain_until_done());
    assert_eq!(trees(&stand_in), (EDITS - 1).to_string(), "the newest stands");
    let writes = stand_in.requests() - before;
    assert!(writes <= 2 * EDITS, "{writes} writes of {EDITS} forms");
}

async fn of_newer_forms_that_were_faster_the_newest_is_written_again(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    app.process(&registration("first")).await;
    let newer = ["tuesday", "wednesday", "thursday"];
    app.accept(&edit("monday", "100")).await;
    for (id, trees) in newer.into_iter().zip(["200", "300", "400"]) {
        app.accept(&edit(id, trees)).await;
    }
    let before = stand_in.requests();
    overtake(&stand_in, &app, "monday", &newer).await;
    assert_eq!(trees(&stand_in), "100");
    assert_eq!(
        statuses(&app, &newer).await,
        ["completed", "completed", "new"],
        "the newest covers the others"
    );
    assert_eq!(app.drain().await["processed_records"], json!(["thursday"]));
    assert_eq!(app.drain().await["processed_records"], json!([]));
    assert_eq!((trees(&stand_in), stand_in.requests() - before), (json!("400"), 5));
    assert_eq!(statuses(&app, &newer).await, ["completed"; 3]);
}

async fn forms_of_one_record_in_one_drain_are_written_once(backend: Backend) {
    let (stand_in, app) = start(&backend).await;
    let ids = ["e-0", "e-1", "e-2", "e-3", "e-4"];
    for (n, id) in ids.iter().enumerate() {
        app.accept(&edit(id, &n.to_string())).await;
    }
    assert_eq!(app.drain().await["processed_records"], json!(ids));
    assert_eq!((trees(&stand_in), stand_in.requests()), (json!("4"), 5));
    assert_eq!(statuses(&app, &ids).await, ["completed"; 5]);
    assert_eq!(app.drain().await["processed_records"], json!([]));
    assert!(app.record("e-4").await["attempts"].as_array().unwrap().len() == 1);
}

on_both_back_ends!(
    thirty_forms_come_through_everything,
    attendance_before_its_registration_completes_by_itself,
    a_retry_overwrites_nothing_newer_unless_by_force,
    the_newer_of_two_forms_that_overlap_stands_in_the_end,
    of_newer_forms_that_were_faster_the_newest_is_written_again,
    overlapping_drains_of_one_household_cost_at_most_two_writes_a_form,
    forms_of_one_record_in_one_drain_are_written_once,
);

#[tokio::test]
async fn a_failed_form_holds_back_those_that_depend_on_it_and_no_other() {
    let (stand_in, app) = start_embedded().await;
    app.accept(&registration("r")).await;
    let mut dependent = attendance("a", 1);
    dependent["form"]["training_session"] = "session-r".into();
    dependent["form"]["present_participants"] = "farmer-r".into();
    app.accept(&dependent).await;
    // Depends on the form that is held back.
    let mut next = attendance("b", 1);
    next["form"]["training_session"] = "session-r".into();
    next["form"]["present_participants"] = "farmer-a-0".into();
    app.accept(&next).await;
    app.accept(&registration("other")).await;
    stand_in.refuse_row("household-r", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "not today");
    let report = app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
    assert_eq!(report["processed_records"], json!(["other"]), "{report}");
    assert_eq!(report["failed_records"][0]["doc_id"], "r");
    assert_eq!(report["released_records"], json!(["a", "b"]));
    for id in ["a", "b"] {
        let record = app.record(id).await;
        assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)), "{record}");
    }
    // The next drain tries the first of them: by then it is its own trouble.
    let report = app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
    assert_eq!(report["failed_records"][0]["doc_id"], "a", "{report}");
    assert_eq!(report["released_records"], json!(["b"]));
}

#[tokio::test]
async fn after_an_outage_one_record_tests_the_way_and_the_others_follow() {
    let (stand_in, app) = start_embedded().await;
    for n in 0..5 {
        app.accept(&registration(&format!("f-{n}"))).await;
    }
    stand_in.set_outage(Some(Fault::CutBefore));
    app.drain().await;
    let met: u64 = app.counts().await["failed"].as_u64().unwrap();
    // Still down: at most the one record that tests it is put back.
    let report = app.drain().await;
    assert!(report["released_records"].as_array().unwrap().len() <= 1, "{report}");
    assert_eq!(app.counts().await["failed"], met, "no further record is counted");
    stand_in.set_outage(None);
    app.until_completed(5).await;
}

#[tokio::test]
async fn an_answer_that_was_lost_has_one_effect() {
    let (stand_in, app) = start_embedded().await;
    stand_in.fail_next(Fault::CutAfter);
    let record = app.process(&registration("r")).await;
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("completed"), &json!(0)));
    assert_eq!(stand_in.requests(), 2, "sent again, since nobody knew");
    assert_eq!(stand_in.records("Household__c").len(), 1);
    assert_eq!(stand_in.records("Attendance__c").len(), 1);
}

#[tokio::test]
async fn auto_retry_says_what_it_did_and_ends_after_max_retries() {
    let (stand_in, app) = start_embedded().await;
    let none = app.auto_retry().await;
    assert_eq!(
        (&none["processed_records_count"], &none["status"]),
        (&json!(0), &json!("Processing completed"))
    );
    for _ in 0..16 {
        stand_in.refuse_row("household-r", 400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access");
    }
    app.process(&registration("r")).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut pause = tokio::time::interval(Duration::from_millis(200));
    let mut waits: Vec<Value> = Vec::new();
    while app.record("r").await["next_retry_at"].is_string() {
        assert!(Instant::now() < deadline);
        pause.tick().await;
        // The later ones come after half a minute and more: those are asked for by hand.
        if app.record("r").await["run_retries"] == 0 {
            waits.push(app.auto_retry().await["failed_records"].clone());
        } else {
            app.get("/retry/sf/r").await.expect(200);
        }
    }
    let record = app.record("r").await;
    assert_eq!((&record["run_retries"], &record["next_retry_at"]), (&json!(3), &Value::Null), "{record}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 4);
    assert!(waits.iter().any(|failed| failed[0]["doc_id"] == "r"), "{waits:?}");
    assert_eq!(app.auto_retry().await["failed_records"], json!([]), "never again by itself");
}
