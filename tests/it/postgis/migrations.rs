//! The schema: as documented, also where the original's tables are there already.

use std::fs;
use std::process::Output;

use commcare_sf_integration::destinations::postgis;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqlStr};
use tokio::process::Command;

use super::rows;
use crate::support::app::TestApp;
use crate::support::forms::{mill, mill_visit};
use crate::support::postgres::TestDatabase;

/// What the original service documents.
const ORIGINAL: &str = include_str!("original_schema.sql");

/// A mill with a visit, as the original stored them.
const SAMPLE_ROWS: &str = "
    INSERT INTO tbl_users VALUES ('4d9825ce-c46e-4ce1-8cf3-7670ab346adb', 'Wanjiru', '005demo');
    INSERT INTO wetmills (wet_mill_unique_id, commcare_case_id, name, office_gps, user_id)
        VALUES ('KE-1', 'case-m', 'Old name', ST_SetSRID(ST_MakePoint(37, -0.4), 4326),
            '4d9825ce-c46e-4ce1-8cf3-7670ab346adb');
    INSERT INTO form_visits (submission_id, wetmill_id, form_name, visit_date)
        SELECT 'WV-v', id, 'Wet Mill Visit - KE', '2026-01-02' FROM wetmills;
    INSERT INTO survey_responses (submission_id, form_visit_id, survey_type)
        SELECT 'SR-v-kpis', id, 'kpis' FROM form_visits;
    INSERT INTO survey_question_responses
            (submission_id, survey_response_id, question_name, field_type, value_number)
        SELECT 'SQR-v-kpis-volume', id, 'volume', 'number', 40 FROM survey_responses;
";

async fn migrate(database: &TestDatabase) {
    postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
}

/// Columns, constraints and their rules of the four tables.
async fn schema(database: &TestDatabase) -> Vec<Value> {
    let tables = "('wetmills', 'form_visits', 'survey_responses', 'survey_question_responses')";
    let columns = format!(
        "SELECT table_name, column_name, ordinal_position, is_nullable, column_default,
             format_type(atttypid, atttypmod) AS type
         FROM information_schema.columns
         JOIN pg_attribute ON attrelid = table_name::regclass AND attname = column_name
         WHERE table_name IN {tables} AND table_schema = 'public' ORDER BY table_name, ordinal_position"
    );
    let constraints = format!(
        "SELECT conrelid::regclass AS of, conname, pg_get_constraintdef(oid) AS rule
         FROM pg_constraint WHERE conrelid::regclass::text IN {tables} ORDER BY conrelid::regclass::text, conname"
    );
    [database.rows(&columns).await, database.rows(&constraints).await].concat()
}

#[tokio::test]
async fn the_migrations_make_the_documented_schema() {
    let (migrated, original) = (TestDatabase::migrated().await, TestDatabase::empty().await);
    original.run(ORIGINAL).await;
    let (migrated, original) = (schema(&migrated).await, schema(&original).await);
    assert!(original.len() > 40);
    for (found, expected) in migrated.iter().zip(&original) {
        assert_eq!(found, expected);
    }
    assert_eq!(migrated.len(), original.len());
}

#[tokio::test]
async fn tables_of_the_original_keep_their_data_and_go_on() {
    let database = TestDatabase::empty().await;
    database.run(ORIGINAL).await;
    database.run(SAMPLE_ROWS).await;
    let (rows_before, schema_before) = (rows::stored(&database).await, schema(&database).await);
    for _ in 0..2 {
        migrate(&database).await;
    }
    assert_eq!(rows::stored(&database).await, rows_before);
    assert_eq!(schema(&database).await, schema_before);
    assert_eq!(database.count("tbl_users WHERE user_name = 'Wanjiru'").await, 1);
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    assert_eq!(app.accept(&mill("m")).await["record_status"], "completed");
    let visit = mill_visit("v", "m", &json!({ "volume": "41" }));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    let stored = rows::stored(&database).await;
    assert_eq!(stored["wetmills"][0]["name"], "Karuthi Hill");
    assert_eq!(stored["form_visits"][0]["user_id"], "4d9825ce-c46e-4ce1-8cf3-7670ab346adb");
    assert_eq!(stored["survey_question_responses"][0]["value_number"], 41);
}

