//! The calls with which operators read: records, failures, counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::error::{ErrorBody, HttpError, RefusalBody};
use super::failed::{self, FailedFilters, failed_filter};
use super::format::{Format, wants_csv};
use super::params::{Collection, Dest, Params, Segments};
use super::{origin_of_collection, origin_of_destination};
use crate::app::App;
use crate::clock;
use crate::queue::{ID_LIMIT, OrderedBy, Place, Shown, Unreadable};
use crate::submission::{Awaits, Origin, Record, Status};

/// Failed records of one page: the default of `limit`, and its maximum (`docs/service.md`, section 2).
const FAILED_DEFAULT: usize = 100;
const FAILED_MOST: usize = 1_000;

/// A record and its document.
#[derive(Serialize, ToSchema)]
pub(super) struct Document {
    /// The document id.
    id: String,
    /// The record, with its attempts; absent where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Record>,
    /// `true` where the record cannot be read; absent otherwise, as the two members below.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<bool>,
    /// The field that is wrong, as a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Document {
    fn from_record(id: String, data: Record) -> Self {
        Self { id, data: Some(data), unreadable: None, field: None, error: None }
    }

    fn from_unreadable(unreadable: Unreadable) -> Self {
        let Unreadable { doc_id, field, error, .. } = unreadable;
        Self { id: doc_id, data: None, unreadable: Some(true), field: Some(field), error: Some(error) }
    }
}

/// The records of an id
///
/// First the records whose payload has this id, or whose document id it is; then those that wrote, or would write, the
/// record of Salesforce, CommCare or PostGIS with this id; then those that wait for it. Of very many the latest. Each with
/// its processing history.
#[utoipa::path(get, path = "/record/{collection}/{id}", tag = "operators",
    params(
        ("collection" = Collection, Path, description = "Which records"),
        ("id" = String, Path, description = "The payload's `id`, a document id, or an id of what it writes or waits for",
            example = "e81696a6-8afe-4312-b459-071afb8adf9e")),
    responses(
        (status = 200, body = [Document], description = "Its records, oldest first, and then the others"),
        (status = 404, body = RefusalBody, description = "None, or no such collection")))]
pub(super) async fn record(
    State(app): State<Arc<App>>,
    Segments((collection, id)): Segments<(String, String)>,
) -> Result<Json<Vec<Document>>, HttpError> {
    let origin = origin_of_collection(&collection)?;
    let found = app.queue.search(origin, &id).await?;
    let readable = found.records.into_iter().map(|(id, data)| Document::from_record(id, data));
    let unreadable = found.unreadable.into_iter().map(Document::from_unreadable);
    let documents: Vec<Document> = readable.chain(unreadable).collect();
    if documents.is_empty() {
        return Err(HttpError::NoRecords { collection: origin.collection(), id });
    }
    Ok(Json(documents))
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
    /// What its next run waits for: `reference`, `retry` or `person`; absent where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<Awaits>,
    /// The record; in a summary without `data` and `plan`.
    #[serde(flatten)]
    #[schema(value_type = Record)]
    record: Map<String, Value>,
}

/// Failed records, the last changed first
///
/// The first page begins with the records that cannot be read, whatever their status: they have the members
/// `unreadable`, `field` and `error`. As CSV every record that the filters let through is listed, without payloads, up to
/// `limit` where that is given; those that cannot be read come first, with an error and without a form type.
#[utoipa::path(get, path = "/failed/{dest}", tag = "operators",
    params(
        ("dest" = Dest, Path, description = "Where the records go"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Records of one page; 100 by default, and fewer where they are large"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
        ("summary" = Option<bool>, Query, description = "Leave payloads and plans out"),
        FailedFilters, Format),
    responses(
        (status = 200, content((FailedAnswer = "application/json"), (String = "text/csv")), description = "A page of them"),
        (status = 404, body = ErrorBody, description = "No such destination"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn failed(
    State(app): State<Arc<App>>,
    Segments(dest): Segments<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, HttpError> {
    let origin = origin_of_destination(&dest)?;
    let limit = params.number("limit", 1, FAILED_MOST)?;
    let summary = params.flag("summary")?;
    let filter = failed_filter(&params)?;
    let after = params.text("cursor").map(read_cursor).transpose()?;
    if wants_csv(&headers, &params)? {
        return failed::csv(app, origin, filter, after, limit).await;
    }
    let (shown, limit) = (if summary { Shown::Summary } else { Shown::All }, limit.unwrap_or(FAILED_DEFAULT));
    let page = app.queue.failed(origin, &filter, after.as_ref(), shown, limit).await?;
    let unreadable =
        page.unreadable.into_iter().map(|unreadable| FailedJob::from_unreadable(origin, unreadable));
    let job = |(doc_id, record): (String, Record)| failed_job(origin, doc_id, &record, summary);
    Ok(Json(FailedAnswer {
        failed_jobs: unreadable.chain(page.records.into_iter().map(job)).collect(),
        next_cursor: page.next.as_ref().map(write_cursor),
    })
    .into_response())
}

impl FailedJob {
    fn from_unreadable(origin: Origin, unreadable: Unreadable) -> Self {
        let record = json!({ "unreadable": true, "field": unreadable.field, "error": unreadable.error });
        Self {
            id: unreadable.doc_id,
            collection: origin.collection(),
            awaits: None,
            record: members(&record),
        }
    }
}

fn failed_job(origin: Origin, id: String, record: &Record, summary: bool) -> FailedJob {
    let awaits = record.awaits();
    let mut record = members(record);
    if summary {
        record.remove("data");
        record.remove("plan");
    }
    FailedJob { id, collection: origin.collection(), awaits, record }
}

/// The members of what serialises to an object.
fn members(value: &impl Serialize) -> Map<String, Value> {
    match json!(value) {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A cursor is opaque to callers: what the last record is ordered by, and its id.
pub(super) fn write_cursor(place: &Place) -> String {
    let (kind, order) = match &place.order {
        OrderedBy::Time(time) => ("t", json!(time.timestamp_micros())),
        OrderedBy::Text(text) => ("s", json!(text)),
        OrderedBy::Integer(number) => ("n", json!(number)),
        OrderedBy::Null => ("0", Value::Null),
    };
    URL_SAFE_NO_PAD.encode(json!([kind, order, place.doc_id]).to_string())
}

pub(super) fn read_cursor(text: &str) -> Result<Place, HttpError> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (kind, order, doc_id): (String, Value, String) = serde_json::from_slice(&bytes).ok()?;
        let order = match (kind.as_str(), order) {
            ("t", order) => OrderedBy::Time(DateTime::from_timestamp_micros(order.as_i64()?)?),
            ("s", Value::String(text)) => OrderedBy::Text(text),
            ("n", order) => OrderedBy::Integer(order.as_i64()?),
            ("0", Value::Null) => OrderedBy::Null,
            _ => return None,
        };
        // Firestore refuses ids and times that no document can have.
        let is_doc_id = (1..=ID_LIMIT).contains(&doc_id.len()) && !doc_id.contains('/');
        let is_time = !matches!(order, OrderedBy::Time(time) if !(1..=9_999).contains(&time.year()));
        (is_doc_id && is_time).then_some(Place { order, doc_id })
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
