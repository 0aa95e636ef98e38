//! The whole URL table (`docs/service.md`, section 2), and the callers of each group (section 7).

pub(crate) mod auth;
mod body;
mod browsers;
mod check;
mod credential;
mod dashboard;
mod docs;
mod error;
mod failed;
mod format;
mod known;
mod mappings;
mod metrics;
mod observe;
pub mod openapi;
mod params;
mod payloads;
mod preview;
mod probes;
mod reconcile;
mod records;
mod repair;
mod scheduler;
mod slow;
mod state;
mod status;
mod time;
mod unmapped;
mod unread;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};
use tracing::{Instrument, error};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::app::App;
use crate::config::Config;
use crate::queue::QueueError;
use crate::submission::Origin;
#[cfg(any(test, fuzzing))]
pub(crate) use body::taken;
use error::HttpError;
use state::HttpState;

/// The whole service: every path also with a trailing slash.
pub type Service = NormalizePath<Router>;

/// Why the calls cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The client that reads the scheduler's signing keys could not be built.
    #[error("the HTTP client for the scheduler's signing keys cannot be built")]
    Gatekeeper(#[source] reqwest::Error),
}

/// The service as axum serves it.
pub fn service(app: Arc<App>, config: &Config) -> Result<Service, SetUpError> {
    let state = HttpState::new(app, config).map_err(SetUpError::Gatekeeper)?;
    Ok(NormalizePathLayer::trim_trailing_slash().layer(router(state)))
}

/// The calls of one group. Each handler names its path and method; the OpenAPI document is made of the same.
type Calls = OpenApiRouter<HttpState>;

/// What CommCare and Salesforce call.
fn webhook_calls() -> Calls {
    Calls::default()
        .routes(routes!(webhooks::accept_commcare, webhooks::check_commcare))
        .routes(routes!(webhooks::accept_salesforce, webhooks::check_salesforce))
}

/// What Cloud Scheduler calls.
fn scheduler_calls() -> Calls {
    Calls::default()
        .routes(routes!(scheduler::drain_to_salesforce))
        .routes(routes!(scheduler::drain_to_commcare))
        .routes(routes!(scheduler::retry_to_salesforce))
        .routes(routes!(scheduler::retry_to_commcare))
        .routes(routes!(reconcile::reconcile))
        .routes(routes!(check::run))
}

/// What operators call.
fn operator_calls() -> Calls {
    Calls::default()
        // axum answers HEAD with the handler of GET, and this handler changes records.
        .routes(routes!(repair::retry).map(|methods| methods.head(async || HttpError::WrongMethod)))
        .routes(routes!(repair::batch_retry))
        .routes(routes!(repair::bulk_update))
        .routes(routes!(records::record))
        .routes(routes!(records::failed))
        .routes(routes!(failed::groups))
        .routes(routes!(records::status_count))
        .routes(routes!(preview::commcare))
        .routes(routes!(preview::salesforce))
        .routes(routes!(status::show))
        .routes(routes!(unmapped::list, unmapped::mark))
        .routes(routes!(mappings::show))
        .routes(routes!(check::show))
        .routes(routes!(openapi::show))
}

/// What monitoring calls, with the operators' credential.
fn monitoring_calls() -> Calls {
    Calls::default().routes(routes!(metrics::show))
}

/// What anybody may call.
fn probe_calls() -> Calls {
    Calls::default().routes(routes!(probes::health)).routes(routes!(probes::ready))
}

fn router(state: HttpState) -> Router {
    let webhooks =
        Router::from(webhook_calls()).route_layer(from_fn_with_state(state.clone(), auth::webhook));
    let known = || from_fn_with_state(state.clone(), known::refuse_unknown);
    let scheduler = Router::from(scheduler_calls())
        .route_layer(known())
        .route_layer(from_fn_with_state(state.clone(), status::keep))
        .route_layer(from_fn_with_state(state.clone(), auth::scheduler));
    let operator = Router::from(operator_calls())
        .route_layer(known())
        .merge(monitoring_calls())
        .route_layer(from_fn_with_state(state.clone(), auth::operator));
    let pages = docs::router()
        .route_layer(known())
        .merge(dashboard::router())
        .route_layer(from_fn_with_state(state.clone(), auth::operator))
        // Outside of the log-in: a cancelled one is a page, too.
        .layer(from_fn_with_state(state.clone(), dashboard::page::frame));
    Router::from(probe_calls())
        .merge(webhooks)
        .merge(scheduler)
        .merge(operator)
        .merge(pages)
        .route("/", get(async || Redirect::to("/dashboard")))
        .fallback(async || HttpError::NoSuchPath)
        .method_not_allowed_fallback(async || HttpError::WrongMethod)
        .layer(from_fn(slow::time_body))
        .layer(from_fn(browsers::refuse_cross_site))
        .layer(CatchPanicLayer::custom(|_| HttpError::BrokeDown.into_response()))
        .layer(from_fn(browsers::protect))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        // Outside of what observes: the rest of a body is no time of the call's.
        .layer(from_fn(unread::discard))
        .with_state(state)
}

/// The origin of the records that go to `{dest}`; 404 for another word.
fn origin_of_destination(dest: &str) -> Result<Origin, HttpError> {
    Origin::from_destination(dest).ok_or(HttpError::NoSuchWord { details: "dest must be sf or cc" })
}

/// The origin of a `{collection}`; 404 for another word.
fn origin_of_collection(collection: &str) -> Result<Origin, HttpError> {
    let details = "collection must be commcare_collection or salesforce_collection";
    Origin::from_collection(collection).ok_or(HttpError::NoSuchWord { details })
}

/// Runs work on records as a task of its own, so that the records are settled even where the caller hangs up.
async fn work<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, QueueError>> + Send + 'static,
) -> Result<T, HttpError> {
    match app.worker.shutdown().work(work.in_current_span()).await {
        Ok(done) => Ok(done?),
        // The panic hook has logged the place. The panic's message may quote a payload.
        Err(_panic) => {
            error!("work on records broke down");
            Err(HttpError::BrokeDown)
        }
    }
}
