//! `GET /metrics`, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use tokio::time::timeout;
use tracing::warn;

use crate::app::App;
use crate::check::{self, CheckStatus, Checked};
use crate::clock;
use crate::destinations::Admission;
use crate::metrics::{CONTENT_TYPE, Depths, DestinationState, Reconciled, Scrape};
use crate::queue::QueueError;
use crate::submission::{Destination, Origin};

/// Time that the queue has to answer. Prometheus gives a scrape ten seconds by default, and the other metrics
/// must arrive even where the queue is down.
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);

/// The metrics, as Prometheus reads them
///
/// All counters, and the present state of the queue and of Salesforce.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operators",
    responses((status = 200, body = String, content_type = CONTENT_TYPE, description = "Prometheus' text format")))]
pub(super) async fn show(State(app): State<Arc<App>>) -> impl IntoResponse {
    let [from_commcare, from_salesforce] = app.queue.unreadable_met();
    let unreadable = vec![(Origin::CommCare, from_commcare), (Origin::Salesforce, from_salesforce)];
    let (queue, reconciliation, findings) =
        futures::join!(depths(&app), reconciliation(&app), findings(&app));
    let mut scrape = Scrape { queue, unreadable, findings, reconciliation, ..Scrape::default() };
    if let Some(health) = app.worker.salesforce_health() {
        let state = match health.admission {
            Admission::Available => DestinationState::Available,
            Admission::Probing => DestinationState::Probing,
            Admission::Paused { .. } => DestinationState::Paused,
        };
        scrape.destinations.push((Destination::Salesforce.as_str(), state));
        scrape.salesforce_usage = health.api_usage.map(|usage| (usage.used, usage.limit));
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], app.metrics.render(&scrape))
}

/// What the last reconciliation came to; `None` before the first, and where the queue doesn't answer.
async fn reconciliation(app: &App) -> Option<Reconciled> {
    let kept = in_time("the last reconciliation", app.reconciler.kept()).await?;
    kept.runs.first()?;
    let finished = kept.runs.iter().find(|run| run.finished);
    Some(Reconciled {
        missing: kept.last_missing(),
        alert: app.reconciler.alert(),
        finished: finished.and_then(|run| u64::try_from(run.ended_at.timestamp()).ok()),
    })
}

/// The findings of the last check, by destination; none where the queue doesn't answer.
async fn findings(app: &App) -> Vec<(String, u64)> {
    let Some(Some(report)) = in_time("the last check", check::last(&app.queue)).await else {
        return Vec::new();
    };
    let of = |checked: &Checked| {
        let findings = report.findings.iter().filter(|finding| finding.destination == checked.name);
        (checked.name.clone(), findings.count() as u64)
    };
    let asked = report.destinations.iter().filter(|checked| checked.status == CheckStatus::Checked);
    asked.map(of).collect()
}

/// The queue's depths; `None` where it doesn't answer.
async fn depths(app: &App) -> Option<Vec<Depths>> {
    let of = async |origin| {
        let backlog = app.queue.backlog(origin).await?;
        let oldest_new = backlog.oldest_new.map(|arrived| clock::now() - arrived);
        let awaiting = app.queue.count_awaiting(origin).await?;
        Ok::<_, QueueError>(Depths { origin, by_status: backlog.by_status, awaiting, oldest_new })
    };
    in_time("depths", futures::future::try_join_all(Origin::ALL.map(of))).await
}

/// What the queue says; `None`, with a line in the log, where it doesn't in time.
async fn in_time<T>(what: &'static str, asked: impl Future<Output = Result<T, QueueError>>) -> Option<T> {
    match timeout(QUEUE_PATIENCE, asked).await {
        Ok(Ok(said)) => Some(said),
        Ok(Err(error)) => {
            warn!(asked = what, error = &error as &dyn std::error::Error, "queue down at a scrape");
            None
        }
        Err(_) => {
            warn!(asked = what, error = "no answer in time", "queue down at a scrape");
            None
        }
    }
}
