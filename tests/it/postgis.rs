//! Wet-mill forms on a real PostGIS database, through the real router.

mod failures;
mod goldens;
mod inline;
mod migrations;
mod rows;
mod visits;

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::app::TestApp;

/// What the scheduler does, again and again, until so many forms are completed and no other is left.
async fn until_completed(app: &TestApp, forms: u64) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut pause = tokio::time::interval(Duration::from_millis(200));
    loop {
        pause.tick().await;
        app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
        app.auto_retry().await;
        let counts = app.counts().await;
        if counts == json!({ "new": 0, "processing": 0, "completed": forms, "failed": 0 }) {
            return;
        }
        assert!(Instant::now() < deadline, "{counts}");
    }
}
