//! Retries by hand beside other workers, and while a destination or the queue is away: the answer gives the true reason.

use std::time::Duration;

use commcare_sf_integration::queue::ClaimResult;
use commcare_sf_integration::submission::{Origin, Trigger};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::forms::{attendance_light, mill};
use crate::support::salesforce::SalesforceStandIn;

#[tokio::test]
async fn a_record_that_another_worker_takes_meanwhile_is_reported_as_in_work() {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &[("SF_CONCURRENCY", "1")]).await;
    for id in ["f-1", "f-2"] {
        app.accept(&attendance_light(id)).await;
    }
    salesforce.delay(Duration::from_secs(1));
    let take_the_second = async {
        while app.record("f-1").await["status"] != "processing" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let queue = &app.app.queue;
        let candidate = queue.candidate(Origin::CommCare, "f-2").await.unwrap().unwrap();
        queue.claim(candidate, "another", Trigger::Batch, None).await.unwrap()
    };
    let both = json!({ "ids": ["f-1", "f-2"] }).to_string();
    let (answer, claimed) = tokio::join!(app.post("/batch_retry/sf/", both), take_the_second);
    assert!(matches!(claimed, ClaimResult::Claimed(_)), "{claimed:?}");
    let results = answer.expect(200)["results"].clone();
    assert_eq!(results[0]["results"][0]["status"], "completed", "{results}");
    let second = json!({ "doc_id": "f-2", "status": "processing", "error": null });
    assert_eq!(results[1]["results"], json!([second]), "{results}");
}

#[tokio::test]
async fn records_whose_destination_is_away_say_so() {
    let variables = [
        ("DATABASE_URL", "postgres://127.0.0.1:1/nothing"),
        ("REQUEST_TIMEOUT_SECONDS", "1"),
        ("SF_CONCURRENCY", "1"),
    ];
    let app = TestApp::with(&[&variables[..], &[("INLINE_SECONDS", "1")]].concat()).await;
    let ids: Vec<String> = (0..6).map(|number| format!("m-{number}")).collect();
    for id in &ids {
        app.accept(&mill(id)).await;
    }
    let answer = app.post("/batch_retry/sf/", json!({ "ids": ids }).to_string()).await.expect(200);
    let results: Vec<&Value> =
        answer["results"].as_array().unwrap().iter().map(|of_id| &of_id["results"][0]).collect();
    let not_started: Vec<&&Value> =
        results.iter().filter(|result| result["status"] == "not started").collect();
    assert!(!not_started.is_empty(), "{answer}");
    for result in not_started {
        let error = result["error"].as_str().unwrap();
        assert!(error.starts_with("PostGIS takes nothing: "), "{answer}");
    }
}

mod firestore {
    use tonic::Code;

    use super::*;
    use crate::support::firestore::Firestore;

    #[tokio::test]
    async fn records_that_the_queue_did_not_give_say_so() {
        let (firestore, salesforce) = (Firestore::start(), SalesforceStandIn::start().await);
        let variables = [&firestore.variables()[..], &[("SF_CONCURRENCY", "1")]].concat();
        let app = TestApp::sending_to(&salesforce, &variables).await;
        // A round has eight records.
        let ids: Vec<String> = (0..9).map(|number| format!("f-{number}")).collect();
        for id in &ids {
            app.accept(&attendance_light(id)).await;
        }
        salesforce.delay(Duration::from_millis(100));
        let lose_the_second_round = async {
            while salesforce.requests() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            firestore.fail_next("GetDocument", Code::PermissionDenied, 1);
        };
        let retry = app.post("/batch_retry/sf/", json!({ "ids": ids }).to_string());
        let (answer, ()) = tokio::join!(retry, lose_the_second_round);
        let answer = answer.expect(200);
        let results: Vec<&Value> =
            answer["results"].as_array().unwrap().iter().map(|of_id| &of_id["results"][0]).collect();
        assert!(results[..8].iter().all(|result| result["status"] == "completed"), "{answer}");
        let last = json!({ "doc_id": "f-8", "status": "not started", "error": "the queue did not answer" });
        assert_eq!(results[8], &last, "{answer}");

        firestore.fail_next("Commit", Code::PermissionDenied, 1);
        let answer = app.get("/retry/sf/f-8").await.expect(200);
        assert_eq!(answer["results"], json!([last]), "it could not be claimed");
    }
}
