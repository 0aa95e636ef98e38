//! Large visits, visits that two instances store at once, and the rows that a re-submission keeps.

use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::rows;
use crate::support::app::TestApp;
use crate::support::forms::{mill, mill_visit};
use crate::support::postgres::TestDatabase;

async fn service(database: &TestDatabase) -> TestApp {
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    app.accept(&mill("m")).await;
    app
}

/// This many answers, each with the same value.
fn answers(count: usize, value: &str) -> Value {
    (0..count).map(|n| (format!("question_{n}"), value.into())).collect::<Map<_, _>>().into()
}

#[tokio::test]
async fn a_form_with_five_thousand_answers_is_one_transaction_of_few_statements() {
    let database = TestDatabase::migrated().await;
    let app = service(&database).await;
    database
        .run(
            "CREATE TABLE statements (xid xid8);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO statements VALUES (pg_current_xact_id()); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER INSERT ON survey_question_responses
                 FOR EACH STATEMENT EXECUTE FUNCTION note()",
        )
        .await;
    let visit = mill_visit("v", "m", &answers(5_000, "40"));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    assert_eq!(database.count("survey_question_responses").await, 5_000);
    assert_eq!(database.count("statements").await, 1);
    let edition = mill_visit("v", "m", &answers(4_999, "41"));
    assert_eq!(app.accept(&edition).await["record_status"], "completed");
    assert_eq!(database.count("survey_question_responses WHERE value_number = 41").await, 4_999);
    assert_eq!(database.count("survey_question_responses").await, 4_999);
    assert_eq!(database.count("statements").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_that_store_one_visit_at_once_end_with_one_consistent_visit() {
    let database = TestDatabase::migrated().await;
    let instances = [service(&database).await, service(&database).await];
    for round in 0..20 {
        let visit = |instance: usize| {
            let (count, value) = [(300, "10"), (200, "20")][instance];
            mill_visit(&format!("v-{round}"), "m", &answers(count, value))
        };
        let stored = join_all((0..2).map(|instance| {
            let (app, visit) = (&instances[instance], visit(instance));
            async move { app.accept(&visit).await["record_status"].clone() }
        }));
        assert_eq!(stored.await, ["completed", "completed"], "round {round}");
        let found = database
            .rows(&format!(
                "SELECT value_number, count(*) FROM survey_question_responses
                 WHERE submission_id LIKE 'SQR-v-{round}-%' GROUP BY value_number"
            ))
            .await;
        let one =
            [json!([{ "value_number": 10, "count": 300 }]), json!([{ "value_number": 20, "count": 200 }])];
        assert!(one.contains(&found.clone().into()), "round {round}: {found:?}");
    }
    assert_eq!(database.count("form_visits").await, 20);
}

#[tokio::test]
async fn a_resubmission_keeps_the_rows_that_are_still_answered() {
    let database = TestDatabase::migrated().await;
    let app = service(&database).await;
    let keys = async || {
        let sql = "SELECT submission_id, id FROM survey_question_responses ORDER BY submission_id";
        database.rows(sql).await
    };
    app.accept(&mill_visit("v", "m", &json!({ "a": "x", "b": "x" }))).await;
    let before = keys().await;
    app.accept(&mill_visit("v", "m", &json!({ "a": "y" }))).await;
    assert_eq!(keys().await, before[..1]);
}

#[tokio::test]
async fn positions_are_wgs_84_and_what_is_none_is_left_out() {
    let database = TestDatabase::migrated().await;
    let app = service(&database).await;
    app.accept(&mill_visit("a", "m", &json!({}))).await;
    for (id, gps) in [("b", "near the river"), ("c", "-0.41,37.02"), ("d", "-0.41")] {
        let mut visit = mill_visit(id, "m", &json!({}));
        visit["form"]["introduction"]["gps"] = gps.into();
        assert_eq!(app.accept(&visit).await["record_status"], "completed");
    }
    let visits = &rows::stored(&database).await["form_visits"];
    let points: Vec<bool> =
        visits.as_array().unwrap().iter().map(|visit| visit["geo_location"].is_object()).collect();
    assert_eq!(points, [true, false, false, false]);
    let srid = database.rows("SELECT ST_SRID(geo_location) FROM form_visits LIMIT 1").await;
    assert_eq!(srid[0]["st_srid"], 4326);
}
