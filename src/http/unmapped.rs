//! Answers whose code no label table knows: the list, and the marks of those that operators know.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body;
use super::error::{ErrorBody, HttpError};
use super::format::{self, Format, wants_csv};
use super::params::Params;
use super::state::HttpSettings;
use crate::app::App;
use crate::csv;
use crate::queue::Sighting;
use crate::submission::Unmapped;

/// The columns of the table: the members of an answer.
const COLUMNS: [&str; 8] =
    ["job_name", "path", "code", "records", "first_seen", "last_seen", "example", "known"];

/// Answers whose code no label table knows.
#[derive(Serialize, ToSchema)]
pub(super) struct UnmappedList {
    unmapped: Vec<UnmappedAnswer>,
}

/// An answer whose code no label table knows.
#[derive(Serialize, ToSchema)]
struct UnmappedAnswer {
    job_name: String,
    /// The form path of the question.
    path: String,
    code: String,
    /// Records that had it.
    records: u64,
    first_seen: DateTime<Utc>,
    last_seen: DateTime<Utc>,
    /// A document that has it; null where none was kept.
    example: Option<String>,
    /// Whether an operator has marked it as known.
    known: bool,
}

impl From<Sighting> for UnmappedAnswer {
    fn from(seen: Sighting) -> Self {
        let Sighting { job_name, answer, records, first_seen, last_seen, example, known, .. } = seen;
        let Unmapped { path, code } = answer;
        Self { job_name, path, code, records, first_seen, last_seen, example, known }
    }
}

impl UnmappedAnswer {
    fn row(&self) -> String {
        csv::line([
            self.job_name.as_str(),
            &self.path,
            &self.code,
            &self.records.to_string(),
            &csv::time(self.first_seen),
            &csv::time(self.last_seen),
            self.example.as_deref().unwrap_or_default(),
            if self.known { "true" } else { "false" },
        ])
    }
}

/// Answers whose code no label table knows, the last seen first
///
/// The field app has these options and the mapping lacks them.
#[utoipa::path(get, path = "/unmapped", operation_id = "unmapped", tag = "operators",
    params(Format),
    responses(
        (status = 200, content((UnmappedList = "application/json"), (String = "text/csv")), description = "The answers; as CSV a row for each"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, HttpError> {
    let as_csv = wants_csv(&headers, &params)?;
    let unmapped: Vec<UnmappedAnswer> = app.queue.unmapped().await?.into_iter().map(Into::into).collect();
    if as_csv {
        let rows: String = unmapped.iter().map(UnmappedAnswer::row).collect();
        return Ok(format::csv("unmapped", csv::line(COLUMNS) + &rows));
    }
    Ok(Json(UnmappedList { unmapped }).into_response())
}

/// An answer and its mark.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({ "job_name": "Farm Visit Full", "path": "form.best_practice.shade", "code": "9", "known": true })))]
pub(super) struct Mark {
    job_name: String,
    /// The form path of the question.
    path: String,
    code: String,
    /// Whether operators know the answer.
    known: bool,
}

/// Marks an answer as known, or takes the mark away
///
/// The mark stays. Another code of the same question is another answer, without a mark.
#[utoipa::path(post, path = "/unmapped", operation_id = "mark_unmapped", tag = "operators",
    request_body = Mark,
    responses(
        (status = 200, body = Mark, description = "The mark as it is now"),
        (status = 400, body = ErrorBody, description = "The body is not JSON"),
        (status = 404, body = ErrorBody, description = "No record has had this answer"),
        (status = 413, body = ErrorBody, description = "The body is too large"),
        (status = 422, body = ErrorBody, description = "A parameter or member is bad; the answer names it")))]
pub(super) async fn mark(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    request: Request,
) -> Result<Json<Mark>, HttpError> {
    let body = body::read_json(&settings.bodies, request).await?;
    let mark = Mark {
        job_name: text(&body, "job_name")?,
        path: text(&body, "path")?,
        code: text(&body, "code")?,
        known: body.get("known").and_then(Value::as_bool).ok_or_else(|| HttpError::Parameter {
            name: "known",
            rule: "must be true or false".to_owned(),
        })?,
    };
    let answer = Unmapped { path: mark.path.clone(), code: mark.code.clone() };
    if app.queue.mark_unmapped(&mark.job_name, &answer, mark.known).await? {
        Ok(Json(mark))
    } else {
        Err(HttpError::NoSuchAnswer)
    }
}

fn text(body: &Value, name: &'static str) -> Result<String, HttpError> {
    body.get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| HttpError::Parameter { name, rule: "must be a text".to_owned() })
}
