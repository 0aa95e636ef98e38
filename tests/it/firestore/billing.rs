//! What the proxy counts, beside Firestore's price list.

use firestore::{FirestoreDb, FirestoreResult};
use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{CommitRequest, Document, Write};
use serde_json::{Value, json};

use super::client;
use crate::support::firestore::{Bill, Firestore};

/// A collection `items` of so many documents.
async fn with_items(count: usize) -> (Firestore, FirestoreDb) {
    let firestore = Firestore::start();
    for n in 0..count {
        firestore.put("items", &format!("d-{n}"), &json!({ "n": n, "status": "new" })).await;
    }
    let db = client(&firestore).await;
    (firestore, db)
}

/// The reads and writes of a call that succeeds.
async fn billed<T>(firestore: &Firestore, call: impl Future<Output = FirestoreResult<T>>) -> (usize, usize) {
    let before = firestore.bill();
    call.await.unwrap();
    let Bill { reads, writes } = firestore.bill() - before;
    (reads, writes)
}

#[tokio::test]
async fn each_document_found_is_a_read_and_so_is_finding_none() {
    let (firestore, db) = with_items(3).await;
    let items = || db.fluent().select().from("items");
    assert_eq!(billed(&firestore, items().query()).await, (3, 0));
    assert_eq!(billed(&firestore, items().limit(2).query()).await, (2, 0));
    assert_eq!(billed(&firestore, items().filter(|q| q.field("n").eq(7)).query()).await, (1, 0));
    for id in ["d-1", "none"] {
        let one = db.fluent().select().by_id_in("items").one(id);
        assert_eq!(billed(&firestore, one).await, (1, 0), "{id}");
    }
}

#[tokio::test]
async fn a_second_range_field_costs_a_read_for_the_index() {
    let (firestore, db) = with_items(3).await;
    let items = || db.fluent().select().from("items");
    let one_range = items()
        .filter(|q| q.for_all([q.field("n").greater_than(0)]))
        .order(|o| o.fields([o.field("n").asc()]));
    assert_eq!(billed(&firestore, one_range.query()).await, (2, 0));
    // The name is a range field wherever it stands, and makes one of the other.
    let by_name = items().order(|o| o.fields([o.field("n").asc(), o.field("__name__").asc()]));
    assert_eq!(billed(&firestore, by_name.query()).await, (4, 0));
}

#[tokio::test]
async fn a_count_is_a_read_for_each_thousand() {
    let (firestore, db) = with_items(3).await;
    for field in ["status", "other"] {
        let counted = db.fluent().select().from("items").filter(move |q| q.field(field).eq("new"));
        let counted = counted.aggregate(|a| a.fields([a.field("count").count()]));
        assert_eq!(billed(&firestore, counted.query()).await, (1, 0), "{field}");
    }
}

#[tokio::test]
async fn each_document_written_is_a_write_and_what_is_refused_is_none() {
    let (firestore, db) = with_items(0).await;
    let item = json!({ "n": 1 });
    let insert = || db.fluent().insert().into("items").document_id("a").object(&item).execute::<Value>();
    assert_eq!(billed(&firestore, insert()).await, (0, 1));
    let update = db.fluent().update().in_col("items").document_id("a").object(&item).execute::<Value>();
    assert_eq!(billed(&firestore, update).await, (0, 1));
    let before = firestore.bill();
    insert().await.unwrap_err();
    assert_eq!(firestore.bill(), before);
    let write = |id: &str| Write {
        operation: Some(Operation::Update(Document {
            name: format!("{}/items/{id}", db.get_documents_path()),
            ..Document::default()
        })),
        ..Write::default()
    };
    let commit = CommitRequest {
        database: db.get_database_path().clone(),
        writes: vec![write("b"), write("c")],
        ..CommitRequest::default()
    };
    let commit = async { Ok(db.client().get().commit(commit).await?) };
    assert_eq!(billed(&firestore, commit).await, (0, 2));
}
