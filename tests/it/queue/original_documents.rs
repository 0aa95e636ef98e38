//! The original service's documents are read, drained and retried as they are.

use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use commcare_sf_integration::clock;
use commcare_sf_integration::config::{FirestoreSettings, QueueSettings};
use commcare_sf_integration::queue::{Fate, Queue, SettleResult};
use commcare_sf_integration::submission::{ErrorKind, NextRetry, Origin, Status, Trigger};
use firestore::{FirestoreDb, FirestoreTimestamp, FirestoreValue};
use gcloud_sdk::google::firestore::v1::Value;
use gcloud_sdk::google::firestore::v1::value::ValueType;
use serde_json::json;

use super::backend::{
    Backend, POLICY, arriving, claim, claim_one, completed, failed, ids, is_unavailable, put, put_id, the,
};
use crate::support::claims::ClaimMany;
use crate::support::firestore::{self as stand_in, connect, options};

async fn client(backend: &Backend) -> FirestoreDb {
    let QueueSettings::Firestore(settings) = &backend.settings else { panic!("Firestore only") };
    connect(options(stand_in::endpoint().host(), &settings.project)).await.unwrap()
}

/// A document as the original wrote it, under a random id.
async fn write(db: &FirestoreDb, doc_id: &str, id: FirestoreValue, status: &str, arrived: DateTime<Utc>) {
    let time = |time: DateTime<Utc>| -> FirestoreValue {
        FirestoreTimestamp::try_from(SystemTime::from(time)).unwrap().into()
    };
    let none = || FirestoreValue::from(Value { value_type: Some(ValueType::NullValue(0)) });
    let data = FirestoreValue::from_map([
        ("id", id.clone()),
        ("form", FirestoreValue::from_map([("@name", "Farmer Registration".into()), ("x", "1".into())])),
    ]);
    let fields = [
        ("data", data),
        ("job_name", "Farmer Registration".into()),
        ("job_id", id.clone()),
        ("status", status.into()),
        ("run_retries", 1.into()),
        ("last_retried_at", none()),
        ("last_step", none()),
        ("error", "timeout".into()),
        ("created_at", time(arrived)),
        ("updated_at", time(arrived)),
    ];
    let document = FirestoreDb::serialize_map_to_doc("", fields).unwrap();
    db.fluent()
        .insert()
        .into("commcare_collection")
        .document_id(doc_id)
        .document(document)
        .execute()
        .await
        .unwrap();
}

#[tokio::test]
async fn they_are_drained_oldest_first_beside_ours() {
    let backend = Backend::firestore();
    let (queue, db) = (backend.open().await, client(&backend).await);
    put_id(&queue, "ours").await;
    let yesterday = clock::now() - TimeDelta::days(1);
    write(&db, "Xa81", "theirs".into(), "new", yesterday).await;
    // A worker that the original lost: it has no lease, so it counts as run out.
    write(&db, "Xa82", "stuck".into(), "processing", yesterday - TimeDelta::days(1)).await;
    let claims = claim(&queue, 10).await;
    assert_eq!(ids(&claims), ["Xa82", "Xa81", "ours"]);
    assert_eq!(claims[0].record().run_retries, 2, "the take-over counts");
    for claim in claims {
        assert_eq!(queue.settle(claim, completed()).await.unwrap(), SettleResult::Written);
    }
    assert_eq!(the(&queue, "theirs").await.status, Status::Completed);
}

#[tokio::test]
async fn a_failed_one_is_due_and_retried_by_its_submission_id() {
    let backend = Backend::firestore();
    let (queue, db) = (backend.open().await, client(&backend).await);
    write(&db, "Xa81", "theirs".into(), "failed", clock::now()).await;
    let record = the(&queue, "theirs").await;
    assert_eq!(
        (record.status, record.run_retries, record.next_retry_at),
        (Status::Failed, 1, NextRetry::Unset)
    );
    assert!(record.next_retry_at.is_due(clock::now()));
    // Ours, behind it in the queue, does not hide it.
    put_id(&queue, "ours").await;
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, failed(ErrorKind::Permanent)).await.unwrap();
    let mut due = queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims;
    assert_eq!(ids(&due), ["Xa81"]);
    queue.settle(due.remove(0), failed(ErrorKind::Dependency)).await.unwrap();
    assert!(
        queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims.is_empty()
    );
    let record = the(&queue, "theirs").await;
    assert_eq!((record.run_retries, record.error_kind), (2, Some(ErrorKind::Dependency)));
    assert!(matches!(record.next_retry_at, NextRetry::At(_)));
}

