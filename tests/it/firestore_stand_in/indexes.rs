//! Indexes: the queries that production would refuse are refused here.
//!
//! `deploy/firestore.indexes.json` has `(status ASC, created_at ASC)` and
//! `(status ASC, updated_at DESC)`, and exempts `data` (but for `data.id`), `plan` and others.

use firestore::select_filter_builder::FirestoreQueryFilterBuilder;
use firestore::{FirestoreDb, FirestoreQueryDirection, FirestoreQueryFilter};
use gcloud_sdk::google::firestore::v1::Document;

use super::{commit, ids, int, map, own, put, refused, text};

const COLLECTION: &str = "commcare_collection";

type Asked = firestore::FirestoreResult<Vec<Document>>;

async fn ask(
    db: &FirestoreDb,
    filter: impl Fn(FirestoreQueryFilterBuilder) -> Option<FirestoreQueryFilter>,
    order: &[(&str, FirestoreQueryDirection)],
) -> Asked {
    let query = db.fluent().select().from(COLLECTION).filter(filter);
    query
        .order(|o| {
            o.fields(order.iter().map(|(field, direction)| match direction {
                FirestoreQueryDirection::Ascending => o.field(field).asc(),
                FirestoreQueryDirection::Descending => o.field(field).desc(),
            }))
        })
        .query()
        .await
}

fn needs_index(result: Asked) {
    let (code, message) = refused(result);
    assert_eq!(code, "FailedPrecondition");
    assert!(message.contains("The query requires an index"), "{message}");
}

const UP: FirestoreQueryDirection = FirestoreQueryDirection::Ascending;
const DOWN: FirestoreQueryDirection = FirestoreQueryDirection::Descending;

#[tokio::test]
async fn the_deployed_composite_indexes_serve_their_queries() {
    let Some((_stand_in, db)) = own("the_deployed_composite_indexes_serve_their_queries").await else {
        return;
    };
    for (id, status, at) in [("a", "new", 2), ("b", "new", 1), ("c", "done", 0), ("d", "failed", 3)] {
        let fields = [("status", text(status)), ("created_at", int(at)), ("updated_at", int(at))];
        commit(&db, [put(&db, &format!("{COLLECTION}/{id}"), fields)]).await.unwrap();
    }
    let oldest = ask(&db, |q| q.field("status").eq("new"), &[("created_at", UP)]).await.unwrap();
    assert_eq!(ids(&oldest), ["b", "a"]);
    let latest = ask(&db, |q| q.field("status").eq("new"), &[("updated_at", DOWN)]).await.unwrap();
    assert_eq!(ids(&latest), ["a", "b"]);
    let in_range = |q: FirestoreQueryFilterBuilder| {
        q.for_all([q.field("status").eq("new"), q.field("created_at").less_than(2)])
    };
    assert_eq!(ids(&ask(&db, in_range, &[]).await.unwrap()), ["b"]);
    let either =
        ask(&db, |q| q.field("status").is_in(["new", "failed"]), &[("created_at", UP)]).await.unwrap();
    assert_eq!(ids(&either), ["b", "a", "d"]);
}

#[tokio::test]
async fn an_index_is_not_read_backwards() {
    let Some((_stand_in, db)) = own("an_index_is_not_read_backwards").await else { return };
    needs_index(ask(&db, |q| q.field("status").eq("new"), &[("created_at", DOWN)]).await);
    needs_index(ask(&db, |q| q.field("status").eq("new"), &[("updated_at", UP)]).await);
    let by_name = [("created_at", UP), ("__name__", DOWN)];
    needs_index(ask(&db, |q| q.field("status").eq("new"), &by_name).await);
}

#[tokio::test]
async fn a_filter_and_an_order_of_different_fields_need_a_composite_index() {
    let Some((_stand_in, db)) = own("a_filter_and_an_order_of_different_fields_need_a_composite_index").await
    else {
        return;
    };
    needs_index(ask(&db, |q| q.field("origin").eq("x"), &[("created_at", UP)]).await);
    needs_index(ask(&db, |q| q.field("status").greater_than("x"), &[("created_at", UP)]).await);
    let extra =
        |q: FirestoreQueryFilterBuilder| q.for_all([q.field("status").eq("new"), q.field("origin").eq("x")]);
    needs_index(ask(&db, extra, &[("created_at", UP)]).await);
    needs_index(ask(&db, |_| None, &[("created_at", UP), ("status", UP)]).await);
    ask(&db, |_| None, &[("status", UP), ("created_at", UP)]).await.unwrap();
    let elsewhere = db.fluent().select().from("other_collection").filter(|q| q.field("status").eq("new"));
    needs_index(elsewhere.order(|o| o.fields([o.field("created_at").asc()])).query().await);
}

