//! The calls with which operators read: records, failures, counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::error::{ErrorBody, HttpError, RefusalBody};
use super::params::{Collection, Dest, Params, Segments};
use super::{origin_of_collection, origin_of_destination};
use crate::app::App;
use crate::clock;
use crate::queue::{FailedFilter, ID_LIMIT, PageCursor, Shown};
use crate::submission::{ErrorKind, Origin, Record, Status};

/// Failed records of one page: the default of `limit`, and its maximum (`docs/service.md`, section 2).
const FAILED_DEFAULT: usize = 100;
const FAILED_MOST: usize = 1_000;

/// A record and its document.
#[derive(Serialize, ToSchema)]
pub(super) struct Document {
    /// The document id.
    id: String,
    /// The record, with its attempts.
    data: Record,
}

/// The records of a submission
///
/// The records whose payload has this id, or whose document id it is, each with its processing history.
#[utoipa::path(get, path = "/record/{collection}/{id}", tag = "operators",
    params(
        ("collection" = Collection, Path, description = "Which records"),
        ("id" = String, Path, description = "The payload's `id`, or a document id",
            example = "e81696a6-8afe-4312-b459-071afb8adf9e")),
    responses(
        (status = 200, body = [Document], description = "Its records, oldest first"),
        (status = 404, body = RefusalBody, description = "None, or no such collection")))]
pub(super) async fn record(
    State(app): State<Arc<App>>,
    Segments((collection, id)): Segments<(String, String)>,
) -> Result<Json<Vec<Document>>, HttpError> {
    let origin = origin_of_collection(&collection)?;
    let found = app.queue.find(origin, &id).await?;
    if found.is_empty() {
        return Err(HttpError::NoRecords { collection: origin.collection(), id });
    }
    Ok(Json(found.into_iter().map(|(id, data)| Document { id, data }).collect()))
}

/// One page of failed records.
#[derive(Serialize, ToSchema)]
pub(super) struct FailedAnswer {
    failed_jobs: Vec<FailedJob>,
    /// `cursor` of the next page; null after the last.
    next_cursor: Option<String>,
}

/// A failed record.
#[derive(Serialize, ToSchema)]
struct FailedJob {
    /// The document id.
    id: String,
    collection: &'static str,
    /// The record; in a summary without `data` and `plan`.
    #[serde(flatten)]
    #[schema(value_type = Record)]
    record: Map<String, Value>,
}

/// Failed records, the last changed first
#[utoipa::path(get, path = "/failed/{dest}", tag = "operators",
    params(
        ("dest" = Dest, Path, description = "Where the records go"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Records of one page; 100 by default, and fewer where they are large"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
        ("summary" = Option<bool>, Query, description = "Leave payloads and plans out"),
        ("job_name" = Option<String>, Query, description = "Only those of this form type"),
        ("error_kind" = Option<ErrorKind>, Query, description = "Only those that failed of this kind")),
    responses(
        (status = 200, body = FailedAnswer, description = "A page of them"),
        (status = 404, body = ErrorBody, description = "No such destination"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn failed(
    State(app): State<Arc<App>>,
    Segments(dest): Segments<String>,
    params: Params,
) -> Result<Json<FailedAnswer>, HttpError> {
    let origin = origin_of_destination(&dest)?;
    let limit = params.number("limit", 1, FAILED_MOST)?.unwrap_or(FAILED_DEFAULT);
    let summary = params.flag("summary")?;
    let filter = failed_filter(&params)?;
    let after = params.text("cursor").map(read_cursor).transpose()?;
    let shown = if summary { Shown::Summary } else { Shown::All };
    let page = app.queue.failed(origin, &filter, after.as_ref(), shown, limit).await?;
    let job = |(doc_id, record): (String, Record)| failed_job(origin, doc_id, &record, summary);
    Ok(Json(FailedAnswer {
        failed_jobs: page.records.into_iter().map(job).collect(),
        next_cursor: page.next.as_ref().map(write_cursor),
    }))
}

/// The filter that `job_name` and `error_kind` make. An empty parameter is no filter: forms send empty fields.
pub(super) fn failed_filter(params: &Params) -> Result<FailedFilter, HttpError> {
    let given = |name| params.text(name).filter(|text| !text.is_empty());
    let kind = |word: &str| {
        ErrorKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| HttpError::Parameter {
            name: "error_kind",
            rule: "must be transient, dependency or permanent".to_owned(),
        })
    };
    Ok(FailedFilter {
        job_name: given("job_name").map(str::to_owned),
        error_kind: given("error_kind").map(kind).transpose()?,
    })
}

fn failed_job(origin: Origin, id: String, record: &Record, summary: bool) -> FailedJob {
    let mut record = match json!(record) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if summary {
        record.remove("data");
        record.remove("plan");
    }
    FailedJob { id, collection: origin.collection(), record }
}

/// A cursor is opaque to callers: the last record's change, in microseconds, and its id.
pub(super) fn write_cursor(cursor: &PageCursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", cursor.updated_at.timestamp_micros(), cursor.doc_id))
}

pub(super) fn read_cursor(text: &str) -> Result<PageCursor, HttpError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (micros, doc_id) = text.split_once(' ')?;
        let updated_at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        // Firestore refuses ids and times that no document can have.
        let is_doc_id = (1..=ID_LIMIT).contains(&doc_id.len()) && !doc_id.contains('/');
        let is_time = (1..=9_999).contains(&updated_at.year());
        (is_doc_id && is_time).then_some(())?;
        Some(PageCursor { updated_at, doc_id: doc_id.to_owned() })
    };
    let rule = "must be the next_cursor of an earlier answer";
    read().ok_or_else(|| HttpError::Parameter { name: "cursor", rule: rule.to_owned() })
}

/// A collection's records by status.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusCountAnswer {
    status_counts: StatusCounts,
    /// How long the oldest `new` record has waited, in seconds; null with none.
    oldest_new_seconds: Option<i64>,
}

/// How many records have each status.
#[derive(Serialize, ToSchema)]
struct StatusCounts {
    new: u64,
    processing: u64,
    completed: u64,
    failed: u64,
}

/// Records by status, and the age of the oldest that waits
#[utoipa::path(get, path = "/status-count/{collection}", tag = "operators",
    params(("collection" = Collection, Path, description = "Which records")),
    responses(
        (status = 200, body = StatusCountAnswer, description = "The counts"),
        (status = 404, body = ErrorBody, description = "No such collection")))]
pub(super) async fn status_count(
    State(app): State<Arc<App>>,
    Segments(collection): Segments<String>,
) -> Result<Json<StatusCountAnswer>, HttpError> {
    let origin = origin_of_collection(&collection)?;
    let counts = app.queue.counts(origin).await?;
    let of = |wanted: Status| {
        counts.by_status.iter().find(|(status, _)| *status == wanted).map_or(0, |(_, count)| *count)
    };
    Ok(Json(StatusCountAnswer {
        status_counts: StatusCounts {
            new: of(Status::New),
            processing: of(Status::Processing),
            completed: of(Status::Completed),
            failed: of(Status::Failed),
        },
        oldest_new_seconds: counts.oldest_new.map(|arrived| (clock::now() - arrived).num_seconds().max(0)),
    }))
}
