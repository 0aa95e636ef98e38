//! The original service's documents are read, drained and retried as they are.

use chrono::{DateTime, TimeDelta, Utc};
use commcare_sf_integration::clock;
use commcare_sf_integration::queue::{Fate, SettleResult, Written};
use commcare_sf_integration::submission::{ErrorKind, NextRetry, Origin, Status, Trigger};
use serde_json::{Value, json};

use crate::queue::backend::{
    Backend, arriving, claim, claim_one, completed, failed, ids, is_unavailable, put, put_id, the,
};
use crate::support::claims::ClaimMany;
use crate::support::firestore::Firestore;

const COLLECTION: &str = "commcare_collection";

/// A document as the original wrote it, under a random id.
async fn write(backend: &Backend, doc_id: &str, id: Value, status: &str, arrived: DateTime<Utc>) {
    let arrived = json!({ "timestamp": arrived });
    let fields = json!({
        "data": { "id": id, "form": { "@name": "Farmer Registration", "x": "1" } },
        "job_name": "Farmer Registration",
        "job_id": id,
        "status": status,
        "run_retries": 1,
        "last_retried_at": null,
        "last_step": null,
        "error": "timeout",
        "created_at": arrived,
        "updated_at": arrived,
    });
    on(backend).put(COLLECTION, doc_id, &fields).await;
}

fn on(backend: &Backend) -> &Firestore {
    backend.firestore.as_ref().unwrap()
}

#[tokio::test]
async fn they_are_drained_oldest_first_beside_ours() {
    let backend = Backend::firestore();
    let queue = backend.open().await;
    put_id(&queue, "ours").await;
    let yesterday = clock::now() - TimeDelta::days(1);
    write(&backend, "Xa81", "theirs".into(), "new", yesterday).await;
    // A worker that the original lost: it has no lease, so it counts as run out.
    write(&backend, "Xa82", "stuck".into(), "processing", yesterday - TimeDelta::days(1)).await;
    let claims = claim(&queue, 10).await;
    assert_eq!(ids(&claims), ["Xa82", "Xa81", "ours"]);
    assert_eq!(claims[0].record().run_retries, 2, "the take-over counts");
    for claim in claims {
        assert_eq!(
            queue.settle(claim, completed()).await.unwrap(),
            SettleResult::Written(Written::Completed)
        );
    }
    assert_eq!(the(&queue, "theirs").await.status, Status::Completed);
}

#[tokio::test]
async fn a_failed_one_is_due_and_retried_by_its_submission_id() {
    let backend = Backend::firestore();
    let queue = backend.open().await;
    write(&backend, "Xa81", "theirs".into(), "failed", clock::now()).await;
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
    let queue = backend.open().await;
    write(&backend, "Xa81", "f-1".into(), "completed", clock::now() - TimeDelta::hours(1)).await;
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
    let queue = backend.open().await;
    write(&backend, "Xa81", 4711.into(), "completed", clock::now()).await;
    write(&backend, "Xa82", "4711".into(), "failed", clock::now()).await;
    let found = queue.find(Origin::CommCare, "4711").await.unwrap().records;
    let found: Vec<&str> = found.iter().map(|(doc_id, _)| doc_id.as_str()).collect();
    assert_eq!(found, ["Xa81", "Xa82"]);
}

#[tokio::test]
async fn a_document_that_is_no_record_holds_nothing_up() {
    let backend = Backend::firestore();
    let queue = backend.open().await;
    let fields =
        json!({ "status": "new", "created_at": { "timestamp": clock::now() }, "attempts": "not a list" });
    for doc_id in ["odd-1", "odd-2", "odd-3"] {
        on(&backend).put(COLLECTION, doc_id, &fields).await;
    }
    put_id(&queue, "f-1").await;
    assert_eq!(ids(&claim(&queue, 1).await), ["f-1"], "however many stand before it");
}

#[tokio::test]
async fn fields_that_we_do_not_know_stay() {
    let backend = Backend::firestore();
    let queue = backend.open().await;
    let fields = json!({
        "data": { "id": "f-1", "form": {} },
        "job_name": "Farmer Registration",
        "status": "new",
        "created_at": { "timestamp": clock::now() },
        "remark": "kept",
    });
    on(&backend).put(COLLECTION, "Xa81", &fields).await;
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, completed()).await.unwrap();
    let fields = on(&backend).fields(COLLECTION, "Xa81").await;
    assert_eq!(fields["status"], json!({ "stringValue": "completed" }));
    assert_eq!(fields["remark"], json!({ "stringValue": "kept" }));
}

#[tokio::test]
async fn an_outage_is_an_error_and_nothing_else() {
    let backend = Backend::firestore();
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    on(&backend).stop().await;
    assert!(is_unavailable(&queue.ping().await.unwrap_err()));
    let refused = queue.accept(arriving(json!({ "id": "f-2", "form": {} }))).await;
    assert!(is_unavailable(&refused.unwrap_err()));
    assert!(is_unavailable(&queue.settle(claimed, completed()).await.unwrap_err()));
}