#[tokio::test]
async fn an_older_name_of_the_visits_goes_on_working() {
    let database = TestDatabase::empty().await;
    database.run(&ORIGINAL.replace("form_visits", "wetmill_visits")).await;
    database.run(&SAMPLE_ROWS.replace("form_visits", "wetmill_visits")).await;
    for _ in 0..2 {
        migrate(&database).await;
    }
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    let visit = mill_visit("w", "m", &json!({}));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    let by_old_name = async || database.count("wetmill_visits").await;
    assert_eq!((by_old_name().await, database.count("form_visits").await), (2, 2));
    database
        .run(
            "UPDATE wetmill_visits SET form_name = 'changed' WHERE submission_id = 'WV-v';
             INSERT INTO wetmill_visits (submission_id, wetmill_id, form_name, visit_date)
                 SELECT 'WV-x', wetmill_id, 'by the old name', visit_date FROM wetmill_visits LIMIT 1;
             DELETE FROM wetmill_visits WHERE submission_id = 'WV-w'",
        )
        .await;
    let visits = rows::stored(&database).await["form_visits"].clone();
    let names: Vec<_> = visits.as_array().unwrap().iter().map(|visit| visit["form_name"].clone()).collect();
    assert_eq!(names, ["changed", "by the old name"]);
    let unnamed = "form_visits WHERE id IS NULL OR created_at IS NULL";
    assert_eq!(database.count(unnamed).await, 0, "defaults hold through the view");
    assert_eq!(database.count("survey_responses").await, 1);
}

#[tokio::test]
async fn tables_without_their_keys_get_them() {
    let database = TestDatabase::empty().await;
    database.run(&ORIGINAL.replace(" UNIQUE", "")).await;
    database.run(SAMPLE_ROWS).await;
    migrate(&database).await;
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    let visit = mill_visit("v", "m", &json!({ "volume": "41" }));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    assert_eq!(database.count("survey_question_responses").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_instances_that_start_at_once_one_migrates() {
    let database = TestDatabase::empty().await;
    let variables = [("DATABASE_URL", database.url.as_str()), ("RUN_MIGRATIONS", "true")];
    let instances = join_all((0..8).map(|_| TestApp::with(&variables))).await;
    let applied = database.count("_sqlx_migrations WHERE success").await;
    assert_eq!(applied, i64::try_from(fs::read_dir("migrations/postgis").unwrap().count()).unwrap());
    assert_eq!(instances[7].accept(&mill("m")).await["record_status"], "completed");
}

async fn command(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commcare-sf-integration"));
    command.arg("migrate").env_clear().envs(variables.iter().copied()).current_dir(std::env::temp_dir());
    command.output().await.unwrap()
}

#[tokio::test]
async fn the_command_migrates_and_says_what() {
    let database = TestDatabase::empty().await;
    for _ in 0..2 {
        let output = command(&[("DATABASE_URL", &database.url)]).await;
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().ends_with("is up to date\n"));
    }
    assert_eq!(database.count("wetmills").await, 0);
    let output = command(&[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("DATABASE_URL: missing"));
    let unreachable = "postgres://user:s3cr3t@127.0.0.1:1/mills";
    let output = command(&[("DATABASE_URL", unreachable)]).await;
    let says = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(says.contains("127.0.0.1:1/mills") && !says.contains("s3cr3t"), "{says}");
}

/// The compiler checks the queries against `.sqlx/`; this checks `.sqlx/` against the schema.
#[tokio::test]
async fn the_checked_queries_fit_the_schema() {
    let database = TestDatabase::migrated().await;
    let mut connection = database.connect().await;
    let mut checked = 0;
    for entry in fs::read_dir(".sqlx").unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap();
        let query: Value = serde_json::from_slice(&text).unwrap();
        let sql: SqlStr = AssertSqlSafe(query["query"].as_str().unwrap().to_owned()).into_sql_str();
        connection.prepare(sql).await.unwrap();
        checked += 1;
    }
    assert!(checked > 0);
}
