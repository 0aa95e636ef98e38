//! The parts of every page: frame, headers, and the page of an error.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::error::HttpError;
use crate::queue::QueueError;
use crate::submission::Origin;

/// Nothing is loaded, framed or sent elsewhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'",
);

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Gives the pages the headers of pages that show personal data.
pub(in crate::http) async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A page, or the page of an error.
pub(super) type Page = Result<Html<String>, PageProblem>;

/// A whole page.
pub(in crate::http) fn page(title: &str, content: &Markup) -> Html<String> {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · commcare-sf-integration" }
                link rel="stylesheet" href="/dashboard/style.css";
                script src="/dashboard/script.js" defer {}
            }
            body {
                a .skip href="#content" { "Skip to content" }
                header {
                    nav aria-label="Pages" {
                        a .home href="/dashboard" { "Dashboard" }
                        a href="/dashboard/failed/sf" { "Failed forms" }
                        a href="/dashboard/failed/cc" { "Failed payloads" }
                        a href="/dashboard/mappings" { "Mappings" }
                        a href="/docs" { "API" }
                    }
                    form .search action="/dashboard/search" role="search" {
                        label for="id" { "Find by id" }
                        input #id name="id" type="search" required maxlength="1500" autocomplete="off";
                        button { "Find" }
                    }
                }
                main #content tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
            }
        }
    };
    Html(document.into_string())
}

/// An error that is shown as a page.
pub(super) struct PageProblem(HttpError);

impl From<HttpError> for PageProblem {
    fn from(error: HttpError) -> Self {
        Self(error)
    }
}

impl From<QueueError> for PageProblem {
    fn from(error: QueueError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        let words = self.0.to_string();
        // Status and headers are the same as for other calls; the body is for people.
        let mut response = self.0.into_response();
        let title = match response.status() {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::SERVICE_UNAVAILABLE => "The queue does not answer",
            _ => "That did not work",
        };
        let body = page(title, &html! { p .error role="alert" { (words) } }).into_response();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HTML);
        *response.body_mut() = body.into_body();
        response
    }
}

/// A time, in UTC; the script adds the browser's own.
pub(super) fn time(time: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(time.to_rfc3339_opts(SecondsFormat::Secs, true)) {
            (time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
        }
    }
}

/// How long something has taken or will take, in its two largest units.
pub(super) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

/// A collection's name for operators.
pub(super) fn direction(origin: Origin) -> &'static str {
    match origin {
        Origin::CommCare => "CommCare → Salesforce and PostGIS",
        Origin::Salesforce => "Salesforce → CommCare",
    }
}

/// The `{dest}` of an origin's records.
pub(super) fn dest(origin: Origin) -> &'static str {
    match origin {
        Origin::CommCare => "sf",
        Origin::Salesforce => "cc",
    }
}

/// A link's query of names and values; names without a value are left out.
pub(super) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// The path of a record's page.
pub(super) fn record_path(origin: Origin, doc_id: &str) -> String {
    format!("/dashboard/record/{}/{}", origin.collection(), utf8_percent_encode(doc_id, NON_ALPHANUMERIC))
}

/// The path to which a record's button posts.
pub(super) fn retry_path(origin: Origin, doc_id: &str) -> String {
    format!("/dashboard/retry/{}/{}", dest(origin), utf8_percent_encode(doc_id, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, text) in [
            (-5, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h 0 min"),
            (90_000, "1 d 1 h"),
            (8_640_000, "100 d 0 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
