//! The scheduler's calls: whether the service is running at all.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::super::status::SchedulerStatus;
use super::page::{duration, time};

pub(super) fn section(calls: &[SchedulerStatus], started: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        section aria-labelledby="scheduler" {
            h2 #scheduler { "Scheduler" }
            ul .calls { @for call in calls { (entry(call, started, now)) } }
        }
    }
}

/// One call. Only one that is late uses that word.
fn entry(call: &SchedulerStatus, started: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let ago = |since: DateTime<Utc>| duration((now - since).num_seconds());
    html! {
        li .late[call.late] .failed[call.last_status.is_some_and(|status| status >= 400)] {
            code { (call.call) }
            @if call.late {
                b { " late: no call for " (ago(call.last_started_at.unwrap_or(started))) "." }
            }
            span {
                @match call.last_started_at {
                    Some(last) => {
                        " Last began " (time(last)) ", " (ago(last)) " ago"
                        @if let (Some(finished), Some(status)) = (call.last_finished_at, call.last_status) {
                            "; took " (duration((finished - last).num_seconds())) ", answered " (status)
                        }
                        "."
                    }
                    None => " Never called yet.",
                }
            }
            span .quiet {
                @match call.every_seconds.map(u64::cast_signed) {
                    Some(every) => { " Expected every " (duration(every)) "." }
                    None => " Not expected (SCHEDULER_EVERY_SECONDS is not set).",
                }
            }
        }
    }
}
