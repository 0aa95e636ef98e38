//! The two webhooks: identify a submission, store it, answer. A wet-mill form is also tried at once, as in the
//! original service.

mod holding;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use tokio::time::timeout;
use tracing::{error, info, warn};
use utoipa::ToSchema;

use super::body::{self, NamedPayload, Posted};
use super::error::{ErrorBody, HttpError};
use super::observe::identify;
use super::payloads::{Form, Payload};
use super::state::HttpSettings;
use crate::app::App;
use crate::queue::{Arriving, Fate};
use crate::submission::{Destination, Origin, Status};
use crate::worker::RunEnd;

/// What became of a submission.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookAnswer {
    /// `Data stored, processing deferred`, or that the form type is not handled.
    status: &'static str,
    job_name: String,
    /// The payload's id. This member and all below are absent where the form type is not handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc_id: Option<String>,
    /// Whether the same content was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    /// Whether it took the place of another edition; absent where not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replaced: bool,
    /// Whether a newer edition was there already; absent where not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// The status of a wet-mill form after its immediate try; absent where it is not known, and for other forms.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_status: Option<Status>,
}

impl WebhookAnswer {
    fn from_unhandled(job_name: String) -> Self {
        Self {
            status: "Skipped, form type is not handled",
            job_name,
            request_id: None,
            doc_id: None,
            duplicate: None,
            replaced: false,
            stale: false,
            record_status: None,
        }
    }
}

/// Time in which an unfinished record is put back into the queue, and in which the queue tells a record's status.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Stores a form from CommCare
///
/// 200 means that the record is durable. The same content again is a duplicate, other content under the
/// same id replaces it.
#[utoipa::path(post, path = "/process-data-cc", tag = "webhooks", request_body = Form,
    responses(
        (status = 200, body = WebhookAnswer, description = "It is stored, was there already, or is of a type that isn't handled", links(
            ("record" = (operation_id = "record",
                parameters(("collection" = "commcare_collection"), ("id" = "$response.body#/doc_id")))),
            ("retry" = (operation_id = "retry",
                parameters(("dest" = "sf"), ("id" = "$response.body#/request_id")))))),
        (status = 400, body = ErrorBody, description = "Not a JSON object, an empty one, or not Unicode"),
        (status = 413, body = ErrorBody, description = "Larger than the body limit, or than the queue can hold"),
        (status = 415, body = ErrorBody, description = "XML, or another encoding than gzip; the answer says what to set where"),
        (status = 422, body = ErrorBody, description = "It has no job name or no id")))]
pub(super) async fn accept_commcare(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    request: Request,
) -> Result<Json<WebhookAnswer>, HttpError> {
    accept(&app, &settings, Origin::CommCare, request).await
}

/// Stores a payload from Salesforce
///
/// 200 means that the record is durable. The same content again is a duplicate, other content under the
/// same id replaces it.
#[utoipa::path(post, path = "/process-data-sf", tag = "webhooks", request_body = Payload,
    responses(
        (status = 200, body = WebhookAnswer, description = "It is stored, was there already, or is of a type that isn't handled", links(
            ("record" = (operation_id = "record",
                parameters(("collection" = "salesforce_collection"), ("id" = "$response.body#/doc_id")))),
            ("retry" = (operation_id = "retry",
                parameters(("dest" = "cc"), ("id" = "$response.body#/request_id")))))),
        (status = 400, body = ErrorBody, description = "Not a JSON object, an empty one, or not Unicode"),
        (status = 413, body = ErrorBody, description = "Larger than the body limit, or than the queue can hold"),
        (status = 415, body = ErrorBody, description = "XML, or another encoding than gzip; the answer says what to set where"),
        (status = 422, body = ErrorBody, description = "It has no job name or no id")))]
pub(super) async fn accept_salesforce(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    request: Request,
) -> Result<Json<WebhookAnswer>, HttpError> {
    accept(&app, &settings, Origin::Salesforce, request).await
}

/// The answer to a test of the credential.
#[derive(Serialize, ToSchema)]
pub(super) struct ReadyAnswer {
    /// `ready`.
    status: &'static str,
}

const READY: Json<ReadyAnswer> = Json(ReadyAnswer { status: "ready" });

