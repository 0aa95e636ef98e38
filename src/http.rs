//! The whole URL table (`docs/service.md`, section 2), and who may call what (section 7).

pub mod auth;
mod body;
mod dashboard;
mod docs;
mod error;
mod metrics;
mod observe;
pub mod openapi;
mod params;
mod payloads;
mod preview;
mod probes;
mod records;
mod repair;
mod scheduler;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};
use tracing::{Instrument, error};

use crate::app::App;
use crate::queue::QueueError;
use crate::submission::Origin;
#[cfg(any(test, fuzzing))]
pub(crate) use body::taken;
use error::HttpError;

/// The whole service: every path also with a trailing slash.
pub type Service = NormalizePath<Router>;

/// The service as axum serves it.
pub fn service(app: Arc<App>) -> Service {
    NormalizePathLayer::trim_trailing_slash().layer(router(app))
}

fn router(app: Arc<App>) -> Router {
    let gatekeeper = &app.gatekeeper;
    let webhooks = Router::new()
        .route("/process-data-cc", post(webhooks::accept_commcare))
        .route("/process-data-sf", post(webhooks::accept_salesforce))
        .route_layer(from_fn_with_state(Arc::clone(gatekeeper), auth::webhook));
    let scheduler = Router::new()
        .route("/process-firestore-to-sf", post(scheduler::drain_to_salesforce))
        .route("/process-firestore-to-cc", post(scheduler::drain_to_commcare))
        .route("/auto-retry-firestore-to-sf", post(scheduler::retry_to_salesforce))
        .route("/auto-retry-firestore-to-cc", post(scheduler::retry_to_commcare))
        .route_layer(from_fn_with_state(Arc::clone(gatekeeper), auth::scheduler));
    let operator = Router::new()
        .route(
            "/retry/{dest}/{id}",
            get(repair::retry).post(repair::retry).head(async || HttpError::WrongMethod),
        )
        .route("/batch_retry/{dest}", post(repair::batch_retry))
        .route("/bulk_update/{collection}", post(repair::bulk_update))
        .route("/record/{collection}/{id}", get(records::record))
        .route("/failed/{dest}", get(records::failed))
        .route("/status-count/{collection}", get(records::status_count))
        .route("/preview/cc", post(preview::commcare))
        .route("/preview/sf", post(preview::salesforce))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(openapi::show))
        .merge(dashboard::router())
        .merge(docs::router())
        .route_layer(from_fn_with_state(Arc::clone(gatekeeper), auth::operator));
    Router::new()
        .route("/health", get(probes::health))
        .route("/ready", get(probes::ready))
        .merge(webhooks)
        .merge(scheduler)
        .merge(operator)
        .fallback(async || HttpError::NoSuchPath)
        .method_not_allowed_fallback(async || HttpError::WrongMethod)
        .layer(from_fn(auth::refuse_cross_site))
        // A fault of ours is no reason for CommCare to give a form up.
        .layer(CatchPanicLayer::custom(|_| HttpError::Unavailable.into_response()))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}

/// The origin whose records a `{dest}` gets, or 404.
fn origin_of_destination(dest: &str) -> Result<Origin, HttpError> {
    Origin::from_destination(dest).ok_or(HttpError::NoSuchPath)
}

/// The origin of a `{collection}`, or 404.
fn origin_of_collection(collection: &str) -> Result<Origin, HttpError> {
    Origin::from_collection(collection).ok_or(HttpError::NoSuchPath)
}

/// Work on records, as a task of its own: they are settled even where the caller hangs up.
async fn work<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, QueueError>> + Send + 'static,
) -> Result<T, HttpError> {
    match app.worker.shutdown().work(work.in_current_span()).await {
        Ok(done) => Ok(done?),
        // Where it did has been logged; its message may quote a payload.
        Err(_panic) => {
            error!("http.work_broke_down");
            Err(HttpError::Unavailable)
        }
    }
}
