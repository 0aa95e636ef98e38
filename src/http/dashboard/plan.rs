//! What a record writes: its plan, as a run would make it now. Planning needs no destination.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::app::App;
use crate::jobs;
use crate::plan::{Document, Effects, Plan, table};
use crate::submission::{Destination, Origin, Record};

/// Documents of one page.
const SHOWN: usize = 50;

pub(super) fn section(app: &App, origin: Origin, record: &Record, page: usize) -> Markup {
    let planned = jobs::find(origin, &record.job_name).map(|job| app.worker.plan_of(job, record));
    html! {
        details #plan open[page > 1] {
            summary { "What it writes" }
            @match planned {
                None => p { "This version knows no form type of this name." },
                Some(Err(error)) => p .error-text { (error) },
                Some(Ok((destination, plan))) => {
                    @match (&plan.note, &plan.effects) {
                        (Some(note), _) => p { "Nothing: " (note) },
                        (None, Effects::Documents(documents)) => (self::documents(&plan, documents, record, page)),
                        (None, Effects::Upserts(_) | Effects::Rows(_)) => (effects(&plan, destination)),
                    }
                }
            }
        }
    }
}

fn effects(plan: &Plan, destination: Destination) -> Markup {
    html! {
        p { (table::count(&plan.to_json())) ", to " (destination.as_str()) }
        pre tabindex="0" { (table::effects(&plan.to_json())) }
    }
}

/// What became of a document, in the order in which a page shows them: what is refused needs somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum DocumentFate<'r> {
    Refused(&'r str),
    Left,
    Delivered,
}

/// The documents, those that are refused first, page by page.
fn documents(plan: &Plan, documents: &[Document], record: &Record, page: usize) -> Markup {
    let fate = |position: u32| {
        let reason = record.refusals.iter().find(|refusal| refusal.position == position);
        match reason {
            Some(refusal) => DocumentFate::Refused(&refusal.error),
            None if record.refused.contains(&position) => DocumentFate::Refused("CommCare refused it"),
            None if record.delivered.contains(&position) => DocumentFate::Delivered,
            None => DocumentFate::Left,
        }
    };
    let mut rows: BTreeMap<(u8, u32), (DocumentFate<'_>, Option<&Document>)> = BTreeMap::new();
    for refused in &plan.refused {
        rows.insert((0, refused.position), (DocumentFate::Refused(&refused.error), None));
    }
    for document in documents {
        let fate = fate(document.position);
        rows.insert((rank(&fate), document.position), (fate, Some(document)));
    }
    let pages = rows.len().div_ceil(SHOWN).max(1);
    let page = page.min(pages);
    let count = |rank: u8| rows.keys().filter(|(of, _)| *of == rank).count();
    html! {
        p {
            (rows.len()) " records of the payload, to commcare: " (count(0)) " refused, " (count(1)) " to be sent, "
            (count(2)) " delivered."
        }
        (pager(page, pages))
        table .stack .documents {
            thead { tr { th scope="col" { "Record" } th scope="col" { "Case" } th scope="col" { "What became of it" } } }
            tbody {
                @for ((_, position), (fate, document)) in rows.iter().skip((page - 1) * SHOWN).take(SHOWN) {
                    tr {
                        td data-label="Record" { (position) }
                        td data-label="Case" { (case(*document)) }
                        td data-label="What became of it" .error-text[matches!(fate, DocumentFate::Refused(_))] {
                            @match fate {
                                DocumentFate::Refused(error) => { "refused: " (error) }
                                DocumentFate::Left => "to be sent",
                                DocumentFate::Delivered => "delivered",
                            }
                        }
                    }
                }
            }
        }
        (pager(page, pages))
    }
}

fn rank(fate: &DocumentFate<'_>) -> u8 {
    match fate {
        DocumentFate::Refused(_) => 0,
        DocumentFate::Left => 1,
        DocumentFate::Delivered => 2,
    }
}

/// The case of a document, and the document itself behind a click.
fn case(document: Option<&Document>) -> Markup {
    html! {
        @match document {
            None => "–",
            Some(document) => {
                details {
                    summary { code { (document.case_id) } }
                    pre tabindex="0" { (table::document(&document.xml)) }
                }
            }
        }
    }
}

fn pager(page: usize, pages: usize) -> Markup {
    html! {
        @if pages > 1 {
            p .actions {
                @if page > 1 { a href=(format!("?page={}#plan", page - 1)) rel="prev" { "Before" } }
                span { "Page " (page) " of " (pages) }
                @if page < pages { a href=(format!("?page={}#plan", page + 1)) rel="next" { "Next" } }
            }
        }
    }
}
