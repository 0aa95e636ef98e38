//! A pooler between the service and PostgreSQL: pgbouncer in transaction mode, where the next transaction may meet
//! another connection of the server.

use futures::future::join_all;
use serde_json::json;

use super::rows;
use crate::support::app::TestApp;
use crate::support::forms::{mill, mill_visit};
use crate::support::pooler::TestPooler;
use crate::support::postgres::TestDatabase;

const FORMS: usize = 20;

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
