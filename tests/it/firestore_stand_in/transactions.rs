//! Transactions: what they read stays so, or they are aborted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use firestore::errors::{BackoffError, FirestoreError};
use firestore::{
    FirestoreConsistencySelector, FirestoreDb, FirestoreResult, FirestoreTransaction,
    FirestoreTransactionMode, FirestoreTransactionOps, FirestoreTransactionOptions,
};
use futures::FutureExt;
use futures::future::join_all;
use gcloud_sdk::google::firestore::v1::run_query_request::{ConsistencySelector, QueryType};
use gcloud_sdk::google::firestore::v1::structured_query::CollectionSelector;
use gcloud_sdk::google::firestore::v1::{
    BatchGetDocumentsRequest, CommitRequest, Document, RunQueryRequest, StructuredQuery, TransactionOptions,
    batch_get_documents_request,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Barrier;
use tonic::Code;

use super::{commit, db, fields, get, int, name, own, put, refused};

#[derive(Debug, Serialize, Deserialize)]
struct Counter {
    n: i64,
}

/// The client for reads in the transaction.
fn inside(db: &FirestoreDb, transaction: &FirestoreTransaction<'_>) -> FirestoreDb {
    let id = transaction.transaction_id().clone();
    db.clone_with_consistency_selector(FirestoreConsistencySelector::Transaction(id))
}

async fn read(db: &FirestoreDb, id: &str) -> FirestoreResult<Option<Document>> {
    db.fluent().select().by_id_in("items").one(id).await
}

fn write_later(transaction: &mut FirestoreTransaction<'_>, id: &str, n: i64) {
    transaction.update_object("items", id, &Counter { n }, None, None, vec![]).unwrap();
}

/// Increments the counter in a transaction that the client retries. The first attempt waits at the
/// barrier between its read and its commit; every attempt is counted.
async fn increment(db: FirestoreDb, start: Arc<Barrier>, attempts: Arc<AtomicUsize>) -> FirestoreResult<()> {
    let first = Arc::new(AtomicBool::new(true));
    let options = FirestoreTransactionOptions::new().with_max_retries(50);
    db.run_transaction_with_options(
        |db, transaction| {
            let (start, attempts, first) = (start.clone(), attempts.clone(), first.clone());
            async move {
                attempts.fetch_add(1, Ordering::SeqCst);
                let counter: Option<Counter> =
                    db.fluent().select().by_id_in("items").obj().one("counter").await?;
                if first.swap(false, Ordering::SeqCst) {
                    start.wait().await;
                }
                write_later(transaction, "counter", counter.unwrap().n + 1);
                Ok::<_, BackoffError<FirestoreError>>(())
            }
            .boxed()
        },
        options,
    )
    .await
}

#[tokio::test]
async fn racing_increments_lose_none() {
    let db = db().await;
    commit(&db, [put(&db, "items/counter", [("n", int(0))])]).await.unwrap();
    let (start, attempts) = (Arc::new(Barrier::new(4)), Arc::new(AtomicUsize::new(0)));
    let tasks = (0..4).map(|_| tokio::spawn(increment(db.clone(), start.clone(), attempts.clone())));
    for result in join_all(tasks).await {
        result.unwrap().unwrap();
    }
    assert_eq!(get(&db, "items/counter").await.unwrap().fields, fields([("n", int(4))]));
    // Of the four that read the same, one could commit.
    assert!(attempts.load(Ordering::SeqCst) >= 7);
}

#[tokio::test]
async fn the_client_repeats_a_transaction_that_was_aborted_and_no_other() {
    let Some((stand_in, db)) = own("the_client_repeats_a_transaction_that_was_aborted_and_no_other").await
    else {
        return;
    };
    commit(&db, [put(&db, "items/counter", [("n", int(0))])]).await.unwrap();
    let (start, attempts) = (Arc::new(Barrier::new(1)), Arc::new(AtomicUsize::new(0)));
    stand_in.fail_next("Commit", Code::Aborted, 1);
    increment(db.clone(), start.clone(), attempts.clone()).await.unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    stand_in.lose_next_answer("Commit");
    let (code, message) = refused(increment(db.clone(), start, attempts.clone()).await);
    assert_eq!(code, "Unavailable");
    assert!(message.contains("Retry possibility: false"), "{message}");
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    assert_eq!(get(&db, "items/counter").await.unwrap().fields, fields([("n", int(2))]));
}

#[tokio::test]
async fn nothing_is_written_before_the_commit_nor_after_a_rollback() {
    let db = db().await;
    let mut transaction = db.begin_transaction().await.unwrap();
    write_later(&mut transaction, "one", 1);
    assert_eq!(get(&db, "items/one").await.unwrap_err().code(), Code::NotFound);
    transaction.rollback().await.unwrap();
    assert_eq!(get(&db, "items/one").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_transaction_is_aborted_if_a_document_it_read_has_changed() {
    let Some((_stand_in, db)) = own("a_transaction_is_aborted_if_a_document_it_read_has_changed").await
    else {
        return;
    };
    commit(&db, [put(&db, "items/one", [("n", int(1))])]).await.unwrap();
    let mut transaction = db.begin_transaction().await.unwrap();
    read(&inside(&db, &transaction), "one").await.unwrap();
    commit(&db, [put(&db, "items/one", [("n", int(2))])]).await.unwrap();
    write_later(&mut transaction, "other", 1);
    let (code, message) = refused(transaction.commit().await);
    assert_eq!(code, "Aborted");
    assert!(message.contains("Retry possibility: true"), "{message}");
    assert_eq!(get(&db, "items/other").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_transaction_is_aborted_if_a_document_it_missed_appears() {
    let Some((_stand_in, db)) = own("a_transaction_is_aborted_if_a_document_it_missed_appears").await else {
        return;
    };
    let mut transaction = db.begin_transaction().await.unwrap();
    assert_eq!(read(&inside(&db, &transaction), "one").await.unwrap(), None);
    commit(&db, [put(&db, "items/one", [("n", int(1))])]).await.unwrap();
    write_later(&mut transaction, "one", 2);
    assert_eq!(refused(transaction.commit().await).0, "Aborted");
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([("n", int(1))]));
}

#[tokio::test]
async fn a_transaction_is_aborted_if_the_result_of_its_query_has_changed() {
    let Some((_stand_in, db)) = own("a_transaction_is_aborted_if_the_result_of_its_query_has_changed").await
    else {
        return;
    };
    commit(&db, [put(&db, "items/a", [("n", int(1))]), put(&db, "items/z", [("n", int(9))])]).await.unwrap();
    for (changed, n, code) in [("b", 2, Some("Aborted")), ("z", 8, None), ("a", 7, Some("Aborted"))] {
        let mut transaction = db.begin_transaction().await.unwrap();
        let inside = inside(&db, &transaction);
        let low = inside.fluent().select().from("items").filter(|q| q.field("n").less_than(5));
        low.query().await.unwrap();
        commit(&db, [put(&db, &format!("items/{changed}"), [("n", int(n))])]).await.unwrap();
        write_later(&mut transaction, "written", 100 + n);
        let result = transaction.commit().await;
        match code {
            Some(code) => assert_eq!(refused(result).0, code, "{changed}"),
            None => assert_eq!(result.unwrap().write_results.len(), 1, "{changed}"),
        }
    }
}

#[tokio::test]
async fn a_transaction_reads_one_snapshot() {
    let Some((_stand_in, db)) = own("a_transaction_reads_one_snapshot").await else { return };
    commit(&db, [put(&db, "items/a", [("n", int(1))]), put(&db, "items/b", [("n", int(1))])]).await.unwrap();
    let options = FirestoreTransactionOptions::new().with_mode(FirestoreTransactionMode::ReadOnly);
    let transaction = db.begin_transaction_with_options(options).await.unwrap();
    let inside = inside(&db, &transaction);
    read(&inside, "a").await.unwrap();
    commit(&db, [put(&db, "items/b", [("n", int(2))])]).await.unwrap();
    assert_eq!(read(&inside, "b").await.unwrap().unwrap().fields, fields([("n", int(1))]));
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn blind_writes_do_not_conflict() {
    let db = db().await;
    let mut transaction = db.begin_transaction().await.unwrap();
    write_later(&mut transaction, "one", 1);
    commit(&db, [put(&db, "items/one", [("n", int(2))])]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([("n", int(1))]));
}

#[tokio::test]
async fn a_read_only_transaction_does_not_write() {
    let db = db().await;
    let options = FirestoreTransactionOptions::new().with_mode(FirestoreTransactionMode::ReadOnly);
    let mut transaction = db.begin_transaction_with_options(options).await.unwrap();
    write_later(&mut transaction, "one", 1);
    assert_eq!(refused(transaction.commit().await).0, "InvalidArgument");
    assert_eq!(get(&db, "items/one").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_transaction_ends_once() {
    let db = db().await;
    let transaction = db.begin_transaction().await.unwrap();
    let ended = transaction.transaction_data().clone();
    transaction.commit().await.unwrap();
    let again = FirestoreTransaction::from_data(&db, ended.clone());
    assert_eq!(refused(read(&inside(&db, &again), "one").await).0, "InvalidArgument");
    let (code, message) = refused(again.commit().await);
    assert_eq!(code, "InvalidArgument");
    assert!(message.contains("has expired or is no longer valid"), "{message}");
    assert_eq!(refused(FirestoreTransaction::from_data(&db, ended).rollback().await).0, "InvalidArgument");
}

#[tokio::test]
async fn an_expired_transaction_cannot_commit() {
    let Some((stand_in, db)) = own("an_expired_transaction_cannot_commit").await else { return };
    let mut transaction = db.begin_transaction().await.unwrap();
    write_later(&mut transaction, "one", 1);
    stand_in.expire_transactions(db.get_database_path());
    assert_eq!(refused(transaction.commit().await).0, "InvalidArgument");
}

#[tokio::test]
async fn reads_can_begin_the_transaction_they_belong_to() {
    let Some((_stand_in, db)) = own("reads_can_begin_the_transaction_they_belong_to").await else { return };
    let mut client = db.client().get();
    let query = StructuredQuery {
        from: vec![CollectionSelector { collection_id: "items".to_owned(), all_descendants: false }],
        ..StructuredQuery::default()
    };
    let by_query = RunQueryRequest {
        parent: db.get_documents_path().clone(),
        query_type: Some(QueryType::StructuredQuery(query)),
        consistency_selector: Some(ConsistencySelector::NewTransaction(TransactionOptions::default())),
        ..RunQueryRequest::default()
    };
    let by_document = BatchGetDocumentsRequest {
        database: db.get_database_path().clone(),
        documents: vec![name(&db, "items/one")],
        consistency_selector: Some(batch_get_documents_request::ConsistencySelector::NewTransaction(
            TransactionOptions::default(),
        )),
        ..BatchGetDocumentsRequest::default()
    };
    let mut queried = client.run_query(by_query).await.unwrap().into_inner();
    let mut read = client.batch_get_documents(by_document).await.unwrap().into_inner();
    let begun = [
        queried.message().await.unwrap().unwrap().transaction,
        read.message().await.unwrap().unwrap().transaction,
    ];
    commit(&db, [put(&db, "items/one", [("n", int(1))])]).await.unwrap();
    for transaction in begun {
        assert_ne!(transaction, Vec::<u8>::new());
        let request = CommitRequest {
            database: db.get_database_path().clone(),
            transaction,
            ..CommitRequest::default()
        };
        assert_eq!(client.commit(request).await.unwrap_err().code(), Code::Aborted);
    }
}

#[tokio::test]
async fn the_past_is_read_as_it_was() {
    let db = db().await;
    let written = commit(&db, [put(&db, "items/one", [("n", int(1))])]).await.unwrap();
    let then = firestore::timestamp_utils::from_timestamp(written[0].update_time.unwrap()).unwrap();
    commit(&db, [put(&db, "items/one", [("n", int(2))])]).await.unwrap();
    let past = db.clone_with_consistency_selector(FirestoreConsistencySelector::ReadTime(then));
    assert_eq!(read(&past, "one").await.unwrap().unwrap().fields, fields([("n", int(1))]));
}
