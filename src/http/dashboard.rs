//! `/dashboard`: the pages on which the people who keep the service running look at records and mend them
//! (`docs/service.md`, section 11).
//!
//! The server makes whole pages; the one style sheet and the one script are in the binary. Nothing is
//! loaded from elsewhere, and everything works without the script. The pages take the operator's credential,
//! as every operator's call does. Every change is a form that carries a token of this service
//! ([`super::auth`]).

mod actions;
mod chart;
mod check;
mod failures;
mod filter;
mod groups;
mod mappings;
mod overview;
pub(super) mod page;
mod plan;
mod reconciliation;
mod record;
mod scheduler;
mod search;
mod summary;
mod unmapped;
mod words;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};

use super::state::HttpState;

/// The pages, below `/dashboard`.
pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route("/dashboard", get(overview::show))
        .route("/dashboard/mappings", get(mappings::show))
        .route("/dashboard/search", get(search::show))
        .route("/dashboard/failed/{dest}", get(failures::show))
        .route("/dashboard/record/{collection}/{id}", get(record::show))
        .route("/dashboard/retry/{dest}/{id}", post(actions::retry))
        .route("/dashboard/retry-failed/{dest}", get(actions::ask_for_retry).post(actions::retry_failed))
        .route("/dashboard/retry-ticked/{dest}", post(actions::retry_ticked))
        .route("/dashboard/unmapped", post(actions::mark_answer))
        .route("/dashboard/summary", get(summary::show))
        .route("/dashboard/summary.csv", get(summary::csv))
        .route("/dashboard/style.css", get(style))
        .route("/dashboard/script.js", get(script))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("dashboard/style.css"))
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("dashboard/script.js"))
}
