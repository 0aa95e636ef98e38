//! The parts of every page: frame, headers, and the page of an error.
//!
//! A handler gives a title and its content. The frame is put around it on the way out, where path, time and settings
//! are known; so are errors made into pages, also those of the log-in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::error::{ErrorWords, HttpError};
use super::super::state::HttpSettings;
use crate::clock;
use crate::submission::{Destination, Origin};

/// Nothing is loaded, framed or sent elsewhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'",
);

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Seconds after which a page that shows the present is loaded again.
const REFRESHED_AFTER: u32 = 60;

/// The menu: path and name of each entry.
const MENU: [(&str, &str); 6] = [
    ("/dashboard", "Dashboard"),
    ("/dashboard/failed/sf", "Failed forms"),
    ("/dashboard/failed/cc", "Failed payloads"),
    ("/dashboard/summary", "Summary"),
    ("/dashboard/mappings", "Mappings"),
    ("/docs", "API"),
];

/// A page, or an error, of which the frame makes a page.
pub(super) type Page = Result<Content, HttpError>;

/// A page without its frame.
#[derive(Debug, Clone)]
pub(in crate::http) struct Content {
    title: String,
    body: Markup,
    refreshed: bool,
}

/// A page of this title.
pub(in crate::http) fn page(title: &str, content: &Markup) -> Content {
    Content { title: title.to_owned(), body: content.clone(), refreshed: false }
}

impl Content {
    /// The same, loaded again from time to time: it shows the present.
    pub(super) fn refreshed(self) -> Self {
        Self { refreshed: true, ..self }
    }
}

impl IntoResponse for Content {
    fn into_response(self) -> Response {
        let mut response = StatusCode::OK.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Puts the frame around pages, makes pages of errors, and gives both the headers of pages that show personal data.
pub(in crate::http) async fn frame(
    State(settings): State<Arc<HttpSettings>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let is_browser = accepts_html(request.headers());
    let mut response = next.run(request).await;
    let content = response.extensions_mut().remove::<Content>();
    // A program that is not let in, or asks `/docs` for what it does not have, gets the answer of every call.
    let is_shut_out = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let for_people = is_browser || (!is_shut_out && path.starts_with("/dashboard"));
    let problem = response.extensions_mut().remove::<ErrorWords>().filter(|_| for_people);
    let content = content.or_else(|| problem.map(|words| problem_page(response.status(), &words, &path)));
    if let Some(content) = content {
        *response.body_mut() = Body::from(content.framed(&path, &settings));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HTML);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.contains("text/html")
}

impl Content {
    fn framed(&self, path: &str, settings: &HttpSettings) -> String {
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · commcare-sf-integration" }
                    link rel="stylesheet" href="/dashboard/style.css";
                    script src="/dashboard/script.js" defer {}
                    @if self.refreshed { noscript { meta http-equiv="refresh" content=(REFRESHED_AFTER); } }
                }
                body data-refresh=[self.refreshed.then_some(REFRESHED_AFTER)] {
                    a .skip href="#content" { "Skip to content" }
                    header {
                        (menu(path))
                        form .search action="/dashboard/search" role="search" {
                            label for="id" { "Find by id" }
                            input #id name="id" type="search" required maxlength="1500" autocomplete="off";
                            button { "Find" }
                        }
                    }
                    (dry_run(settings))
                    main #content tabindex="-1" {
                        h1 { (self.title) }
                        (self.body)
                    }
                    footer { p { "As of " (time(clock::now())) "." } }
                }
            }
        };
        document.into_string()
    }
}

fn menu(path: &str) -> Markup {
    let current = entry_of(path);
    html! {
        nav aria-label="Pages" {
            @for (href, name) in MENU {
                a .home[href == "/dashboard"] href=(href) aria-current=[(href == current).then_some("page")] { (name) }
            }
        }
    }
}