#[tokio::test]
async fn a_form_that_the_original_has_is_a_duplicate_or_replaces_it() {
    let backend = Backend::firestore();
    let (queue, db) = (backend.open().await, client(&backend).await);
    write(&db, "Xa81", "f-1".into(), "completed", clock::now() - TimeDelta::hours(1)).await;
    let same = json!({ "id": "f-1", "form": { "@name": "Farmer Registration", "x": "1" } });
    let accepted = put(&queue, same).await;
    assert_eq!((accepted.doc_id.as_str(), accepted.fate), ("Xa81", Fate::Duplicate));
    let edited = json!({ "id": "f-1", "form": { "@name": "Farmer Registration", "x": "2" } });
    let accepted = put(&queue, edited.clone()).await;
    assert_eq!((accepted.doc_id.as_str(), accepted.fate), ("Xa81", Fate::Replaced));
    let claimed = claim_one(&queue).await;
    assert_eq!((claimed.doc_id(), &*claimed.record().data), ("Xa81", &edited));
    queue.settle(claimed, completed()).await.unwrap();
}

#[tokio::test]
async fn a_numeric_id_is_found_as_text_and_as_number() {
    let backend = Backend::firestore();
    let (queue, db) = (backend.open().await, client(&backend).await);
    write(&db, "Xa81", 4711.into(), "completed", clock::now()).await;
    write(&db, "Xa82", "4711".into(), "failed", clock::now()).await;
    let found = queue.find(Origin::CommCare, "4711").await.unwrap().records;
    let found: Vec<&str> = found.iter().map(|(doc_id, _)| doc_id.as_str()).collect();
    assert_eq!(found, ["Xa81", "Xa82"]);
}

#[tokio::test]
async fn a_document_that_is_no_record_holds_nothing_up() {
    let backend = Backend::firestore();
    let (queue, db) = (backend.open().await, client(&backend).await);
    let fields = [
        ("status", "new".into()),
        ("created_at", FirestoreTimestamp::now().into()),
        ("attempts", "not a list".into()),
    ];
    let document = FirestoreDb::serialize_map_to_doc("", fields).unwrap();
    for doc_id in ["odd-1", "odd-2", "odd-3"] {
        db.fluent()
            .insert()
            .into("commcare_collection")
            .document_id(doc_id)
            .document(document.clone())
            .execute()
            .await
            .unwrap();
    }
    put_id(&queue, "f-1").await;
    assert_eq!(ids(&claim(&queue, 1).await), ["f-1"], "however many stand before it");
}

#[tokio::test]
async fn fields_that_we_do_not_know_stay() {
    let backend = Backend::firestore();
    let (queue, db) = (backend.open().await, client(&backend).await);
    write(&db, "Xa81", "f-1".into(), "new", clock::now()).await;
    let extra = FirestoreDb::serialize_map_to_doc(
        format!("{}/commcare_collection/Xa81", db.get_documents_path()),
        [("remark", "kept".into())],
    )
    .unwrap();
    db.fluent()
        .update()
        .fields(["remark"])
        .in_col("commcare_collection")
        .document(extra)
        .execute()
        .await
        .unwrap();
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, completed()).await.unwrap();
    let document = db.fluent().select().by_id_in("commcare_collection").one("Xa81").await.unwrap().unwrap();
    assert!(document.fields.contains_key("remark"));
}

#[tokio::test]
async fn an_outage_is_an_error_and_nothing_else() {
    let stand_in = stand_in::FirestoreStandIn::start();
    let settings = FirestoreSettings {
        project: "outage".to_owned(),
        database: "(default)".to_owned(),
        emulator_host: Some(stand_in.host().to_owned()),
        flask_documents: true,
    };
    let queue = Queue::open(&QueueSettings::Firestore(settings), POLICY).await.unwrap();
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    stand_in.stop().await;
    assert!(is_unavailable(&queue.ping().await.unwrap_err()));
    let refused = queue.accept(arriving(json!({ "id": "f-2", "form": {} }))).await;
    assert!(is_unavailable(&refused.unwrap_err()));
    assert!(is_unavailable(&queue.settle(claimed, completed()).await.unwrap_err()));
}
