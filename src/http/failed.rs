//! Failed records: the filters that every listing of them takes, the groups, and the table as CSV.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use futures::{StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ErrorBody, HttpError};
use super::origin_of_destination;
use super::params::{Dest, Params, Segments};
use super::format;
use crate::app::App;
use crate::csv;
use crate::queue::{FailedFilter, Group, Place, QueueError, Shown};
use crate::submission::{Cause, ErrorKind, NextRetry, Origin, Record};

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
    let text = |name| given(params, name).map(str::to_owned);
    Ok(FailedFilter {
        job_name: text("job_name"),
        error_kind: word(params, "error_kind", &ErrorKind::ALL, ErrorKind::as_str)?,
        cause: word(params, "cause", &Cause::ALL, Cause::as_str)?,
        since: time(params, "since", Edge::From)?,
        until: time(params, "until", Edge::Before)?,
        text: text("q"),
        group: text("group"),
    })
}

fn given<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
    params.text(name).filter(|text| !text.is_empty())
}

/// One of several words.
fn word<T: Copy>(
    params: &Params,
    name: &'static str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<Option<T>, HttpError> {
    let Some(text) = given(params, name) else { return Ok(None) };
    let known = all.iter().copied().find(|word| as_str(*word) == text);
    known.map(Some).ok_or_else(|| {
        let words: Vec<&str> = all.iter().copied().map(as_str).collect();
        let (last, others) = words.split_last().unwrap_or((&"", &[]));
        HttpError::Parameter { name, rule: format!("must be {} or {last}", others.join(", ")) }
    })
}

/// The side of a range that a time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// The range begins with it.
    From,
    /// The range ends before it; with a date alone, after that day.
    Before,
}

/// A time of a parameter; `None` where it isn't given.
pub(super) fn time(
    params: &Params,
    name: &'static str,
    edge: Edge,
) -> Result<Option<DateTime<Utc>>, HttpError> {
    let Some(text) = given(params, name) else { return Ok(None) };
    // Stored times have years of four digits.
    let read = read_time(text, edge).filter(|time| (1..=9_999).contains(&time.year()));
    read.map(Some).ok_or_else(|| HttpError::Parameter {
        name,
        rule: "must be a date or date-time, such as 2026-11-24 or 2026-11-24T08:00:00Z".to_owned(),
    })
}

/// An ISO-8601 date or date-time; UTC where it has no zone.
pub(crate) fn read_time(text: &str, edge: Edge) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let date = if edge == Edge::Before { date.checked_add_days(Days::new(1))? } else { date };
        return Some(date.and_time(NaiveTime::MIN).and_utc());
    }
    let (date, time) = text.split_once(['T', 't', ' '])?;
    // A plus that is not percent-encoded arrives as a blank.
    let text = format!("{date}T{}", time.replace(' ', "+").trim_end_matches(['Z', 'z']));
    let zoned = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
    let zoned = zoned.iter().find_map(|format| DateTime::parse_from_str(&text, format).ok());
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let naive = || naive.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok());
    zoned.map(|time| time.to_utc()).or_else(|| Some(naive()?.and_utc()))
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
        let (rows, next) = table.rows(Some(&place)).await?;
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
        let rows = page.records.iter().map(|(doc_id, record)| row(self.origin, doc_id, record));
        Ok((rows.collect(), page.next))
    }
}

fn row(origin: Origin, doc_id: &str, record: &Record) -> String {
    let time = |time: Option<DateTime<Utc>>| time.map(iso).unwrap_or_default();
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
            NextRetry::At(at) => iso(at),
            NextRetry::Unset | NextRetry::Never => String::new(),
        },
    ])
}

/// A time as tables have it.
pub(crate) fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_iso_8601_writes_them() {
        for (text, time) in [
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("2026-11-24T08:30", "2026-11-24T08:30:00Z"),
            ("2026-11-24T08:30Z", "2026-11-24T08:30:00Z"),
            ("2026-11-24 08:30:15.5", "2026-11-24T08:30:15.5Z"),
            ("2026-11-24T08:30:15+03:00", "2026-11-24T05:30:15Z"),
            ("2026-11-24T08:30:15 03:00", "2026-11-24T05:30:15Z"),
            ("2026-11-24T08:30-0300", "2026-11-24T11:30:00Z"),
        ] {
            assert_eq!(read_time(text, Edge::From).map(iso).as_deref(), Some(time), "{text}");
        }
        assert_eq!(read_time("2026-11-24", Edge::Before).map(iso).as_deref(), Some("2026-11-25T00:00:00Z"));
        for bad in ["yesterday", "2026-13-01", "2026-11", "24.11.2026", "2026-11-24T", "T08:00", "1700000000"] {
            assert_eq!(read_time(bad, Edge::From), None, "{bad}");
        }
    }
}
