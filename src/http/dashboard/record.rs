//! One record: its state in words, its history, its plan and its payload.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::super::auth::{Gatekeeper, Visitor};
use super::super::error::HttpError;
use super::super::origin_of_collection;
use super::super::params::{Params, Segments};
use super::super::state::HttpSettings;
use super::page::{Content, Page, direction, duration, page, record_path, retry_path, time};
use super::{plan, words};
use crate::app::App;
use crate::clock;
use crate::queue::Unreadable;
use crate::submission::{FETCHED, Origin, Record, Role, Status};

/// Pages that a plan may have: more than its records.
const PAGES: usize = 10_000;

pub(super) async fn show(
    State(app): State<Arc<App>>,
    State(gatekeeper): State<Arc<Gatekeeper>>,
    State(settings): State<Arc<HttpSettings>>,
    Extension(visitor): Extension<Visitor>,
    Segments((collection, id)): Segments<(String, String)>,
    params: Params,
) -> Page {
    let origin = origin_of_collection(&collection)?;
    let found = app.queue.find(origin, &id).await?;
    let exact = found.records.iter().position(|(doc_id, _)| *doc_id == id);
    if exact.is_none() && found.records.len() > 1 {
        return Ok(several(origin, &id, found.records));
    }
    let Some((doc_id, record)) = found.records.into_iter().nth(exact.unwrap_or(0)) else {
        if let Some(first) = found.unreadable.first() {
            return Ok(page("Unreadable record", &unreadable(std::slice::from_ref(first))));
        }
        return Err(HttpError::NoRecords { collection: origin.collection(), id });
    };
    let now = clock::now();
    let siblings = siblings(&app, origin, &doc_id, &record).await?;
    let page_of_plan = params.number("page", 1, PAGES)?.unwrap_or(1);
    Ok(page(
        &format!("{}: {}", record.job_name, record.status.as_str()),
        &html! {
            (facts(origin, &doc_id, &record, &settings))
            (parts(&siblings, &doc_id))
            section .explanation.(record.status.as_str()) aria-label="What it means" {
                (words::explanation(origin, &record, app.worker.max_retries(), now))
                @if let Some(error) = &record.error {
                    p .error-text { (error) @if let Some(step) = &record.last_step { " (step: " (step) ")" } }
                }
            }
            @if visitor.may_change() { (buttons(&gatekeeper, origin, &doc_id, &record, now)) }
            (timeline(&record))
            (unmapped(&record))
            (plan::section(&app, origin, &record, page_of_plan))
            details {
                summary { "Payload" }
                p { "As it was received. It holds personal data." }
                pre tabindex="0" { (pretty(&record.data)) }
            }
        },
    ))
}

/// The records of a submission that has several.
fn several(origin: Origin, id: &str, records: Vec<(String, Record)>) -> Content {
    let count = records.len();
    let records: Vec<_> = records.into_iter().map(|(doc_id, record)| (origin, doc_id, record)).collect();
    page(
        "One submission, several records",
        &html! {
            p { "The submission " code { (id) } " has " (count) " records." }
            (list(&records))
        },
    )
}

/// Records, each with a link.
pub(super) fn list(found: &[(Origin, String, Record)]) -> Markup {
    html! {
        ul {
            @for (origin, doc_id, record) in found {
                li {
                    a href=(record_path(*origin, doc_id)) { code { (doc_id) } }
                    " · " (record.job_name) " · " (record.status.as_str()) " · " (direction(*origin))
                    @if let Some(position) = record.first_position { " · from record " (position) " on" }
                    " · arrived " (time(record.arrived()))
                    @if let Some(error) = &record.error { p .error-text { (error) } }
                }
            }
        }
    }
}

/// The parts of a larger payload, this one among them; none of a record that is whole.
async fn siblings(
    app: &App,
    origin: Origin,
    doc_id: &str,
    record: &Record,
) -> Result<Vec<(Origin, String, Record)>, HttpError> {
    let Some(job_id) = record.job_id.as_deref().filter(|_| record.first_position.is_some()) else {
        return Ok(Vec::new());
    };
    let found = app.queue.find_summaries(origin, job_id).await?.records;
    let is_part = found.iter().any(|(other, _)| other == doc_id) && found.len() > 1;
    let with_origin = found.into_iter().map(|(doc_id, record)| (origin, doc_id, record));
    Ok(if is_part { with_origin.collect() } else { Vec::new() })
}

fn parts(siblings: &[(Origin, String, Record)], doc_id: &str) -> Markup {
    html! {
        @if !siblings.is_empty() {
            section aria-labelledby="parts" {
                h2 #parts { "Part of a larger payload" }
                ol .parts {
                    @for (origin, other, record) in siblings {
                        li {
                            @if other == doc_id { b { "This one" } } @else {
                                a href=(record_path(*origin, other)) { "Another part" }
                            }
                            " from record " (record.first_position.unwrap_or(1)) " on, " (record.status.as_str())
                        }
                    }
                }
            }
        }
    }
}

