//! What a test can do to the requests that pass.

use std::time::Duration;

use firestore::FirestoreDb;
use firestore::errors::FirestoreError;
use serde_json::json;
use tonic::Code;

use super::client;
use crate::support::firestore::Firestore;

/// Inserts a document; the gRPC code of what came of it.
async fn insert(db: &FirestoreDb, id: &str) -> String {
    let object = json!({ "n": 1 });
    let inserted = db.fluent().insert().into("items").document_id(id).object(&object);
    match inserted.execute::<serde_json::Value>().await {
        Ok(_) => "Ok".to_owned(),
        Err(FirestoreError::DatabaseError(error)) => error.public.code,
        Err(FirestoreError::DataConflictError(error)) => error.public.code,
        Err(error) => panic!("not an answer of the database: {error}"),
    }
}

#[tokio::test]
async fn the_next_requests_of_a_method_fail_and_do_nothing() {
    let firestore = Firestore::start();
    let db = client(&firestore).await;
    firestore.fail_next("CreateDocument", Code::PermissionDenied, 2);
    for expected in ["PermissionDenied", "PermissionDenied", "Ok", "AlreadyExists"] {
        assert_eq!(insert(&db, "a").await, expected);
    }
    assert_eq!((firestore.requests("CreateDocument"), firestore.requests("Commit")), (4, 0));
}

#[tokio::test]
async fn an_outage_fails_every_request_until_it_ends() {
    let firestore = Firestore::start();
    let db = client(&firestore).await;
    firestore.set_outage(Some(Code::ResourceExhausted));
    assert_eq!(insert(&db, "a").await, "ResourceExhausted");
    assert!(db.ping().await.is_err() && db.fluent().select().from("items").query().await.is_err());
    firestore.set_outage(None);
    assert_eq!(insert(&db, "a").await, "Ok");
}

#[tokio::test]
async fn a_lost_answer_leaves_the_work_done() {
    let firestore = Firestore::start();
    let db = client(&firestore).await;
    firestore.lose_next_answer("CreateDocument");
    for expected in ["Unavailable", "AlreadyExists"] {
        assert_eq!(insert(&db, "a").await, expected);
    }
}

#[tokio::test]
async fn a_delayed_request_runs_into_the_clients_time_limit() {
    let firestore = Firestore::start();
    let db = client(&firestore).await.clone_with_request_timeout(Some(Duration::from_millis(500)));
    assert_eq!(insert(&db, "a").await, "Ok");
    firestore.delay(Duration::from_mins(1));
    assert_eq!(insert(&db, "b").await, "DeadlineExceeded");
    firestore.delay(Duration::ZERO);
    assert_eq!(insert(&db, "b").await, "Ok", "it was not done");
}

#[tokio::test]
async fn a_stopped_proxy_answers_nobody() {
    let firestore = Firestore::start();
    let db = client(&firestore).await;
    assert_eq!(insert(&db, "a").await, "Ok");
    firestore.stop().await;
    assert_ne!(insert(&db, "b").await, "Ok");
}
