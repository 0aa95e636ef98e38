//! Each request's span, its one log line, and its metrics.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, field, info, info_span};

use super::credential;
use crate::app::App;
use crate::metrics::Metrics;
use crate::submission::{Caller, Origin};

/// The status in log and metrics of a request without an answer: the sender hung up, or the handler broke
/// down. nginx uses the same number.
const UNANSWERED: u16 = 499;

/// Observes a request from its arrival to its answer.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = method_word(request.method());
    // The template of the URL table. The path itself holds ids, and any text that strangers send.
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("none", MatchedPath::as_str).to_owned();
    let span = info_span!(
        "http.request",
        method,
        route,
        trace_id = trace_id(request.headers()),
        request_id = field::Empty,
        operator = field::Empty,
        status = field::Empty,
        duration_ms = field::Empty
    );
    let mut observed = RequestUnderWay {
        metrics: app.metrics.clone(),
        span,
        method,
        shows_credential: credential::is_shown(request.headers()),
        route,
        started: Instant::now(),
        status: UNANSWERED,
    };
    let response = next.run(request).instrument(observed.span.clone()).await;
    observed.status = response.status().as_u16();
    response
}

/// A request under way. It is logged and counted when dropped, because a sender that hangs up can end it at
/// any point.
struct RequestUnderWay {
    metrics: Metrics,
    span: Span,
    method: &'static str,
    shows_credential: bool,
    route: String,
    started: Instant,
    status: u16,
}

impl Drop for RequestUnderWay {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.span.record("status", self.status);
        self.span.record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        self.span.in_scope(|| match self.route.as_str() {
            "/health" | "/ready" => debug!("request answered"),
            _ => info!("request answered"),
        });
        self.metrics.http_answered(
            self.method,
            &self.route,
            self.status,
            webhook_of(self.method, &self.route).filter(|_| self.shows_credential),
            took,
        );
    }
}

/// Adds the id of the submission to the span of the current request.
pub(super) fn identify(request_id: &str) {
    Span::current().record("request_id", request_id);
}

/// Adds the name of the operator who calls, where `OPERATOR_TOKEN` gives one.
pub(super) fn name_operator(caller: &Caller) {
    if let Some(name) = caller.name.as_deref() {
        Span::current().record("operator", name);
    }
}

/// The origin whose submissions a call brings. A test of the credential brings none.
fn webhook_of(method: &str, route: &str) -> Option<Origin> {
    match (method, route) {
        ("POST", "/process-data-cc") => Some(Origin::CommCare),
        ("POST", "/process-data-sf") => Some(Origin::Salesforce),
        _ => None,
    }
}

/// A method of HTTP; `other` for any other word, because it may be a stranger's text.
fn method_word(method: &Method) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];
    METHODS.into_iter().find(|word| method.as_str() == *word).unwrap_or("other")
}

/// The trace that the request belongs to: Google's header (`TRACE/SPAN;o=1`), else W3C's
/// (`00-TRACE-SPAN-01`). A value that isn't 32 hexadecimal digits is no trace.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let google = text("x-cloud-trace-context").and_then(|value| value.split('/').next());
    let w3c = text("traceparent").and_then(|value| value.split('-').nth(1));
    let is_trace = |id: &&str| {
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0')
    };
    google.filter(is_trace).or(w3c.filter(is_trace)).map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const TRACE: &str = "105445aa7843bc8bf206b12000100000";

    fn read(headers: &[(&'static str, &str)]) -> Option<String> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        trace_id(&headers.iter().map(pair).collect())
    }

    #[test]
    fn a_trace_is_read_from_either_header() {
        let google = ("x-cloud-trace-context", "105445aa7843bc8bf206b12000100000/1;o=1");
        let w3c = ("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01");
        assert_eq!(read(&[google]).as_deref(), Some(TRACE));
        assert_eq!(read(&[("x-cloud-trace-context", TRACE)]).as_deref(), Some(TRACE));
        assert_eq!(read(&[w3c]).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(read(&[google, w3c]).as_deref(), Some(TRACE));
        assert_eq!(read(&[("x-cloud-trace-context", "Almaz/1"), w3c]).unwrap().len(), 32);
    }

    #[test]
    fn what_is_no_trace_is_dropped() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for value in ["", "-", "00-short-1-01", "00", zeros, "00-zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz-1-01"] {
            assert_eq!(read(&[("traceparent", value)]), None, "{value}");
            assert_eq!(read(&[("x-cloud-trace-context", value)]), None, "{value}");
        }
    }
}
