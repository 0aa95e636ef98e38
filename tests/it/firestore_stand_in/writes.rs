//! Commits and batches: atomicity, preconditions, masks, transforms.

use std::collections::BTreeMap;

use firestore::{
    FirestoreDb, FirestoreTimestamp, FirestoreTransformServerValue, FirestoreWritePrecondition,
    timestamp_utils::from_timestamp,
};
use gcloud_sdk::google::firestore::v1::document_transform::FieldTransform;
use gcloud_sdk::google::firestore::v1::document_transform::field_transform::TransformType;
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{ArrayValue, DocumentTransform, Value, Write};
use tonic::Code;

use super::{
    array, commit, db, delete, double, exists, fields, get, int, map, merge, name, null, put, refused, text,
    updated_at, value,
};

#[tokio::test]
async fn a_commit_is_all_or_nothing() {
    let db = db().await;
    commit(&db, [put(&db, "items/there", [("n", int(1))])]).await.unwrap();
    let writes =
        [put(&db, "items/new", []), delete(&db, "items/there"), exists(put(&db, "items/none", []), true)];
    assert_eq!(commit(&db, writes).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(get(&db, "items/new").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(get(&db, "items/there").await.unwrap().fields, fields([("n", int(1))]));
}

#[tokio::test]
async fn later_writes_of_a_commit_see_earlier_ones() {
    let db = db().await;
    let writes = [
        exists(put(&db, "items/one", [("a", int(1))]), false),
        exists(merge(&db, "items/one", &["b"], [("b", int(2))]), true),
    ];
    commit(&db, writes).await.unwrap();
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([("a", int(1)), ("b", int(2))]));
}

#[tokio::test]
async fn the_update_time_a_write_expects_has_to_be_the_present_one() {
    let db = db().await;
    let written = commit(&db, [put(&db, "items/one", [("n", int(1))])]).await.unwrap();
    let first = written[0].update_time;
    commit(&db, [updated_at(put(&db, "items/one", [("n", int(2))]), first)]).await.unwrap();

    let stale = commit(&db, [updated_at(put(&db, "items/one", [("n", int(3))]), first)]).await.unwrap_err();
    assert_eq!(stale.code(), Code::FailedPrecondition);
    assert!(stale.message().contains("does not match the required base version"), "{stale}");
    let stale = commit(&db, [updated_at(delete(&db, "items/one"), first)]).await.unwrap_err();
    assert_eq!(stale.code(), Code::FailedPrecondition);
    let gone = commit(&db, [updated_at(put(&db, "items/none", []), first)]).await.unwrap_err();
    assert_eq!(gone.code(), Code::FailedPrecondition);
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([("n", int(2))]));
}

#[tokio::test]
async fn the_client_reports_a_stale_update_time_as_failed_precondition() {
    let db = db().await;
    let written = commit(&db, [put(&db, "items/one", [("n", int(1))])]).await.unwrap();
    let first = from_timestamp(written[0].update_time.unwrap()).unwrap();
    commit(&db, [put(&db, "items/one", [("n", int(2))])]).await.unwrap();
    let update =
        db.fluent().update().in_col("items").precondition(FirestoreWritePrecondition::UpdateTime(first));
    let object = serde_json::json!({"n": 3});
    let (code, message) =
        refused(update.document_id("one").object(&object).execute::<serde_json::Value>().await);
    assert_eq!(code, "FailedPrecondition");
    assert!(message.contains("Retry possibility: false"), "{message}");
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_update_time() {
    let db = db().await;
    let write = || put(&db, "items/one", [("n", int(1)), ("m", map([("a", text("x"))]))]);
    let first = commit(&db, [write()]).await.unwrap();
    let again = commit(&db, [write()]).await.unwrap();
    assert_eq!(first[0].update_time, again[0].update_time);
    assert_eq!(get(&db, "items/one").await.unwrap().update_time, first[0].update_time);
}

#[tokio::test]
async fn a_mask_sets_nested_fields_and_deletes_those_the_document_lacks() {
    let db = db().await;
    let before = [
        ("keep", int(1)),
        ("drop", int(2)),
        ("m", map([("keep", int(3)), ("a.b", int(4)), ("x`y", int(5)), ("drop", int(6))])),
    ];
    commit(&db, [put(&db, "items/one", before)]).await.unwrap();
    let mask = ["drop", "m.`a.b`", "m.`x\\`y`", "m.drop", "new.deep", "none.deep"];
    let after = [
        ("keep", int(99)),
        ("m", map([("a.b", int(7)), ("x`y", int(8)), ("keep", int(99))])),
        ("new", map([("deep", int(9))])),
    ];
    commit(&db, [merge(&db, "items/one", &mask, after)]).await.unwrap();
    let expected = fields([
        ("keep", int(1)),
        ("m", map([("keep", int(3)), ("a.b", int(7)), ("x`y", int(8))])),
        ("new", map([("deep", int(9))])),
    ]);
    assert_eq!(get(&db, "items/one").await.unwrap().fields, expected);
}

#[tokio::test]
async fn an_empty_mask_creates_or_leaves_alone() {
    let db = db().await;
    commit(&db, [merge(&db, "items/one", &[], [("n", int(1))])]).await.unwrap();
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([]));
    commit(&db, [put(&db, "items/one", [("n", int(1))])]).await.unwrap();
    commit(&db, [merge(&db, "items/one", &[], [("n", int(2))])]).await.unwrap();
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([("n", int(1))]));
}

