//! The probes, which anybody may call.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::app::App;
use crate::submission::Destination;

/// The answer of a probe.
#[derive(Serialize, ToSchema)]
pub(super) struct Probe {
    /// `ok`, `ready` or `not ready`.
    status: &'static str,
    /// The parts that do not answer; absent where all do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    down: Vec<&'static str>,
}

/// Whether the process lives
///
/// Cloud Run reserves `/healthz`.
#[utoipa::path(get, path = "/health", tag = "probes", security(()),
    responses((status = 200, body = Probe, description = "It does")))]
pub(super) async fn health() -> Json<Probe> {
    Json(Probe { status: "ok", down: Vec::new() })
}

/// Whether the queue answers
///
/// Submissions are taken as long as the queue answers, whatever else is down.
#[utoipa::path(get, path = "/ready", tag = "probes", security(()), responses(
    (status = 200, body = Probe, description = "It does"),
    (status = 503, body = Probe, description = "It does not")))]
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Probe>) {
    let mut down: Vec<&str> = app.worker.destinations_down().into_iter().map(Destination::as_str).collect();
    let (code, status) = match app.queue.ping().await {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "queue down");
            down.push("queue");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    };
    (code, Json(Probe { status, down }))
}
