//! Single documents: create, read, update, delete, list.

use std::collections::HashMap;

use firestore::{FirestoreDb, FirestoreResult, FirestoreWritePrecondition};
use futures::TryStreamExt;
use gcloud_sdk::google::firestore::v1::Document;
use serde::{Deserialize, Serialize};
use tonic::Code;

use super::{commit, db, fields, get, ids, int, map, name, put, refused, text};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    title: String,
    count: i64,
    tags: HashMap<String, Vec<i64>>,
}

fn item(count: i64) -> Item {
    Item { title: "höher".to_owned(), count, tags: HashMap::from([("a-b".to_owned(), vec![1, 2])]) }
}

async fn insert(db: &FirestoreDb, id: &str, item: &Item) -> FirestoreResult<Item> {
    db.fluent().insert().into("items").document_id(id).object(item).execute().await
}

#[tokio::test]
async fn what_is_inserted_is_read_back() {
    let db = db().await;
    assert_eq!(insert(&db, "one", &item(1)).await.unwrap(), item(1));
    let found: Option<Item> = db.fluent().select().by_id_in("items").obj().one("one").await.unwrap();
    assert_eq!(found, Some(item(1)));
}

#[tokio::test]
async fn a_document_that_is_not_there_is_none_and_pings_succeed() {
    let db = db().await;
    let found: Option<Item> = db.fluent().select().by_id_in("items").obj().one("none").await.unwrap();
    assert_eq!(found, None);
    assert_eq!(get(&db, "items/none").await.unwrap_err().code(), Code::NotFound);
    db.ping().await.unwrap();
}

#[tokio::test]
async fn creating_twice_is_a_conflict_and_changes_nothing() {
    let db = db().await;
    insert(&db, "one", &item(1)).await.unwrap();
    let (code, message) = refused(insert(&db, "one", &item(2)).await);
    assert_eq!(code, "AlreadyExists");
    assert!(message.contains("Document already exists: projects/"), "{message}");
    let found: Option<Item> = db.fluent().select().by_id_in("items").obj().one("one").await.unwrap();
    assert_eq!(found, Some(item(1)));
}

#[tokio::test]
async fn an_empty_id_is_generated() {
    let db = db().await;
    let document = |n| Document { fields: fields([("n", int(n))]), ..Document::default() };
    let insert = || db.fluent().insert().into("items").generate_document_id();
    let one = insert().document(document(1)).execute().await.unwrap();
    let two = insert().document(document(2)).execute().await.unwrap();
    assert_ne!(one.name, two.name);
    assert!(ids(&[one])[0].len() >= 20);
}

#[tokio::test]
async fn a_masked_update_touches_only_its_fields() {
    let db = db().await;
    insert(&db, "one", &item(1)).await.unwrap();
    let other = Item { title: "other".to_owned(), ..item(2) };
    let updated: Item = db
        .fluent()
        .update()
        .fields(["count"])
        .in_col("items")
        .document_id("one")
        .object(&other)
        .execute()
        .await
        .unwrap();
    assert_eq!(updated, item(2));
}

#[tokio::test]
async fn an_update_creates_unless_it_asks_for_existence() {
    let db = db().await;
    let update = |id| db.fluent().update().in_col("items").document_id(id);
    let sent = item(1);
    let made: Item = update("new").object(&sent).execute().await.unwrap();
    assert_eq!(made, sent);
    let asking = db.fluent().update().in_col("items").precondition(FirestoreWritePrecondition::Exists(true));
    let (code, message) = refused(asking.document_id("none").object(&sent).execute::<Item>().await);
    assert_eq!(code, "NotFound");
    assert!(message.contains("No document to update"), "{message}");
}

#[tokio::test]
async fn a_masked_read_returns_only_its_fields() {
    let db = db().await;
    commit(&db, [put(&db, "items/one", [("a", int(1)), ("m", map([("x", int(2)), ("y", int(3))]))])])
        .await
        .unwrap();
    let read = db.fluent().select().fields(["m.y", "none"]).by_id_in("items").one("one").await;
    assert_eq!(read.unwrap().unwrap().fields, fields([("m", map([("y", int(3))]))]));
}

