//! The calls with which operators mend records: retries, and statuses set by hand.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder};

use super::error::{ErrorBody, HttpError, RefusalBody};
use super::observe::identify;
use super::params::{Collection, Dest, Params, Segments};
use super::state::HttpSettings;
use super::{body, origin_of_collection, origin_of_destination, payloads, work};
use crate::app::App;
use crate::queue::{HandSet, Named};
use crate::submission::{Caller, Origin, Status, id_text};
use crate::worker::{Asked, Retried, RunEnd};

/// Most ids of one batch retry (`docs/service.md`, section 2), and of one bulk update, which does less for each.
pub(super) const RETRIED_MOST: usize = 1_000;
const UPDATED_MOST: usize = 10_000;
/// Records whose status is set at a time.
const SET_AT_A_TIME: usize = 16;

/// What became of one record.
#[derive(Serialize, ToSchema)]
pub(super) struct RetryResult {
    pub(super) doc_id: String,
    /// `completed`, `failed`, `new`, `processing` or `not started`.
    pub(super) status: &'static str,
    /// Why, where it did not complete.
    pub(super) error: Option<String>,
}

impl From<Retried> for RetryResult {
    fn from(Retried { doc_id, end }: Retried) -> Self {
        let (status, error) = match end {
            RunEnd::Completed => ("completed", None),
            RunEnd::Failed(error) => ("failed", Some(error)),
            RunEnd::PutBack(status, reason) => (status.as_str(), Some(reason)),
            RunEnd::Processing => ("processing", None),
            RunEnd::NotStarted(reason) => ("not started", Some(reason)),
        };
        Self { doc_id, status, error }
    }
}

/// What became of the records of one id.
#[derive(Serialize, ToSchema)]
pub(super) struct RetryAnswer {
    /// `Retry completed`, or that the id has no records.
    message: String,
    id: String,
    pub(super) results: Vec<RetryResult>,
}

/// Runs a submission again, whatever its status and retry count
///
/// A record that is being processed right now is reported, not run twice. Records for which the call's time
/// does not suffice are `not started`.
#[utoipa::path(method(get, post), path = "/retry/{dest}/{id}", tag = "operators",
    params(
        ("dest" = Dest, Path, description = "Where the records go"),
        ("id" = String, Path, description = "The payload's `id`, or a document id",
            example = "e81696a6-8afe-4312-b459-071afb8adf9e"),
        ("force" = Option<bool>, Query, description = "Even over what a later form has written")),
    responses(
        (status = 200, body = RetryAnswer, description = "What became of each of its records"),
        (status = 404, body = RefusalBody, description = "It has none, or no such destination"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Segments((dest, id)): Segments<(String, String)>,
    params: Params,
) -> Result<Json<RetryAnswer>, HttpError> {
    let origin = origin_of_destination(&dest)?;
    let asked = Asked { caller, force: params.flag("force")? };
    identify(&id);
    let mut answers = retry_all(&app, origin, vec![id.clone()], asked).await?;
    match answers.pop() {
        Some(answer) if !answer.results.is_empty() => Ok(Json(answer)),
        _ => Err(HttpError::NoRecords { collection: origin.collection(), id }),
    }
}

/// Runs the records of many ids again.
pub(super) async fn retry_all(
    app: &App,
    origin: Origin,
    ids: Vec<String>,
    asked: Asked,
) -> Result<Vec<RetryAnswer>, HttpError> {
    let worker = app.worker.clone();
    let retried = work(app, async move { worker.retry(origin, &ids, asked).await }).await?;
    let answer = |(id, results): (String, Vec<Retried>)| RetryAnswer {
        message: if results.is_empty() {
            format!("No records found in {}", origin.collection())
        } else {
            "Retry completed".to_owned()
        },
        id,
        results: results.into_iter().map(Into::into).collect(),
    };
    Ok(retried.into_iter().map(answer).collect())
}

/// The submissions that are to run again.
#[derive(ToSchema)]
#[schema(examples(json!({ "ids": ["e81696a6-8afe-4312-b459-071afb8adf9e"] })))]
#[expect(dead_code, reason = "the schema of a body that is read member by member, to name the bad one")]
pub(super) struct BatchRetryRequest {
    #[schema(schema_with = retried_ids)]
    ids: Vec<String>,
}

/// What became of the records of many ids.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchRetryAnswer {
    message: &'static str,
    results: Vec<RetryAnswer>,
}

