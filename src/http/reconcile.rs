//! The call that fetches what CommCare could not deliver (`docs/service.md`, guarantee 12).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::error::{ErrorBody, HttpError};
use super::params::Params;
use super::work;
use crate::app::App;
use crate::reconcile::{Asked, AskedError, Report};

/// What a reconciliation goes over, for the documentation.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the parameters are read one by one, to name the bad one")]
struct Range {
    /// Bring in the forms that CommCare received from this date, or date and time, on.
    #[param(example = "2024-01-01")]
    since: Option<String>,
    /// And up to this one; a date alone includes its day.
    #[param(example = "2024-12-31")]
    until: Option<String>,
    /// Only count what is missing.
    dry_run: Option<bool>,
}

/// Fetches the forms that CommCare could not deliver
///
/// Asks CommCare HQ for the forms of the last days and accepts those that the queue does not hold. A call that was
/// cut is gone on with by the next one.
#[utoipa::path(post, path = "/reconcile-cc", operation_id = "reconcile", tag = "scheduler",
    params(Range),
    responses(
        (status = 200, body = Report, description = "What was missing; `stopped` says where CommCare HQ could not be asked"),
        (status = 422, body = ErrorBody, description = "A parameter is bad; the answer names it")))]
pub(super) async fn reconcile(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Report>, HttpError> {
    let (since, until) = (params.filled("since"), params.filled("until"));
    let retention = app.reconciler.retention();
    let asked = Asked::from_texts(since, until, params.flag("dry_run")?, app.queue.now(), retention)?;
    let reconciler = app.reconciler.clone();
    Ok(Json(work(&app, async move { reconciler.reconcile(&asked).await }).await?))
}

impl From<AskedError> for HttpError {
    fn from(AskedError { name, rule }: AskedError) -> Self {
        Self::Parameter { name, rule }
    }
}
