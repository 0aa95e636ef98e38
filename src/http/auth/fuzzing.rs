//! The check of the scheduler's identity token, for the fuzz targets (`tests/fuzz`).

use async_trait::async_trait;
use futures::FutureExt;
use gcloud_sdk::IdTokenAudience;
use gcloud_sdk::error::Error;
use gcloud_sdk::id_token_verify::{IdTokenKeys, IdTokenKeysSource, IdTokenVerifier, JwkSet};

use super::oidc::{KEYS_MAX_AGE, SchedulerIdentity};

/// The audience and the e-mail of the corpus' tokens, and the public half of the key that signed them. The
/// private half was thrown away.
const AUDIENCE: &str = "https://service.run.app";
const EMAIL: &str = "scheduler@project.iam.gserviceaccount.com";
const KEYS: &str = include_str!("../../../tests/fuzz/keys.json");

/// Whether a token would open the scheduler's endpoints.
pub(crate) fn admits(token: &str) -> bool {
    let audience = IdTokenAudience::new(AUDIENCE.to_owned());
    let identity = SchedulerIdentity {
        verifier: IdTokenVerifier::with_keys_source(audience, Keys),
        emails: vec![EMAIL.to_owned()],
    };
    // The keys are at hand, so that the future never waits.
    identity.verify(token).now_or_never().is_some_and(|verified| verified.is_ok())
}

struct Keys;

#[async_trait]
impl IdTokenKeysSource for Keys {
    async fn fetch_keys(&self) -> Result<IdTokenKeys, Error> {
        let keys = serde_json::from_str(KEYS).unwrap_or_else(|_| JwkSet { keys: Vec::new() });
        Ok(IdTokenKeys::new(keys, KEYS_MAX_AGE))
    }
}