/// The entry of the menu that a page belongs to.
fn entry_of(path: &str) -> &'static str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    let of_records = |part: &str| {
        Origin::from_destination(part).or_else(|| Origin::from_collection(part)).map(|origin| match origin {
            Origin::CommCare => "/dashboard/failed/sf",
            Origin::Salesforce => "/dashboard/failed/cc",
        })
    };
    let prefix = |(href, _): &(&'static str, &str)| match (first, second) {
        (Some("dashboard"), Some(second)) => href.strip_prefix("/dashboard/") == Some(second),
        (Some(first), _) => href.strip_prefix('/') == Some(first),
        (None, _) => false,
    };
    let named = MENU.iter().find(|entry| prefix(entry)).map(|(href, _)| *href);
    third.and_then(of_records).or(named).unwrap_or("/dashboard")
}

/// The destinations that get nothing, and that must not be mistaken for live ones.
fn dry_run(settings: &HttpSettings) -> Markup {
    let names: Vec<&str> = settings
        .dry_run
        .iter()
        .filter(|(_, dry_run)| *dry_run)
        .map(|(destination, _)| name(*destination))
        .collect();
    html! {
        @if !names.is_empty() {
            p .dry-run {
                b { "In dry run: " (names.join(", ")) "." } " No credentials are set: plans are recorded, and nothing is sent."
            }
        }
    }
}

/// A destination's name for people.
pub(super) fn name(destination: Destination) -> &'static str {
    match destination {
        Destination::Salesforce => "Salesforce",
        Destination::CommCare => "CommCare",
        Destination::Postgis => "PostGIS",
    }
}

fn problem_page(status: StatusCode, problem: &ErrorWords, path: &str) -> Content {
    page(
        problem.title,
        &html! {
            p .error role="alert" { (problem.words) }
            @if status == StatusCode::UNAUTHORIZED {
                p { "Your browser asks for a name and a password. Any name will do; the password is the token that you were given." }
                p { a .button href=(path) { "Log in" } }
            }
        },
    )
}

/// How a page writes a time, which is in UTC.
pub(super) const TIME: &str = "%Y-%m-%d %H:%M:%S UTC";

/// A time, in UTC; the script adds the browser's own.
pub(super) fn time(time: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(time.to_rfc3339_opts(SecondsFormat::Secs, true)) {
            (time.format(TIME).to_string())
        }
    }
}

/// How long something has taken or will take, in its two largest units.
pub(super) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (larger, smaller) = match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => return format!("{seconds} s"),
        (0, 0, minutes, seconds) => ((minutes, "min"), (seconds, "s")),
        (0, hours, minutes, _) => ((hours, "h"), (minutes, "min")),
        (days, hours, ..) => ((days, "d"), (hours, "h")),
    };
    match (larger, smaller) {
        ((count, unit), (0, _)) => format!("{count} {unit}"),
        ((count, unit), (rest, of)) => format!("{count} {unit} {rest} {of}"),
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
            (3_600, "1 h"),
            (90_000, "1 d 1 h"),
            (8_640_000, "100 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn every_page_belongs_to_one_entry_of_the_menu() {
        for (path, entry) in [
            ("/dashboard", "/dashboard"),
            ("/dashboard/", "/dashboard"),
            ("/dashboard/search", "/dashboard"),
            ("/dashboard/failed/sf", "/dashboard/failed/sf"),
            ("/dashboard/failed/cc/", "/dashboard/failed/cc"),
            ("/dashboard/retry-failed/cc", "/dashboard/failed/cc"),
            ("/dashboard/retry/sf/f-1", "/dashboard/failed/sf"),
            ("/dashboard/record/commcare_collection/f-1", "/dashboard/failed/sf"),
            ("/dashboard/record/salesforce_collection/f-1", "/dashboard/failed/cc"),
            ("/dashboard/summary", "/dashboard/summary"),
            ("/dashboard/mappings", "/dashboard/mappings"),
            ("/docs", "/docs"),
        ] {
            assert_eq!(entry_of(path), entry, "{path}");
        }
    }
}
