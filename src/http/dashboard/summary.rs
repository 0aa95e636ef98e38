//! The summary of a week: what arrived, by form type and day, and what became of it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use maud::{Markup, html};

use super::super::error::HttpError;
use super::super::format;
use super::super::params::Params;
use super::super::time;
use super::page::{Page, page, query};
use crate::app::App;
use crate::summary::{Summary, Sums};
use crate::time::Edge;

/// The words of the columns.
const COLUMNS: [&str; 5] = ["Received", "Written", "Waiting", "Failed", "Without effect"];

async fn of(app: &App, params: &Params) -> Result<Summary, HttpError> {
    Ok(Summary::of(&app.queue, time::parameter(params, "since", Edge::From)?).await?)
}

/// As CSV.
pub(super) async fn csv(State(app): State<Arc<App>>, params: Params) -> Result<Response, HttpError> {
    Ok(format::csv("summary", of(&app, &params).await?.csv()))
}

pub(super) async fn show(State(app): State<Arc<App>>, params: Params) -> Page {
    let summary = of(&app, &params).await?;
    let since = summary.since.date_naive().to_string();
    Ok(page(
        "Summary",
        &html! {
            form .filter action="/dashboard/summary" {
                label { "Since " input type="date" name="since" value=(since); }
                button { "Show" }
                a href=(format!("/dashboard/summary.csv?{}", query(&[("since", Some(&since))]))) { "As CSV" }
            }
            (counts(summary.total()))
            @if summary.cut { p { "There were more records than are looked at: the oldest are left out." } }
            @if summary.lines.is_empty() { p { "Nothing arrived." } } @else {
                h2 { "By form type" }
                (by_job(&summary))
                h2 { "By day" }
                (by_day(&summary.lines))
            }
            (found(&summary))
            (answers(&summary))
        },
    ))
}

fn counts(total: Sums) -> Markup {
    html! {
        ul .counts {
            @for (word, count) in COLUMNS.iter().zip(total.cells()) {
                li .(class_of(word)) { b { (count) } " " (word.to_lowercase()) }
            }
        }
        p .quiet {
            "A record without effect completed with nothing written: no rule of its form type matched, or its destination records plans only."
        }
    }
}

fn class_of(word: &str) -> &'static str {
    match word {
        "Written" => "completed",
        "Waiting" => "new",
        "Failed" => "failed",
        _ => "other",
    }
}

fn head(first: &str) -> Markup {
    html! {
        thead { tr {
            th scope="col" { (first) }
            @for word in COLUMNS { th scope="col" { (word) } }
        } }
    }
}

fn cells(sums: Sums) -> Markup {
    html! { @for (word, count) in COLUMNS.iter().zip(sums.cells()) { td data-label=(word) { (count) } } }
}

fn by_job(summary: &Summary) -> Markup {
    html! {
        table .stack .numbers {
            (head("Form type"))
            tbody {
                @for (job_name, sums) in summary.by_job() { tr { th scope="row" { (job_name) } (cells(sums)) } }
            }
        }
    }
}

fn by_day(lines: &[(NaiveDate, String, Sums)]) -> Markup {
    html! {
        @for day in lines.chunk_by(|one, next| one.0 == next.0).rev() {
            details open[day.last() == lines.last()] {
                summary { (day[0].0.to_string()) }
                table .stack .numbers {
                    (head("Form type"))
                    tbody { @for (_, job_name, sums) in day { tr { th scope="row" { (job_name) } (cells(*sums)) } } }
                }
            }
        }
    }
}

fn found(summary: &Summary) -> Markup {
    html! {
        h2 { "Missing forms found" }
        @if summary.found.is_empty() { p { "None." } } @else {
            p { "CommCare could not deliver these forms; a reconciliation has fetched them." }
            ul { @for (job_name, count) in &summary.found { li { b { (count) } " " (job_name) } } }
        }
    }
}

fn answers(summary: &Summary) -> Markup {
    html! {
        h2 { "New answers without label" }
        @if summary.answers.is_empty() { p { "None." } } @else {
            ul {
                @for seen in &summary.answers {
                    li { (seen.job_name) ": " code { (seen.answer.path) } " = " code { (seen.answer.code) } ", " (seen.records) " records" }
                }
            }
        }
    }
}
