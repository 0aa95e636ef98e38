//! The first page: counts, runs by hour, failures, and the answers that no mapping knows.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use maud::{Markup, html};

use super::super::auth::{Gatekeeper, Visitor};
use super::super::state::HttpSettings;
use super::super::status;
use super::page::{Page, dest, direction, duration, page, query};
use super::{chart, reconciliation, scheduler, unmapped, words};
use crate::app::App;
use crate::check;
use crate::clock;
use crate::destinations::Admission;
use crate::jobs::JOBS;
use crate::queue::{Counts, FailedFilter, QueueError, Recent, Unreadable};
use crate::submission::{Awaits, ErrorKind, Origin, Status};

/// Everything that the page shows of one collection.
struct CollectionOverview {
    origin: Origin,
    counts: Counts,
    awaiting: [(Awaits, u64); 3],
    failures: Vec<FailureGroup>,
    recent: Recent,
    unreadable: Vec<Unreadable>,
}

/// Failed records of one form type and kind.
struct FailureGroup {
    /// `None`: of form types that this version does not know.
    job_name: Option<&'static str>,
    /// By [`ErrorKind::ALL`], and those without a kind.
    by_kind: [u64; 4],
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    State(gatekeeper): State<Arc<Gatekeeper>>,
    State(settings): State<Arc<HttpSettings>>,
    Extension(visitor): Extension<Visitor>,
) -> Page {
    let now = clock::now();
    let since = chart::since(now);
    let collections = try_join_all(Origin::ALL.map(|origin| collection(&app, origin, since)));
    let calls = status::scheduler(&app.queue, &settings);
    let runs = reconciliation::runs(&app);
    let (collections, calls, unmapped, runs, check) =
        futures::try_join!(collections, calls, app.queue.unmapped(), runs, check::last(&app.queue))?;
    // A form carries a token; a viewer gets none.
    let csrf = visitor.may_change().then(|| gatekeeper.csrf.token());
    Ok(page(
        "Dashboard",
        &html! {
            (destinations(&app))
            (scheduler::section(&calls, settings.started, now))
            @for collection in &collections { (section(collection, since, now)) }
            (reconciliation::section(&runs, app.reconciler.alert()))
            (super::check::section(check.as_ref()))
            (unmapped::section(&unmapped, csrf.as_deref()))
        },
    )
    .refreshed())
}

async fn collection(
    app: &App,
    origin: Origin,
    since: DateTime<Utc>,
) -> Result<CollectionOverview, QueueError> {
    let (counts, awaiting, failures, recent, unreadable) = futures::try_join!(
        app.queue.counts(origin),
        app.queue.count_awaiting(origin),
        failures(app, origin),
        app.queue.recent(origin, since),
        app.queue.unreadable(origin),
    )?;
    Ok(CollectionOverview { origin, counts, awaiting, failures, recent, unreadable })
}

/// Failed records by form type and kind, without the form types that have none.
async fn failures(app: &App, origin: Origin) -> Result<Vec<FailureGroup>, QueueError> {
    let count = async |job_name: Option<&str>, error_kind| {
        let filter =
            FailedFilter { job_name: job_name.map(str::to_owned), error_kind, ..FailedFilter::default() };
        app.queue.count_failed(origin, &filter).await
    };
    let group = async |job_name: Option<&'static str>| {
        let all = count(job_name, None).await?;
        let mut by_kind = [0; 4];
        if all > 0 {
            let kinds = try_join_all(ErrorKind::ALL.map(|kind| count(job_name, Some(kind)))).await?;
            by_kind[..3].copy_from_slice(&kinds);
            by_kind[3] = all.saturating_sub(kinds.iter().sum());
        }
        Ok::<_, QueueError>(FailureGroup { job_name, by_kind })
    };
    let known = JOBS.iter().filter(|job| job.origin == origin).map(|job| group(Some(job.name)));
    let (mut groups, mut others) = futures::try_join!(try_join_all(known), group(None))?;
    for group in &groups {
        for (rest, known) in others.by_kind.iter_mut().zip(group.by_kind) {
            *rest = rest.saturating_sub(known);
        }
    }
    groups.push(others);
    groups.retain(|group| group.by_kind.iter().any(|count| *count > 0));
    Ok(groups)
}

