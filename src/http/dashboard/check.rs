//! What the last check of the destinations has found.

use maud::{Markup, html};

use super::page::time;
use crate::check::{CheckStatus, Report};

/// The findings of a report; before the first check a hint.
pub(super) fn section(report: Option<&Report>) -> Markup {
    html! {
        section aria-labelledby="check" {
            h2 #check { "Destinations held against the mappings" }
            @match report {
                None => p { "Not checked yet. The scheduler checks once a day; " code { "check-destinations" } " does it now." },
                Some(report) => (checked(report)),
            }
        }
    }
}

fn checked(report: &Report) -> Markup {
    let problem = |status: CheckStatus| status == CheckStatus::Unreachable;
    html! {
        p { "Checked " (time(report.checked_at)) ": " (report.summary) "." }
        @for checked in report.destinations.iter().filter(|checked| problem(checked.status)) {
            p .error { (checked.name) " could not be asked: " (checked.detail) }
        }
        @if !report.findings.is_empty() {
            table .stack {
                thead { tr {
                    th scope="col" { "Field" }
                    th scope="col" { "What is wrong" }
                    th scope="col" { "Stops" }
                } }
                tbody {
                    @for finding in &report.findings {
                        tr {
                            td { (finding.destination) " " code { (finding.field) } }
                            td data-label="What is wrong" { (finding.problem) }
                            td data-label="Stops" { (finding.job_names.join(", ")) }
                        }
                    }
                }
            }
        }
    }
}
