//! Whether the service is running: the last call of the scheduler of each kind, and the destinations in dry run.
//!
//! Whatever instance takes a call keeps it in the queue, so that every instance can tell.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;
use tracing::warn;
use utoipa::ToSchema;

use super::error::HttpError;
use super::state::HttpSettings;
use super::work;
use crate::app::App;
use crate::queue::{Queue, QueueError};
use crate::submission::Destination;

/// A call's path, and how often it is made where the scheduler is set to call so often.
type Call = (&'static str, fn(Duration) -> Duration);

/// The scheduler's calls.
const CALLS: [Call; 5] = [
    ("process-firestore-to-sf", every),
    ("process-firestore-to-cc", every),
    ("auto-retry-firestore-to-sf", every),
    ("auto-retry-firestore-to-cc", every),
    ("reconcile-cc", daily),
];

fn every(often: Duration) -> Duration {
    often
}

fn daily(_: Duration) -> Duration {
    Duration::from_hours(24)
}

/// Times of its period after which a call is late.
const PATIENCE: i32 = 3;

/// How long an answer waits for its call to be kept, and how long where the queue was away.
const KEEPING: Duration = Duration::from_secs(5);
const QUEUE_IS_AWAY: Duration = Duration::from_millis(500);

/// The last call of a kind, as the queue keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct LastCall {
    started: DateTime<Utc>,
    finished: DateTime<Utc>,
    /// The HTTP status of its answer.
    status: u16,
}

/// Whether it runs.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusAnswer {
    destinations: Vec<DestinationStatus>,
    scheduler: Vec<SchedulerStatus>,
}

/// A destination, and whether it is live.
#[derive(Serialize, ToSchema)]
struct DestinationStatus {
    /// `salesforce`, `commcare` or `postgis`.
    name: &'static str,
    /// Whether plans are recorded instead of sent.
    dry_run: bool,
}

/// The last call of the scheduler of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchedulerStatus {
    /// The call's path, without its slash.
    pub(super) call: &'static str,
    /// When the newest call of any instance began; null before the first.
    pub(super) last_started_at: Option<DateTime<Utc>>,
    pub(super) last_finished_at: Option<DateTime<Utc>>,
    /// The HTTP status of its answer.
    pub(super) last_status: Option<u16>,
    /// How often it is expected; null where it is not.
    pub(super) every_seconds: Option<u64>,
    /// Whether it is expected, and has not begun for three times that long.
    pub(super) late: bool,
}

/// Whether the scheduler calls, and which destinations are in dry run
#[utoipa::path(get, path = "/status", operation_id = "status", tag = "operators",
    responses((status = 200, body = StatusAnswer, description = "The last call of each kind, of any instance")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
) -> Result<Json<StatusAnswer>, HttpError> {
    let destination = |(destination, dry_run): (Destination, bool)| DestinationStatus {
        name: destination.as_str(),
        dry_run,
    };
    Ok(Json(StatusAnswer {
        destinations: settings.dry_run.into_iter().map(destination).collect(),
        scheduler: scheduler(&app.queue, &settings).await?,
    }))
}

/// The last call of each kind.
pub(super) async fn scheduler(
    queue: &Queue,
    settings: &HttpSettings,
) -> Result<Vec<SchedulerStatus>, QueueError> {
    let now = queue.now();
    let status = async |(call, period): Call| {
        let last = last_call(queue, call).await?;
        let started = last.as_ref().map(|last| last.started);
        let expected = settings.scheduler_every.map(period);
        let silent = now - started.unwrap_or(settings.started);
        let late = expected.is_some_and(|every| {
            silent.to_std().is_ok_and(|silent| silent > every * PATIENCE.unsigned_abs())
        });
        Ok(SchedulerStatus {
            call,
            last_started_at: started,
            last_finished_at: last.as_ref().map(|last| last.finished),
            last_status: last.map(|last| last.status),
            every_seconds: expected.map(|every| every.as_secs()),
            late,
        })
    };
    try_join_all(CALLS.into_iter().map(status)).await
}

/// The name under which the queue keeps the last call of a kind.
fn name_of(call: &str) -> String {
    format!("last-call-{call}")
}

async fn last_call(queue: &Queue, call: &str) -> Result<Option<LastCall>, QueueError> {
    let found = queue.state(&name_of(call)).await?;
    // What another version wrote is as good as nothing.
    Ok(found.and_then(|last| serde_json::from_value(last).ok()))
}

/// Keeps when a call of the scheduler began and ended, and what it was answered. The work goes on where the caller hangs
/// up.
pub(super) async fn keep(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let call = CALLS.iter().find(|(call, _)| path.trim_matches('/') == *call).map(|(call, _)| *call);
    let queue = app.queue.clone();
    work(&app, async move {
        let started = queue.now();
        let response = next.run(request).await;
        if let Some(call) = call {
            let last = LastCall { started, finished: queue.now(), status: response.status().as_u16() };
            // A queue that did not answer is not waited for again: its caller has waited long enough.
            let patience =
                if response.status() == StatusCode::SERVICE_UNAVAILABLE { QUEUE_IS_AWAY } else { KEEPING };
            let kept = timeout(patience, keep_last(&queue, call, last)).await;
            let error = match &kept {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error as &dyn std::error::Error),
                Err(elapsed) => Some(elapsed as &dyn std::error::Error),
            };
            if let Some(error) = error {
                warn!(call, error, "last call of the scheduler not kept");
            }
        }
        Ok(response)
    })
    .await
}

/// Keeps a call, unless one that began later has ended before it.
async fn keep_last(queue: &Queue, call: &str, last: LastCall) -> Result<(), QueueError> {
    match last_call(queue, call).await? {
        Some(newer) if newer.started > last.started => Ok(()),
        _ => queue.set_state(&name_of(call), &json!(last)).await,
    }
}
