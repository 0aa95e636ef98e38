//! Failed records, filtered, page by page.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::super::failed::failed_filter;
use super::super::origin_of_destination;
use super::super::params::{Params, Segments};
use super::super::records::{read_cursor, write_cursor};
use super::page::{Page, dest, direction, page, query, record_path, time};
use crate::app::App;
use crate::jobs::JOBS;
use crate::queue::{FailedFilter, Shown};
use crate::submission::{ErrorKind, NextRetry, Origin, Record};

/// Records of one page.
const SHOWN: usize = 50;

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Segments(to): Segments<String>,
    params: Params,
) -> Page {
    let origin = origin_of_destination(&to)?;
    let filter = failed_filter(&params)?;
    let after = params.text("cursor").map(read_cursor).transpose()?;
    let (found, count) = futures::try_join!(
        app.queue.failed(origin, &filter, after.as_ref(), Shown::Summary, SHOWN),
        app.queue.count_failed(origin, &filter),
    )?;
    let next = found.next.as_ref().map(write_cursor);
    Ok(page(
        &format!("Failed: {}", direction(origin)),
        &html! {
            (filter_form(origin, &filter))
            (super::record::unreadable(&found.unreadable))
            p { b { (count) } " failed " (if count == 1 { "record" } else { "records" }) "." }
            @if count > 0 {
                p {
                    a .button href=(format!("/dashboard/retry-failed/{}?{}", dest(origin), filter_query(&filter, None))) {
                        "Retry these …"
                    }
                }
                div .wide tabindex="0" role="region" aria-label="Failed records" { (table(origin, &found.records)) }
            }
            @if let Some(next) = next {
                p { a href=(format!("?{}", filter_query(&filter, Some(&next)))) rel="next" { "Older ones" } }
            }
        },
    ))
}

/// The filter in a link.
pub(super) fn filter_query(filter: &FailedFilter, cursor: Option<&str>) -> String {
    query(&[
        ("job_name", filter.job_name.as_deref()),
        ("error_kind", filter.error_kind.map(ErrorKind::as_str)),
        ("cursor", cursor),
    ])
}

fn filter_form(origin: Origin, filter: &FailedFilter) -> Markup {
    html! {
        form .filter action=(format!("/dashboard/failed/{}", dest(origin))) {
            label for="job_name" { "Form type" }
            select #job_name name="job_name" {
                option value="" { "all" }
                @for job in JOBS.iter().filter(|job| job.origin == origin) {
                    option value=(job.name) selected[filter.job_name.as_deref() == Some(job.name)] { (job.name) }
                }
            }
            label for="error_kind" { "Kind" }
            select #error_kind name="error_kind" {
                option value="" { "all" }
                @for kind in ErrorKind::ALL {
                    option value=(kind.as_str()) selected[filter.error_kind == Some(kind)] { (kind.as_str()) }
                }
            }
            button { "Filter" }
        }
    }
}

fn table(origin: Origin, records: &[(String, Record)]) -> Markup {
    html! {
        table .records {
            thead { tr {
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
                        td { a href=(record_path(origin, doc_id)) { code { (doc_id) } } }
                        td { (record.job_name) }
                        td data-label="Kind" { (record.error_kind.map_or("–", ErrorKind::as_str)) }
                        td .error-text { (record.error.as_deref().unwrap_or("–")) }
                        td data-label="Failed at" { @if let Some(changed) = record.updated_at { (time(changed)) } }
                        td data-label="Next retry" {
                            @match record.next_retry_at {
                                NextRetry::At(at) => (time(at)),
                                NextRetry::Unset => "due",
                                NextRetry::Never => "by hand",
                            }
                        }
                    }
                }
            }
        }
    }
}
