//! What operators ask: records, failures, counts, one record's retry; and the probes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::error::HttpError;
use super::observe::identify;
use super::params::{Params, Segments};
use super::{origin_of_collection, origin_of_destination, work};
use crate::app::App;
use crate::clock;
use crate::jobs::Destination;
use crate::queue::PageCursor;
use crate::submission::{Origin, Record};
use crate::worker::End;

/// Failed records of one page, unless `limit` says otherwise, and at most (`service.md`, section 2).
const FAILED_DEFAULT: usize = 100;
const FAILED_MOST: usize = 1_000;

/// Cloud Run reserves `/healthz`.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let mut down: Vec<&str> = app.worker.destinations_down().into_iter().map(Destination::as_str).collect();
    // Submissions are taken as long as the queue answers, whatever else is down.
    let (status, word) = match app.queue.ping().await {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "http.queue_down");
            down.push("queue");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    };
    let mut answer = json!({ "status": word });
    if !down.is_empty() {
        answer["down"] = down.into();
    }
    (status, Json(answer))
}

pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Segments((dest, id)): Segments<(String, String)>,
    params: Params,
) -> Result<Json<Value>, HttpError> {
    let origin = origin_of_destination(&dest)?;
    let force = params.flag("force")?;
    identify(&id);
    let (worker, retried_id) = (app.worker.clone(), id.clone());
    let retried = work(&app, async move { worker.retry(origin, &retried_id, force).await }).await?;
    let Some(retried) = retried else {
        return Err(HttpError::NoRecords { collection: origin.collection(), id });
    };
    let results: Vec<Value> = retried
        .into_iter()
        .map(|record| {
            let (status, error) = match record.end {
                End::Completed => ("completed", None),
                End::Failed(error) => ("failed", Some(error)),
                End::New(reason) => ("new", Some(reason)),
                End::Processing => ("processing", None),
                End::NotStarted(reason) => ("not started", Some(reason)),
            };
            json!({ "doc_id": record.doc_id, "status": status, "error": error })
        })
        .collect();
    Ok(Json(json!({ "message": "Retry completed", "id": id, "results": results })))
}

pub(super) async fn record(
    State(app): State<Arc<App>>,
    Segments((collection, id)): Segments<(String, String)>,
) -> Result<Json<Value>, HttpError> {
    let origin = origin_of_collection(&collection)?;
    let found = app.queue.find(origin, &id).await?;
    if found.is_empty() {
        return Err(HttpError::NoRecords { collection: origin.collection(), id });
    }
    Ok(Json(found.into_iter().map(|(doc_id, record)| json!({ "id": doc_id, "data": record })).collect()))
}

pub(super) async fn failed(
    State(app): State<Arc<App>>,
    Segments(dest): Segments<String>,
    params: Params,
) -> Result<Json<Value>, HttpError> {
    let origin = origin_of_destination(&dest)?;
    let limit = params.number("limit", 1, FAILED_MOST)?.unwrap_or(FAILED_DEFAULT);
    let summary = params.flag("summary")?;
    if params.text("job_name").is_some() || params.text("error_kind").is_some() {
        return Err(HttpError::Later);
    }
    let after = params.text("cursor").map(read_cursor).transpose()?;
    let page = app.queue.failed(origin, after, limit).await?;
    let jobs: Vec<Value> = page
        .records
        .into_iter()
        .map(|(doc_id, record)| failed_job(origin, doc_id, &record, summary))
        .collect();
    Ok(Json(json!({ "failed_jobs": jobs, "next_cursor": page.next.as_ref().map(write_cursor) })))
}

fn failed_job(origin: Origin, doc_id: String, record: &Record, summary: bool) -> Value {
    let mut job = match json!(record) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if summary {
        job.remove("data");
        job.remove("plan");
    }
    job.insert("id".to_owned(), doc_id.into());
    job.insert("collection".to_owned(), origin.collection().into());
    Value::Object(job)
}

/// A cursor is opaque to callers: the last record's change, in microseconds, and its id.
fn write_cursor(cursor: &PageCursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", cursor.updated_at.timestamp_micros(), cursor.doc_id))
}

fn read_cursor(text: &str) -> Result<PageCursor, HttpError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (micros, doc_id) = text.split_once(' ')?;
        let updated_at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some(PageCursor { updated_at, doc_id: doc_id.to_owned() })
    };
    let rule = "must be the next_cursor of an earlier answer";
    read().ok_or_else(|| HttpError::Parameter { name: "cursor", rule: rule.to_owned() })
}

pub(super) async fn status_count(
    State(app): State<Arc<App>>,
    Segments(collection): Segments<String>,
) -> Result<Json<Value>, HttpError> {
    let origin = origin_of_collection(&collection)?;
    let counts = app.queue.counts(origin).await?;
    let by_status: Map<String, Value> = counts
        .by_status
        .into_iter()
        .map(|(status, count)| (status.as_str().to_owned(), count.into()))
        .collect();
    let age = counts.oldest_new.map(|arrived| (clock::now() - arrived).num_seconds().max(0));
    Ok(Json(json!({ "status_counts": by_status, "oldest_new_seconds": age })))
}
