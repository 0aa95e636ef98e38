//! Answers whose code no label table knows, with the marks of those that operators know.

use maud::{Markup, html};

use super::page::{record_path, time};
use crate::queue::Sighting;

/// The list. Without a token of the forms nothing can be marked.
pub(super) fn section(sightings: &[Sighting], csrf: Option<&str>) -> Markup {
    let (known, new): (Vec<&Sighting>, Vec<&Sighting>) = sightings.iter().partition(|seen| seen.known);
    html! {
        section aria-labelledby="unmapped" {
            h2 #unmapped { "Answers that no mapping knows" }
            @if new.is_empty() {
                p { "None that is new. Where the field app gains an option that the mapping lacks, it shows here." }
            } @else {
                p {
                    "The field app has these options and the mapping lacks them: their records were written without them, or with the bare code. "
                    a href="/unmapped?format=csv" { "As CSV" }
                }
                (table(&new, csrf))
            }
            @if !known.is_empty() {
                details {
                    summary { (known.len()) " marked as known" }
                    (table(&known, csrf))
                }
            }
        }
    }
}

fn table(sightings: &[&Sighting], csrf: Option<&str>) -> Markup {
    html! {
        table .stack {
            thead { tr {
                th scope="col" { "Form type" }
                th scope="col" { "Answer" }
                th scope="col" { "Code" }
                th scope="col" { "Records" }
                th scope="col" { "First seen" }
                th scope="col" { "Last seen" }
                @if csrf.is_some() { th scope="col" { "Mark" } }
            } }
            tbody {
                @for seen in sightings {
                    tr {
                        td { (seen.job_name) }
                        td data-label="Answer" { (super::mappings::question(&seen.job_name, &seen.answer)) }
                        td data-label="Code" { code { (seen.answer.code) } }
                        td data-label="Records" {
                            (seen.records)
                            @if let Some(example) = &seen.example {
                                ", " a href=(record_path(seen.origin, example)) { "the last one" }
                            }
                        }
                        td data-label="First seen" { (time(seen.first_seen)) }
                        td data-label="Last seen" { (time(seen.last_seen)) }
                        @if let Some(csrf) = csrf { td { (mark(seen, csrf)) } }
                    }
                }
            }
        }
    }
}

fn mark(seen: &Sighting, csrf: &str) -> Markup {
    html! {
        form method="post" action="/dashboard/unmapped" {
            input type="hidden" name="csrf" value=(csrf);
            input type="hidden" name="job_name" value=(seen.job_name);
            input type="hidden" name="path" value=(seen.answer.path);
            input type="hidden" name="code" value=(seen.answer.code);
            input type="hidden" name="known" value=(!seen.known);
            button { @if seen.known { "Not known" } @else { "Mark as known" } }
        }
    }
}
