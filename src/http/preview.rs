//! `POST /preview/{cc|sf}`: the effect that a payload would have; nothing is stored or sent.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{self, NamedPayload};
use super::error::{ErrorBody, HttpError};
use super::payloads::{Form, PayloadToPreview};
use super::state::HttpSettings;
use crate::app::App;
use crate::jobs;
use crate::plan::{Refused, Warning};
use crate::submission::{Origin, Unmapped};

/// The plan that the payload's record would get.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what a plan shows of itself")]
pub(super) struct Preview {
    job_name: String,
    /// `salesforce`, `commcare` or `postgis`; absent where nothing would be stored or sent.
    destination: Option<String>,
    /// Salesforce records, in their order.
    upserts: Option<Vec<PreviewedUpsert>>,
    /// XForms for CommCare.
    documents: Option<Vec<String>>,
    /// Rows by table.
    rows: Option<HashMap<String, Vec<Value>>>,
    /// Records of a Salesforce payload that would be refused.
    errors: Option<Vec<Refused>>,
    /// Records of a Salesforce payload that CommCare would refuse.
    warnings: Option<Vec<Warning>>,
    /// Why nothing would be sent.
    note: Option<String>,
    /// Answers whose code no label table knows.
    unmapped: Option<Vec<Unmapped>>,
}

/// A Salesforce record that would be written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what a plan shows of itself")]
struct PreviewedUpsert {
    object: String,
    external_id_field: String,
    external_id: String,
    fields: HashMap<String, Value>,
}

/// What a form from CommCare would write
///
/// Nothing is stored or sent.
#[utoipa::path(post, path = "/preview/cc", operation_id = "preview_form", tag = "operators", request_body = Form,
    responses(
        (status = 200, body = Preview, description = "What it would write, or that it is of a type that isn't handled"),
        (status = 400, body = ErrorBody, description = "Not a JSON object, an empty one, or not Unicode"),
        (status = 413, body = ErrorBody, description = "Larger than the body limit"),
        (status = 415, body = ErrorBody, description = "XML, or another encoding than gzip"),
        (status = 422, body = ErrorBody, description = "The error that its record would get")))]
pub(super) async fn commcare(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    preview(&app, &settings, Origin::CommCare, request).await
}

/// What a payload from Salesforce would send to CommCare
///
/// Nothing is stored or sent.
#[utoipa::path(post, path = "/preview/sf", operation_id = "preview_payload", tag = "operators", request_body = PayloadToPreview,
    responses(
        (status = 200, body = Preview, description = "What it would write, or that it is of a type that isn't handled"),
        (status = 400, body = ErrorBody, description = "Not a JSON object, an empty one, or not Unicode"),
        (status = 413, body = ErrorBody, description = "Larger than the body limit"),
        (status = 415, body = ErrorBody, description = "XML, or another encoding than gzip"),
        (status = 422, body = ErrorBody, description = "The error that its record would get")))]
pub(super) async fn salesforce(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    preview(&app, &settings, Origin::Salesforce, request).await
}

async fn preview(
    app: &App,
    settings: &HttpSettings,
    origin: Origin,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let (data, _held) = body::read_whole(&settings.bodies, origin, request).await?;
    if jobs::origin_of(&data).is_some_and(|looks| looks != origin) {
        return Err(HttpError::OtherDirection { details: other_direction(origin) });
    }
    let payload = NamedPayload::new(origin, data)?;
    let Some(job) = payload.job else {
        return Ok(Json(jobs::preview_of_unhandled(origin, &payload.job_name)));
    };
    // A form's id is part of the records that it writes. Documents for CommCare are shown with an empty id.
    if origin == Origin::CommCare {
        payload.id()?;
    }
    let (_, plan) = app.worker.preview(job, &payload.data).map_err(HttpError::Unmappable)?;
    if let Some(refusal) = plan.refusal() {
        return Err(HttpError::Unmappable(refusal));
    }
    Ok(Json(job.preview(&plan)))
}

/// The advice for a payload that this origin does not send.
fn other_direction(origin: Origin) -> &'static str {
    match origin {
        Origin::CommCare => "it has a jobType, as payloads from Salesforce have: POST it to /preview/sf",
        Origin::Salesforce => "it has a form, as forms from CommCare have: POST it to /preview/cc",
    }
}
