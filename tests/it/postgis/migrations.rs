//! The migrations make the documented schema, also in a production database that has tables already.

use std::fs;
use std::path::Path;
use std::process::Output;

use commcare_sf_integration::destinations::postgis;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqlStr};
use tokio::process::Command;

use super::rows;
use super::starts::{DOCUMENTED, DOCUMENTED_ROWS, DOCUMENTED_TABLES, EMPTY, ORIGINAL, Start, everything};
use crate::support::app::TestApp;
use crate::support::forms::{mill, mill_visit};
use crate::support::postgres::TestDatabase;

/// The four tables, parents first.
const TABLES: [&str; 4] = ["wetmills", "form_visits", "survey_responses", "survey_question_responses"];

async fn migrate(database: &TestDatabase) {
    postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
}

/// The columns and constraints of the four tables.
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

/// Runs these migrations only, as an earlier release did that had no others.
async fn migrate_with_an_earlier_release(database: &TestDatabase, files: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        fs::copy(Path::new("migrations/postgis").join(file), folder.path().join(file)).unwrap();
    }
    let migrator = Migrator::new(folder.path()).await.unwrap();
    migrator.run(&mut database.connect().await).await.unwrap();
}

async fn visit_names(database: &TestDatabase) -> Vec<Value> {
    let visits = database.rows("SELECT form_name FROM form_visits ORDER BY form_name").await;
    visits.iter().map(|visit| visit["form_name"].clone()).collect()
}

#[tokio::test]
async fn the_migrations_make_the_documented_schema() {
    let (migrated, documented) = (TestDatabase::migrated().await, TestDatabase::empty().await);
    documented.run(DOCUMENTED_TABLES).await;
    let (migrated, documented) = (schema(&migrated).await, schema(&documented).await);
    assert!(documented.len() > 40);
    for (found, expected) in migrated.iter().zip(&documented) {
        assert_eq!(found, expected);
    }
    assert_eq!(migrated.len(), documented.len());
}

#[tokio::test]
async fn documented_tables_stay_as_they_are_and_go_on() {
    let database = DOCUMENTED.database().await;
    let before = (everything(&database, "form_visits").await, schema(&database).await);
    for _ in 0..2 {
        migrate(&database).await;
        assert_eq!((everything(&database, "form_visits").await, schema(&database).await), before);
    }
    assert_eq!(database.count("tbl_users WHERE user_name = 'Wanjiru'").await, 1);
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    assert_eq!(app.accept(&mill("m")).await["record_status"], "completed");
    let visit = mill_visit("v", "m", &json!({ "volume": "41" }));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    let stored = rows::stored(&database).await;
    assert_eq!(stored["wetmills"][0]["name"], "Karuthi Hill");
    assert_eq!(stored["form_visits"][0]["user_id"], "00000000-0000-4000-8000-00000000f001");
    assert_eq!(stored["survey_question_responses"][0]["value_number"], 41);
}

#[tokio::test]
async fn tables_of_the_original_keep_every_row_and_value() {
    let database = ORIGINAL.database().await;
    let before = everything(&database, "wetmill_visits").await;
    migrate(&database).await;
    let after = everything(&database, "form_visits").await;
    let mut repeats = 0;
    for (found, expected) in after.concat().iter_mut().zip(before.concat()) {
        let mut with_new_columns = found.clone();
        with_new_columns.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        if found["submission_id"] != expected["submission_id"] {
            let (id, plain) = (found["id"].as_str().unwrap(), expected["submission_id"].as_str().unwrap());
            assert_eq!(found["submission_id"], format!("{plain}#{id}"));
            found["submission_id"] = plain.into();
            repeats += 1;
        }
        assert_eq!(*found, with_new_columns);
    }
    assert_eq!(
        after.iter().map(Vec::len).collect::<Vec<_>>(),
        before.iter().map(Vec::len).collect::<Vec<_>>()
    );
    assert_eq!(repeats, 8);
    let migrated = (after, schema(&database).await);
    migrate(&database).await;
    assert_eq!((everything(&database, "form_visits").await, schema(&database).await), migrated);
}

#[tokio::test]
async fn a_repeated_submission_id_stays_with_the_oldest_visit_and_what_belongs_to_it() {
    let database = ORIGINAL.database().await;
    migrate(&database).await;
    let mut holders = Vec::new();
    for table in TABLES.iter().skip(1) {
        let query = format!(
            "SELECT right(id::text, 4) AS id, submission_id FROM {table} WHERE position('#' IN submission_id) = 0 ORDER BY id"
        );
        holders.extend(database.rows(&query).await);
    }
    let holders: Vec<_> = holders
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), row["submission_id"].as_str().unwrap()))
        .filter(|(_, submission_id)| !submission_id.starts_with("f0f0f0f0"))
        .collect();
    assert_eq!(
        holders,
        [
            ("b002", "WV-v"),
            ("b004", "WV-w"),
            ("c003", "SR-v-kpis"),
            ("c004", "SR-v-infrastructure"),
            ("d003", "SQR-v-kpis-volume"),
            ("d004", "SQR-v-kpis-price"),
            ("d005", "SQR-v-infrastructure-which_of_the_following_needs_repair-1"),
        ]
    );
}

