//! What CommCare could not deliver, as the last reconciliations found it.

use maud::{Markup, html};

use super::page::time;
use crate::app::App;
use crate::queue::QueueError;
use crate::reconcile::PastRun;

/// The last runs, the newest first.
pub(super) async fn runs(app: &App) -> Result<Vec<PastRun>, QueueError> {
    let (kept, past) = futures::try_join!(app.reconciler.kept(), app.reconciler.kept_of_the_past())?;
    let mut runs: Vec<PastRun> = kept.runs.into_iter().chain(past.runs).collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
    runs.truncate(crate::reconcile::RUNS);
    Ok(runs)
}

pub(super) fn section(runs: &[PastRun], alert: u64) -> Markup {
    html! {
        section aria-labelledby="reconciliation" {
            h2 #reconciliation { "Forms that CommCare could not deliver" }
            @match runs {
                [] => p { "CommCare HQ has not been asked yet: " code { "POST /reconcile-cc" } " fetches the forms that did not arrive." },
                [last, ..] => {
                    (state(last, alert))
                    (table(runs))
                }
            }
        }
    }
}

/// The last run in a sentence.
fn state(last: &PastRun, alert: u64) -> Markup {
    html! {
        @if let Some(reason) = &last.stopped {
            p .error role="alert" { "The last reconciliation stopped: " (reason) "." }
        } @else if !last.finished {
            p { "The last reconciliation is not at its end yet; the next call goes on." }
        } @else if last.since.is_none() && last.missing > alert {
            p .error role="alert" {
                "The last reconciliation found " (missing(last)) ", and fetched what it found: look at Data Forwarding Records in "
                "CommCare HQ, whose credential or forwarding may be broken."
            }
        } @else {
            p { "The last reconciliation found " (missing(last)) "." }
        }
    }
}

fn missing(run: &PastRun) -> Markup {
    html! { b { (run.missing) } (if run.missing == 1 { " form" } else { " forms" }) " that had not arrived" }
}

fn table(runs: &[PastRun]) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label="Reconciliations" {
            table {
                thead { tr {
                    th scope="col" { "Began" }
                    th scope="col" { "Missing" }
                    th scope="col" { "Listed" }
                    th scope="col" { "Up to" }
                    th scope="col" { "By form type" }
                } }
                tbody {
                    @for run in runs {
                        tr {
                            td {
                                (time(run.started_at))
                                @if let Some(since) = run.since { br; "forms since " (time(since)) }
                            }
                            td { (run.missing) }
                            td { (run.checked) }
                            td {
                                @match run.up_to { Some(up_to) => (time(up_to)), None => "–" }
                                @if run.stopped.is_some() { " (stopped)" } @else if !run.finished { " (goes on)" }
                            }
                            td {
                                @for (position, (job_name, count)) in run.missing_by_job.iter().enumerate() {
                                    @if position > 0 { br; }
                                    (job_name) ": " (count)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
