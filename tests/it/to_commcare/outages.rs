//! CommCare in trouble of its own: slow, down, or refusing this service.

use std::time::Duration;

use serde_json::json;

use super::participants;
use crate::support::app::TestApp;
use crate::support::commcare::{CommCareStandIn, Fault};

#[tokio::test]
async fn a_refused_key_leaves_records_new_and_is_tried_once() {
    for status in [401, 403, 509] {
        let hq = CommCareStandIn::start().await;
        hq.set_outage(Some(Fault::Answer(status, "Unauthorized".to_owned())));
        let app = TestApp::with(&[&hq.variables()[..], &[("CC_CONCURRENCY", "1")]].concat()).await;
        app.accept_for_commcare(&participants("j-1", 20)).await;
        app.accept_for_commcare(&participants("j-2", 20)).await;
        let report = app.drain_to_commcare("?drain=true").await;
        assert_eq!(report["stopped"]["destination"], "commcare");
        let reason = report["stopped"]["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("HTTP Status: {status}")), "{reason}");
        assert_eq!((hq.requests(), &report["failed_records"]), (1, &json!([])));
        let record = app.commcare_record("j-1").await;
        assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)));
        let again = app.drain_to_commcare("").await;
        assert_eq!((&again["stopped"]["destination"], hq.requests()), (&json!("commcare"), 1));
        let ready = app.get("/ready").await.expect(200);
        assert_eq!(ready["down"], json!(["commcare"]));
        assert_eq!(app.get("/retry/cc/j-1").await.expect(200)["results"][0]["status"], "not started");
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_keeps_what_was_taken() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&[&hq.variables()[..], &[("CC_CONCURRENCY", "1")]].concat()).await;
    hq.fail("case-j-1-3", Fault::Answer(403, String::new()));
    app.accept_for_commcare(&participants("j-1", 5)).await;
    let report = app.drain_to_commcare("").await;
    assert_eq!((&report["released_records"], hq.requests()), (&json!(["j-1"]), 3), "{report}");
    let record = app.commcare_record("j-1").await;
    assert_eq!((&record["status"], &record["delivered"]), (&json!("new"), &json!([1, 2])));
}

#[tokio::test]
async fn an_outage_stops_the_drain_and_one_record_finds_the_way_back() {
    let hq = CommCareStandIn::start().await;
    hq.set_outage(Some(Fault::CutBefore));
    let app =
        TestApp::with(&[&hq.variables()[..], &[("CC_CONCURRENCY", "3"), ("LEASE_SECONDS", "2")]].concat())
            .await;
    for number in 1..=6 {
        app.accept_for_commcare(&participants(&format!("j-{number}"), 30)).await;
    }
    let report = app.drain_to_commcare("?drain=true").await;
    assert_eq!(report["processed_records"], json!([]));
    let down = hq.requests();
    assert!(down < 40, "not all 180 were tried: {down}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    hq.set_outage(None);
    let report = app.drain_to_commcare("?drain=true").await;
    assert_eq!(report["failed_records"], json!([]), "{report}");
    let counts = app.get("/status-count/salesforce_collection").await.expect(200)["status_counts"].clone();
    assert_eq!(counts["new"], 0, "{counts}");
}

#[tokio::test]
async fn too_many_requests_slow_the_sender_and_fail_nothing() {
    for status in [423, 429, 503] {
        let hq = CommCareStandIn::start().await;
        hq.delay(Duration::from_millis(5));
        let app = TestApp::with(&[&hq.variables()[..], &[("CC_CONCURRENCY", "8")]].concat()).await;
        hq.fail_next(6, &Fault::Answer(status, String::new()));
        let record = app.process_for_commcare(&participants("j-1", 40)).await;
        assert_eq!(record["status"], "completed", "{record}");
        assert_eq!((hq.requests(), hq.cases().len()), (46, 40));
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&hq.variables()).await;
    hq.fail_next(1, &Fault::Busy(429, "2".to_owned()));
    let began = std::time::Instant::now();
    assert_eq!(app.process_for_commcare(&participants("j-1", 1)).await["status"], "completed");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_and_is_a_duplicate_to_commcare() {
    let hq = CommCareStandIn::start().await;
    let app = TestApp::with(&[&hq.variables()[..], &[("REQUEST_TIMEOUT_SECONDS", "1")]].concat()).await;
    hq.fail("case-j-1-1", Fault::CutAfter);
    hq.fail("case-j-1-2", Fault::CutBefore);
    hq.fail("case-j-1-3", Fault::Hang);
    let record = app.process_for_commcare(&participants("j-1", 4)).await;
    assert_eq!((&record["status"], hq.requests()), (&json!("completed"), 7), "{record}");
    let forms = hq.forms();
    assert_eq!(forms.values().map(|form| form.duplicates).sum::<usize>(), 1);
    assert!(forms.len() == 4 && forms.values().all(|form| form.edits == 0));
}

#[tokio::test]
async fn a_drain_ends_with_its_budget_and_goes_on_where_it_was() {
    let hq = CommCareStandIn::start().await;
    hq.delay(Duration::from_millis(100));
    let variables = [("CC_CONCURRENCY", "2"), ("DRAIN_BUDGET_SECONDS", "1")];
    let app = TestApp::with(&[&hq.variables()[..], &variables].concat()).await;
    app.accept_for_commcare(&participants("j-1", 30)).await;
    let report = app.drain_to_commcare("?drain=true").await;
    assert_eq!(report["released_records"], json!(["j-1"]));
    let record = app.commcare_record("j-1").await;
    let delivered = record["delivered"].as_array().unwrap().len();
    assert!((10..30).contains(&delivered) && record["run_retries"] == 0, "{record}");
    let mut drains = 1;
    while app.commcare_record("j-1").await["status"] == "new" {
        app.drain_to_commcare("").await;
        drains += 1;
    }
    assert_eq!(app.commcare_record("j-1").await["status"], "completed");
    let repeated = hq.forms().values().filter(|form| form.duplicates > 0).count();
    assert!(repeated <= 2 * (drains - 1), "only those that were under way: {repeated} in {drains} drains");
}