#[tokio::test]
async fn malformed_and_conflicting_mask_paths_are_refused() {
    let db = db().await;
    let masks: [&[&str]; 7] = [&["a-b"], &["a..b"], &[""], &["`a"], &["1a"], &["``"], &["a", "a.b"]];
    for mask in masks {
        let refused = commit(&db, [merge(&db, "items/one", mask, [("a", int(1))])]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{mask:?}");
    }
}

#[tokio::test]
async fn stored_times_lose_what_is_below_a_microsecond() {
    let db = db().await;
    let time = |nanos| value(ValueType::TimestampValue(prost_types::Timestamp { seconds: 1, nanos }));
    commit(&db, [put(&db, "items/one", [("at", time(123_456_789))])]).await.unwrap();
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([("at", time(123_456_000))]));
}

/// A write that only transforms.
fn transform<const N: usize>(db: &FirestoreDb, path: &str, transforms: [(&str, TransformType); N]) -> Write {
    let field_transforms = transforms.map(|(path, transform)| FieldTransform {
        field_path: path.to_owned(),
        transform_type: Some(transform),
    });
    let transform = DocumentTransform { document: name(db, path), field_transforms: field_transforms.into() };
    Write { operation: Some(Operation::Transform(transform)), ..Write::default() }
}

#[tokio::test]
async fn numbers_are_incremented_and_bounded() {
    let db = db().await;
    let before = [
        ("n", int(40)),
        ("big", int(i64::MAX - 1)),
        ("d", double(0.5)),
        ("word", text("x")),
        ("max", int(5)),
        ("min", int(5)),
        ("same", int(3)),
    ];
    commit(&db, [put(&db, "items/one", before)]).await.unwrap();
    let transforms = [
        ("n", TransformType::Increment(int(2))),
        ("big", TransformType::Increment(int(9))),
        ("d", TransformType::Increment(int(1))),
        ("word", TransformType::Increment(int(7))),
        ("none", TransformType::Increment(int(8))),
        ("max", TransformType::Maximum(double(5.5))),
        ("min", TransformType::Minimum(int(4))),
        ("same", TransformType::Maximum(double(3.0))),
    ];
    let results = commit(&db, [transform(&db, "items/one", transforms)]).await.unwrap();
    let expected: [(&str, Value); 8] = [
        ("n", int(42)),
        ("big", int(i64::MAX)),
        ("d", double(1.5)),
        ("word", int(7)),
        ("none", int(8)),
        ("max", double(5.5)),
        ("min", int(4)),
        ("same", int(3)),
    ];
    assert_eq!(results[0].transform_results, expected.clone().map(|(_, value)| value));
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields(expected));
}

