//! PostgreSQL stopped.

use commcare_sf_integration::destinations::postgis;
use serde_json::json;

use super::{TIMES, assert_uncounted, scheduled};
use crate::support::app::TestApp;
use crate::support::forms::{mill, registration};
use crate::support::postgres::{TestDatabase, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn no_mill_fails_and_every_mill_is_stored_by_the_drains_after_it() {
    const MILLS: u64 = 10;
    let server = TestServer::start();
    let database = TestDatabase::on(&server.url()).await;
    postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
    let app = TestApp::with(&[&TIMES[..], &[("DATABASE_URL", database.url.as_str())]].concat()).await;
    tokio::task::block_in_place(|| server.stop());
    for number in 0..MILLS {
        let accepted = app.accept(&mill(&format!("m-{number}"))).await;
        assert_eq!(accepted["record_status"], "new");
    }
    for round in 0..12 {
        let id = format!("f-{round}");
        app.accept(&registration(&id)).await;
        let drained = scheduled(&app, "sf").await;
        assert_eq!(drained["failed_records"], json!([]), "{drained}");
        assert_eq!(app.record(&id).await["status"], "completed", "a form to Salesforce is not held up");
    }
    for number in 0..MILLS {
        assert_uncounted(&app.record(&format!("m-{number}")).await);
    }
    println!("{}", app.counts().await);
    tokio::task::block_in_place(|| server.resume());
    for _ in 0..2 {
        scheduled(&app, "sf").await;
    }
    assert_eq!(database.count("wetmills").await.unsigned_abs(), MILLS, "{}", app.counts().await);
    assert_eq!(app.counts().await["failed"], 0);
}
