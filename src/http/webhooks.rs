//! The two webhooks: identify, store, answer. A wet-mill form is also tried at once, as the original
//! service did.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{error, info};

use super::body;
use super::error::HttpError;
use super::observe::identify;
use crate::app::App;
use crate::jobs::Destination;
use crate::queue::{Arriving, Fate};
use crate::submission::{Origin, Status};
use crate::worker::End;

/// Time in which a record that was broken off is put back.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(super) async fn accept_commcare(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    accept(&app, Origin::CommCare, request).await
}

pub(super) async fn accept_salesforce(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    accept(&app, Origin::Salesforce, request).await
}

async fn accept(app: &Arc<App>, origin: Origin, request: Request) -> Result<Json<Value>, HttpError> {
    let payload = body::read(origin, request, app.max_body_bytes).await?;
    let Some(job) = payload.job else {
        info!(collection = origin.collection(), "webhook.skipped");
        app.metrics.webhook_accepted(origin, &payload.job_name, "skipped");
        let status = "Skipped, form type is not handled";
        return Ok(Json(json!({ "status": status, "job_name": payload.job_name })));
    };
    let job_id = payload.id()?;
    identify(&job_id);
    let arriving = Arriving {
        origin,
        job_name: payload.job_name.clone(),
        job_id: job_id.clone(),
        data: Arc::new(payload.data),
        records: payload.job.and_then(|job| job.records),
    };
    let accepted = app.queue.accept(arriving).await?;
    let fate = word(accepted.fate);
    app.metrics.webhook_accepted(origin, &payload.job_name, fate);
    info!(
        request_id = job_id,
        doc_id = accepted.doc_id,
        job_name = payload.job_name,
        fate,
        "webhook.accepted"
    );
    let mut answer = json!({
        "status": "Data stored, processing deferred",
        "request_id": job_id,
        "job_name": payload.job_name,
        "doc_id": accepted.doc_id,
        "duplicate": accepted.fate == Fate::Duplicate,
    });
    match accepted.fate {
        Fate::Replaced => answer["replaced"] = true.into(),
        Fate::Stale => answer["stale"] = true.into(),
        Fate::Stored | Fate::Duplicate => {}
    }
    if job.destination == Destination::Postgis && accepted.fate != Fate::Stale {
        answer["record_status"] = try_at_once(app, origin, accepted.doc_id).await.as_str().into();
    }
    Ok(Json(answer))
}

/// What log lines and metrics call it.
fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Stored => "stored",
        Fate::Duplicate => "duplicate",
        Fate::Replaced => "replaced",
        Fate::Stale => "stale",
    }
}

/// Tries a record inside its call, and says what it is then. The form is safe in the queue whatever
/// comes of it.
async fn try_at_once(app: &Arc<App>, origin: Origin, doc_id: String) -> Status {
    let (worker, within) = (app.worker.clone(), app.inline);
    // A task of its own: the record is settled even where the caller hangs up.
    let trying = app.worker.shutdown().work(async move { worker.try_at_once(origin, &doc_id, within).await });
    match timeout(within + LAST_WORDS, trying).await {
        Ok(Ok(Ok(End::Completed))) => Status::Completed,
        Ok(Ok(Ok(End::Failed(_)))) => Status::Failed,
        Ok(Ok(Ok(End::New(_) | End::NotStarted(_)))) => Status::New,
        // Its outcome is not written yet.
        Ok(Ok(Ok(End::Processing))) | Err(_) => Status::Processing,
        Ok(Ok(Err(error))) => {
            error!(error = &error as &dyn std::error::Error, "webhook.not_tried");
            Status::New
        }
        // Where it did has been logged; its message may quote a payload.
        Ok(Err(_panic)) => {
            error!("webhook.try_broke_down");
            Status::Processing
        }
    }
}