#[tokio::test]
async fn a_visit_that_was_stored_several_times_is_the_latest_form_once_it_comes_again() {
    let database = ORIGINAL.database().await;
    migrate(&database).await;
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    let mut visit = mill_visit("v", "m", &json!({ "volume": "41" }));
    let repair = "which_of_the_following_needs_repair_check_all_that_apply";
    visit["form"]["surveys"]["infrastructure"] = json!({ repair: "12" });
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
    let answers = database
        .rows(
            "SELECT right(form_visits.id::text, 4) AS visit, question_name, value_number, value_text
             FROM survey_question_responses AS answer
             JOIN survey_responses ON survey_responses.id = survey_response_id
             JOIN form_visits ON form_visits.id = form_visit_id
             WHERE form_visits.submission_id = 'WV-v' ORDER BY answer.submission_id",
        )
        .await;
    let answer = |name: &str, number: Value, text: Value| json!({ "visit": "b002", "question_name": name, "value_number": number, "value_text": text });
    let label = "Weighing scale is calibrated";
    assert_eq!(
        answers,
        [
            answer("which_of_the_following_needs_repair", json!(null), json!(label)),
            answer(repair, json!(12), json!(null)),
            answer("volume", json!(41), json!(null)),
        ]
    );
    assert_eq!(database.count("form_visits").await, 5, "the repeats are still there");
}

#[tokio::test]
async fn rows_get_ids_and_times_from_the_database_and_updates_move_them() {
    let database = ORIGINAL.database().await;
    migrate(&database).await;
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    app.accept(&mill("n")).await;
    app.accept(&mill_visit("n", "n", &json!({ "volume": "40" }))).await;
    let new = "submission_id LIKE '%-n%'";
    for table in TABLES {
        let new = if table == "wetmills" { "commcare_case_id = 'case-n'" } else { new };
        let timed =
            format!("{table} WHERE {new} AND now() - created_at < '1 min' AND updated_at = created_at");
        assert_eq!(database.count(&timed).await, 1, "{table}");
        database
            .run(&format!(
                "UPDATE {table} SET created_at = '2025-01-01', updated_at = '2025-01-01' WHERE {new}"
            ))
            .await;
        assert_eq!(database.count(&format!("{table} WHERE {new} AND updated_at = '2025-01-01'")).await, 1);
    }
    app.accept(&mill("n")).await;
    app.accept(&mill_visit("n", "n", &json!({ "volume": "41" }))).await;
    for table in TABLES {
        let new = if table == "wetmills" { "commcare_case_id = 'case-n'" } else { new };
        let moved =
            format!("{table} WHERE {new} AND now() - updated_at < '1 min' AND created_at = '2025-01-01'");
        assert_eq!(database.count(&moved).await, 1, "{table}");
    }
}

/// Reads and writes visits under their old name.
async fn old_name_works(database: &TestDatabase, mill: &str) {
    database
        .run(&format!(
            "DELETE FROM wetmill_visits;
             INSERT INTO wetmill_visits (submission_id, wetmill_id, form_name, visit_date)
                 SELECT 'WV-x', id, 'without id', '2026-01-02' FROM wetmills WHERE commcare_case_id = '{mill}';
             INSERT INTO wetmill_visits (id, submission_id, wetmill_id, form_name, visit_date, created_at)
                 SELECT '00000000-0000-4000-8000-00000000b009', 'WV-y', wetmill_id, 'with id', visit_date, '2025-01-01'
                 FROM wetmill_visits;
             INSERT INTO wetmill_visits (submission_id, wetmill_id, form_name, visit_date)
                 SELECT 'WV-z', wetmill_id, 'to be deleted', visit_date FROM wetmill_visits LIMIT 1;
             UPDATE wetmill_visits SET form_name = 'changed' WHERE submission_id = 'WV-x';
             DELETE FROM wetmill_visits WHERE submission_id = 'WV-z'"
        ))
        .await;
    assert_eq!(visit_names(database).await, ["changed", "with id"]);
    let given = "id = '00000000-0000-4000-8000-00000000b009' AND created_at = '2025-01-01'";
    assert_eq!(database.count(&format!("wetmill_visits WHERE {given}")).await, 1);
    let made = "id IS NOT NULL AND now() - created_at < '1 min'";
    assert_eq!(database.count(&format!("wetmill_visits WHERE {made}")).await, 1);
}

#[tokio::test]
async fn the_old_name_of_the_visits_goes_on_working() {
    let documented = TestDatabase::empty().await;
    for script in [DOCUMENTED_TABLES, DOCUMENTED_ROWS] {
        documented.run(&script.replace("form_visits", "wetmill_visits")).await;
    }
    for (database, visits) in [(ORIGINAL.database().await, 5), (documented, 1)] {
        migrate(&database).await;
        migrate(&database).await;
        let by_both_names = (database.count("wetmill_visits").await, database.count("form_visits").await);
        assert_eq!(by_both_names, (visits, visits));
        let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
        assert_eq!(app.accept(&mill_visit("new", "m", &json!({}))).await["record_status"], "completed");
        assert_eq!(database.count("wetmill_visits WHERE submission_id = 'WV-new'").await, 1);
        old_name_works(&database, "case-m").await;
    }
}