#[tokio::test]
async fn several_documents_are_read_at_once_and_the_missing_are_named() {
    let db = db().await;
    commit(&db, [put(&db, "items/one", [("n", int(1))]), put(&db, "items/two", [("n", int(2))])])
        .await
        .unwrap();
    let read =
        db.fluent().select().by_id_in("items").batch_with_errors(["two", "none", "one"]).await.unwrap();
    let found: Vec<(String, bool)> =
        read.map_ok(|(id, document)| (id, document.is_some())).try_collect().await.unwrap();
    assert_eq!(found, [("two", true), ("none", false), ("one", true)].map(|(id, is)| (id.to_owned(), is)));
}

#[tokio::test]
async fn a_deleted_document_is_gone_and_deleting_it_again_is_fine() {
    let db = db().await;
    insert(&db, "one", &item(1)).await.unwrap();
    for _ in 0..2 {
        db.fluent().delete().from("items").document_id("one").execute().await.unwrap();
        assert_eq!(get(&db, "items/one").await.unwrap_err().code(), Code::NotFound);
    }
    let asking = db.fluent().delete().from("items").precondition(FirestoreWritePrecondition::Exists(true));
    assert_eq!(refused(asking.document_id("one").execute().await).0, "NotFound");
}

#[tokio::test]
async fn times_are_whole_microseconds_and_only_go_forward() {
    let db = db().await;
    let mut last = None;
    for n in 0..20 {
        commit(&db, [put(&db, "items/one", [("n", int(n))])]).await.unwrap();
        let document = get(&db, "items/one").await.unwrap();
        let (created, updated) = (document.create_time.unwrap(), document.update_time.unwrap());
        assert_eq!(updated.nanos % 1_000, 0);
        if let Some((first, before)) = last {
            assert_eq!(created, first);
            assert!((updated.seconds, updated.nanos) > before);
        }
        last = Some((created, (updated.seconds, updated.nanos)));
    }
}

#[tokio::test]
async fn a_document_made_again_is_created_later() {
    let db = db().await;
    insert(&db, "one", &item(1)).await.unwrap();
    let before = get(&db, "items/one").await.unwrap();
    db.fluent().delete().from("items").document_id("one").execute().await.unwrap();
    insert(&db, "one", &item(1)).await.unwrap();
    let after = get(&db, "items/one").await.unwrap();
    assert_ne!(before.create_time, after.create_time);
}

#[tokio::test]
async fn a_collection_is_listed_by_name_page_by_page() {
    let db = db().await;
    for id in ["c", "a", "b"] {
        commit(&db, [put(&db, &format!("items/{id}"), [])]).await.unwrap();
    }
    commit(&db, [put(&db, "items/a/parts/deep", []), put(&db, "others/o", [])]).await.unwrap();
    let list = || db.fluent().list().from("items").page_size(2);
    let first = list().get_page().await.unwrap();
    assert_eq!(ids(&first.documents), ["a", "b"]);
    let second = list().page_token(first.page_token.unwrap()).get_page().await.unwrap();
    assert_eq!(ids(&second.documents), ["c"]);
    assert_eq!(second.page_token, None);
}

#[tokio::test]
async fn collection_ids_are_listed_for_the_root_and_for_a_document() {
    let db = db().await;
    commit(
        &db,
        [put(&db, "items/a", []), put(&db, "items/a/parts/x/pieces/y", []), put(&db, "others/o", [])],
    )
    .await
    .unwrap();
    let root = db.fluent().list().collections().get_page().await.unwrap();
    assert_eq!(root.collection_ids, ["items", "others"]);
    let below = db.fluent().list().collections().parent(name(&db, "items/a")).get_page().await.unwrap();
    assert_eq!(below.collection_ids, ["parts"]);
}

#[tokio::test]
async fn projects_and_databases_do_not_see_one_another() {
    let (one, other) = (db().await, db().await);
    commit(&one, [put(&one, "items/a", [("s", text("x"))])]).await.unwrap();
    assert_eq!(get(&other, "items/a").await.unwrap_err().code(), Code::NotFound);
    let elsewhere = commit(&other, [put(&one, "items/a", [])]).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::InvalidArgument);
}