/// Destinations that are in trouble.
fn destinations(app: &App) -> Markup {
    let down = app.worker.destinations_down();
    let salesforce = app.worker.salesforce_health();
    html! {
        @for destination in &down {
            p .error role="alert" {
                (destination.as_str()) " takes no records at the moment: they wait in the queue, and the next drain tries again."
            }
        }
        @if let Some(health) = salesforce {
            @if let Admission::Paused { reason } = &health.admission { p .error { "Salesforce: " (reason) } }
            @if let Some(usage) = health.api_usage {
                p { "Salesforce has counted " b { (usage.used) } " of " (usage.limit) " API calls of the last 24 hours." }
            }
        }
    }
}

fn section(collection: &CollectionOverview, since: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let origin = collection.origin;
    let oldest = collection.counts.oldest_new;
    html! {
        section aria-labelledby=(origin.collection()) {
            h2 #(origin.collection()) { (direction(origin)) }
            (super::record::unreadable(&collection.unreadable))
            ul .counts {
                @for (status, count) in collection.counts.by_status {
                    li .(status.as_str()) {
                        @if status == Status::Failed && count > 0 {
                            a href=(format!("/dashboard/failed/{}", dest(origin))) { b { (count) } " " (status.as_str()) }
                        } @else {
                            b { (count) } " " (status.as_str())
                        }
                    }
                }
            }
            p {
                @match oldest {
                    Some(arrived) => { "The oldest new record has waited for " b { (duration((now - arrived).num_seconds())) } "." }
                    None => { "Nothing waits." }
                }
            }
            @if collection.awaiting.iter().any(|(_, count)| *count > 0) {
                p {
                    "Of the failed records: "
                    @for (n, (awaits, count)) in collection.awaiting.iter().enumerate() {
                        @if n > 0 { ", " }
                        a href=(format!("/dashboard/failed/{}?awaits={}", dest(origin), awaits.as_str())) {
                            b { (count) } " " (words::awaits(*awaits))
                        }
                    }
                    "."
                }
            }
            (chart::draw(&chart::hours(&collection.recent.attempts, since)))
            @if collection.recent.cut {
                p { "There were more runs than are read for this drawing: the earliest are left out." }
            }
            @if !collection.failures.is_empty() { (failure_table(collection)) }
        }
    }
}

fn failure_table(collection: &CollectionOverview) -> Markup {
    let link = |job_name: Option<&str>, kind: Option<&str>| {
        let query = query(&[("job_name", job_name), ("error_kind", kind)]);
        format!("/dashboard/failed/{}?{query}", dest(collection.origin))
    };
    html! {
        h3 { "Failed, by form type and kind" }
        p { a .button href=(format!("/dashboard/failed/{}", dest(collection.origin))) { "By cause …" } }
        div .wide tabindex="0" role="region" aria-label="Failed records" {
            table .kinds {
                thead { tr {
                    th scope="col" { "Form type" }
                    @for kind in ErrorKind::ALL { th scope="col" { (kind.as_str()) } }
                    th scope="col" { "other" }
                } }
                tbody {
                    @for group in &collection.failures {
                        tr {
                            th scope="row" {
                                @match group.job_name {
                                    Some(name) => a href=(link(Some(name), None)) { (name) },
                                    None => "of unknown form types",
                                }
                            }
                            @for (position, count) in group.by_kind.iter().enumerate() {
                                td {
                                    @match (ErrorKind::ALL.get(position), group.job_name) {
                                        (Some(kind), Some(name)) if *count > 0 => {
                                            a href=(link(Some(name), Some(kind.as_str()))) { (count) }
                                        }
                                        _ => (count)
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
