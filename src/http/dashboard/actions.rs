//! The dashboard's buttons: retries of one record, and of all records that a filter shows.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequest, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};

use super::super::auth::Gatekeeper;
use super::super::error::HttpError;
use super::super::failed::failed_filter;
use super::super::origin_of_destination;
use super::super::params::{Params, Segments};
use super::super::repair::{RetryAnswer, retry_all};
use super::super::state::HttpState;
use super::failures::filter_query;
use super::page::{Page, PageProblem, dest, direction, page, record_path};
use crate::app::App;
use crate::queue::{FailedFilter, Shown};
use crate::submission::{Caller, Origin};
use crate::worker::Asked;

/// Most failed records that one press of the button retries: as many as one batch retry.
const RETRIED_MOST: usize = 1_000;

/// The fields of a form whose token proves that this service made the form.
pub(super) struct SentForm(Params);

impl FromRequest<HttpState> for SentForm {
    type Rejection = PageProblem;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, PageProblem> {
        let fields = Form::<HashMap<String, String>>::from_request(request, state).await;
        let Form(fields) = fields.map_err(|_| HttpError::InvalidPayload)?;
        let fields = Params::from(fields);
        let gatekeeper = Arc::<Gatekeeper>::from_ref(state);
        if fields.text("csrf").is_some_and(|token| gatekeeper.csrf.accepts(token)) {
            Ok(Self(fields))
        } else {
            Err(HttpError::Forbidden("This form is not of this service, or too old: load the page again"))?
        }
    }
}

/// Retries one record and shows it.
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Segments((to, doc_id)): Segments<(String, String)>,
    SentForm(fields): SentForm,
) -> Result<Response, PageProblem> {
    let origin = origin_of_destination(&to)?;
    let asked = Asked { caller, force: fields.flag("force")? };
    let answers = retry_all(&app, origin, vec![doc_id.clone()], asked).await?;
    let path = record_path(origin, &doc_id);
    // The record's page says how a retry ended, but not why it did not begin.
    let mut results = answers.iter().flat_map(|answer| &answer.results);
    match results.find(|result| matches!(result.status, "not started" | "processing")) {
        Some(result) => {
            let reason = result.error.as_deref().unwrap_or("another worker has it");
            let content = html! {
                p .error role="status" { "It was not retried: " (reason) "." }
                p { a href=(path) { "Back to the record" } }
            };
            Ok(page("Not retried", &content).into_response())
        }
        None => Ok(Redirect::to(&path).into_response()),
    }
}

/// Says how many records a bulk retry would touch, before anything happens.
pub(super) async fn ask_for_retry(
    State(app): State<Arc<App>>,
    State(gatekeeper): State<Arc<Gatekeeper>>,
    Segments(to): Segments<String>,
    params: Params,
) -> Page {
    let origin = origin_of_destination(&to)?;
    let filter = failed_filter(&params)?;
    let count = app.queue.count_failed(origin, &filter).await?;
    let back = format!("/dashboard/failed/{}?{}", dest(origin), filter_query(&filter, None));
    Ok(page(
        "Retry failed records",
        &html! {
            p {
                b { (count) } " failed " (if count == 1 { "record" } else { "records" }) ", "
                (direction(origin)) (of(&filter)) "."
            }
            @if count > RETRIED_MOST as u64 { p { "One go retries the " (RETRIED_MOST) " that failed last." } }
            @if count == 0 { p { a href=(back) { "Back" } } } @else {
                form .actions method="post" action=(format!("/dashboard/retry-failed/{}", dest(origin))) {
                    input type="hidden" name="csrf" value=(gatekeeper.csrf.token());
                    @if let Some(job_name) = &filter.job_name { input type="hidden" name="job_name" value=(job_name); }
                    @if let Some(kind) = filter.error_kind { input type="hidden" name="error_kind" value=(kind.as_str()); }
                    button { "Retry " (count.min(RETRIED_MOST as u64)) }
                    a href=(back) { "Leave them" }
                }
            }
        },
    ))
}

/// Retries the records that the filter shows.
pub(super) async fn retry_failed(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Segments(to): Segments<String>,
    SentForm(fields): SentForm,
) -> Page {
    let origin = origin_of_destination(&to)?;
    let filter = failed_filter(&fields)?;
    let ids = failed_ids(&app, origin, &filter).await?;
    let answers = retry_all(&app, origin, ids, Asked { caller, force: false }).await?;
    Ok(page("Retried", &results(origin, &filter, &answers)))
}

/// The documents that the filter shows, the last changed first.
async fn failed_ids(app: &App, origin: Origin, filter: &FailedFilter) -> Result<Vec<String>, HttpError> {
    let page = app.queue.failed(origin, filter, None, Shown::Summary, RETRIED_MOST).await?;
    Ok(page.records.into_iter().map(|(doc_id, _)| doc_id).collect())
}

/// The filter in words.
fn of(filter: &FailedFilter) -> String {
    let job = filter.job_name.as_ref().map(|job_name| format!(", form type {job_name}"));
    let kind = filter.error_kind.map(|kind| format!(", kind {}", kind.as_str()));
    [job, kind].into_iter().flatten().collect()
}

fn results(origin: Origin, filter: &FailedFilter, answers: &[RetryAnswer]) -> Markup {
    let results: Vec<_> = answers.iter().flat_map(|answer| &answer.results).collect();
    let count = |status: &str| results.iter().filter(|result| result.status == status).count();
    html! {
        ul .counts role="status" {
            @for status in ["completed", "failed", "new", "processing", "not started"] {
                @if count(status) > 0 { li .(status) { b { (count(status)) } " " (status) } }
            }
        }
        @if count("not started") > 0 { p { "What was not started is as it was: retry again, or leave it to auto-retry." } }
        p { a href=(format!("/dashboard/failed/{}?{}", dest(origin), filter_query(filter, None))) { "What is failed now" } }
        ul {
            @for result in results.iter().filter(|result| result.status != "completed") {
                li {
                    a href=(record_path(origin, &result.doc_id)) { code { (result.doc_id) } } " · " (result.status)
                    @if let Some(error) = &result.error { " · " span .error-text { (error) } }
                }
            }
        }
    }
}
