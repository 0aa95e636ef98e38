//! `since` brings the past of a programme in, and the past overwrites nothing newer.

use chrono::{DateTime, Utc};
use commcare_sf_integration::clock;
use serde_json::{Value, json};

use super::{counts, form, hours_ago, reconcile, service};
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms::{attendance, attendance_light};
use crate::support::forms_api::{HqForms, forwarded};
use crate::support::log::Log;
use crate::support::salesforce::SalesforceStandIn;

on_both_back_ends!(
    the_past_comes_in_by_its_days,
    a_form_of_the_past_does_not_overwrite_a_newer_one,
    a_fetched_form_is_newer_than_one_that_came_late,
    a_form_of_the_past_waits_for_what_it_needs,
);

const DAY: i64 = 24;

async fn the_past_comes_in_by_its_days(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("today", 1)).await;
    for days in [700, 400, 100, 40] {
        hq.has(&form(&format!("day-{days}"), days * DAY));
    }
    // Indexed anew since; a form from before the time that is asked for.
    hq.has_indexed(&form("older", 900 * DAY), hours_ago(2));
    let date = |days: i64| hours_ago(days * DAY).date_naive();
    let until = |days| format!("?since={}&until={}", date(701), date(days));
    let dry = reconcile(&app, &format!("{}&dry_run=true", until(100))).await;
    assert_eq!(counts(&dry)[1], 3, "{dry}");
    assert_eq!(app.counts().await["new"], 1);
    let answer = reconcile(&app, &until(100)).await;
    assert_eq!(counts(&answer)[1], 3, "{answer}");
    let days: Vec<&Value> =
        answer["missing"].as_array().unwrap().iter().map(|missing| &missing["day"]).collect();
    assert_eq!(days, [700, 400, 100].map(|days| json!(date(days).to_string())).iter().collect::<Vec<_>>());
    app.get("/record/commcare_collection/day-40").await.expect(404);
    assert_eq!(counts(&reconcile(&app, &format!("?since={}", date(701))).await)[1..4], [1, 0, 3]);
    app.get("/record/commcare_collection/older").await.expect(404);
    // Oldest first, by when CommCare received them.
    let drained = app.post("/process-firestore-to-sf?limit=2", "").await.expect(200);
    let mut drained: Vec<&str> =
        drained["processed_records"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    drained.sort_unstable();
    assert_eq!(drained, ["day-400", "day-700"]);
    let page = app.get("/dashboard").await.text;
    assert!(page.contains("forms since "), "{page}");
}

/// A light attendance of the session that two forms write.
fn observed(id: &str, trainer: &str, received: DateTime<Utc>) -> Value {
    let mut form = attendance_light(id);
    form["form"]["selected_training_module"] = json!("session-shared");
    form["form"]["trainer"] = json!(trainer);
    forwarded(form, received)
}

/// The trainer of the session in Salesforce.
fn trainer(stand_in: &SalesforceStandIn) -> String {
    let sessions = json!(stand_in.records("Training_Session__c"));
    let text = sessions.to_string();
    let found = ["a1H00000000000OLD", "a1H00000000000NEW"].into_iter().filter(|id| text.contains(id));
    found.collect::<Vec<_>>().join(",")
}

async fn sending(backend: &Backend, stand_in: &SalesforceStandIn, hq: &HqForms) -> TestApp {
    TestApp::on(backend, stand_in, &hq.variables()).await
}

async fn a_form_of_the_past_does_not_overwrite_a_newer_one(backend: Backend) {
    let (hq, stand_in) = (HqForms::start().await, SalesforceStandIn::start().await);
    let app = sending(&backend, &stand_in, &hq).await;
    app.process(&observed("newer", "a1H00000000000NEW", hours_ago(DAY))).await;
    assert_eq!(trainer(&stand_in), "a1H00000000000NEW");
    hq.has(&observed("older", "a1H00000000000OLD", hours_ago(400 * DAY)));
    let since = hours_ago(500 * DAY).date_naive();
    assert_eq!(reconcile(&app, &format!("?since={since}")).await["accepted"], 1);
    app.drain().await;
    let record = app.record("older").await;
    assert_eq!((&record["status"], &record["cause"]), (&json!("failed"), &json!("superseded")), "{record}");
    assert!(
        record["error"].as_str().unwrap().starts_with("form newer arrived later and has written"),
        "{record}"
    );
    assert_eq!(trainer(&stand_in), "a1H00000000000NEW");
    // By force it may.
    app.get("/retry/sf/older?force=true").await.expect(200);
    assert_eq!(trainer(&stand_in), "a1H00000000000OLD");
}

async fn a_fetched_form_is_newer_than_one_that_came_late(backend: Backend) {
    let (hq, stand_in) = (HqForms::start().await, SalesforceStandIn::start().await);
    let app = sending(&backend, &stand_in, &hq).await;
    // CommCare tried for days to deliver it, and succeeded only now.
    app.process(&observed("late", "a1H00000000000OLD", hours_ago(3 * DAY))).await;
    hq.has(&observed("given-up", "a1H00000000000NEW", hours_ago(2 * DAY)));
    assert_eq!(reconcile(&app, "").await["accepted"], 1);
    app.drain().await;
    let record = app.record("given-up").await;
    assert_eq!(record["status"], "completed", "{record}");
    assert!(record["note"].as_str().unwrap().contains("a reconciliation fetched it"), "{record}");
    assert_eq!(
        trainer(&stand_in),
        "a1H00000000000NEW",
        "it is the later one, although it has the earlier place"
    );
    // And the other one stays the older.
    app.get("/retry/sf/late").await.expect(200);
    assert_eq!(app.record("late").await["cause"], "superseded");
    assert_eq!(trainer(&stand_in), "a1H00000000000NEW");
    let page = app.get("/dashboard/record/commcare_collection/given-up").await.text;
    assert!(page.contains("It has reached Salesforce.") && page.contains("by a reconciliation"), "{page}");
}

async fn a_form_of_the_past_waits_for_what_it_needs(backend: Backend) {
    let (hq, stand_in) = (HqForms::start().await, SalesforceStandIn::start().await);
    let app = sending(&backend, &stand_in, &hq).await;
    let mut visit = attendance("f-1", 1);
    visit["form"]["present_participants"] = json!("nobody-knows-me");
    hq.has(&forwarded(visit, hours_ago(200 * DAY)));
    let since = hours_ago(300 * DAY).date_naive();
    assert_eq!(reconcile(&app, &format!("?since={since}")).await["accepted"], 1);
    let log = Log::production(None);
    app.drain().await;
    let record = app.record("f-1").await;
    assert_eq!(record["error_kind"], "dependency", "{record}");
    let [failed] = &log.events("record failed")[..] else { panic!("{}", log.text()) };
    assert_eq!(failed["awaits"], "reference", "{failed}");
    let next = record["next_retry_at"].as_str().expect("its patience begins when it was fetched");
    assert!(next.parse::<DateTime<Utc>>().unwrap() > clock::now(), "{record}");
}
