//! What the calls share: the [`App`], and what only HTTP needs of the configuration.
//!
//! A handler takes the part that it uses as its `State`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use chrono::{DateTime, Utc};

use super::auth::Gatekeeper;
use super::body::Bodies;
use super::known::KnownParameters;
use crate::app::App;
use crate::config::Config;
use crate::submission::Destination;

/// The state of the router. Each call clones it once for each layer.
#[derive(Clone)]
pub(super) struct HttpState {
    app: Arc<App>,
    gatekeeper: Arc<Gatekeeper>,
    settings: Arc<HttpSettings>,
    known: Arc<KnownParameters>,
}

/// The settings of calls.
#[derive(Debug)]
pub(super) struct HttpSettings {
    /// What the bodies of calls may take.
    pub(super) bodies: Bodies,
    /// `INLINE_SECONDS`: how long a wet-mill form may take inside its webhook call.
    pub(super) inline: Duration,
    /// `SCHEDULER_EVERY_SECONDS`: how often the scheduler is set to call; `None` where no call is expected.
    pub(super) scheduler_every: Option<Duration>,
    /// When this service started.
    pub(super) started: DateTime<Utc>,
    /// Each destination, and whether plans for it are recorded instead of sent.
    pub(super) dry_run: [(Destination, bool); 3],
    /// `CC_BASE_URL`, without a slash at its end: where people look at forms.
    pub(super) hq: Arc<str>,
    /// `CC_DOMAIN`: the project space of forms that name none.
    pub(super) commcare_domain: Option<Arc<str>>,
}

impl HttpState {
    /// The state of a service with this configuration. Fails where the client that reads the scheduler's
    /// signing keys cannot be built.
    pub(super) fn new(app: Arc<App>, config: &Config) -> Result<Self, reqwest::Error> {
        let settings = HttpSettings {
            bodies: Bodies::new(config.max_body_bytes),
            inline: config.inline,
            scheduler_every: config.scheduler_every,
            started: app.queue.now(),
            dry_run: [
                (Destination::Salesforce, config.salesforce.is_none()),
                (Destination::CommCare, config.commcare.is_none()),
                (Destination::Postgis, config.postgis.is_none()),
            ],
            hq: config.hq.as_str().into(),
            commcare_domain: config.commcare.as_ref().map(|commcare| commcare.domain.as_str().into()),
        };
        let gatekeeper = Arc::new(Gatekeeper::new(&config.access)?);
        Ok(Self { app, gatekeeper, settings: Arc::new(settings), known: Arc::new(KnownParameters::new()) })
    }
}

impl FromRef<HttpState> for Arc<App> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.app)
    }
}

impl FromRef<HttpState> for Arc<Gatekeeper> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.gatekeeper)
    }
}

impl FromRef<HttpState> for Arc<KnownParameters> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.known)
    }
}

impl FromRef<HttpState> for Arc<HttpSettings> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.settings)
    }
}
