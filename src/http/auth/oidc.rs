//! Cloud Scheduler's identity token. Google's client library checks signature, issuer, audience and expiry;
//! then the verified e-mail is compared.

use std::fmt::Display;
use std::time::Duration;

use async_trait::async_trait;
use gcloud_sdk::IdTokenAudience;
use gcloud_sdk::error::{Error, ErrorKind};
use gcloud_sdk::id_token_verify::jsonwebtoken::DecodingKey;
use gcloud_sdk::id_token_verify::jsonwebtoken::jwk::Jwk;
use gcloud_sdk::id_token_verify::{
    IdTokenKeys, IdTokenKeysSource, IdTokenVerifier, IdTokenVerifyError, JwkSet,
};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
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
        // A redirect leads to no address that is not encrypted, unless this one isn't.
        let is_encrypted = access.keys_url.scheme() == "https";
        let client = reqwest::Client::builder().timeout(KEYS_TIMEOUT).https_only(is_encrypted).build()?;
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
                    warn!("identity token of another account refused");
                    Err(HttpError::Forbidden("This identity may not call the scheduler's endpoints"))
                }
            }
            Err(IdTokenVerifyError::InvalidToken(reason)) => {
                warn!(%reason, "identity token refused");
                Err(HttpError::Unauthenticated)
            }
            Err(IdTokenVerifyError::KeysUnavailable(error)) => {
                warn!(error = &error as &dyn std::error::Error, "the scheduler's signing keys cannot be had");
                Err(HttpError::KeysUnavailable)
            }
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
        let keys = usable_keys(&body).map_err(unusable)?;
        Ok(IdTokenKeys::new(keys, KEYS_MAX_AGE))
    }
}

/// The RSA keys of a published set, which is taken whole or not at all: the verifier forgets each key that a newer set
/// does not hold, and refuses its tokens (`docs/service.md`, section 7). It signs with RSA alone (RFC 7518, section 3.1,
/// RS256); keys of another kind are left out.
fn usable_keys(body: &[u8]) -> Result<JwkSet, String> {
    const KIND: &str = "RSA";
    let published: Published = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let of_kind =
        published.keys.into_iter().filter(|key| key.get("kty").and_then(Value::as_str) == Some(KIND));
    let mut keys = Vec::new();
    for key in of_kind {
        let key: Jwk = serde_json::from_value(key).map_err(|error| format!("a key is broken: {error}"))?;
        DecodingKey::from_jwk(&key).map_err(|error| format!("a key is broken: {error}"))?;
        if key.common.key_id.is_some() {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err("the set holds no usable key".to_owned()) } else { Ok(JwkSet { keys }) }
}

/// A key set (RFC 7517, section 5).
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 7517, appendix A.1.
    fn key(kid: &str) -> Value {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj\
                 hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ\
                 vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK\
                 nqDKgw";
        json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "e": "AQAB", "n": n })
    }

    fn read(keys: &[Value]) -> Result<Vec<String>, String> {
        let set = usable_keys(json!({ "keys": keys }).to_string().as_bytes())?;
        Ok(set.keys.into_iter().filter_map(|key| key.common.key_id).collect())
    }

    /// A set that is refused leaves the cached keys in use (gcloud-sdk's `IdTokenVerifier`), so that a good token of
    /// theirs is still taken.
    #[test]
    fn a_set_with_a_broken_key_is_no_set_and_other_kinds_of_keys_do_not_matter() {
        let broken = json!({ "kty": "RSA", "kid": "b", "n": "!", "e": "AQAB" });
        let half = json!({ "kty": "RSA", "kid": "b" });
        let nameless = json!({ "kty": "RSA", "n": key("a")["n"], "e": "AQAB" });
        let curve = json!({ "kty": "EC", "kid": "c", "crv": "P-256", "x": "!", "y": "!" });
        for keys in
            [&[][..], &[nameless], std::slice::from_ref(&curve), &[key("a"), broken], &[key("a"), half]]
        {
            assert!(read(keys).is_err(), "{keys:?}");
        }
        let new = json!({ "kty": "NEW", "kid": "d" });
        assert_eq!(
            read(&[curve, key("a"), new, json!(7), key("b")]),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
    }
}