#[tokio::test]
async fn arrays_gain_what_they_lack_and_lose_every_equal() {
    let db = db().await;
    let before = [("tags", array([int(1), int(2)])), ("gone", array([int(1), int(2), int(1)]))];
    commit(&db, [put(&db, "items/one", before)]).await.unwrap();
    let values = |values: &[Value]| ArrayValue { values: values.to_vec() };
    let transforms = [
        ("tags", TransformType::AppendMissingElements(values(&[double(2.0), int(3), int(3)]))),
        ("gone", TransformType::RemoveAllFromArray(values(&[int(1)]))),
    ];
    let results = commit(&db, [transform(&db, "items/one", transforms)]).await.unwrap();
    assert_eq!(results[0].transform_results, [null(), null()]);
    let expected = fields([("tags", array([int(1), int(2), int(3)])), ("gone", array([int(2)]))]);
    assert_eq!(get(&db, "items/one").await.unwrap().fields, expected);
}

#[tokio::test]
async fn the_clients_transforms_follow_its_update() {
    let db = db().await;
    let mut transaction = db.begin_transaction().await.unwrap();
    db.fluent()
        .update()
        .in_col("items")
        .document_id("one")
        .object(&BTreeMap::from([("n".to_owned(), 1)]))
        .transforms(|t| {
            t.fields([
                t.field("n").increment(10),
                t.field("at").server_value(FirestoreTransformServerValue::RequestTime),
            ])
        })
        .add_to_transaction(&mut transaction)
        .unwrap();
    let committed = transaction.commit().await.unwrap();
    let document = get(&db, "items/one").await.unwrap();
    assert_eq!(document.fields["n"], int(11));
    let at: FirestoreTimestamp = {
        let Some(ValueType::TimestampValue(at)) = document.fields["at"].value_type else {
            panic!("{document:?}")
        };
        from_timestamp(at).unwrap().into()
    };
    let since = committed.commit_time.unwrap().as_millisecond() - at.0.as_millisecond();
    assert!((0..60_000).contains(&since), "{since} ms");
}

#[tokio::test]
async fn a_transform_makes_the_document_it_does_not_find() {
    let db = db().await;
    commit(&db, [transform(&db, "items/one", [("m.n", TransformType::Increment(int(1)))])]).await.unwrap();
    assert_eq!(get(&db, "items/one").await.unwrap().fields, fields([("m", map([("n", int(1))]))]));
    let asking = exists(transform(&db, "items/none", [("n", TransformType::Increment(int(1)))]), true);
    assert_eq!(commit(&db, [asking]).await.unwrap_err().code(), Code::NotFound);
    let words = transform(&db, "items/one", [("m.n", TransformType::Increment(text("1")))]);
    assert_eq!(commit(&db, [words]).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_writes_of_a_batch_stand_or_fall_on_their_own() {
    let db = db().await;
    commit(&db, [put(&db, "items/there", [("n", int(1))])]).await.unwrap();
    let writer = db.create_simple_batch_writer().await.unwrap();
    let mut batch = writer.new_batch();
    let object = BTreeMap::from([("n".to_owned(), 2)]);
    let precondition = |exists| Some(FirestoreWritePrecondition::Exists(exists));
    for (id, exists) in [("new", false), ("there", false), ("none", true), ("there2", false)] {
        batch.update_object("items", id, &object, None, precondition(exists), vec![]).unwrap();
    }
    let response = batch.write().await.unwrap();
    let codes: Vec<Code> = response.statuses.iter().map(|status| Code::from(status.code)).collect();
    assert_eq!(codes, [Code::Ok, Code::AlreadyExists, Code::NotFound, Code::Ok]);
    let written: Vec<bool> =
        response.write_results.iter().map(|result| result.update_time.is_some()).collect();
    assert_eq!(written, [true, false, false, true]);
    assert_eq!(get(&db, "items/there").await.unwrap().fields, fields([("n", int(1))]));
    assert_eq!(get(&db, "items/there2").await.unwrap().fields, fields([("n", int(2))]));
}

#[tokio::test]
async fn a_batch_that_writes_a_document_twice_is_refused_whole() {
    let db = db().await;
    let writer = db.create_simple_batch_writer().await.unwrap();
    let mut batch = writer.new_batch();
    for n in 0..2 {
        batch.update_object("items", "one", &serde_json::json!({"n": n}), None, None, vec![]).unwrap();
    }
    assert_eq!(refused(batch.write().await).0, "InvalidArgument");
    assert_eq!(get(&db, "items/one").await.unwrap_err().code(), Code::NotFound);
}
