//! What failed records failed of: one card for each cause, with a button that retries its records.

use maud::{Markup, html};

use super::filter::{failed_path, retry_failed_path};
use super::page::{record_path, time};
use crate::queue::{FailedFilter, Group, Groups};
use crate::submission::{Cause, ErrorKind, Origin};
use crate::text::shorten;

/// Characters of an error that a card shows.
const ERROR_SHOWN: usize = 500;

pub(super) fn section(origin: Origin, filter: &FailedFilter, groups: &Groups, may_change: bool) -> Markup {
    html! {
        @if !groups.groups.is_empty() {
            section aria-labelledby="causes" {
                h2 #causes { (groups.groups.len()) (if groups.groups.len() == 1 { " cause" } else { " causes" }) }
                @if groups.cut { p { "These are the causes of the " (groups.total) " records that changed last." } }
                ol .groups { @for group in &groups.groups { (card(origin, filter, group, may_change)) } }
            }
        }
    }
}

/// The filter that shows one group alone.
fn filter_of(filter: &FailedFilter, group: &Group) -> FailedFilter {
    FailedFilter {
        // An index finds the records of a form type.
        job_name: Some(group.job_name.clone()).filter(|name| !name.is_empty()),
        error_kind: group.error_kind,
        cause: group.cause,
        group: Some(group.key.clone()),
        ..filter.clone()
    }
}

fn card(origin: Origin, filter: &FailedFilter, group: &Group, may_change: bool) -> Markup {
    let own = filter_of(filter, group);
    html! {
        li .(group.error_kind.map_or("other", ErrorKind::as_str)) {
            h3 { a href=(failed_path(origin, &own)) { b { (group.count) } " " (group.job_name) } }
            p .what {
                (group.error_kind.map_or("without a kind", ErrorKind::as_str))
                @if let Some(cause) = group.cause { " · " (cause.as_str().replace('_', " ")) }
                @if let Some(step) = group.last_step.as_deref().filter(|step| group.cause.map(Cause::as_str) != Some(step)) {
                    " · " (step)
                }
            }
            p .error-text { (shorten(&group.error, ERROR_SHOWN)) }
            p .when {
                @match (group.oldest, group.newest) {
                    (Some(oldest), Some(newest)) if oldest != newest => { (time(oldest)) " to " (time(newest)) }
                    (_, Some(newest)) => (time(newest)),
                    _ => {}
                }
                " · for example " a href=(record_path(origin, &group.example)) { code { (group.example) } }
            }
            @if let Some(advice) = advice(group.error_kind, group.cause) { p .advice { (advice) } }
            @if may_change {
                p { a .button href=(retry_failed_path(origin, &own)) { "Retry " (group.count) " …" } }
            }
        }
    }
}

/// What has to happen before a retry can help.
pub(super) fn advice(kind: Option<ErrorKind>, cause: Option<Cause>) -> Option<&'static str> {
    match (kind, cause) {
        (_, Some(Cause::Mapping)) => Some(
            "A retry alone will not help: correct the form in its origin and let it be sent again, or mend the mapping.",
        ),
        (_, Some(Cause::Superseded)) => {
            Some("A retry alone will not help: later forms have written the same records.")
        }
        // The destination, a worker or a person was to blame: a retry may help.
        (_, Some(Cause::Outage | Cause::WorkerLost | Cause::SetByHand))
        | (Some(ErrorKind::Transient) | None, _) => None,
        (Some(ErrorKind::Permanent), _) => {
            Some("A retry alone will not help: correct the record or the rule that it breaks first.")
        }
        (Some(ErrorKind::Dependency), _) => {
            Some("These wait for other records, and are retried by themselves once those are there.")
        }
    }
}