#[tokio::test]
async fn whoever_may_use_the_visits_may_use_them_by_the_old_name() {
    let database = ORIGINAL.database().await;
    // Every server has these roles.
    database
        .run(
            "GRANT SELECT, INSERT ON wetmill_visits TO pg_monitor WITH GRANT OPTION;
             GRANT UPDATE (form_name) ON wetmill_visits TO pg_signal_backend;
             GRANT DELETE ON wetmill_visits TO PUBLIC;
             ALTER TABLE wetmill_visits OWNER TO pg_database_owner",
        )
        .await;
    migrate(&database).await;
    let rights = database
        .rows(
            "SELECT has_table_privilege('pg_monitor', 'wetmill_visits', 'SELECT WITH GRANT OPTION') AS read,
                 has_table_privilege('pg_monitor', 'wetmill_visits', 'INSERT') AS insert,
                 has_table_privilege('pg_monitor', 'wetmill_visits', 'UPDATE') AS update,
                 has_table_privilege('pg_monitor', 'wetmill_visits', 'DELETE') AS delete,
                 has_column_privilege('pg_signal_backend', 'wetmill_visits', 'form_name', 'UPDATE') AS name,
                 has_column_privilege('pg_signal_backend', 'wetmill_visits', 'id', 'UPDATE') AS id,
                 (SELECT relowner::regrole FROM pg_class WHERE relname = 'wetmill_visits') AS owner",
        )
        .await;
    assert_eq!(
        rights,
        [json!({
            "read": true, "insert": true, "update": false, "delete": true, "name": true, "id": false,
            "owner": "pg_database_owner",
        })]
    );
}

#[tokio::test]
async fn a_database_that_ran_an_earlier_releases_migrations_gets_the_rest() {
    let (first, both) = (["0001_wet_mills.sql"], ["0001_wet_mills.sql", "0002_look_ups.sql"]);
    let cases: [(Start, &[&str]); 4] =
        [(EMPTY, &both), (DOCUMENTED, &first), (DOCUMENTED, &both), (ORIGINAL, &first)];
    for (start, files) in cases {
        let database = start.database().await;
        migrate_with_an_earlier_release(&database, files).await;
        migrate(&database).await;
        let fresh = start.database().await;
        migrate(&fresh).await;
        assert_eq!(schema(&database).await, schema(&fresh).await, "{} after {files:?}", start.name);
        let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
        assert_eq!(app.accept(&mill("m")).await["record_status"], "completed");
        let visit = mill_visit("v", "m", &json!({ "volume": "41" }));
        assert_eq!(app.accept(&visit).await["record_status"], "completed");
    }
}

/// `deploy/CUTOVER.md`, "Back again".
#[tokio::test]
async fn a_database_that_the_original_has_written_again_can_be_migrated_again() {
    let database = ORIGINAL.database().await;
    migrate(&database).await;
    let page = fs::read_to_string("deploy/CUTOVER.md").unwrap();
    let statements = |start: &str| {
        let found: Vec<_> = page.lines().filter(|line| line.starts_with(start)).collect();
        assert!(!found.is_empty(), "{start}");
        found.concat()
    };
    database.run(&statements("ALTER TABLE ")).await;
    let repeat = "INSERT INTO survey_question_responses
            (survey_response_id, question_name, field_type, submission_id, value_text)
        SELECT survey_response_id, question_name, field_type, submission_id, 'again' FROM survey_question_responses
        WHERE submission_id = 'SQR-v-kpis-price'";
    database.run(repeat).await;
    let answers = database.count("survey_question_responses").await;
    database.run(&statements("DELETE FROM _sqlx_migrations")).await;
    migrate(&database).await;
    let ids = "SELECT count(DISTINCT submission_id), min(value_number) AS kept FROM survey_question_responses
        WHERE submission_id LIKE 'SQR-v-kpis-price%'";
    assert_eq!(database.rows(ids).await, [json!({ "count": 2, "kept": 4 })]);
    assert_eq!(database.count("survey_question_responses").await, answers);
    let app = TestApp::with(&[("DATABASE_URL", &database.url)]).await;
    let visit = mill_visit("v", "m", &json!({ "volume": "41" }));
    assert_eq!(app.accept(&visit).await["record_status"], "completed");
}

#[tokio::test]
async fn tables_without_their_keys_get_them() {
    let database = TestDatabase::empty().await;
    database.run(&DOCUMENTED_TABLES.replace(" UNIQUE", "")).await;
    database.run(DOCUMENTED_ROWS).await;
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

/// The compiler checks the queries against `.sqlx/`. This test checks `.sqlx/` against the schema.
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
