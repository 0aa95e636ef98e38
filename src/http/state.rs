//! What the calls share: the [`App`], and what only HTTP needs of the configuration.
//!
//! A handler takes the part that it uses as its `State`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;

use super::auth::Gatekeeper;
use crate::app::App;
use crate::config::Config;

/// The state of the router.
#[derive(Clone)]
pub(super) struct HttpState {
    app: Arc<App>,
    gatekeeper: Arc<Gatekeeper>,
    settings: HttpSettings,
}

/// The settings of calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct HttpSettings {
    /// `MAX_BODY_BYTES`.
    pub(super) max_body_bytes: usize,
    /// `INLINE_SECONDS`: how long a wet-mill form may take inside its webhook call.
    pub(super) inline: Duration,
}

impl HttpState {
    /// The state of a service with this configuration. Fails where the client that reads the scheduler's
    /// signing keys cannot be built.
    pub(super) fn new(app: Arc<App>, config: &Config) -> Result<Self, reqwest::Error> {
        let settings = HttpSettings { max_body_bytes: config.max_body_bytes, inline: config.inline };
        Ok(Self { app, gatekeeper: Arc::new(Gatekeeper::new(&config.access)?), settings })
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

impl FromRef<HttpState> for HttpSettings {
    fn from_ref(state: &HttpState) -> Self {
        state.settings
    }
}
