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
use super::super::repair::{RETRIED_MOST, RetryAnswer, retry_all};
use super::super::state::HttpState;
use super::filter::{failed_path, filter_pairs};
use super::groups::advice;
use super::page::{Page, TIME, dest, direction, page, record_path};
use super::words;
use crate::app::App;
use crate::queue::{FailedFilter, Group, Shown};
use crate::submission::{Caller, Origin, Unmapped};
use crate::text::shorten;
use crate::worker::Asked;

/// Causes that the question before a retry lists, and characters of their errors.
const GROUPS_SHOWN: usize = 10;
const ERROR_SHOWN: usize = 300;

/// The fields of a form whose token proves that this service made the form.
pub(super) struct SentForm {
    fields: Params,
    /// The records that are ticked.
    ids: Vec<String>,
}

impl FromRequest<HttpState> for SentForm {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, HttpError> {
        let sent = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let unreadable = |_| HttpError::InvalidPayload { details: "the form cannot be read".to_owned() };
        let Form(sent) = sent.map_err(unreadable)?;
        let ids = sent.iter().filter(|(name, _)| name == "id").map(|(_, id)| id.clone()).collect();
        let fields = Params::from(HashMap::from_iter(sent));
        let gatekeeper = Arc::<Gatekeeper>::from_ref(state);
        if fields.text("csrf").is_some_and(|token| gatekeeper.csrf.accepts(token)) {
            Ok(Self { fields, ids })
        } else {
            Err(HttpError::Forbidden("This form is not of this service, or too old: load the page again"))
        }
    }
}

/// Retries one record and shows it.
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Segments((to, doc_id)): Segments<(String, String)>,
    SentForm { fields, .. }: SentForm,
) -> Result<Response, HttpError> {
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

/// Says how many records a bulk retry would touch, and what they failed of, before anything happens.
pub(super) async fn ask_for_retry(
    State(app): State<Arc<App>>,
    State(gatekeeper): State<Arc<Gatekeeper>>,
    Segments(to): Segments<String>,
    params: Params,
) -> Page {
    let origin = origin_of_destination(&to)?;
    let filter = failed_filter(&params)?;
    let groups = app.queue.failed_groups(origin, &filter).await?;
    let count = if groups.cut { app.queue.count_failed(origin, &filter).await? } else { groups.total };
    let back = failed_path(origin, &filter);
    Ok(page(
        "Retry failed records",
        &html! {
            p {
                b { (count) } " failed " (if count == 1 { "record" } else { "records" }) ", "
                (direction(origin)) (of(&filter)) "."
            }
            ul { @for group in groups.groups.iter().take(GROUPS_SHOWN) { (reminder(group)) } }
            @if groups.groups.len() > GROUPS_SHOWN { p { "And " (groups.groups.len() - GROUPS_SHOWN) " more causes." } }
            @if count > RETRIED_MOST as u64 { p { "One go retries the " (RETRIED_MOST) " that failed last." } }
            @if count == 0 { p { a href=(back) { "Back" } } } @else {
                form .actions method="post" action=(format!("/dashboard/retry-failed/{}", dest(origin))) {
                    input type="hidden" name="csrf" value=(gatekeeper.csrf.token());
                    @for (name, value) in filter_pairs(&filter) { input type="hidden" name=(name) value=(value); }
                    button { "Retry " (count.min(RETRIED_MOST as u64)) }
                    a href=(back) { "Leave them" }
                }
            }
        },
    ))
}

/// A cause, and what has to happen before a retry can help.
fn reminder(group: &Group) -> Markup {
    html! {
        li {
            b { (group.count) } " " (group.job_name) ": " span .error-text { (shorten(&group.error, ERROR_SHOWN)) }
            @if let Some(advice) = advice(group.error_kind, group.cause) { p .advice { (advice) } }
        }
    }
}

/// Retries the records that are ticked, and no other.
pub(super) async fn retry_ticked(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Segments(to): Segments<String>,
    SentForm { mut ids, .. }: SentForm,
) -> Page {
    let origin = origin_of_destination(&to)?;
    let filter = FailedFilter::default();
    if ids.is_empty() {
        let content = html! {
            p role="status" { "Nothing was retried: no record was ticked." }
            p { a href=(failed_path(origin, &filter)) { "Back to the list" } }
        };
        return Ok(page("Nothing retried", &content));
    }
    ids.truncate(RETRIED_MOST);
    let answers = retry_all(&app, origin, ids, Asked { caller, force: false }).await?;
    Ok(page("Retried", &results(origin, &filter, &answers)))
}

/// Marks an answer without label as known, or takes the mark away.
pub(super) async fn mark_answer(
    State(app): State<Arc<App>>,
    SentForm { fields, .. }: SentForm,
) -> Result<Redirect, HttpError> {
    let text = |name| fields.text(name).unwrap_or_default().to_owned();
    let answer = Unmapped { path: text("path"), code: text("code") };
    if app.queue.mark_unmapped(&text("job_name"), &answer, fields.flag("known")?).await? {
        Ok(Redirect::to("/dashboard#unmapped"))
    } else {
        Err(HttpError::NoSuchAnswer)
    }
}

/// Retries the records that the filter shows.
pub(super) async fn retry_failed(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Segments(to): Segments<String>,
    SentForm { fields, .. }: SentForm,
) -> Page {
    let origin = origin_of_destination(&to)?;
    let filter = failed_filter(&fields)?;
    let ids = failed_ids(&app, origin, &filter).await?;
    let answers = retry_all(&app, origin, ids, Asked { caller, force: false }).await?;
    Ok(page("Retried", &results(origin, &filter, &answers)))
}

/// The documents that the filter shows, the last changed first, up to [`RETRIED_MOST`]. A page of them may end early:
/// the queue looks at a bounded number of records for each.
async fn failed_ids(app: &App, origin: Origin, filter: &FailedFilter) -> Result<Vec<String>, HttpError> {
    let (mut ids, mut next) = (Vec::new(), None);
    loop {
        let left = RETRIED_MOST - ids.len();
        let page = app.queue.failed(origin, filter, next.as_ref(), Shown::Summary, left).await?;
        ids.extend(page.records.into_iter().map(|(doc_id, _)| doc_id).take(left));
        next = page.next;
        if next.is_none() || ids.len() >= RETRIED_MOST {
            return Ok(ids);
        }
    }
}

/// The filter in words.
fn of(filter: &FailedFilter) -> String {
    let job = filter.job_name.as_ref().map(|job_name| format!(", form type {job_name}"));
    let kind = filter.error_kind.map(|kind| format!(", kind {}", kind.as_str()));
    let awaits = filter.awaits.map(|awaits| format!(", {}", words::awaits(awaits)));
    let cause = filter.cause.map(|cause| format!(", cause {}", cause.as_str().replace('_', " ")));
    let since = filter.since.map(|since| format!(", changed since {}", since.format(TIME)));
    let until = filter.until.map(|until| format!(", changed before {}", until.format(TIME)));
    let text = filter.text.as_ref().map(|text| format!(", with “{text}” in the error"));
    let group = filter.group.as_ref().map(|_| ", of one cause".to_owned());
    [job, kind, awaits, cause, since, until, text, group].into_iter().flatten().collect()
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
        p { a href=(failed_path(origin, filter)) { "What is failed now" } }
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
