//! Forms that wait for what other forms bring (`docs/service.md`, guarantee 11): found, woken, and told apart.

mod out_of_order;

use commcare_sf_integration::submission::{Origin, Trigger};
use serde_json::{Value, json};

use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::claims::ClaimMany;
use crate::support::forms::{attendance, attendance_light, mill, mill_visit, registration};
use crate::support::metrics::Metrics;
use crate::support::postgres::TestDatabase;

use crate::support::salesforce::SalesforceStandIn;

on_both_back_ends!(
    what_a_form_waits_for_leads_to_the_form_that_would_bring_it,
    a_waiting_form_is_told_apart_from_one_that_needs_a_person,
    wet_mill_forms_do_not_wait_for_salesforce,
    a_mill_is_found_by_each_of_its_ids,
    a_batch_takes_no_more_of_the_woken_than_it_has_room_for,
);

async fn found(app: &TestApp, id: &str) -> Vec<String> {
    let found = app.get(&format!("/record/commcare_collection/{id}")).await.expect(200);
    let ids = found.as_array().unwrap().iter().map(|document| document["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// An attendance of the farmer and the session of the registration `r`.
fn of_registration(id: &str) -> Value {
    let mut form = attendance(id, 1);
    form["form"]["training_session"] = "session-r".into();
    form["form"]["present_participants"] = "farmer-r".into();
    form
}

async fn what_a_form_waits_for_leads_to_the_form_that_would_bring_it(backend: Backend) {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::on(&backend, &stand_in, &[]).await;
    stand_in.refuse_row("farmer-r", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "the age is wrong");
    assert_eq!(app.process(&registration("r")).await["status"], "failed");
    let waiting = app.process(&of_registration("a")).await;
    assert_eq!(waiting["waits_for"], json!(["Participant__c/farmer-r"]));
    assert_eq!(found(&app, "farmer-r").await, ["r", "a"], "what would write it, then what waits for it");
    for id in ["FARMER-R", "household-r", "session-r", "group-r", "r"] {
        assert!(found(&app, id).await.contains(&"r".to_owned()), "{id}");
    }
    let page = app.get("/dashboard/record/commcare_collection/a").await.text;
    assert!(page.contains("/dashboard/search?id=farmer-r"), "{page}");
    let page = app.get("/dashboard/search?id=farmer-r").await.text;
    assert!(page.contains("/dashboard/record/commcare_collection/r"), "{page}");
    assert!(page.contains("the age is wrong"), "why it is not there: {page}");
    app.get("/record/commcare_collection/farmer-x").await.expect(404);
    // Once it is there, all of them have written it.
    app.get("/retry/sf/r").await.expect(200);
    app.auto_retry().await;
    assert_eq!(found(&app, "session-r").await, ["r", "a"]);
}

async fn a_batch_takes_no_more_of_the_woken_than_it_has_room_for(backend: Backend) {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::on(&backend, &stand_in, &[]).await;
    for id in ["a-1", "a-2", "a-3"] {
        let mut form = attendance(id, 1);
        form["form"]["present_participants"] = "farmer-r".into();
        assert_eq!(app.process(&form).await["error_kind"], "dependency");
    }
    app.accept(&registration("r")).await;
    let drained = app.post("/process-firestore-to-sf?limit=2", "").await.expect(200);
    assert_eq!(drained["processed_records"], json!(["r", "a-1"]), "the oldest of them: {drained}");
    // The others are due all the same.
    let retried = app.auto_retry().await;
    assert_eq!(retried["processed_records_count"], 2, "{retried}");
}

#[tokio::test]
async fn a_form_keeps_its_place_behind_one_of_many_in_work() {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&stand_in, &[]).await;
    for number in 0..20 {
        app.accept(&attendance_light(&format!("f-{number}"))).await;
    }
    let queue = &app.app.queue;
    let claims = queue.claim_oldest(Origin::CommCare, 20, "another", Trigger::Batch).await.unwrap().claims;
    assert_eq!(claims.len(), 20);
    for (id, session) in [("behind", "session-f-19"), ("free", "session-free")] {
        let mut form = attendance_light(id);
        form["form"]["selected_training_module"] = session.into();
        app.accept(&form).await;
    }
    let drained = app.drain().await;
    assert_eq!(drained["released_records"], json!(["behind"]), "{drained}");
    assert_eq!(drained["processed_records"], json!(["free"]), "{drained}");
}

async fn a_waiting_form_is_told_apart_from_one_that_needs_a_person(backend: Backend) {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::on(&backend, &stand_in, &[]).await;
    stand_in.refuse_row("household-r", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "no");
    app.process(&registration("r")).await;
    app.process(&of_registration("a")).await;
    let ids = async |query: &str| -> Vec<(Value, Value)> {
        let answer = app.get(&format!("/failed/sf{query}")).await.expect(200);
        let jobs = answer["failed_jobs"].as_array().unwrap();
        jobs.iter().map(|job| (job["id"].clone(), job["awaits"].clone())).collect()
    };
    let (waits, needs) = ((json!("a"), json!("reference")), (json!("r"), json!("person")));
    assert_eq!(ids("").await, [waits.clone(), needs.clone()]);
    assert_eq!(ids("?awaits=reference").await, [waits]);
    assert_eq!(ids("?awaits=person&summary=true").await, [needs]);
    assert_eq!(ids("?awaits=retry").await, []);
    assert_eq!(ids("?awaits=person&error_kind=dependency").await, []);
    let bad = app.get("/failed/sf?awaits=godot").await.expect(422);
    assert!(bad["error"].as_str().unwrap().contains("awaits"), "{bad}");
    assert_eq!(app.counts().await["failed"], 2, "the four numbers stay");
    let metrics = Metrics::of(&app).await;
    for (awaits, count) in [("reference", 1), ("retry", 0), ("person", 1)] {
        let labels = [("collection", "commcare_collection"), ("awaits", awaits)];
        metrics.expect("queue_failed_records", &labels, count);
    }
    let overview = app.get("/dashboard").await.text;
    assert!(overview.contains("/dashboard/failed/sf?awaits=person"), "{overview}");
    let page = app.get("/dashboard/failed/sf?awaits=person").await.text;
    assert!(page.contains("commcare_collection/r") && !page.contains("commcare_collection/a"), "{page}");
}

async fn with_database(backend: &Backend) -> (SalesforceStandIn, TestDatabase, TestApp) {
    let (stand_in, database) = (SalesforceStandIn::start().await, TestDatabase::migrated().await);
    let variables = [("DATABASE_URL", database.url.as_str())];
    let app = TestApp::on(backend, &stand_in, &variables).await;
    (stand_in, database, app)
}

async fn wet_mill_forms_do_not_wait_for_salesforce(backend: Backend) {
    let (stand_in, database, app) = with_database(&backend).await;
    stand_in.refuse_logins(true);
    app.accept(&registration("r")).await;
    assert_eq!(app.drain().await["stopped"]["destination"], "salesforce");
    for id in ["v-1", "v-2"] {
        let visit = app.accept(&mill_visit(id, "m", &json!({ "volume": "40" }))).await;
        assert_eq!(visit["record_status"], "failed");
    }
    assert_eq!(app.record("v-1").await["waits_for"], json!(["wetmills/case-m"]));
    app.accept(&mill("m")).await;
    let retried = app.auto_retry().await;
    let mut processed: Vec<&Value> = retried["processed_records"].as_array().unwrap().iter().collect();
    processed.sort_by_key(|id| id.as_str());
    assert_eq!(processed, ["v-1", "v-2"], "side by side: {retried}");
    assert_eq!(retried["stopped"]["destination"], "salesforce");
    assert_eq!(database.count("form_visits").await, 2);
    // So it is with new ones.
    let body = json!({ "ids": ["v-1", "m"], "status": "new" }).to_string();
    app.post("/bulk_update/commcare_collection/", body).await.expect(200);
    assert_eq!(app.drain().await["processed_records"], json!(["v-1", "m"]));
    assert_eq!(
        (&app.counts().await["new"], app.record("r").await["run_retries"].clone()),
        (&json!(1), json!(0))
    );
}

async fn a_mill_is_found_by_each_of_its_ids(backend: Backend) {
    let (_stand_in, _database, app) = with_database(&backend).await;
    app.accept(&mill_visit("v", "m", &json!({}))).await;
    app.accept(&mill("m")).await;
    assert_eq!(found(&app, "tns-m").await, ["m"]);
    assert_eq!(found(&app, "case-m").await, ["m", "v"], "and the visit that waits for it");
    app.auto_retry().await;
    assert_eq!(found(&app, "case-m").await, ["m"]);
    assert_eq!(found(&app, "WV-v").await, ["v"]);
}