/// What a bulk action would do.
#[derive(Serialize, ToSchema)]
pub(super) struct DryRun {
    /// Always true.
    #[expect(clippy::struct_field_names, reason = "the member that tells it from what an action did")]
    dry_run: bool,
    /// Records that it would touch.
    records: usize,
    /// Ids that have no records.
    not_found: Vec<String>,
    /// Documents that are being processed, which it would leave alone.
    skipped_processing: Vec<String>,
}

impl DryRun {
    fn from_named(named: Vec<(String, Vec<Named>)>) -> Self {
        let (documents, not_found) = documents(named);
        let (free, held): (Vec<_>, Vec<_>) = documents.into_iter().partition(|(_, is_free)| *is_free);
        let skipped_processing = held.into_iter().map(|(doc_id, _)| doc_id).collect();
        Self { dry_run: true, records: free.len(), not_found, skipped_processing }
    }
}

/// Each document once, with whether it is free (no worker has it); and the ids that have no document.
fn documents(named: Vec<(String, Vec<Named>)>) -> (Vec<(String, bool)>, Vec<String>) {
    let (mut documents, mut not_found) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (id, named) in named {
        if named.is_empty() {
            not_found.push(id);
        }
        for Named { doc_id, is_free, .. } in named {
            if seen.insert(doc_id.clone()) {
                documents.push((doc_id, is_free));
            }
        }
    }
    (documents, not_found)
}

/// Runs many submissions again
///
/// Submissions that touch the same records run in the order of their arrival, the others side by side.
#[utoipa::path(post, path = "/batch_retry/{dest}", tag = "operators",
    params(
        ("dest" = Dest, Path, description = "Where the records go"),
        ("force" = Option<bool>, Query, description = "Even over what later forms have written"),
        ("dry_run" = Option<bool>, Query, description = "Only count the records that it would touch")),
    request_body = BatchRetryRequest,
    responses(
        (status = 200, body = BatchRetryOrDryRun, description = "What became of each; with `dry_run`, what would be touched"),
        (status = 400, body = ErrorBody, description = "The body is not JSON"),
        (status = 404, body = ErrorBody, description = "No such destination"),
        (status = 413, body = ErrorBody, description = "The body is too large"),
        (status = 422, body = ErrorBody, description = "A parameter or member is bad; the answer names it")))]
pub(super) async fn batch_retry(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    Extension(caller): Extension<Caller>,
    Segments(dest): Segments<String>,
    params: Params,
    request: Request,
) -> Result<Json<BatchRetryOrDryRun>, HttpError> {
    let origin = origin_of_destination(&dest)?;
    let asked = Asked { caller, force: params.flag("force")? };
    let dry_run = params.flag("dry_run")?;
    let ids = ids(&body::read_json(&settings.bodies, request).await?, RETRIED_MOST)?;
    if dry_run {
        return Ok(Json(BatchRetryOrDryRun::DryRun(DryRun::from_named(
            app.queue.named(origin, &ids).await?,
        ))));
    }
    let results = retry_all(&app, origin, ids, asked).await?;
    Ok(Json(BatchRetryOrDryRun::Done(BatchRetryAnswer { message: "Batch retry completed", results })))
}

/// What a batch retry did, or would do.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchRetryOrDryRun {
    Done(BatchRetryAnswer),
    DryRun(DryRun),
}

/// Ids, and the status that their records are to have.
#[derive(ToSchema)]
#[schema(examples(json!({ "ids": ["e81696a6-8afe-4312-b459-071afb8adf9e"], "status": "new" })))]
#[expect(dead_code, reason = "the schema of a body that is read member by member, to name the bad one")]
pub(super) struct BulkUpdateRequest {
    #[schema(schema_with = updated_ids)]
    ids: Vec<String>,
    /// `new` by default.
    #[schema(required = false)]
    status: Status,
}

/// What a bulk update did.
#[derive(Serialize, ToSchema)]
pub(super) struct BulkUpdateAnswer {
    message: &'static str,
    /// Records that have the status now.
    updated: usize,
    /// Ids that have no records.
    not_found: Vec<String>,
    /// Documents that are being processed: they were left alone.
    skipped_processing: Vec<String>,
}

