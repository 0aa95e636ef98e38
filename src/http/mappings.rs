//! `GET /mappings`: what every form type writes, and from which answers.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ErrorBody, HttpError};
use super::format::{self, Format, wants_csv};
use super::params::Params;
use crate::jobs::Entry;
use crate::mappings;

/// The document of the mappings.
#[derive(Serialize, ToSchema)]
pub(super) struct MappingsAnswer {
    #[schema(value_type = Vec<Entry>)]
    mappings: Vec<&'static Entry>,
}

/// The mappings: for each form type and country every field, and the answers that it is made of
///
/// From the tables by which the forms are mapped.
#[utoipa::path(get, path = "/mappings", operation_id = "mappings", tag = "operators",
    params(
        ("job_name" = Option<String>, Query, description = "Only those of this form type"),
        ("q" = Option<String>, Query, description = "Only lines that hold all of these words, in any case"),
        Format),
    responses(
        (status = 200, content((MappingsAnswer = "application/json"), (String = "text/csv")),
            description = "The document; as CSV a row for each field"),
        (status = 422, body = ErrorBody, description = "No such form type, or a bad parameter")))]
pub(super) async fn show(headers: HeaderMap, params: Params) -> Result<Response, HttpError> {
    let given = |name| params.text(name).filter(|text| !text.is_empty());
    let as_csv = wants_csv(&headers, &params)?;
    let entries = mappings::of(given("job_name"))
        .map_err(|unknown| HttpError::Parameter { name: "job_name", rule: unknown.to_string() })?;
    let entries = mappings::search(entries, given("q").unwrap_or_default());
    Ok(if as_csv {
        format::csv("mappings", mappings::as_csv(&entries))
    } else {
        Json(MappingsAnswer { mappings: entries }).into_response()
    })
}
