//! A shutdown while a drain runs: records in work end, the others go back to `new`.

use std::time::Duration;

use serde_json::json;

use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::salesforce::SalesforceStandIn;

on_both_back_ends!(what_has_not_started_stays_new_and_what_runs_ends,);

async fn what_has_not_started_stays_new_and_what_runs_ends(backend: Backend) {
    let stand_in = SalesforceStandIn::start().await;
    stand_in.delay(Duration::from_millis(100));
    let app = TestApp::on(&backend, &stand_in, &[("SF_CONCURRENCY", "1")]).await;
    for id in ["f-1", "f-2", "f-3"] {
        app.accept(&registration(id)).await;
    }
    let stop = async {
        while stand_in.logins() == 0 {
            tokio::task::yield_now().await;
        }
        // The first record has its session and its call is under way.
        app.shutdown.begin();
    };
    let (report, ()) = tokio::join!(app.drain(), stop);
    assert_eq!((&report["processed_records"], &report["failed_records"]), (&json!(["f-1"]), &json!([])));
    assert_eq!(report["released_records"], json!([]), "the others were not begun");
    assert!(report.get("stopped").is_none(), "no destination is to blame");
    assert_eq!(app.record("f-1").await["status"], "completed");
    for id in ["f-2", "f-3"] {
        let record = app.record(id).await;
        assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)));
        assert!(record.get("attempts").is_none(), "{record}");
    }
    assert_eq!(stand_in.requests(), 1);
    let report = app.drain().await;
    assert_eq!(report["processed_records"], json!([]), "nothing new is claimed");
    // Forms are taken until the very end, and wait for the next process.
    app.accept(&registration("f-4")).await;
}
