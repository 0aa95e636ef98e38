//! Queries: filters, order, cursors, limits, counts.

use firestore::select_filter_builder::FirestoreQueryFilterBuilder;
use firestore::{FirestoreDb, FirestoreQueryCursor, FirestoreQueryFilter, FirestoreValue};
use gcloud_sdk::google::firestore::v1::run_query_request::QueryType;
use gcloud_sdk::google::firestore::v1::structured_query::CollectionSelector;
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::{RunQueryRequest, StructuredQuery, Value};
use gcloud_sdk::google::r#type::LatLng;
use prost_types::Timestamp;
use tonic::Code;

use super::{array, commit, db, double, fields, ids, int, map, name, null, own, put, refused, text, value};

/// A database with one document per value, its field `v` holding the value.
async fn holding<const N: usize>(values: [(&str, Value); N]) -> FirestoreDb {
    let db = db().await;
    for (id, value) in values {
        commit(&db, [put(&db, &format!("items/{id}"), [("v", value)])]).await.unwrap();
    }
    commit(&db, [put(&db, "items/without", [("w", int(1))]), put(&db, "others/x", [("v", int(1))])])
        .await
        .unwrap();
    db
}

async fn matching(
    db: &FirestoreDb,
    filter: impl Fn(FirestoreQueryFilterBuilder) -> Option<FirestoreQueryFilter>,
) -> Vec<String> {
    let found = db.fluent().select().from("items").filter(filter).query().await.unwrap();
    ids(&found).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn values_of_all_types_have_one_order() {
    let bytes = |bytes: &[u8]| value(ValueType::BytesValue(bytes.to_vec()));
    let time = |seconds| value(ValueType::TimestampValue(Timestamp { seconds, nanos: 0 }));
    let place = |latitude, longitude| value(ValueType::GeoPointValue(LatLng { latitude, longitude }));
    let reference =
        |id: &str| value(ValueType::ReferenceValue(format!("projects/p/databases/d/documents/c/{id}")));
    let db = holding([
        ("00", null()),
        ("01", value(ValueType::BooleanValue(false))),
        ("02", value(ValueType::BooleanValue(true))),
        ("03", double(f64::NAN)),
        ("04", double(f64::NEG_INFINITY)),
        ("05", int(-1)),
        ("06", double(-0.5)),
        ("07", int(0)),
        ("08", double(0.0)),
        ("09", double(0.5)),
        ("10", int(1)),
        ("11", int(i64::MAX)),
        ("12", double(9_223_372_036_854_775_808.0)),
        ("13", time(1)),
        ("14", time(2)),
        ("15", text("")),
        ("16", text("Z")),
        ("17", text("a")),
        ("18", text("\u{ffff}")),
        ("19", text("\u{10000}")),
        ("20", bytes(&[1])),
        ("21", bytes(&[1, 0])),
        ("22", reference("a")),
        ("23", reference("a/c/b")),
        ("24", reference("a-")),
        ("25", place(1.0, 9.0)),
        ("26", place(2.0, 1.0)),
        ("27", array([])),
        ("28", array([int(1)])),
        ("29", array([int(1), int(0)])),
        ("30", array([int(2)])),
        ("31", map([])),
        ("32", map([("a", int(2))])),
        ("33", map([("a", int(2)), ("b", int(1))])),
        ("34", map([("b", int(1))])),
    ])
    .await;
    let expected: Vec<String> = (0..=34).map(|n| format!("{n:02}")).collect();
    let select = || db.fluent().select().from("items");
    let ascending = select().order(|o| o.fields([o.field("v").asc()])).query().await.unwrap();
    assert_eq!(ids(&ascending), expected);
    let descending = select().order(|o| o.fields([o.field("v").desc()])).query().await.unwrap();
    let reversed: Vec<&str> = expected.iter().rev().map(String::as_str).collect();
    assert_eq!(ids(&descending), reversed);
}

#[tokio::test]
async fn inequalities_hold_between_values_of_one_type_and_imply_their_order() {
    let db =
        holding([("c", int(1)), ("b", double(2.5)), ("a", int(3)), ("s", text("2")), ("n", null())]).await;
    assert_eq!(matching(&db, |q| q.field("v").greater_than(1)).await, ["b", "a"]);
    assert_eq!(matching(&db, |q| q.field("v").greater_than_or_equal(1)).await, ["c", "b", "a"]);
    assert_eq!(matching(&db, |q| q.field("v").less_than(3)).await, ["c", "b"]);
    assert_eq!(matching(&db, |q| q.field("v").less_than_or_equal(3)).await, ["c", "b", "a"]);
    assert_eq!(matching(&db, |q| q.field("v").greater_than("1")).await, ["s"]);
}

#[tokio::test]
async fn equality_and_its_opposite_pass_over_documents_without_the_field() {
    let db =
        holding([("a", int(1)), ("b", double(1.0)), ("c", int(2)), ("n", null()), ("s", text("1"))]).await;
    assert_eq!(matching(&db, |q| q.field("v").eq(1)).await, ["a", "b"]);
    assert_eq!(matching(&db, |q| q.field("v").neq(1)).await, ["c", "s"]);
    assert_eq!(matching(&db, |q| q.field("v").is_null()).await, ["n"]);
    assert_eq!(matching(&db, |q| q.field("v").is_not_null()).await, ["a", "b", "c", "s"]);
    assert_eq!(matching(&db, |q| q.field("none").neq(1)).await, Vec::<String>::new());
}

#[tokio::test]
async fn nan_is_found_as_nan() {
    let db = holding([("a", int(1)), ("nan", double(f64::NAN))]).await;
    assert_eq!(matching(&db, |q| q.field("v").is_nan()).await, ["nan"]);
    assert_eq!(matching(&db, |q| q.field("v").is_not_nan()).await, ["a"]);
}

#[tokio::test]
async fn lists_of_values_and_elements_of_arrays_are_matched() {
    let db =
        holding([("a", text("x")), ("b", text("y")), ("c", text("z")), ("l", array([int(1), int(2)]))]).await;
    assert_eq!(matching(&db, |q| q.field("v").is_in(["z", "x"])).await, ["a", "c"]);
    assert_eq!(matching(&db, |q| q.field("v").array_contains(2)).await, ["l"]);
}

#[tokio::test]
async fn an_in_filter_takes_one_to_thirty_values() {
    let db = holding([("a", int(30))]).await;
    let query = |n: i64| {
        let values: Vec<i64> = (1..=n).collect();
        db.fluent().select().from("items").filter(move |q| q.field("v").is_in(values.clone())).query()
    };
    assert_eq!(ids(&query(30).await.unwrap()), ["a"]);
    assert_eq!(refused(query(31).await).0, "InvalidArgument");
    assert_eq!(refused(query(0).await).0, "InvalidArgument");
}

#[tokio::test]
async fn a_query_has_at_most_thirty_alternatives() {
    let db = holding([("a", int(1))]).await;
    let values: Vec<i64> = (0..6).collect();
    let query = db
        .fluent()
        .select()
        .from("items")
        .filter(|q| q.for_all([q.field("v").is_in(values.clone()), q.field("w").is_in(values.clone())]));
    assert_eq!(refused(query.query().await).0, "InvalidArgument");
}

#[tokio::test]
async fn filters_combine_with_and_and_or() {
    let db = db().await;
    for (id, a, b) in [("1", 1, 1), ("2", 1, 2), ("3", 2, 1), ("4", 2, 2)] {
        let nested = map([("b", int(b))]);
        commit(&db, [put(&db, &format!("items/{id}"), [("a", int(a)), ("m", nested)])]).await.unwrap();
    }
    let both = matching(&db, |q| q.for_all([q.field("a").eq(1), q.field("m.b").eq(2)])).await;
    assert_eq!(both, ["2"]);
    let either = matching(&db, |q| {
        q.for_any([q.for_all([q.field("a").eq(1), q.field("m.b").eq(2)]), q.field("a").eq(2)])
    });
    assert_eq!(either.await, ["2", "3", "4"]);
}

#[tokio::test]
async fn an_order_passes_over_documents_without_the_field_and_ties_go_by_name() {
    let db = holding([("b", int(1)), ("a", int(1)), ("c", int(0))]).await;
    let select = || db.fluent().select().from("items");
    let ascending = select().order(|o| o.fields([o.field("v").asc()])).query().await.unwrap();
    assert_eq!(ids(&ascending), ["c", "a", "b"]);
    let descending = select().order(|o| o.fields([o.field("v").desc()])).query().await.unwrap();
    assert_eq!(ids(&descending), ["b", "a", "c"]);
    assert_eq!(ids(&select().query().await.unwrap()), ["a", "b", "c", "without"]);
}

#[tokio::test]
async fn limits_and_offsets_cut_the_result() {
    let db = holding([("a", int(1)), ("b", int(2)), ("c", int(3)), ("d", int(4))]).await;
    let by_value = || db.fluent().select().from("items").order(|o| o.fields([o.field("v").asc()]));
    assert_eq!(ids(&by_value().limit(2).query().await.unwrap()), ["a", "b"]);
    assert_eq!(ids(&by_value().offset(1).limit(2).query().await.unwrap()), ["b", "c"]);
    assert_eq!(ids(&by_value().offset(9).query().await.unwrap()), Vec::<&str>::new());
}

#[tokio::test]
async fn cursors_start_and_end_at_or_after_a_position() {
    let db = holding([("a", int(1)), ("b", int(2)), ("c", int(2)), ("d", int(3))]).await;
    let by_value = || db.fluent().select().from("items").order(|o| o.fields([o.field("v").asc()]));
    let before = |n: i64| FirestoreQueryCursor::BeforeValue(vec![n.into()]);
    let after = |n: i64| FirestoreQueryCursor::AfterValue(vec![n.into()]);
    assert_eq!(ids(&by_value().start_at(before(2)).query().await.unwrap()), ["b", "c", "d"]);
    assert_eq!(ids(&by_value().start_at(after(2)).query().await.unwrap()), ["d"]);
    assert_eq!(ids(&by_value().end_at(before(2)).query().await.unwrap()), ["a"]);
    assert_eq!(ids(&by_value().end_at(after(2)).query().await.unwrap()), ["a", "b", "c"]);

    let after_b =
        vec![2.into(), FirestoreValue::from(value(ValueType::ReferenceValue(name(&db, "items/b"))))];
    let by_value_and_name = by_value().order(|o| o.fields([o.field("v").asc(), o.field("__name__").asc()]));
    let rest = by_value_and_name.start_at(FirestoreQueryCursor::AfterValue(after_b)).query().await.unwrap();
    assert_eq!(ids(&rest), ["c", "d"]);
}

#[tokio::test]
async fn cursors_follow_a_descending_order() {
    let db = holding([("a", int(1)), ("b", int(2)), ("c", int(3))]).await;
    let query = db.fluent().select().from("items").order(|o| o.fields([o.field("v").desc()]));
    let after = FirestoreQueryCursor::AfterValue(vec![3.into()]);
    assert_eq!(ids(&query.start_at(after).query().await.unwrap()), ["b", "a"]);
}

#[tokio::test]
async fn a_cursor_does_not_say_more_than_the_order() {
    let db = holding([("a", int(1))]).await;
    let cursor = |values: Vec<FirestoreValue>| {
        let query = db.fluent().select().from("items").order(|o| o.fields([o.field("v").asc()]));
        query.start_at(FirestoreQueryCursor::AfterValue(values)).query()
    };
    let reference = FirestoreValue::from(value(ValueType::ReferenceValue(name(&db, "items/a"))));
    assert_eq!(refused(cursor(vec![1.into(), reference, 3.into()]).await).0, "InvalidArgument");
    assert_eq!(refused(cursor(vec![1.into(), "a".into()]).await).0, "InvalidArgument");
}

#[tokio::test]
async fn names_are_filtered_by_reference() {
    let db = holding([("a", int(1)), ("b", int(2)), ("c", int(3))]).await;
    let reference = |id: &str| FirestoreValue::from(value(ValueType::ReferenceValue(name(&db, id))));
    let after = matching(&db, |q| q.field("__name__").greater_than(reference("items/a"))).await;
    assert_eq!(after, ["b", "c", "without"]);
    let query = db.fluent().select().from("items").filter(|q| q.field("__name__").eq("a"));
    assert_eq!(refused(query.query().await).0, "InvalidArgument");
}

#[tokio::test]
async fn a_projection_returns_only_its_fields() {
    let db = db().await;
    let nested = map([("x", int(2)), ("y", int(3))]);
    commit(&db, [put(&db, "items/one", [("a", int(1)), ("m", nested)])]).await.unwrap();
    let select = |paths: [&str; 1]| db.fluent().select().fields(paths).from("items").query();
    assert_eq!(select(["m.x"]).await.unwrap()[0].fields, fields([("m", map([("x", int(2))]))]));
    assert_eq!(select(["__name__"]).await.unwrap()[0].fields, fields([]));
}

#[tokio::test]
async fn a_query_stays_in_its_collection_unless_it_asks_for_the_group() {
    let db = db().await;
    let writes =
        [put(&db, "items/a", []), put(&db, "items/a/items/deep", []), put(&db, "others/o/items/b", [])];
    commit(&db, writes).await.unwrap();
    let select = || db.fluent().select().from("items");
    assert_eq!(ids(&select().query().await.unwrap()), ["a"]);
    assert_eq!(ids(&select().parent(name(&db, "items/a")).query().await.unwrap()), ["deep"]);
    assert_eq!(ids(&select().all_descendants().query().await.unwrap()), ["a", "deep", "b"]);
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Counts {
    all: i64,
    some: i64,
}

#[tokio::test]
async fn counting_counts_what_the_query_finds() {
    let db = holding([("a", int(1)), ("b", int(2)), ("c", int(3))]).await;
    let counts = |up_to: usize| {
        let query = db.fluent().select().from("items").filter(|q| q.field("v").greater_than(0));
        query
            .aggregate(move |a| a.fields([a.field("all").count(), a.field("some").count_up_to(up_to)]))
            .obj::<Counts>()
            .query()
    };
    assert_eq!(counts(2).await.unwrap(), [Counts { all: 3, some: 2 }]);
    assert_eq!(counts(9).await.unwrap(), [Counts { all: 3, some: 3 }]);
}

#[tokio::test]
async fn what_the_stand_in_cannot_do_it_refuses() {
    let Some((_stand_in, db)) = own("what_the_stand_in_cannot_do_it_refuses").await else { return };
    let select = || db.fluent().select().from("items");
    let sum = select().aggregate(|a| a.fields([a.field("sum").sum("v")])).query().await;
    assert_eq!(refused(sum).0, "Unimplemented");
    let not_in = select().filter(|q| q.field("v").is_not_in([1, 2])).query().await;
    assert_eq!(refused(not_in).0, "Unimplemented");
}

#[tokio::test]
async fn senseless_queries_are_refused() {
    let db = db().await;
    let collection = |id: &str| CollectionSelector { collection_id: id.to_owned(), all_descendants: false };
    let from = |from| StructuredQuery { from, ..StructuredQuery::default() };
    let senseless = [
        from(vec![]),
        from(vec![collection("a"), collection("b")]),
        from(vec![collection("a/b/c")]),
        StructuredQuery { limit: Some(-1), ..from(vec![collection("a")]) },
        StructuredQuery { offset: -1, ..from(vec![collection("a")]) },
    ];
    for query in senseless {
        let request = RunQueryRequest {
            parent: db.get_documents_path().clone(),
            query_type: Some(QueryType::StructuredQuery(query)),
            ..RunQueryRequest::default()
        };
        let refused = db.client().get().run_query(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}