/// What a bulk update did, or would do.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BulkUpdateOrDryRun {
    Done(BulkUpdateAnswer),
    DryRun(DryRun),
}

/// Sets the status of many submissions' records, and their retry count to 0
///
/// `new` and `processing` are taken by the next drain, `failed` by the next auto-retry. Records that are
/// being processed are left alone.
#[utoipa::path(post, path = "/bulk_update/{collection}", tag = "operators",
    params(
        ("collection" = Collection, Path, description = "Which records"),
        ("dry_run" = Option<bool>, Query, description = "Only count the records that it would touch")),
    request_body = BulkUpdateRequest,
    responses(
        (status = 200, body = BulkUpdateOrDryRun, description = "What it did; with `dry_run`, what would be touched"),
        (status = 400, body = ErrorBody, description = "The body is not JSON"),
        (status = 404, body = ErrorBody, description = "No such collection"),
        (status = 413, body = ErrorBody, description = "The body is too large"),
        (status = 422, body = ErrorBody, description = "A parameter or member is bad; the answer names it")))]
pub(super) async fn bulk_update(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    Extension(caller): Extension<Caller>,
    Segments(collection): Segments<String>,
    params: Params,
    request: Request,
) -> Result<Json<BulkUpdateOrDryRun>, HttpError> {
    let origin = origin_of_collection(&collection)?;
    let dry_run = params.flag("dry_run")?;
    let body = body::read_json(&settings.bodies, request).await?;
    let ids = ids(&body, UPDATED_MOST)?;
    let status = status(&body)?;
    let named = app.queue.named(origin, &ids).await?;
    if dry_run {
        return Ok(Json(BulkUpdateOrDryRun::DryRun(DryRun::from_named(named))));
    }
    let (documents, not_found) = documents(named);
    let queue = app.queue.clone();
    let set = work(&app, async move {
        let set = async |doc_id: String| {
            let done = queue.set_status(origin, &doc_id, status, &caller).await?;
            Ok((doc_id, done))
        };
        let setting = documents.into_iter().map(|(doc_id, _)| set(doc_id));
        stream::iter(setting).buffered(SET_AT_A_TIME).try_collect::<Vec<_>>().await
    })
    .await?;
    let mut answer = BulkUpdateAnswer {
        message: "Update completed",
        updated: 0,
        not_found,
        skipped_processing: Vec::new(),
    };
    for (doc_id, done) in set {
        match done {
            HandSet::Set => answer.updated += 1,
            HandSet::Processing => answer.skipped_processing.push(doc_id),
            HandSet::Gone => answer.not_found.push(doc_id),
        }
    }
    Ok(Json(BulkUpdateOrDryRun::Done(answer)))
}

fn retried_ids() -> Array {
    ids_up_to(RETRIED_MOST)
}

fn updated_ids() -> Array {
    ids_up_to(UPDATED_MOST)
}

fn ids_up_to(most: usize) -> Array {
    let words = "Payload or document ids; a number counts as its text.";
    let items = payloads::id(None);
    ArrayBuilder::new().items(items).min_items(Some(1)).max_items(Some(most)).description(Some(words)).build()
}

/// The member `ids`, each once.
fn ids(body: &Value, most: usize) -> Result<Vec<String>, HttpError> {
    let bad = |rule: String| HttpError::Parameter { name: "ids", rule };
    let Some(Value::Array(items)) = body.get("ids") else {
        return Err(bad("must be a list of ids".to_owned()));
    };
    if items.is_empty() || items.len() > most {
        return Err(bad(format!("must have 1 to {most} entries, but has {}", items.len())));
    }
    let text = |(position, item): (usize, &Value)| match item {
        Value::String(id) if id.trim().is_empty() => Err(bad(format!("entry {} is blank", position + 1))),
        _ => {
            id_text(item).ok_or_else(|| bad(format!("entry {} is neither a text nor a number", position + 1)))
        }
    };
    let mut ids = items.iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}

/// The member `status`; `new` where there is none.
fn status(body: &Value) -> Result<Status, HttpError> {
    let Some(given) = body.get("status") else { return Ok(Status::New) };
    Status::ALL.into_iter().find(|status| given == status.as_str()).ok_or_else(|| HttpError::Parameter {
        name: "status",
        rule: "must be new, processing, completed or failed".to_owned(),
    })
}
