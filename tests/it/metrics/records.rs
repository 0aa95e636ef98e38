//! Records: how they ended, how long that took, and what made them run again.

use std::time::Duration;

use serde_json::json;

use super::{start, unknown_code};
use crate::support::app::TestApp;
use crate::support::forms::{attendance, registration, unmappable};
use crate::support::metrics::Metrics;

const RECORDS: &str = "records_processed_total";

#[tokio::test]
async fn each_way_to_end_is_counted_with_its_job() {
    let (stand_in, app) = start().await;
    app.process(&registration("good")).await;
    app.process(&unmappable("bad")).await;
    app.process(&attendance("early", 1)).await;
    let mut nothing = registration("nothing");
    nothing["form"]["survey_detail"] = "Nothing to do".into();
    assert!(app.process(&nothing).await["note"].is_string());
    stand_in.refuse_row("household-locked", 400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access");
    app.process(&registration("locked")).await;
    stand_in.expire_sessions();
    stand_in.refuse_logins(true);
    app.process(&registration("no-login")).await;
    let metrics = Metrics::of(&app).await;
    let job = ("job", "Farmer Registration");
    let registrations = |outcome, expected| {
        let labels = [("collection", "commcare_collection"), job, ("outcome", outcome)];
        metrics.expect(RECORDS, &labels, expected);
    };
    registrations("completed", 2);
    registrations("completed_without_effect", 1);
    registrations("failed", 1);
    registrations("released", 1);
    metrics.expect(RECORDS, &[job, ("error_kind", "permanent")], 1);
    metrics.expect(RECORDS, &[("job", "Attendance Full - Current Module"), ("error_kind", "dependency")], 1);
    assert_eq!(metrics.get(RECORDS, &[("outcome", "failed"), ("error_kind", "")]), None);
}

#[tokio::test]
async fn a_run_that_an_edited_form_overtakes_was_replaced() {
    let (stand_in, app) = start().await;
    app.accept(&registration("f-1")).await;
    stand_in.delay(Duration::from_millis(300));
    let edit = async {
        while app.record("f-1").await["status"] != "processing" {
            tokio::task::yield_now().await;
        }
        let mut edited = registration("f-1");
        edited["form"]["Age"] = "42".into();
        edited["edited_on"] = "2026-03-02T00:00:00Z".into();
        assert_eq!(app.accept(&edited).await["replaced"], true);
    };
    tokio::join!(app.drain(), edit);
    let metrics = Metrics::of(&app).await;
    metrics.expect(RECORDS, &[("outcome", "replaced")], 1);
    metrics.expect(RECORDS, &[], 1);
}

#[tokio::test]
async fn processing_takes_seconds_by_job() {
    let (stand_in, app) = start().await;
    stand_in.delay(Duration::from_millis(120));
    app.process(&registration("f-1")).await;
    let metrics = Metrics::of(&app).await;
    let job = ("job", "Farmer Registration");
    metrics.expect("record_processing_seconds_count", &[job], 1);
    metrics.expect("record_processing_seconds_bucket", &[job, ("le", "0.1")], 0);
    let seconds = metrics.get("record_processing_seconds_sum", &[job]).unwrap();
    assert!((0.12..20.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn retries_are_counted_by_what_made_them_run() {
    let stand_in = crate::support::salesforce::SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&stand_in, &[("RETRY_BACKOFF_SECONDS", "1")]).await;
    app.process(&registration("f-1")).await;
    // The first run is no retry.
    Metrics::of(&app).await.expect("record_retries_total", &[], 0);
    app.get("/retry/sf/f-1").await.expect(200);
    stand_in.refuse_row("household-f-2", 400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id");
    app.process(&registration("f-2")).await;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    while app.record("f-2").await["status"] != "completed" {
        pause.tick().await;
        app.auto_retry().await;
    }
    // A retry that meets a refused login is put back, and was none.
    stand_in.expire_sessions();
    stand_in.refuse_logins(true);
    assert_eq!(app.get("/retry/sf/f-1").await.expect(200)["results"][0]["status"], "new");
    let metrics = Metrics::of(&app).await;
    for trigger in ["manual", "auto-retry"] {
        let labels = [("collection", "commcare_collection"), ("trigger", trigger)];
        metrics.expect("record_retries_total", &labels, 1);
    }
    metrics.expect("record_retries_total", &[], 2);
}

#[tokio::test]
async fn unknown_codes_are_counted_by_job_and_path_without_the_code() {
    let app = TestApp::start().await;
    assert_eq!(app.process(&unknown_code()).await["status"], "completed");
    let metrics = Metrics::of(&app).await;
    let path = ("path", "form.best_practice_questions.mulch.thickness_of_mulch");
    metrics.expect("unmapped_answers_total", &[("job", "Demo Plot Observation"), path], 1);
    assert!(!metrics.text.contains("\"77\""), "{}", metrics.text);
}

#[tokio::test]
async fn a_record_of_an_unknown_job_is_another_one() {
    use commcare_sf_integration::queue::Arriving;
    use commcare_sf_integration::submission::Origin;
    let app = TestApp::start().await;
    let arriving = Arriving {
        origin: Origin::CommCare,
        job_name: "A form of long ago".to_owned(),
        job_id: "old".to_owned(),
        data: json!({ "id": "old" }).into(),
        records: None,
    };
    app.app.queue.accept(arriving).await.unwrap();
    app.drain().await;
    let metrics = Metrics::of(&app).await;
    metrics.expect(RECORDS, &[("job", "other"), ("error_kind", "permanent")], 1);
    assert!(!metrics.text.contains("long ago"));
}
