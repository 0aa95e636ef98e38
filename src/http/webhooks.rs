//! The two webhooks: identify, store, answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tracing::info;

use super::body;
use super::error::HttpError;
use crate::app::App;
use crate::queue::{Arriving, Fate};
use crate::submission::Origin;

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

async fn accept(app: &App, origin: Origin, request: Request) -> Result<Json<Value>, HttpError> {
    let payload = body::read(origin, request, app.max_body_bytes).await?;
    if payload.job.is_none() {
        info!(collection = origin.collection(), "webhook.skipped");
        let status = "Skipped, form type is not handled";
        return Ok(Json(json!({ "status": status, "job_name": payload.job_name })));
    }
    let job_id = payload.id()?;
    let arriving = Arriving {
        origin,
        job_name: payload.job_name.clone(),
        job_id: job_id.clone(),
        data: Arc::new(payload.data),
        records: payload.job.and_then(|job| job.records),
    };
    let accepted = app.queue.accept(arriving).await?;
    info!(
        request_id = job_id,
        doc_id = accepted.doc_id,
        job_name = payload.job_name,
        fate = ?accepted.fate,
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
    Ok(Json(answer))
}
