//! What Cloud Scheduler calls: drains, and retries of what is due.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::error::HttpError;
use super::params::Params;
use super::work;
use crate::app::App;
use crate::submission::Origin;
use crate::worker::{DrainReport, Extent};

/// Most records that one call may claim at a time (`service.md`, section 2).
const LIMIT: usize = 500;

pub(super) async fn drain_to_salesforce(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Value>, HttpError> {
    drain(app, Origin::CommCare, &params).await
}

pub(super) async fn drain_to_commcare(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Value>, HttpError> {
    drain(app, Origin::Salesforce, &params).await
}

pub(super) async fn retry_to_salesforce(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Value>, HttpError> {
    retry(app, Origin::CommCare, &params).await
}

pub(super) async fn retry_to_commcare(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Value>, HttpError> {
    retry(app, Origin::Salesforce, &params).await
}

async fn drain(app: Arc<App>, origin: Origin, params: &Params) -> Result<Json<Value>, HttpError> {
    let (extent, started) = (extent(params)?, Instant::now());
    let worker = app.worker.clone();
    let report = work(&app, async move { worker.drain(origin, extent).await }).await?;
    Ok(Json(answer(report, started)))
}

async fn retry(app: Arc<App>, origin: Origin, params: &Params) -> Result<Json<Value>, HttpError> {
    let (extent, started) = (extent(params)?, Instant::now());
    let worker = app.worker.clone();
    let report = work(&app, async move { worker.auto_retry(origin, extent).await }).await?;
    let processed = report.completed.len();
    let mut answer = answer(report, started);
    answer["processed_records_count"] = processed.into();
    Ok(Json(answer))
}

fn extent(params: &Params) -> Result<Extent, HttpError> {
    Ok(Extent { limit: params.number("limit", 1, LIMIT)?, until_empty: params.flag("drain")? })
}

fn answer(report: DrainReport, started: Instant) -> Value {
    let failed: Vec<Value> = report
        .failed
        .into_iter()
        .map(|(doc_id, error)| json!({ "doc_id": doc_id, "error": error }))
        .collect();
    let mut answer = json!({
        "status": "Processing completed",
        "processed_records": report.completed,
        "failed_records": failed,
        "released_records": report.released.into_iter().map(|(doc_id, _)| doc_id).collect::<Vec<_>>(),
        "time_taken": format!("{:.2} minutes", started.elapsed().as_secs_f64() / 60.0),
    });
    if let Some(stopped) = report.stopped {
        answer["stopped"] = json!({ "destination": stopped.destination.as_str(), "reason": stopped.reason });
    }
    answer
}
