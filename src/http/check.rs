//! The destinations held against the mappings: by an operator's call, and once a day by the scheduler's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::check::Report;

/// The destinations, held against the mappings
///
/// Logs in everywhere with the settings in force and compares; nothing is written to a destination. The dashboard
/// shows the result until the next check.
#[utoipa::path(get, path = "/check-destinations", operation_id = "check_destinations", tag = "operators",
    responses((status = 200, body = Report, description = "What would fail, and what was asked")))]
pub(super) async fn show(State(app): State<Arc<App>>) -> Json<Report> {
    Json(app.check_destinations().await)
}

/// The same check, by schedule
///
/// Each finding is a line of the log, too: an alert watches for them.
#[utoipa::path(post, path = "/check-destinations", operation_id = "check_destinations_by_schedule", tag = "scheduler",
    responses((status = 200, body = Report, description = "What would fail, and what was asked")))]
pub(super) async fn run(State(app): State<Arc<App>>) -> Json<Report> {
    Json(app.check_destinations().await)
}
