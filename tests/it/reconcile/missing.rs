//! What did not arrive is let in, by the rules of the webhook.

use serde_json::{Value, json};

use super::{counts, form, hours_ago, reconcile, service};
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::forms_api::{HqForms, forwarded};

on_both_back_ends!(
    what_did_not_arrive_is_fetched_once,
    an_edited_form_replaces_and_a_newer_edition_stays,
    an_edition_that_comes_while_its_form_is_processed_follows_it,
    a_form_that_hq_has_archived_is_named_and_written_no_more,
    an_empty_queue_fetches_nothing,
    a_first_day_brings_no_past,
    a_dry_run_changes_nothing,
    forms_that_hq_does_not_have_are_named_and_left_alone,
);

async fn what_did_not_arrive_is_fetched_once(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("f-0", 48)).await;
    let missing = form("f-1", 24);
    let mut archived = form("f-2", 12);
    archived["archived"] = json!(true);
    let mut unhandled = form("f-3", 11);
    unhandled["form"]["@name"] = json!("Followup");
    let mut nameless = form("f-4", 10);
    nameless["form"].as_object_mut().unwrap().remove("@name");
    let mut without_id = form("f-5", 9);
    without_id["id"] = Value::Null;
    let mut too_large = form("f-6", 8);
    too_large["form"]["notes"] = json!("x".repeat(1_100_000));
    for form in [&form("f-0", 48), &missing, &archived, &unhandled, &nameless, &without_id, &too_large] {
        hq.has(form);
    }
    let answer = reconcile(&app, "").await;
    assert_eq!(counts(&answer), [7, 2, 0, 1, 0, 2, 0, 2], "{answer}");
    let day = |hours| hours_ago(hours).date_naive().to_string();
    let of_day =
        |day: String| json!({ "job_name": "Farmer Registration", "day": day, "accepted": 1, "replaced": 0 });
    let missing_days = answer["missing"].as_array().unwrap();
    if day(24) != day(12) {
        assert_eq!(missing_days[..], [of_day(day(24)), of_day(day(12))], "{answer}");
    }
    let refused = answer["refused_forms"].as_array().unwrap();
    assert!(refused.iter().any(|form| *form == json!({ "id": null, "error": "it has no id" })), "{answer}");
    assert!(refused.iter().any(|form| form["id"] == "f-6"), "{answer}");

    let record = app.record("f-1").await;
    assert_eq!((&record["status"], &record["data"]["form"]["First_Name"]), (&json!("new"), &json!("Almaz")));
    assert_eq!(
        record["note"],
        "CommCare's forwarding did not bring this form: a reconciliation fetched it from CommCare HQ"
    );
    assert_eq!(record["attempts"][0]["trigger"], "reconcile");
    assert_eq!(record["attempts"][0]["outcome"], "updated");
    let time = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!(
        time(&record["created_at"]),
        time(&missing["received_on"]),
        "in the place that it would have had"
    );
    assert!(time(&record["fetched_at"]) > time(&record["created_at"]));

    assert_eq!(reconcile(&app, "").await["accepted"], 0);
    assert_eq!(app.record("f-1").await, record);
    app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
    let (done, noted) = (app.record("f-1").await, app.record("f-2").await);
    assert_eq!((&done["status"], &done["dry_run"]), (&json!("completed"), &json!(true)));
    assert_eq!(
        noted["note"],
        "the form was archived in CommCare: nothing is written, and what was written stays"
    );
    assert_eq!(counts(&reconcile(&app, "").await)[1..3], [0, 0], "processed forms are known as well");
}

async fn an_edited_form_replaces_and_a_newer_edition_stays(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    let edit = |mut form: Value, hours: i64, name: &str| {
        form["edited_on"] = json!(hours_ago(hours).to_rfc3339());
        form["server_modified_on"] = form["edited_on"].clone();
        form["form"]["First_Name"] = json!(name);
        form
    };
    let (first, second) = (form("f-1", 30), form("f-2", 30));
    app.accept(&first).await;
    app.accept(&edit(second.clone(), 2, "Newest")).await;
    hq.has_indexed(&edit(first, 5, "Edited"), hours_ago(5));
    hq.has_indexed(&edit(second, 5, "Older"), hours_ago(5));
    let answer = reconcile(&app, "").await;
    assert_eq!(counts(&answer), [2, 0, 1, 0, 1, 0, 0, 0], "{answer}");
    let name = async |id: &str| app.record(id).await["data"]["form"]["First_Name"].clone();
    assert_eq!((name("f-1").await, name("f-2").await), (json!("Edited"), json!("Newest")));
    let record = app.record("f-1").await;
    assert!(
        record["first_received_at"].is_string() && record["attempts"][0]["trigger"] == "reconcile",
        "{record}"
    );
}

