//! The calls of Cloud Scheduler: drains, and retries of the records that are due.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::error::{ErrorBody, HttpError};
use super::params::Params;
use super::work;
use crate::app::App;
use crate::submission::Origin;
use crate::worker::{DrainReport, Extent, Stopped};

/// How much one call takes: the parameters `limit` and `drain`, for the documentation.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the parameters are read one by one, to name the bad one")]
struct Range {
    /// Records that this call takes at most. Where it isn't given, one batch as configured; with `drain` all.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// Go on, batch after batch, until the queue is empty or the time of one call is used up.
    drain: Option<bool>,
}

/// What became of each record of a drain.
#[derive(Serialize, ToSchema)]
pub(super) struct DrainAnswer {
    /// `Processing completed`.
    status: &'static str,
    /// Documents that completed.
    processed_records: Vec<String>,
    /// Documents that failed.
    failed_records: Vec<FailedRecord>,
    /// Documents that were put back as they were: not begun, or without a verdict.
    released_records: Vec<String>,
    /// The destination that took no more; absent where the drain came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<StoppedAt>,
    /// For people: `0.01 minutes`.
    time_taken: String,
}

/// What became of each record of an auto-retry.
#[derive(Serialize, ToSchema)]
pub(super) struct AutoRetryAnswer {
    #[serde(flatten)]
    drained: DrainAnswer,
    processed_records_count: usize,
}

/// A document that failed, and why.
#[derive(Serialize, ToSchema)]
struct FailedRecord {
    doc_id: String,
    error: String,
}

/// A destination that took no more, and why.
#[derive(Serialize, ToSchema)]
struct StoppedAt {
    /// `salesforce`, `commcare` or `postgis`.
    destination: &'static str,
    reason: String,
}

/// The largest `limit` (`docs/service.md`, section 2).
const LIMIT: usize = 500;

/// Processes new forms, oldest first
#[utoipa::path(post, path = "/process-firestore-to-sf", tag = "scheduler",
    params(Range),
    responses(
        (status = 200, body = DrainAnswer, description = "What became of each record"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn drain_to_salesforce(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<DrainAnswer>, HttpError> {
    drain(app, Origin::CommCare, &params).await
}

/// Processes new payloads for CommCare, oldest first
#[utoipa::path(post, path = "/process-firestore-to-cc", tag = "scheduler",
    params(Range),
    responses(
        (status = 200, body = DrainAnswer, description = "What became of each record"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn drain_to_commcare(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<DrainAnswer>, HttpError> {
    drain(app, Origin::Salesforce, &params).await
}

/// Processes failed forms whose retry is due
#[utoipa::path(post, path = "/auto-retry-firestore-to-sf", tag = "scheduler",
    params(Range),
    responses(
        (status = 200, body = AutoRetryAnswer, description = "What became of each record"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn retry_to_salesforce(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<AutoRetryAnswer>, HttpError> {
    retry(app, Origin::CommCare, &params).await
}

/// Processes failed payloads for CommCare whose retry is due
#[utoipa::path(post, path = "/auto-retry-firestore-to-cc", tag = "scheduler",
    params(Range),
    responses(
        (status = 200, body = AutoRetryAnswer, description = "What became of each record"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn retry_to_commcare(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<AutoRetryAnswer>, HttpError> {
    retry(app, Origin::Salesforce, &params).await
}

async fn drain(app: Arc<App>, origin: Origin, params: &Params) -> Result<Json<DrainAnswer>, HttpError> {
    let (extent, started) = (extent(params)?, Instant::now());
    let worker = app.worker.clone();
    let report = work(&app, async move { worker.drain(origin, extent).await }).await?;
    Ok(Json(answer(report, started)))
}

async fn retry(app: Arc<App>, origin: Origin, params: &Params) -> Result<Json<AutoRetryAnswer>, HttpError> {
    let (extent, started) = (extent(params)?, Instant::now());
    let worker = app.worker.clone();
    let report = work(&app, async move { worker.auto_retry(origin, extent).await }).await?;
    let processed_records_count = report.completed.len();
    Ok(Json(AutoRetryAnswer { drained: answer(report, started), processed_records_count }))
}

fn extent(params: &Params) -> Result<Extent, HttpError> {
    Ok(Extent { limit: params.number("limit", 1, LIMIT)?, until_empty: params.flag("drain")? })
}

fn answer(report: DrainReport, started: Instant) -> DrainAnswer {
    let failed = report.failed.into_iter().map(|(doc_id, error)| FailedRecord { doc_id, error });
    let stopped = report
        .stopped
        .map(|Stopped { destination, reason }| StoppedAt { destination: destination.as_str(), reason });
    DrainAnswer {
        status: "Processing completed",
        processed_records: report.completed,
        failed_records: failed.collect(),
        released_records: report.released.into_iter().map(|(doc_id, ..)| doc_id).collect(),
        stopped,
        time_taken: format!("{:.2} minutes", started.elapsed().as_secs_f64() / 60.0),
    }
}
