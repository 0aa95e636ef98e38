//! Whether an answer is JSON or CSV: `format=` decides, else the `Accept` header.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::error::HttpError;
use super::params::Params;

/// The parameter `format`, for the documentation.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the parameter is read by name, to name it where it is bad")]
pub(super) struct Format {
    /// How the answer is written; without it the `Accept` header decides, and JSON is the default.
    #[param(inline)]
    format: Option<Written>,
}

/// What an answer may be written as.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the schema of a parameter that is read as text")]
enum Written {
    Json,
    Csv,
}

/// Whether the caller asks for CSV.
pub(super) fn wants_csv(headers: &HeaderMap, params: &Params) -> Result<bool, HttpError> {
    match params.text("format") {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(HttpError::Parameter { name: "format", rule: "must be json or csv".to_owned() }),
        None => Ok(prefers_csv(headers)),
    }
}

/// Whether `Accept` prefers CSV to JSON (RFC 9110, section 12.5.1). Of equals the first one counts.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut best = (0.0, false);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let is_csv = kind == "text/csv";
        if weight > best.0
            && (is_csv || matches!(kind.as_str(), "application/json" | "application/*" | "*/*"))
        {
            best = (weight, is_csv);
        }
    }
    best.1
}

/// An answer of CSV, which browsers keep as a file of this name.
pub(super) fn csv(name: &str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_is_weighed() {
        for (accept, csv) in [
            ("text/csv", true),
            ("Text/CSV; header=present", true),
            ("text/html, text/csv;q=0.9, */*;q=0.1", true),
            ("application/json, text/csv", false),
            ("text/csv;q=0.5, application/json", false),
            ("text/csv;q=0", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_csv(&headers), csv, "{accept}");
        }
    }
}