/// Tests the credential for forms from CommCare
///
/// CommCare HQ's *Test connection* button sends this call. Nothing is stored or counted.
#[utoipa::path(get, path = "/process-data-cc", tag = "webhooks",
    responses((status = 200, body = ReadyAnswer, description = "The credential is right")))]
pub(super) async fn check_commcare() -> Json<ReadyAnswer> {
    READY
}

/// Tests the credential for payloads from Salesforce
///
/// Nothing is stored or counted.
#[utoipa::path(get, path = "/process-data-sf", tag = "webhooks",
    responses((status = 200, body = ReadyAnswer, description = "The credential is right")))]
pub(super) async fn check_salesforce() -> Json<ReadyAnswer> {
    READY
}

async fn accept(
    app: &App,
    settings: &HttpSettings,
    origin: Origin,
    request: Request,
) -> Result<Json<WebhookAnswer>, HttpError> {
    let Posted { data, large, held } = body::read(&settings.bodies, origin, request).await?;
    let payload = NamedPayload::new(origin, data)?;
    let Some(job) = payload.job else {
        info!(collection = origin.collection(), "webhook skipped");
        app.metrics.webhook_accepted(origin, &payload.job_name, "skipped");
        return Ok(Json(WebhookAnswer::from_unhandled(payload.job_name)));
    };
    let job_id = payload.id()?;
    identify(&job_id);
    let (data, list) = match large {
        Some(large) => large.take_apart(job.records.unwrap_or_default())?,
        None => (payload.data, None),
    };
    let arriving = Arriving {
        origin,
        job_name: payload.job_name.clone(),
        job_id: job_id.clone(),
        data: Arc::new(data),
        records: job.records,
    };
    let accepted = holding::accept(&app.queue, arriving, list).await?;
    drop(held);
    let fate = accepted.fate.as_str();
    app.metrics.webhook_accepted(origin, &payload.job_name, fate);
    info!(
        request_id = job_id,
        doc_id = accepted.doc_id,
        job_name = payload.job_name,
        fate,
        "webhook accepted"
    );
    let mut answer = WebhookAnswer {
        status: "Data stored, processing deferred",
        request_id: Some(job_id),
        job_name: payload.job_name,
        doc_id: Some(accepted.doc_id.clone()),
        duplicate: Some(accepted.fate == Fate::Duplicate),
        replaced: accepted.fate == Fate::Replaced,
        stale: accepted.fate == Fate::Stale,
        record_status: None,
    };
    if job.destination == Destination::Postgis && accepted.fate != Fate::Stale {
        answer.record_status = try_at_once(app, settings.inline, origin, &accepted.doc_id).await;
    }
    Ok(Json(answer))
}

/// Tries a record inside its call, and returns its status after the try; `None` where that is not known. The form is
/// safe in the queue whatever the outcome.
async fn try_at_once(app: &App, within: Duration, origin: Origin, doc_id: &str) -> Option<Status> {
    let (worker, id) = (app.worker.clone(), doc_id.to_owned());
    // A task of its own, so that the record is settled even where the caller hangs up.
    let trying = app.worker.shutdown().work(async move { worker.try_at_once(origin, &id, within).await });
    match timeout(within + LAST_WORDS, trying).await {
        Ok(Ok(Ok(RunEnd::Completed))) => return Some(Status::Completed),
        Ok(Ok(Ok(RunEnd::Failed(_)))) => return Some(Status::Failed),
        Ok(Ok(Ok(RunEnd::PutBack(status, _)))) => return Some(status),
        // Not tried here, or the outcome is not written yet: the record tells.
        Ok(Ok(Ok(RunEnd::NotStarted(_) | RunEnd::Processing))) | Err(_) => {}
        Ok(Ok(Err(error))) => {
            error!(error = &error as &dyn std::error::Error, "record not tried in its webhook call");
        }
        // The panic hook has logged the place. The panic's message may quote a payload.
        Ok(Err(_panic)) => error!("try in the webhook call broke down"),
    }
    match timeout(LAST_WORDS, app.queue.candidate(origin, doc_id)).await {
        Ok(Ok(candidate)) => candidate.map(|candidate| candidate.record().status),
        Ok(Err(error)) => {
            warn!(
                error = &error as &dyn std::error::Error,
                "status after the try in the webhook call is not known"
            );
            None
        }
        Err(_) => {
            warn!(error = "no answer in time", "status after the try in the webhook call is not known");
            None
        }
    }
}
