//! Indexes: the queries that production would refuse are refused here.
//!
//! `deploy/firestore.indexes.json` has `(status ASC, next_retry_at ASC)` and `(status ASC, updated_at DESC)`
//! and neither the other way round, and exempts `data` (except `data.id`), `plan` and others.

use firestore::errors::FirestoreError;
use firestore::select_filter_builder::FirestoreQueryFilterBuilder as Filter;
use firestore::{FirestoreDb, FirestoreQueryDirection, FirestoreQueryFilter, FirestoreResult};

use super::client;
use crate::support::firestore::Firestore;

const COLLECTION: &str = "commcare_collection";
const UP: FirestoreQueryDirection = FirestoreQueryDirection::Ascending;
const DOWN: FirestoreQueryDirection = FirestoreQueryDirection::Descending;

struct Asker {
    firestore: Firestore,
    db: FirestoreDb,
}

impl Asker {
    async fn new() -> Self {
        let firestore = Firestore::start();
        Self { db: client(&firestore).await, firestore }
    }

    /// Whether the proxy takes a query.
    async fn serves(
        &self,
        filter: impl Fn(Filter) -> Option<FirestoreQueryFilter>,
        order: &[(&str, FirestoreQueryDirection)],
    ) -> bool {
        let query = self.db.fluent().select().from(COLLECTION).filter(filter);
        let query = query.order(|o| {
            o.fields(order.iter().map(|(field, direction)| match direction {
                FirestoreQueryDirection::Ascending => o.field(field).asc(),
                FirestoreQueryDirection::Descending => o.field(field).desc(),
            }))
        });
        self.took(query.query().await)
    }

    fn took<T>(&self, answer: FirestoreResult<T>) -> bool {
        let Err(error) = answer else { return true };
        let FirestoreError::DatabaseError(error) = error else { panic!("{error}") };
        assert_eq!(error.public.code, "FailedPrecondition", "{error}");
        assert!(error.details.contains("The query requires an index"), "{error}");
        assert_eq!(self.firestore.take_unserved().len(), 1, "the test would fail in the end");
        false
    }
}

fn is_new(q: &Filter) -> Option<FirestoreQueryFilter> {
    q.field("status").eq("new")
}

#[tokio::test]
async fn the_deployed_composite_indexes_serve_their_queries() {
    let asker = Asker::new().await;
    assert!(asker.serves(|q| is_new(&q), &[("created_at", UP)]).await);
    assert!(asker.serves(|q| is_new(&q), &[("created_at", UP), ("__name__", UP)]).await);
    assert!(asker.serves(|q| is_new(&q), &[("updated_at", DOWN)]).await);
    assert!(asker.serves(|q| q.field("status").is_in(["new", "failed"]), &[("created_at", UP)]).await);
    let in_range = |q: Filter| q.for_all([is_new(&q), q.field("created_at").less_than(2)]);
    assert!(asker.serves(in_range, &[]).await);
}

#[tokio::test]
async fn an_index_is_not_read_backwards() {
    let asker = Asker::new().await;
    assert!(!asker.serves(|q| is_new(&q), &[("next_retry_at", DOWN)]).await);
    assert!(!asker.serves(|q| is_new(&q), &[("updated_at", UP)]).await);
    assert!(!asker.serves(|q| is_new(&q), &[("created_at", UP), ("__name__", DOWN)]).await);
}

#[tokio::test]
async fn a_filter_and_an_order_of_different_fields_need_a_composite_index() {
    let asker = Asker::new().await;
    assert!(!asker.serves(|q| q.field("origin").eq("x"), &[("created_at", UP)]).await);
    assert!(!asker.serves(|q| q.field("status").greater_than("x"), &[("created_at", UP)]).await);
    let extra = |q: Filter| q.for_all([is_new(&q), q.field("origin").eq("x")]);
    assert!(!asker.serves(extra, &[("created_at", UP)]).await);
    assert!(!asker.serves(|_| None, &[("created_at", UP), ("status", UP)]).await);
    assert!(asker.serves(|_| None, &[("status", UP), ("created_at", UP)]).await);
    let elsewhere = asker.db.fluent().select().from("other_collection").filter(|q| is_new(&q));
    let elsewhere = elsewhere.order(|o| o.fields([o.field("created_at").asc()])).query().await;
    assert!(!asker.took(elsewhere));
}