async fn an_edition_that_comes_while_its_form_is_processed_follows_it(backend: Backend) {
    use crate::support::claims::ClaimMany;
    use commcare_sf_integration::submission::{Origin, Trigger};

    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    let mut form = form("f-1", 30);
    app.accept(&form).await;
    let queue = &app.app.queue;
    let mut claims = queue.claim_oldest(Origin::CommCare, 1, "another", Trigger::Batch).await.unwrap().claims;
    form["edited_on"] = json!(hours_ago(5).to_rfc3339());
    form["form"]["First_Name"] = json!("Edited");
    hq.has_indexed(&form, hours_ago(5));
    assert_eq!(reconcile(&app, "").await["replaced"], 1);
    assert_eq!(app.record("f-1").await["status"], "processing");
    queue.settle(claims.pop().unwrap(), crate::queue::backend::completed()).await.unwrap();
    let record = app.record("f-1").await;
    let history: Vec<_> =
        record["attempts"].as_array().unwrap().iter().map(|a| (&a["trigger"], &a["outcome"])).collect();
    assert_eq!(history, [(&json!("reconcile"), &json!("updated")), (&json!("batch"), &json!("replaced"))]);
    assert_eq!(record["status"], "new");
    assert_eq!(app.drain().await["processed_records"], json!(["f-1"]));
}

async fn a_form_that_hq_has_archived_is_named_and_written_no_more(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    let mut form = form("f-1", 30);
    app.process(&form).await;
    form["archived"] = json!(true);
    form["server_modified_on"] = json!(hours_ago(3).to_rfc3339());
    hq.has_indexed(&form, hours_ago(3));
    let answer = reconcile(&app, "").await;
    assert_eq!((&answer["replaced"], &answer["archived"]), (&json!(1), &json!(["f-1"])), "{answer}");
    app.drain().await;
    let record = app.record("f-1").await;
    assert!(record["note"].as_str().unwrap().starts_with("the form was archived in CommCare"), "{record}");
    let again = reconcile(&app, "").await;
    assert_eq!((&again["already_there"], &again["archived"]), (&json!(1), &json!([])), "{again}");
}

async fn an_empty_queue_fetches_nothing(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    hq.has(&form("f-1", 2));
    let answer = reconcile(&app, "").await;
    assert_eq!(counts(&answer), [0; 8]);
    assert!(answer["note"].as_str().unwrap().starts_with("the queue is empty"), "{answer}");
    assert_eq!(hq.asked().len(), 0);
    assert_eq!(app.counts().await["new"], 0);
}

async fn a_first_day_brings_no_past(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("first", 2)).await;
    hq.has(&form("recent", 20));
    hq.has(&form("before", 72));
    // HQ has indexed all of its forms anew.
    hq.has_indexed(&form("past", 24 * 400), hours_ago(1));
    let answer = reconcile(&app, "").await;
    assert_eq!(counts(&answer), [2, 1, 0, 0, 0, 0, 1, 0], "{answer}");
    app.record("recent").await;
    for id in ["before", "past"] {
        app.get(&format!("/record/commcare_collection/{id}")).await.expect(404);
    }
}

async fn a_dry_run_changes_nothing(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    let mut known = form("f-0", 48);
    app.accept(&known).await;
    known["edited_on"] = json!(hours_ago(3).to_rfc3339());
    hq.has_indexed(&known, hours_ago(3));
    hq.has(&form("f-1", 24));
    let before = app.record("f-0").await;
    for _ in 0..2 {
        let answer = reconcile(&app, "?dry_run=true").await;
        assert_eq!(
            (&answer["dry_run"], &answer["accepted"], &answer["replaced"]),
            (&json!(true), &json!(1), &json!(1))
        );
    }
    assert_eq!(app.record("f-0").await, before);
    app.get("/record/commcare_collection/f-1").await.expect(404);
    let page = app.get("/dashboard").await.text;
    assert!(page.contains("CommCare HQ has not been asked yet"), "a dry run is no run");
    assert_eq!(reconcile(&app, "").await["accepted"], 1);
}

async fn forms_that_hq_does_not_have_are_named_and_left_alone(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    // The one of five minutes ago may not be listed yet.
    let recent = forwarded(
        registration("recent"),
        commcare_sf_integration::clock::now() - chrono::TimeDelta::minutes(5),
    );
    for form in [form("f-1", 30), form("deleted", 20), recent] {
        app.accept(&form).await;
    }
    app.accept(&registration("says-nothing")).await;
    app.post("/process-firestore-to-sf?limit=2", "").await.expect(200);
    hq.has(&form("f-1", 30));
    let before = app.record("deleted").await;
    let answer = reconcile(&app, "").await;
    assert_eq!(answer["not_in_commcare"], json!({ "count": 1, "ids": ["deleted"] }), "{answer}");
    assert_eq!(app.record("deleted").await, before);
}

#[tokio::test]
async fn a_listed_form_of_another_program_is_not_a_reason_to_stop() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app: TestApp = service(&backend, &hq, &[]).await;
    app.accept(&form("f-0", 48)).await;
    hq.has_indexed(&json!({ "id": "odd" }), hours_ago(3));
    hq.has_indexed(&json!({ "id": "odder", "form": [] }), hours_ago(3));
    hq.has(&form("f-1", 2));
    let answer = reconcile(&app, "").await;
    assert_eq!(counts(&answer), [3, 1, 0, 0, 0, 2, 0, 0], "{answer}");
}
