//! Cloud Scheduler's identity token. Google's client library checks signature, issuer, audience and expiry;
//! then the verified e-mail is compared.

use std::fmt::Display;
use std::time::Duration;

use async_trait::async_trait;
use gcloud_sdk::IdTokenAudience;
use gcloud_sdk::error::{Error, ErrorKind};
use gcloud_sdk::id_token_verify::{
    IdTokenKeys, IdTokenKeysSource, IdTokenVerifier, IdTokenVerifyError, JwkSet,
};
use reqwest::StatusCode;
use tracing::warn;
use url::Url;

use super::HttpError;
use crate::bounded::{self, ANSWER_LIMIT};
use crate::config::SchedulerAccess;

/// How long keys are used before they are read again. Google rotates keys about daily and publishes a new
/// key well before its first use. A token with an unknown key makes the service read the keys at once.
pub(super) const KEYS_MAX_AGE: Duration = Duration::from_hours(1);
/// Time limit of reading the keys.
const KEYS_TIMEOUT: Duration = Duration::from_secs(10);

/// The identity whose token counts as the scheduler's.
pub(super) struct SchedulerIdentity {
    pub(super) verifier: IdTokenVerifier,
    pub(super) emails: Vec<String>,
}

impl SchedulerIdentity {
    pub(super) fn new(access: &SchedulerAccess) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(KEYS_TIMEOUT).build()?;
        let keys = KeySet { client, url: access.keys_url.clone() };
        let audience = IdTokenAudience::new(access.audience.clone());
        Ok(Self {
            verifier: IdTokenVerifier::with_keys_source(audience, keys),
            emails: access.emails.clone(),
        })
    }

    pub(super) async fn verify(&self, token: &str) -> Result<(), HttpError> {
        match self.verifier.verify(token).await {
            Ok(identity) => {
                let email = identity.verified_email().map(ToString::to_string);
                if email.is_some_and(|email| self.emails.contains(&email)) {
                    Ok(())
                } else {
                    Err(HttpError::Forbidden("This identity may not call the scheduler's endpoints"))
                }
            }
            Err(IdTokenVerifyError::InvalidToken(reason)) => {
                warn!(%reason, "identity token refused");
                Err(HttpError::Unauthenticated)
            }
            Err(IdTokenVerifyError::KeysUnavailable(_)) => Err(HttpError::KeysUnavailable),
        }
    }
}

/// The signing keys at `OIDC_JWKS_URL`.
struct KeySet {
    client: reqwest::Client,
    url: Url,
}

/// Keys that were answered with success, and are none. Google's library has no error of its own for them: what is wrong
/// is in the log.
fn unusable(reason: impl Display) -> Error {
    warn!(%reason, "the scheduler's signing keys cannot be read");
    ErrorKind::HttpStatus(StatusCode::BAD_GATEWAY).into()
}

#[async_trait]
impl IdTokenKeysSource for KeySet {
    async fn fetch_keys(&self) -> Result<IdTokenKeys, Error> {
        let answer = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        let body = bounded::read(answer, ANSWER_LIMIT).await.map_err(unusable)?;
        let keys: JwkSet = serde_json::from_slice(&body).map_err(unusable)?;
        Ok(IdTokenKeys::new(keys, KEYS_MAX_AGE))
    }
}
