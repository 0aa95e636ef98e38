//! One record: its state in words, its history, its plan and its payload.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::super::auth::Gatekeeper;
use super::super::error::HttpError;
use super::super::origin_of_collection;
use super::super::params::Segments;
use super::page::{Page, direction, duration, page, retry_path, time};
use super::words;
use crate::app::App;
use crate::clock;
use crate::jobs;
use crate::plan::table;
use crate::queue::Unreadable;
use crate::submission::{Attempt, FETCHED, Origin, Record, Role, Status};

pub(super) async fn show(
    State(app): State<Arc<App>>,
    State(gatekeeper): State<Arc<Gatekeeper>>,
    Segments((collection, doc_id)): Segments<(String, String)>,
) -> Page {
    let origin = origin_of_collection(&collection)?;
    let found = app.queue.find(origin, &doc_id).await?;
    // Several records may share the submission's id; the link names one of them.
    let exact = found.records.iter().position(|(id, _)| *id == doc_id).unwrap_or(0);
    let Some((doc_id, record)) = found.records.into_iter().nth(exact) else {
        if let Some(odd) = found.unreadable.first() {
            return Ok(page("Unreadable record", &unreadable(std::slice::from_ref(odd))));
        }
        return Err(HttpError::NoRecords { collection: origin.collection(), id: doc_id }.into());
    };
    let now = clock::now();
    Ok(page(
        &format!("{}: {}", record.job_name, record.status.as_str()),
        &html! {
            (facts(origin, &doc_id, &record))
            section .explanation.(record.status.as_str()) aria-label="What it means" {
                (words::explanation(origin, &record, app.worker.max_retries(), now))
                @if let Some(error) = &record.error {
                    p .error-text { (error) @if let Some(step) = &record.last_step { " (step: " (step) ")" } }
                }
            }
            (buttons(&gatekeeper, origin, &doc_id, &record, now))
            (timeline(&record.attempts))
            (unmapped(&record))
            (plan(&app, origin, &record))
            details {
                summary { "Payload" }
                p { "As it was received. It holds personal data." }
                pre tabindex="0" { (pretty(&record.data)) }
            }
        },
    ))
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
                ul { @for odd in found { li { code { (odd.doc_id) } ": " (odd.error) } } }
            }
        }
    }
}

fn facts(origin: Origin, doc_id: &str, record: &Record) -> Markup {
    html! {
        dl .facts {
            dt { "Document" } dd { code { (doc_id) } }
            @if let Some(id) = record.job_id.as_deref().filter(|id| *id != doc_id) {
                dt { "Submission" } dd { code { (id) } }
            }
            dt { "Direction" } dd { (direction(origin)) }
            dt { "Arrived" } dd { (time(record.arrived())) }
            @if let Some(fetched) = record.fetched_at { dt { "Fetched" } dd { (time(fetched)) ": " (FETCHED) } }
            @if let Some(first) = record.first_received_at { dt { "First edition" } dd { (time(first)) } }
            @if let Some(changed) = record.updated_at { dt { "Last change" } dd { (time(changed)) } }
            dt { "Retries" } dd { (record.run_retries) }
            @if let Some(position) = record.first_position {
                dt { "Part" } dd { "of a larger payload, from its record " (position) " on" }
            }
            @if !record.delivered.is_empty() {
                dt { "Delivered" } dd { (record.delivered.len()) " of its records; a retry sends the others" }
            }
        }
    }
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

fn timeline(attempts: &[Attempt]) -> Markup {
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
                        @if let Some(error) = &attempt.error { p .error-text { (error) } }
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

/// The plan of the payload, as a run would make it now. Planning needs no destination.
fn plan(app: &App, origin: Origin, record: &Record) -> Markup {
    let planned = jobs::find(origin, &record.job_name).map(|job| app.worker.plan_of(job, record));
    html! {
        details {
            summary { "What it writes" }
            @match planned {
                None => p { "This version knows no form type of this name." },
                Some(Err(error)) => p .error-text { (error) },
                Some(Ok((destination, plan))) => {
                    @match &plan.note {
                        Some(note) => p { "Nothing: " (note) },
                        None => {
                            p { (table::count(&plan.to_json())) ", to " (destination.as_str()) }
                            pre tabindex="0" { (table::effects(&plan.to_json())) }
                        }
                    }
                    @for refused in &plan.refused { p .error-text { "Not sent: " (refused.error) } }
                }
            }
        }
    }
}

fn pretty(data: &Value) -> String {
    format!("{data:#}")
}
