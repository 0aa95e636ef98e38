//! Failed records: the filters that every listing of them takes, the groups, and the table as CSV.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::error::{ErrorBody, HttpError};
use super::format;
use super::origin_of_destination;
use super::params::{Dest, Params, Segments};
use super::time;
use crate::app::App;
use crate::csv;
use crate::queue::{FailedFilter, Group, Place, QueueError, Shown, Unreadable};
use crate::submission::{Awaits, Cause, ErrorKind, NextRetry, Origin, Record};
use crate::time::Edge;

/// The columns of the table (`docs/service.md`, section 11).
const COLUMNS: [&str; 12] = [
    "id",
    "collection",
    "job_name",
    "job_id",
    "created_at",
    "updated_at",
    "error_kind",
    "cause",
    "error",
    "last_step",
    "run_retries",
    "next_retry_at",
];
/// Records that are read at a time for the table.
const READ_AT_A_TIME: usize = 1_000;

/// The parameters that choose failed records, for the documentation. They are joined by *and*.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the parameters are read one by one, to name the bad one")]
pub(super) struct FailedFilters {
    /// Only those of this form type.
    job_name: Option<String>,
    /// Only those that failed of this kind.
    error_kind: Option<ErrorKind>,
    /// Only those whose next run waits for this.
    awaits: Option<Awaits>,
    /// Only those with this cause.
    cause: Option<Cause>,
    /// Only those that changed from this date or date-time on; UTC where it has no zone.
    #[param(example = "2026-11-24")]
    since: Option<String>,
    /// Only those that changed before this date-time; of a date, that day is included.
    #[param(example = "2026-11-24T12:00:00Z")]
    until: Option<String>,
    /// Only those whose error has this text, in any case.
    q: Option<String>,
    /// Only those of one group, by the key that the dashboard's links have.
    group: Option<String>,
}

/// The filter that the parameters make. An empty parameter is no filter: forms send empty fields.
pub(super) fn failed_filter(params: &Params) -> Result<FailedFilter, HttpError> {
    let text = |name| params.filled(name).map(str::to_owned);
    Ok(FailedFilter {
        job_name: text("job_name"),
        error_kind: word(params, "error_kind", &ErrorKind::ALL, ErrorKind::as_str)?,
        awaits: word(params, "awaits", &Awaits::ALL, Awaits::as_str)?,
        cause: word(params, "cause", &Cause::ALL, Cause::as_str)?,
        since: time::parameter(params, "since", Edge::From)?,
        until: time::parameter(params, "until", Edge::Before)?,
        text: text("q"),
        group: text("group"),
    })
}

/// One of several words.
fn word<T: Copy>(
    params: &Params,
    name: &'static str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<Option<T>, HttpError> {
    let Some(text) = params.filled(name) else { return Ok(None) };
    let known = all.iter().copied().find(|word| as_str(*word) == text);
    known.map(Some).ok_or_else(|| {
        let words: Vec<&str> = all.iter().copied().map(as_str).collect();
        let (last, others) = words.split_last().unwrap_or((&"", &[]));
        HttpError::Parameter { name, rule: format!("must be {} or {last}", others.join(", ")) }
    })
}

/// Failed records by what they failed of.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupsAnswer {
    groups: Vec<FailedGroup>,
    /// Records of all groups.
    total: u64,
    /// `true` where there were more records than are grouped: the oldest are left out. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

/// Failed records of one form type, kind, cause and error.
#[derive(Serialize, ToSchema)]
struct FailedGroup {
    job_name: String,
    error_kind: Option<ErrorKind>,
    cause: Option<Cause>,
    /// The error of the one that changed last.
    error: String,
    count: u64,
    /// When the first of them changed last.
    oldest: Option<DateTime<Utc>>,
    /// When the last of them changed.
    newest: Option<DateTime<Utc>>,
    /// The document that changed last.
    example: String,
}

impl From<Group> for FailedGroup {
    fn from(group: Group) -> Self {
        let Group { job_name, error_kind, cause, error, count, oldest, newest, example, .. } = group;
        Self { job_name, error_kind, cause, error, count, oldest, newest, example }
    }
}