#[tokio::test]
async fn every_alternative_needs_its_index() {
    let asker = Asker::new().await;
    let either = |q: Filter| q.for_any([is_new(&q), q.field("origin").eq("x")]);
    assert!(asker.serves(either, &[]).await);
    assert!(!asker.serves(either, &[("created_at", UP)]).await);
}

#[tokio::test]
async fn automatic_indexes_serve_single_fields_and_merged_equalities() {
    let asker = Asker::new().await;
    assert!(asker.serves(|_| None, &[("created_at", UP)]).await);
    assert!(asker.serves(|_| None, &[("created_at", DOWN)]).await);
    assert!(asker.serves(|q| q.field("created_at").greater_than(1), &[("created_at", DOWN)]).await);
    let merged =
        |q: Filter| q.for_all([is_new(&q), q.field("origin").eq("x"), q.field("tags").array_contains(1)]);
    assert!(asker.serves(merged, &[]).await);
    assert!(asker.serves(merged, &[("__name__", UP)]).await);
    assert!(!asker.serves(merged, &[("__name__", DOWN)]).await);
}

#[tokio::test]
async fn an_exempt_field_is_neither_filtered_nor_ordered_by() {
    let asker = Asker::new().await;
    for field in
        ["data", "data.form", "data.form.`@name`", "plan", "attempts", "data_json", "plan_json", "unmapped"]
    {
        assert!(!asker.serves(|q| q.field(field).eq("x"), &[]).await, "{field}");
        assert!(!asker.serves(|q| q.field(field).greater_than("x"), &[]).await, "{field}");
        assert!(!asker.serves(|q| q.field(field).array_contains("x"), &[]).await, "{field}");
        assert!(!asker.serves(|_| None, &[(field, UP)]).await, "{field}");
    }
    assert!(asker.serves(|q| q.field("data_of_another").eq("x"), &[]).await, "no part of `data`");
    let both = |q: Filter| q.for_all([is_new(&q), q.field("data.x").eq(1)]);
    assert!(!asker.serves(both, &[]).await);
}

#[tokio::test]
async fn the_form_id_stays_indexed_in_an_exempt_map() {
    let asker = Asker::new().await;
    assert!(asker.serves(|q| q.field("data.id").eq("f1"), &[]).await);
    assert!(asker.serves(|q| q.for_all([q.field("data.id").eq("f1"), is_new(&q)]), &[]).await);
    assert!(asker.serves(|_| None, &[("data.id", UP)]).await);
    assert!(!asker.serves(|_| None, &[("data.id", DOWN)]).await);
    assert!(!asker.serves(|q| q.field("data.id").array_contains("f"), &[]).await);
}

#[tokio::test]
async fn a_count_needs_the_index_of_its_query() {
    let asker = Asker::new().await;
    let count = |field: &'static str| {
        let query = asker.db.fluent().select().from(COLLECTION).filter(move |q| q.field(field).eq("x"));
        query.aggregate(|a| a.fields([a.field("n").count()])).query()
    };
    assert!(asker.took(count("status").await));
    assert!(!asker.took(count("plan").await));
}

#[tokio::test]
async fn a_collection_group_has_no_automatic_indexes() {
    let asker = Asker::new().await;
    let group = || asker.db.fluent().select().from(COLLECTION).all_descendants();
    assert!(asker.took(group().query().await));
    assert!(!asker.took(group().filter(|q| is_new(&q)).query().await));
}
