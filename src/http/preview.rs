//! What a payload would do, with nothing stored or sent.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};

use super::body;
use super::error::HttpError;
use crate::app::App;
use crate::submission::Origin;

pub(super) async fn commcare(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    preview(&app, Origin::CommCare, request).await
}

pub(super) async fn salesforce(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    preview(&app, Origin::Salesforce, request).await
}

async fn preview(app: &App, origin: Origin, request: Request) -> Result<Json<Value>, HttpError> {
    let payload = body::read(origin, request, app.max_body_bytes).await?;
    let Some(job) = payload.job else {
        let note = "this form type is not handled: nothing would be stored or sent";
        return Ok(Json(json!({ "job_name": payload.job_name, "note": note })));
    };
    // A form's id is part of what it writes; documents are shown with an empty one.
    if origin == Origin::CommCare {
        payload.id()?;
    }
    let (destination, plan) = app.worker.preview(job, &payload.data).map_err(HttpError::Unmappable)?;
    if let Some(refusal) = plan.refusal() {
        return Err(HttpError::Unmappable(refusal));
    }
    let mut answer = plan.to_json();
    answer["job_name"] = job.name.into();
    answer["destination"] = destination.as_str().into();
    Ok(Json(answer))
}