/// Documents that cannot be read as records.
pub(super) fn unreadable(found: &[Unreadable]) -> Markup {
    html! {
        @if !found.is_empty() {
            section .error role="alert" aria-label="Unreadable records" {
                p {
                    (found.len()) (if found.len() == 1 { " record is" } else { " records are" })
                    " unreadable: correct the field in the database. Nothing else waits for it."
                }
                ul { @for unreadable in found { li { code { (unreadable.doc_id) } ": " (unreadable.error) } } }
            }
        }
    }
}

fn facts(origin: Origin, doc_id: &str, record: &Record, settings: &HttpSettings) -> Markup {
    html! {
        dl .facts {
            dt { "Document" } dd { code { (doc_id) } }
            @if let Some(id) = record.job_id.as_deref().filter(|id| *id != doc_id) {
                dt { "Submission" } dd { code { (id) } }
            }
            @if let Some(form) = form_in_hq(origin, record, settings) {
                dt { "In CommCare HQ" } dd { a href=(form) rel="noreferrer" { "the form" } }
            }
            dt { "Direction" } dd { (direction(origin)) }
            dt { "Arrived" } dd { (time(record.arrived())) }
            @if let Some(fetched) = record.fetched_at { dt { "Fetched" } dd { (time(fetched)) ": " (FETCHED) } }
            @if let Some(first) = record.first_received_at { dt { "First edition" } dd { (time(first)) } }
            @if let Some(changed) = record.updated_at { dt { "Last change" } dd { (time(changed)) } }
            dt { "Retries" } dd { (record.run_retries) }
            @if !record.delivered.is_empty() {
                dt { "Delivered" } dd { (record.delivered.len()) " of its records; a retry sends the others" }
            }
        }
    }
}

/// The address of a form in CommCare HQ. A form names its project space; the settings do where it does not.
fn form_in_hq(origin: Origin, record: &Record, settings: &HttpSettings) -> Option<String> {
    let id = record.job_id.as_deref().filter(|_| origin == Origin::CommCare)?;
    let own = record.data.get("domain").and_then(Value::as_str).filter(|domain| !domain.is_empty());
    let domain = own.or(settings.commcare_domain.as_deref())?;
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().replace("%2D", "-");
    Some(format!("{}/a/{}/reports/form_data/{}/", settings.hq, encoded(domain), encoded(id)))
}

fn buttons(
    gatekeeper: &Gatekeeper,
    origin: Origin,
    doc_id: &str,
    record: &Record,
    now: DateTime<Utc>,
) -> Markup {
    html! {
        @if record.is_free(now) {
            form .actions method="post" action=(retry_path(origin, doc_id)) {
                input type="hidden" name="csrf" value=(gatekeeper.csrf.token());
                button {
                    @match record.status {
                        Status::New => "Process it now",
                        Status::Completed => "Run it again",
                        Status::Processing | Status::Failed => "Retry it now",
                    }
                }
                label { input type="checkbox" name="force" value="true"; " even over what a later form has written" }
            }
        }
    }
}

fn timeline(record: &Record) -> Markup {
    let attempts = &record.attempts;
    html! {
        h2 { "History" }
        @if attempts.is_empty() { p { "No worker has had it yet." } } @else {
            ol .timeline {
                @for attempt in attempts.iter().rev() {
                    li .(attempt.outcome.map_or("running", crate::submission::AttemptOutcome::as_str)) {
                        (time(attempt.started)) " · " b { (words::outcome(attempt)) }
                        " · " (words::trigger(attempt.trigger))
                        @match attempt.role {
                            Some(Role::Operator) => " · an operator",
                            Some(Role::Anyone) => " · without a credential",
                            None => {}
                        }
                        @if let Some(name) = &attempt.by { ", " (name) }
                        @if let Some(finished) = attempt.finished {
                            " · took " (duration((finished - attempt.started).num_seconds()))
                        }
                        @if let Some(step) = &attempt.step { " · " (step) }
                        @if let Some(error) = attempt.error.as_deref().filter(|error| !is_said_above(error, record)) {
                            p .error-text { (error) }
                        }
                        p .worker { "worker " code { (attempt.worker) } }
                    }
                }
            }
        }
    }
}

fn unmapped(record: &Record) -> Markup {
    html! {
        @if !record.unmapped.is_empty() {
            h2 { "Answers that no mapping knows" }
            ul {
                @for answer in &record.unmapped {
                    li { "code " code { (answer.code) } " of " (super::mappings::question(&record.job_name, answer)) }
                }
            }
        }
    }
}

/// Whether an attempt's error is the record's, which stands above. An attempt keeps less of a long one.
fn is_said_above(error: &str, record: &Record) -> bool {
    let last = record.error.as_deref().unwrap_or_default();
    last == error || last.starts_with(error.trim_end_matches('…'))
}

fn pretty(data: &Value) -> String {
    format!("{data:#}")
}
