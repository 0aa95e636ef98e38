//! The mappings as a page, with a search: a question is found by its form path, its field or a label.

use maud::{Markup, html};

use super::super::params::Params;
use super::page::{Page, page, query};
use crate::jobs::{Entry, JOBS};
use crate::mappings;
use crate::submission::Unmapped;

/// Without a form type and without words the page would be very long.
pub(super) async fn show(params: Params) -> Page {
    let given = |name| params.text(name).map(str::trim).filter(|text| !text.is_empty());
    let (job_name, words) = (given("job_name"), given("q"));
    // A name that a link of an older version has finds nothing, and the form stays usable.
    let entries = mappings::of(job_name).unwrap_or_default();
    let found = words.map_or_else(|| entries.clone(), |words| mappings::search(entries.clone(), words));
    Ok(page(
        "Mappings",
        &html! {
            p { "What each form type writes, and from which answers: the tables by which the service maps forms." }
            (form(job_name, words))
            @if job_name.is_none() && words.is_none() {
                (form_types())
            } @else {
                p role="status" {
                    (found.len()) (if found.len() == 1 { " field" } else { " fields" }) " · "
                    a href=(format!("/mappings?{}", query(&[("job_name", job_name), ("q", words), ("format", Some("csv"))]))) { "as CSV" }
                }
                (lines(&found))
            }
        },
    ))
}

fn form(job_name: Option<&str>, words: Option<&str>) -> Markup {
    html! {
        form .filter action="/dashboard/mappings" role="search" aria-label="Mappings" {
            label { "Form type "
                select name="job_name" {
                    option value="" { "all" }
                    @for job in JOBS { option selected[job_name == Some(job.name)] { (job.name) } }
                }
            }
            label { "Words " input type="search" name="q" value=[words] placeholder="field, form path, label or code" maxlength="200"; }
            button { "Show" }
        }
    }
}

fn form_types() -> Markup {
    html! {
        ul {
            @for job in JOBS {
                li { a href=(format!("/dashboard/mappings?{}", query(&[("job_name", Some(job.name))]))) { (job.name) } " → " (job.destination.as_str()) }
            }
        }
    }
}

fn lines(entries: &[&Entry]) -> Markup {
    html! {
        @for of_job in entries.chunk_by(|one, next| one.job_name == next.job_name) {
            h2 { (of_job[0].job_name) " (" (of_job[0].direction) ")" }
            @for of_record in of_job.chunk_by(|one, next| mappings::record(one) == mappings::record(next)) {
                section .mapped {
                    h3 { (of_record[0].object) }
                    p {
                        "Found by " code { (of_record[0].external_id_field) } " = " code { (of_record[0].external_id) } "."
                        @if !of_record[0].when.is_empty() { " Written: " (of_record[0].when) "." }
                    }
                    dl { @for entry in of_record { (line(entry)) } }
                }
            }
        }
    }
}

fn line(entry: &Entry) -> Markup {
    html! {
        dt { code { (entry.field) } @if !entry.countries.is_empty() { " " small { (entry.countries.join(", ")) } } }
        dd {
            @for path in &entry.paths { div { code { (path) } } }
            div { (entry.source) }
            @if !entry.labels.is_empty() {
                details open[entry.labels.len() <= 4] {
                    summary { (entry.labels.len()) " labels" }
                    ul .labels { @for pair in &entry.labels { li { code { (pair.code) } " → " (pair.label) } } }
                    p { small { "To extend: " code { (entry.table) } } }
                }
            }
        }
    }
}

/// An unmapped answer, linked to its question's line, with the table that would have to know the code.
pub(super) fn question(job_name: &str, answer: &Unmapped) -> Markup {
    let entry = mappings::question(job_name, &answer.path);
    html! {
        @match entry {
            // No table reads it any more: a search shows what is near.
            None => a href=(format!("/dashboard/mappings?{}", query(&[("q", Some(&answer.path))]))) { code { (answer.path) } },
            Some(entry) => {
                a href=(link(job_name, entry)) { code { (answer.path) } }
                br;
                small { "for " code { (entry.object) "." (entry.field) } "; to extend: " code { (entry.table) } }
            }
        }
    }
}

fn link(job_name: &str, entry: &Entry) -> String {
    let path = entry.paths.first().map(String::as_str);
    format!("/dashboard/mappings?{}", query(&[("job_name", Some(job_name)), ("q", path)]))
}
