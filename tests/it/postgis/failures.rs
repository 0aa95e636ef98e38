//! Failures of a real server: nothing of a form is lost or half stored.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;

use super::rows;
use crate::support::app::TestApp;
use crate::support::forms::{mill, mill_visit, registration};
use crate::support::postgres::{TestDatabase, TestServer};
use commcare_sf_integration::destinations::postgis;

async fn service(database: &TestDatabase, variables: &[(&str, &str)]) -> TestApp {
    let given = [("DATABASE_URL", database.url.as_str()), ("RETRY_BACKOFF_SECONDS", "1")];
    TestApp::with(&[&given, variables].concat()).await
}

fn kind_and_step(record: &Value) -> (&str, &str, &str) {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    (text("status"), text("error_kind"), text("last_step"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stops_mid_form_and_comes_back_has_the_form_once() {
    let server = TestServer::start();
    let database = TestDatabase::on(&server.url()).await;
    postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
    let app = service(&database, &[]).await;
    app.accept(&mill("m")).await;
    app.accept(&mill_visit("v", "m", &json!({ "volume": "40", "price": "90" }))).await;
    let before = rows::stored(&database).await;
    // The new edition waits at its answers, inside its transaction.
    let mut lock = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE survey_question_responses").execute(&mut lock).await.unwrap();
    let edition = mill_visit("v", "m", &json!({ "volume": "41" }));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| server.stop());
    };
    let (answer, ()) = tokio::join!(app.accept(&edition), stop);
    assert_eq!((&answer["replaced"], &answer["record_status"]), (&json!(true), &json!("new")));
    assert_eq!(kind_and_step(&app.record("v").await).1, "transient");
    let ready = app.get("/ready").await.expect(200);
    assert_eq!(ready, json!({ "status": "ready", "down": ["postgis"] }));
    // A form to Salesforce is not held up.
    app.accept(&registration("f")).await;
    let report = app.drain().await;
    assert_eq!((&report["processed_records"], report.get("stopped")), (&json!(["f"]), None));
    tokio::task::block_in_place(|| server.resume());
    assert_eq!(rows::stored(&database).await, before, "nothing of the new edition is stored");
    app.until_completed(3).await;
    let after = rows::stored(&database).await;
    let answers = after["survey_question_responses"].as_array().unwrap();
    assert_eq!((answers.len(), &answers[0]["value_number"]), (1, &json!(41)));
    assert_eq!(app.get("/ready").await.expect(200), json!({ "status": "ready" }));
}

#[tokio::test]
async fn a_form_that_finds_every_connection_in_use_comes_through_later() {
    let database = TestDatabase::migrated().await;
    let app = service(&database, &[("DATABASE_MAX_CONNECTIONS", "1")]).await;
    app.accept(&mill("m")).await;
    let mut lock = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE form_visits").execute(&mut lock).await.unwrap();
    let (first, second) = (mill_visit("first", "m", &json!({})), mill_visit("second", "m", &json!({})));
    let then = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let answer = app.accept(&second).await;
        lock.close().await.unwrap();
        answer
    };
    let (first, second) = tokio::join!(app.accept(&first), then);
    assert_eq!((&first["record_status"], &second["record_status"]), (&json!("completed"), &json!("new")));
    let record = app.record("second").await;
    assert_eq!(kind_and_step(&record), ("new", "transient", "connection"));
    assert_eq!(
        record["error"],
        "no connection to PostgreSQL within 5 s (DATABASE_URL): 1 of 1 connections are open"
    );
    app.until_completed(3).await;
}

#[tokio::test]
async fn a_violated_constraint_fails_the_form_for_good_and_leaves_the_earlier_version() {
    let database = TestDatabase::migrated().await;
    database
        .run("ALTER TABLE survey_question_responses ADD CONSTRAINT polite CHECK (value_text <> 'Josphat M.')")
        .await;
    let app = service(&database, &[]).await;
    app.accept(&mill("m")).await;
    app.accept(&mill_visit("v", "m", &json!({ "manager": "he", "volume": "40" }))).await;
    let before = rows::stored(&database).await;
    for refused in ["Josphat M.", "Josphat\u{0}M."] {
        let edition = mill_visit("v", "m", &json!({ "manager": refused, "volume": "41" }));
        assert_eq!(app.accept(&edition).await["record_status"], "failed");
        let record = app.record("v").await;
        assert_eq!(kind_and_step(&record), ("failed", "permanent", "survey_question_responses"));
        assert!(!record["error"].as_str().unwrap().contains("Josphat"), "{}", record["error"]);
        assert_eq!(record["next_retry_at"], Value::Null);
        assert_eq!(rows::stored(&database).await, before);
    }
    let first =
        "PostgreSQL refused the form: SQLSTATE 23514, constraint polite, table survey_question_responses";
    assert_eq!(app.record("v").await["attempts"][1]["error"], first);
}