/// Failed records by what they failed of, the largest group first
///
/// The records of a group have one form type, kind, cause and error; ids, numbers and masked values of the error are
/// left out of the comparison.
#[utoipa::path(get, path = "/failed/{dest}/groups", operation_id = "failed_groups", tag = "operators",
    params(("dest" = Dest, Path, description = "Where the records go"), FailedFilters),
    responses(
        (status = 200, body = GroupsAnswer, description = "The groups"),
        (status = 404, body = ErrorBody, description = "No such destination"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn groups(
    State(app): State<Arc<App>>,
    Segments(dest): Segments<String>,
    params: Params,
) -> Result<Json<GroupsAnswer>, HttpError> {
    let origin = origin_of_destination(&dest)?;
    let found = app.queue.failed_groups(origin, &failed_filter(&params)?).await?;
    Ok(Json(GroupsAnswer {
        groups: found.groups.into_iter().map(Into::into).collect(),
        total: found.total,
        truncated: found.cut.then_some(true),
    }))
}

/// The table of every record that the filter lets through, page by page: there may be more than memory holds.
pub(super) async fn csv(
    app: Arc<App>,
    origin: Origin,
    filter: FailedFilter,
    after: Option<Place>,
    limit: Option<usize>,
) -> Result<Response, HttpError> {
    let mut table = Table { app, origin, filter, left: limit.unwrap_or(usize::MAX) };
    // The first page is read before the answer begins, so that trouble is still a status of its own.
    let (rows, next) = table.rows(after.as_ref()).await?;
    let head = csv::line(COLUMNS) + &rows;
    let rest = stream::try_unfold((table, next), async |(mut table, next)| {
        let Some(place) = next.filter(|_| table.left > 0) else { return Ok::<_, QueueError>(None) };
        let (rows, next) = table.rows(Some(&place)).await.inspect_err(|error| {
            error!(error = error as &dyn std::error::Error, "the table of failed records breaks off");
        })?;
        Ok(Some((rows, (table, next))))
    });
    let body = Body::from_stream(stream::once(async { Ok(head) }).chain(rest));
    Ok(format::csv(&format!("failed-{}", origin.collection()), body))
}

/// The table as it is written.
struct Table {
    app: Arc<App>,
    origin: Origin,
    filter: FailedFilter,
    /// Rows that it may still have.
    left: usize,
}

impl Table {
    /// The rows of the next page, and where the page after it begins.
    async fn rows(&mut self, after: Option<&Place>) -> Result<(String, Option<Place>), QueueError> {
        let limit = self.left.min(READ_AT_A_TIME);
        let page = self.app.queue.failed(self.origin, &self.filter, after, Shown::Summary, limit).await?;
        self.left -= page.records.len().min(self.left);
        let unreadable = page.unreadable.iter().map(|odd| unreadable_row(self.origin, odd));
        let rows = page.records.iter().map(|(doc_id, record)| row(self.origin, doc_id, record));
        Ok((unreadable.chain(rows).collect(), page.next))
    }
}

/// The row of a document that cannot be read: it has an id and an error, and no form type.
fn unreadable_row(origin: Origin, odd: &Unreadable) -> String {
    let mut cells = [""; COLUMNS.len()];
    let error = format!("cannot be read: {}", odd.error);
    for (column, cell) in [("id", &*odd.doc_id), ("collection", origin.collection()), ("error", &*error)] {
        if let Some(position) = COLUMNS.iter().position(|name| *name == column) {
            cells[position] = cell;
        }
    }
    csv::line(cells)
}

fn row(origin: Origin, doc_id: &str, record: &Record) -> String {
    let time = |time: Option<DateTime<Utc>>| time.map(csv::time).unwrap_or_default();
    csv::line([
        doc_id,
        origin.collection(),
        &record.job_name,
        record.job_id.as_deref().unwrap_or_default(),
        &time(record.created_at.or(record.timestamp)),
        &time(record.updated_at),
        record.error_kind.map_or("", ErrorKind::as_str),
        record.cause.map_or("", Cause::as_str),
        record.error.as_deref().unwrap_or_default(),
        record.last_step.as_deref().unwrap_or_default(),
        &record.run_retries.to_string(),
        &match record.next_retry_at {
            NextRetry::At(at) => csv::time(at),
            NextRetry::Unset | NextRetry::Never => String::new(),
        },
    ])
}