#[tokio::test]
async fn every_alternative_needs_its_index() {
    let Some((_stand_in, db)) = own("every_alternative_needs_its_index").await else { return };
    let either =
        |q: FirestoreQueryFilterBuilder| q.for_any([q.field("status").eq("new"), q.field("origin").eq("x")]);
    ask(&db, either, &[]).await.unwrap();
    needs_index(ask(&db, either, &[("created_at", UP)]).await);
}

#[tokio::test]
async fn automatic_indexes_serve_single_fields_and_merged_equalities() {
    let Some((_stand_in, db)) = own("automatic_indexes_serve_single_fields_and_merged_equalities").await
    else {
        return;
    };
    ask(&db, |_| None, &[("created_at", UP)]).await.unwrap();
    ask(&db, |_| None, &[("created_at", DOWN)]).await.unwrap();
    ask(&db, |q| q.field("created_at").greater_than(1), &[("created_at", DOWN)]).await.unwrap();
    let merged = |q: FirestoreQueryFilterBuilder| {
        q.for_all([q.field("status").eq("new"), q.field("origin").eq("x"), q.field("tags").array_contains(1)])
    };
    ask(&db, merged, &[]).await.unwrap();
    ask(&db, merged, &[("__name__", UP)]).await.unwrap();
    needs_index(ask(&db, merged, &[("__name__", DOWN)]).await);
}

#[tokio::test]
async fn an_exempt_field_is_neither_filtered_nor_ordered_by() {
    let Some((_stand_in, db)) = own("an_exempt_field_is_neither_filtered_nor_ordered_by").await else {
        return;
    };
    for field in
        ["data", "data.form", "data.form.`@name`", "plan", "attempts", "data_json", "plan_json", "unmapped"]
    {
        needs_index(ask(&db, |q| q.field(field).eq("x"), &[]).await);
        needs_index(ask(&db, |q| q.field(field).greater_than("x"), &[]).await);
        needs_index(ask(&db, |q| q.field(field).array_contains("x"), &[]).await);
        needs_index(ask(&db, |_| None, &[(field, UP)]).await);
    }
    let both =
        |q: FirestoreQueryFilterBuilder| q.for_all([q.field("status").eq("new"), q.field("data.x").eq(1)]);
    needs_index(ask(&db, both, &[]).await);
}

#[tokio::test]
async fn the_form_id_stays_indexed_in_an_exempt_map() {
    let Some((_stand_in, db)) = own("the_form_id_stays_indexed_in_an_exempt_map").await else { return };
    let form = map([("id", text("f1")), ("x", int(1))]);
    commit(&db, [put(&db, &format!("{COLLECTION}/a"), [("data", form), ("status", text("new"))])])
        .await
        .unwrap();
    let by_id = |q: FirestoreQueryFilterBuilder| q.field("data.id").eq("f1");
    assert_eq!(ids(&ask(&db, by_id, &[]).await.unwrap()), ["a"]);
    let both = |q: FirestoreQueryFilterBuilder| {
        q.for_all([q.field("data.id").eq("f1"), q.field("status").eq("new")])
    };
    assert_eq!(ids(&ask(&db, both, &[]).await.unwrap()), ["a"]);
    ask(&db, |_| None, &[("data.id", UP)]).await.unwrap();
    needs_index(ask(&db, |_| None, &[("data.id", DOWN)]).await);
    needs_index(ask(&db, |q| q.field("data.id").array_contains("f"), &[]).await);
}

#[tokio::test]
async fn a_count_needs_the_index_of_its_query() {
    let Some((_stand_in, db)) = own("a_count_needs_the_index_of_its_query").await else { return };
    let count = |field: &'static str| {
        let query = db.fluent().select().from(COLLECTION).filter(move |q| q.field(field).eq("x"));
        query.aggregate(|a| a.fields([a.field("n").count()])).query()
    };
    assert_eq!(count("status").await.unwrap().len(), 1);
    needs_index(count("plan").await);
}

#[tokio::test]
async fn a_collection_group_has_no_automatic_indexes() {
    let Some((_stand_in, db)) = own("a_collection_group_has_no_automatic_indexes").await else { return };
    let group = || db.fluent().select().from(COLLECTION).all_descendants();
    group().query().await.unwrap();
    needs_index(group().filter(|q| q.field("status").eq("new")).query().await);
}