#[tokio::test]
async fn a_serialization_failure_is_tried_again_within_the_call() {
    let database = TestDatabase::migrated().await;
    database
        .run(
            "CREATE SEQUENCE tries;
             CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('tries') < 3 THEN
                     RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER fail_twice BEFORE INSERT ON form_visits FOR EACH ROW EXECUTE FUNCTION fail_twice()",
        )
        .await;
    let app = service(&database, &[]).await;
    app.accept(&mill("m")).await;
    assert_eq!(app.accept(&mill_visit("v", "m", &json!({}))).await["record_status"], "completed");
    assert_eq!(app.record("v").await["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(database.rows("SELECT last_value FROM tries").await[0]["last_value"], 3);
}

#[tokio::test]
async fn a_database_without_schema_is_no_fault_of_the_form() {
    let database = TestDatabase::empty().await;
    let app = service(&database, &[]).await;
    assert_eq!(app.accept(&mill("m")).await["record_status"], "new");
    let record = app.record("m").await;
    assert_eq!(kind_and_step(&record).1, "transient");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("SQLSTATE 42P01") && error.contains("migrate"), "{error}");
    postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
    app.until_completed(1).await;
}

#[tokio::test]
async fn a_database_that_takes_no_connections_is_no_fault_of_the_form() {
    let (database, elsewhere) = (TestDatabase::migrated().await, TestDatabase::empty().await);
    let app = service(&database, &[]).await;
    let name = database.url.rsplit_once('/').unwrap().1;
    elsewhere.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    assert_eq!(app.accept(&mill("m")).await["record_status"], "new");
    let record = app.record("m").await;
    assert_eq!(kind_and_step(&record), ("new", "transient", "connection"));
    elsewhere.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    app.until_completed(1).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_keeps_nobody_from_starting() {
    let variables =
        [("DATABASE_URL", "postgres://user:s3cr3t@127.0.0.1:1/mills"), ("RUN_MIGRATIONS", "true")];
    let app = TestApp::with(&variables).await;
    app.accept(&registration("f")).await;
    assert_eq!(app.drain().await["processed_records"], json!(["f"]));
    assert_eq!(app.accept(&mill("m")).await["record_status"], "new");
    let record = app.record("m").await;
    assert_eq!(kind_and_step(&record), ("new", "transient", "connection"));
    assert!(!record.to_string().contains("s3cr3t"));
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_store_is_named_by_its_field() {
    let database = TestDatabase::migrated().await;
    let app = service(&database, &[]).await;
    app.accept(&mill("m")).await;
    let mut other = mill("other");
    other["form"]["wet_mill_details"]["mill_registered_name"] = "Ki\0riga".into();
    let visit = mill_visit("v", "m", &json!({ "volume": "4\u{0}0" }));
    for (id, form, column) in
        [("other", other, "wetmills.name"), ("v", visit, "survey_question_responses.value_text of volume")]
    {
        app.accept(&form).await;
        let record = app.record(id).await;
        assert_eq!(
            (&record["status"], &record["error_kind"]),
            (&json!("failed"), &json!("permanent")),
            "{record}"
        );
        let error = record["error"].as_str().unwrap();
        let expected = format!("{column} holds a NUL character, which PostgreSQL cannot store");
        assert!(error.contains("SQLSTATE 22021") && error.contains(&expected), "{error}");
        assert!(!error.contains("riga"), "{error}");
    }
}

#[tokio::test]
async fn what_poolers_and_connections_say_counts_against_no_form() {
    let database = TestDatabase::migrated().await;
    let raise = |code: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
        )
    };
    database.run(&raise("08P01")).await;
    database
        .run("CREATE TRIGGER refuse BEFORE INSERT ON wetmills FOR EACH ROW EXECUTE FUNCTION refuse()")
        .await;
    for code in [
        "08P01", "08006", "57P01", "57P05", "26000", "42P05", "42P03", "25001", "25P02", "24000", "34000",
        "3B001",
    ] {
        database.run(&raise(code)).await;
        let app = service(&database, &[]).await;
        let answer = app.accept(&mill("m")).await;
        let record = app.record("m").await;
        assert_eq!(
            (&answer["record_status"], &record["run_retries"]),
            (&json!("new"), &json!(0)),
            "{code}: {record}"
        );
        assert!(record["error"].as_str().unwrap().contains(code), "{record}");
    }
}
