//! Failed records: what they failed of, and the list, filtered, page by page.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use super::super::auth::{Gatekeeper, Visitor};
use super::super::failed::failed_filter;
use super::super::origin_of_destination;
use super::super::params::{Params, Segments};
use super::super::records::{read_cursor, write_cursor};
use super::filter::{self, failed_path, filter_query, query_of, retry_failed_path};
use super::groups;
use super::page::{Page, dest, direction, page, record_path, time};
use crate::app::App;
use crate::queue::{FailedFilter, Shown};
use crate::submission::{Awaits, ErrorKind, NextRetry, Origin, Record};
use crate::text::shorten;

/// Records of one page.
const SHOWN: usize = 50;
/// Characters of an error that the list shows.
const ERROR_SHOWN: usize = 300;

pub(super) async fn show(
    State(app): State<Arc<App>>,
    State(gatekeeper): State<Arc<Gatekeeper>>,
    Extension(visitor): Extension<Visitor>,
    Segments(to): Segments<String>,
    params: Params,
) -> Page {
    let origin = origin_of_destination(&to)?;
    let filter = failed_filter(&params)?;
    let after = params.filled("cursor").or(params.text("cursor")).map(read_cursor).transpose()?;
    let (found, groups) = futures::try_join!(
        app.queue.failed(origin, &filter, after.as_ref(), Shown::Summary, SHOWN),
        app.queue.failed_groups(origin, &filter),
    )?;
    let count = if groups.cut { app.queue.count_failed(origin, &filter).await? } else { groups.total };
    let next = found.next.as_ref().map(write_cursor);
    let may_change = visitor.may_change();
    Ok(page(
        &format!("Failed: {}", direction(origin)),
        &html! {
            (filter::form(origin, &filter, &params))
            @if filter.group.is_some() {
                p { "One cause alone. " a href=(failed_path(origin, &FailedFilter { group: None, ..filter.clone() })) { "All causes" } }
            }
            (super::record::unreadable(&found.unreadable))
            (head(origin, &filter, count, may_change))
            @if after.is_none() && filter.group.is_none() { (groups::section(origin, &filter, &groups, may_change)) }
            @if !found.records.is_empty() {
                (records(&gatekeeper, origin, &found.records, may_change))
            }
            @if let Some(next) = next {
                p { a href=(format!("?{}", filter_query(&filter, Some(&next)))) rel="next" { "Older ones" } }
            }
        },
    ))
}

/// How many there are, and what may be done with all of them.
fn head(origin: Origin, filter: &FailedFilter, count: u64, may_change: bool) -> Markup {
    let table = format!("/failed/{}?{}", dest(origin), query_of(filter, &[("format", "csv")]));
    html! {
        p .actions {
            span { b { (count) } " failed " (if count == 1 { "record" } else { "records" }) "." }
            @if count > 0 {
                @if may_change { a .button href=(retry_failed_path(origin, filter)) { "Retry these …" } }
                a href=(table) { "As CSV" }
                a href=(format!("/failed/{}?{}", dest(origin), query_of(filter, &[("summary", "true")]))) { "As JSON" }
            }
        }
    }
}

/// The list, as a form that retries those that are ticked.
fn records(
    gatekeeper: &Gatekeeper,
    origin: Origin,
    records: &[(String, Record)],
    may_change: bool,
) -> Markup {
    html! {
        section aria-labelledby="records" {
            h2 #records { "Records, the last changed first" }
            @if may_change {
                form method="post" action=(format!("/dashboard/retry-ticked/{}", dest(origin))) {
                    input type="hidden" name="csrf" value=(gatekeeper.csrf.token());
                    p .actions { button { "Retry the ticked ones" } }
                    (table(origin, records, true))
                }
            } @else { (table(origin, records, false)) }
        }
    }
}

fn table(origin: Origin, records: &[(String, Record)], may_change: bool) -> Markup {
    html! {
        table .stack .records {
            thead { tr {
                @if may_change { th scope="col" { "Retry" } }
                th scope="col" { "Record" }
                th scope="col" { "Form type" }
                th scope="col" { "Kind" }
                th scope="col" { "Error" }
                th scope="col" { "Failed at" }
                th scope="col" { "Next retry" }
            } }
            tbody {
                @for (doc_id, record) in records {
                    tr {
                        @if may_change {
                            td .tick {
                                label { input type="checkbox" name="id" value=(doc_id); span .unseen { "Retry " (doc_id) } }
                            }
                        }
                        td .id { a href=(record_path(origin, doc_id)) { code { (doc_id) } } }
                        td { (record.job_name) }
                        td data-label="Kind" { (record.error_kind.map_or("–", ErrorKind::as_str)) }
                        td .error-text { (shorten(record.error.as_deref().unwrap_or("–"), ERROR_SHOWN)) }
                        td data-label="Failed at" { @if let Some(changed) = record.updated_at { (time(changed)) } }
                        td data-label="Next retry" {
                            @match record.next_retry_at {
                                NextRetry::At(at) => (time(at)),
                                NextRetry::Unset => "due",
                                NextRetry::Never => "needs you",
                            }
                            @if record.awaits() == Some(Awaits::Reference) { ", or once what it waits for is there" }
                        }
                    }
                }
            }
        }
    }
}
