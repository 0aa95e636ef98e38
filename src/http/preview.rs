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
    let payload = body::read(Origin::CommCare, request, app.max_body_bytes).await?;
    let Some(job) = payload.job else {
        let note = "this form type is not handled: nothing would be stored or sent";
        return Ok(Json(json!({ "job_name": payload.job_name, "note": note })));
    };
    payload.id()?;
    let (destination, plan) = app.worker.plan(job, &payload.data).map_err(HttpError::Unmappable)?;
    let mut answer = plan.to_json();
    answer["job_name"] = job.name.into();
    answer["destination"] = destination.as_str().into();
    Ok(Json(answer))
}
