//! `POST /process-firestore-to-sf`.

use serde_json::{Value, json};

use crate::queue::backend::Backend;
use crate::support::app::TestApp;
use crate::support::claims::ClaimMany;
use crate::support::forms::{UNMAPPABLE, registration, unmappable};
use crate::support::metrics::Metrics;
use crate::support::process::queue_variables;

async fn queue(app: &TestApp, count: usize) {
    for n in 0..count {
        app.accept(&registration(&format!("f-{n:02}"))).await;
    }
}

fn processed(report: &Value) -> usize {
    report["processed_records"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_answer_lists_what_became_of_each_record() {
    let app = TestApp::start().await;
    app.accept(&registration("good-1")).await;
    app.accept(&unmappable("bad")).await;
    app.accept(&registration("good-2")).await;
    let mut report = app.drain().await;
    let time_taken = report.as_object_mut().unwrap().remove("time_taken").unwrap();
    let number = time_taken.as_str().unwrap().strip_suffix(" minutes").unwrap().to_owned();
    assert!(number.parse::<f64>().is_ok() && number.split('.').nth(1).unwrap().len() == 2, "{time_taken}");
    report["processed_records"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    let expected = json!({
        "status": "Processing completed",
        "processed_records": ["good-1", "good-2"],
        "failed_records": [{ "doc_id": "bad", "error": UNMAPPABLE }],
        "released_records": [],
    });
    assert_eq!(report, expected);
}

#[tokio::test]
async fn an_empty_queue_is_no_error() {
    let app = TestApp::start().await;
    for path in ["/process-firestore-to-sf", "/process-firestore-to-sf?drain=true&limit=500"] {
        let report = app.post(path, "").await.expect(200);
        assert_eq!((processed(&report), &report["failed_records"]), (0, &json!([])));
    }
}

#[tokio::test]
async fn one_call_takes_one_batch_of_the_oldest() {
    let app = TestApp::start().await;
    queue(&app, 12).await;
    let report = app.drain().await;
    assert_eq!(processed(&report), 10);
    for left in ["f-10", "f-11"] {
        assert_eq!(app.record(left).await["status"], "new");
    }
}

#[tokio::test]
async fn a_limit_widens_the_batch() {
    let app = TestApp::with(&[("SF_BATCH_SIZE", "2")]).await;
    queue(&app, 6).await;
    assert_eq!(processed(&app.post("/process-firestore-to-sf?limit=3", "").await.expect(200)), 3);
    assert_eq!(processed(&app.post("/process-firestore-to-sf?drain=false", "").await.expect(200)), 2);
    assert_eq!(processed(&app.post("/process-firestore-to-sf?limit=500", "").await.expect(200)), 1);
}

#[tokio::test]
async fn draining_goes_on_batch_after_batch() {
    let app = TestApp::with(&[("SF_BATCH_SIZE", "2")]).await;
    queue(&app, 7).await;
    let drained = async |query: &str| {
        processed(&app.post(&format!("/process-firestore-to-sf?{query}"), "").await.expect(200))
    };
    assert_eq!(drained("drain=true&limit=3").await, 3, "a limit is the total");
    assert_eq!(drained("drain=true").await, 4);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let app = TestApp::start().await;
    queue(&app, 1).await;
    let limit = json!({ "error": "limit: must be a whole number from 1 to 500" });
    for bad in ["0", "501", "-1", "ten", "", "1.5", "99999999999999999999999", "%FF", "1%00"] {
        let answer = app.post(&format!("/process-firestore-to-sf?limit={bad}"), "").await;
        assert_eq!(answer.expect(422), limit, "{bad}");
    }
    let drain = json!({ "error": "drain: must be true or false" });
    for bad in ["", "yes", "2", "TRUE!"] {
        let answer = app.post(&format!("/process-firestore-to-sf?drain={bad}"), "").await;
        assert_eq!(answer.expect(422), drain, "{bad}");
    }
    assert_eq!(app.record("f-00").await["status"], "new", "nothing was claimed");
    assert_eq!(processed(&app.post("/process-firestore-to-sf?limit=1&drain=1", "").await.expect(200)), 1);
}

#[tokio::test]
async fn a_record_in_other_hands_is_left_alone() {
    use commcare_sf_integration::submission::{Origin, Trigger};
    let app = TestApp::start().await;
    queue(&app, 2).await;
    let claims =
        app.app.queue.claim_oldest(Origin::CommCare, 1, "another", Trigger::Batch).await.unwrap().claims;
    assert_eq!(claims[0].doc_id(), "f-00");
    assert_eq!(app.drain().await["processed_records"], json!(["f-01"]));
}

#[tokio::test]
async fn a_record_that_killed_its_workers_is_reported_as_failed() {
    use commcare_sf_integration::submission::{Origin, Trigger};
    let backend = Backend::sqlite();
    let variables = queue_variables(&backend);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let app = TestApp::with(&variables).await;
    app.accept(&registration("killer")).await;
    let doomed = backend.open_without_leases().await;
    for _ in 0..3 {
        let claimed = doomed.claim_oldest(Origin::CommCare, 1, "doomed", Trigger::Batch).await.unwrap();
        assert_eq!(claimed.claims.len(), 1);
    }
    app.accept(&registration("bystander")).await;
    let report = app.drain().await;
    assert_eq!(report["processed_records"], json!(["bystander"]));
    assert_eq!(report["failed_records"][0]["doc_id"], "killer");
    let error = report["failed_records"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("its worker disappeared 3 times"), "{error}");
    let labels = [("outcome", "failed"), ("error_kind", "permanent"), ("job", "Farmer Registration")];
    Metrics::of(&app).await.expect("records_processed_total", &labels, 1);
}

#[tokio::test]
async fn a_record_whose_job_nobody_knows_fails_alone() {
    use commcare_sf_integration::queue::Arriving;
    use commcare_sf_integration::submission::Origin;
    let app = TestApp::start().await;
    let unknown = Arriving {
        records: None,
        origin: Origin::CommCare,
        job_name: "A form of long ago".to_owned(),
        job_id: "old".to_owned(),
        data: json!({ "id": "old" }).into(),
    };
    app.app.queue.accept(unknown).await.unwrap();
    app.accept(&registration("good")).await;
    let report = app.drain().await;
    assert_eq!(report["processed_records"], json!(["good"]));
    assert_eq!(report["failed_records"].as_array().unwrap().len(), 1);
    let record = app.record("old").await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("permanent")));
    assert!(record["error"].as_str().unwrap().contains("no form type is named"), "{record}");
    assert_eq!(record["next_retry_at"], Value::Null);
}
