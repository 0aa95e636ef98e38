//! A pooler between the service and PostgreSQL: pgbouncer in transaction mode, where the next transaction may meet
//! another connection of the server.

use commcare_sf_integration::destinations::postgis;
use futures::future::join_all;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};

use super::rows;
use crate::support::app::TestApp;
use crate::support::forms::{mill, mill_visit};
use crate::support::pooler::TestPooler;
use crate::support::postgres::{TestDatabase, TestServer};

const FORMS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_run_once_behind_a_pooler() {
    for connections in [1, 3] {
        let database = TestDatabase::empty().await;
        let pooler = TestPooler::before(&database.url, connections).await;
        let url = pooler.url(&database.url);
        // Another client of the pooler has left a statement behind.
        let options: PgConnectOptions = url.parse().unwrap();
        let mut other = PgConnection::connect_with(&options.extra_float_digits(None::<i8>)).await.unwrap();
        other.execute("PREPARE sqlx_s_1 AS SELECT 1").await.unwrap();
        let database_settings = url.parse().unwrap();
        let all = join_all((0..4).map(|_| postgis::migrate(&database_settings))).await;
        for migrated in all {
            migrated.unwrap();
        }
        postgis::migrate(&database_settings).await.unwrap();
        assert_eq!(database.count("wetmills").await, 0);
        let of_this_database = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let locks =
            database.count(&format!("pg_locks WHERE locktype = 'advisory' AND {of_this_database}")).await;
        assert_eq!(locks, 0, "no lock outlives its transaction");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_is_stored_although_the_server_behind_the_pooler_starts_anew() {
    let server = TestServer::start();
    let database = TestDatabase::on(&server.url()).await;
    let pooler = TestPooler::before(&database.url, 2).await;
    let url = pooler.url(&database.url);
    postgis::migrate(&url.parse().unwrap()).await.unwrap();
    let app = TestApp::with(&[("DATABASE_URL", &url)]).await;
    for round in 0..3 {
        let mills: Vec<_> = (0..6).map(|n| mill(&format!("m-{round}-{n}"))).collect();
        let answers = join_all(mills.iter().map(|form| app.accept(form))).await;
        let stored = answers.iter().filter(|answer| answer["record_status"] == "completed").count();
        assert_eq!(stored, mills.len(), "round {round}: {answers:?}");
        match round {
            // The connections of the pool are all cut; then the whole server is.
            0 => database.end_other_sessions().await,
            _ => tokio::task::block_in_place(|| {
                server.stop();
                server.resume();
            }),
        }
    }
    app.accept(&mill_visit("v", "m-0-0", &json!({ "volume": "40" }))).await;
    app.until_completed(19).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_is_stored_at_once_behind_a_pooler() {
    let database = TestDatabase::migrated().await;
    let pooler = TestPooler::before(&database.url, 3).await;
    let url = pooler.url(&database.url);
    let app = TestApp::with(&[("DATABASE_URL", &url), ("DATABASE_MAX_CONNECTIONS", "8")]).await;
    for round in 0..2 {
        let mills: Vec<_> = (0..FORMS).map(|n| mill(&format!("m-{round}-{n}"))).collect();
        let visits: Vec<_> = (0..FORMS)
            .map(|n| {
                mill_visit(&format!("v-{round}-{n}"), &format!("m-{round}-{n}"), &json!({ "volume": "40" }))
            })
            .collect();
        for forms in [mills, visits] {
            let answers = join_all(forms.iter().map(|form| app.accept(form))).await;
            let stored = answers.iter().filter(|answer| answer["record_status"] == "completed").count();
            assert_eq!(stored, FORMS, "{answers:?}");
        }
    }
    let stored = rows::stored(&database).await;
    assert_eq!(stored["form_visits"].as_array().unwrap().len(), 2 * FORMS);
}
