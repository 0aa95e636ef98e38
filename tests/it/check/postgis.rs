//! PostGIS: schema, extensions, rights.

use super::{check, findings, report};
use crate::support::postgres::TestDatabase;

#[tokio::test]
async fn a_migrated_database_is_fine() {
    let database = TestDatabase::migrated().await;
    let (code, printed) = check(&[], &[("DATABASE_URL", &database.url)]).await;
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("postgis     checked: "), "{printed}");
}

#[tokio::test]
async fn an_empty_database_lacks_everything_and_stays_empty() {
    let database = TestDatabase::empty().await;
    let (code, report) = report(&[("DATABASE_URL", &database.url)]).await;
    let found = findings(&report);
    assert_eq!(code, 1);
    for place in ["postgis", "uuid-ossp", "schema", "wetmills", "tbl_users"] {
        assert!(
            found.iter().any(|(known, problem)| known == place && problem.contains("migrate")),
            "{place}: {found:?}"
        );
    }
    let tables = database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").await;
    assert!(tables.is_empty(), "{tables:?}");
}

#[tokio::test]
async fn a_missing_column_and_a_missing_right_are_named() {
    let database = TestDatabase::migrated().await;
    database.run("ALTER TABLE wetmills DROP COLUMN office_gps").await;
    let (code, without_column) = report(&[("DATABASE_URL", &database.url)]).await;
    let problem = "the column is missing: run the command migrate".to_owned();
    assert_eq!((code, findings(&without_column)), (1, vec![("wetmills.office_gps".to_owned(), problem)]));
    database.run("ALTER TABLE wetmills ADD COLUMN office_gps text").await;
    let role = format!("it_{}", uuid::Uuid::new_v4().simple());
    database
        .run(&format!(
            "CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}; \
             REVOKE DELETE ON survey_responses FROM {role}; REVOKE SELECT, UPDATE ON wetmills FROM {role}"
        ))
        .await;
    let (code, report) = report(&[("DATABASE_URL", &format!("{}?options[role]={role}", database.url))]).await;
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    let lacks = |table: &str, right| (table.to_owned(), format!("the user lacks the right {right}"));
    let expected =
        vec![lacks("wetmills", "SELECT"), lacks("wetmills", "UPDATE"), lacks("survey_responses", "DELETE")];
    assert_eq!((code, findings(&report)), (1, expected));
}

#[tokio::test]
async fn a_server_out_of_reach_could_not_be_asked() {
    let (code, report) = report(&[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")]).await;
    assert_eq!((code, &report["destinations"][2]["status"]), (2, &serde_json::json!("unreachable")));
    let database = TestDatabase::migrated().await;
    let (server, _) = database.url.rsplit_once('/').unwrap();
    let (code, report) = super::report(&[("DATABASE_URL", &format!("{server}/no_such_database"))]).await;
    assert_eq!((code, findings(&report)[0].0.as_str()), (1, "connection"));
}
