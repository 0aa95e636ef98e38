//! Which failed records a page shows: as a form, and in links.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use super::super::params::Params;
use super::page::{dest, query};
use crate::jobs::JOBS;
use crate::queue::FailedFilter;
use crate::submission::{Awaits, Cause, ErrorKind, Origin};

/// The parameters that make this filter.
pub(super) fn filter_pairs(filter: &FailedFilter) -> Vec<(&'static str, String)> {
    let iso = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    [
        ("job_name", filter.job_name.clone()),
        ("error_kind", filter.error_kind.map(|kind| kind.as_str().to_owned())),
        ("awaits", filter.awaits.map(|awaits| awaits.as_str().to_owned())),
        ("cause", filter.cause.map(|cause| cause.as_str().to_owned())),
        ("since", filter.since.map(iso)),
        ("until", filter.until.map(iso)),
        ("q", filter.text.clone()),
        ("group", filter.group.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

pub(super) fn query_of(filter: &FailedFilter, more: &[(&str, &str)]) -> String {
    let pairs = filter_pairs(filter);
    let pairs = pairs.iter().map(|(name, value)| (*name, Some(value.as_str())));
    query(&pairs.chain(more.iter().map(|(name, value)| (*name, Some(*value)))).collect::<Vec<_>>())
}

/// The filter in a link.
pub(super) fn filter_query(filter: &FailedFilter, cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| ("cursor", cursor));
    query_of(filter, cursor.as_slice())
}

/// The list with this filter.
pub(super) fn failed_path(origin: Origin, filter: &FailedFilter) -> String {
    format!("/dashboard/failed/{}?{}", dest(origin), filter_query(filter, None))
}

/// The page that asks before it retries what the filter shows.
pub(super) fn retry_failed_path(origin: Origin, filter: &FailedFilter) -> String {
    format!("/dashboard/retry-failed/{}?{}", dest(origin), filter_query(filter, None))
}

/// The form that changes it.
pub(super) fn form(origin: Origin, filter: &FailedFilter, params: &Params) -> Markup {
    let kind = filter.error_kind.map(ErrorKind::as_str);
    let cause = filter.cause.map(Cause::as_str);
    html! {
        form .filter action=(format!("/dashboard/failed/{}", dest(origin))) {
            label { "Form type "
                select name="job_name" {
                    option value="" { "all" }
                    @for job in JOBS.iter().filter(|job| job.origin == origin) {
                        option value=(job.name) selected[filter.job_name.as_deref() == Some(job.name)] { (job.name) }
                    }
                }
            }
            (choice("Kind ", "error_kind", &ErrorKind::ALL.map(ErrorKind::as_str), kind))
            (choice("Waits for ", "awaits", &Awaits::ALL.map(Awaits::as_str), filter.awaits.map(Awaits::as_str)))
            (choice("Cause ", "cause", &Cause::ALL.map(Cause::as_str), cause))
            (day("From ", "since", params))
            (day("To ", "until", params))
            label { "Text " input type="search" name="q" value=[filter.text.as_deref()] placeholder="in the error" maxlength="200"; }
            button { "Filter" }
        }
    }
}

fn choice(label: &str, name: &str, words: &[&str], chosen: Option<&str>) -> Markup {
    html! {
        label { (label)
            select name=(name) {
                option value="" { "all" }
                @for word in words {
                    option value=(word) selected[chosen == Some(word)] { (word.replace('_', " ")) }
                }
            }
        }
    }
}

/// A day; a time of day that a link has stays as it is.
fn day(label: &str, name: &'static str, params: &Params) -> Markup {
    let given = params.filled(name);
    let kind = if given.is_some_and(|given| given.len() > "2026-11-24".len()) { "text" } else { "date" };
    html! { label { (label) input type=(kind) name=(name) value=[given]; } }
}
