//! The signed assertion of OAuth's JWT bearer flow (RFC 7523; Salesforce Help, OAuth 2.0 JWT Bearer
//! Flow for Server-to-Server Integration).

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header, encode};
use serde::Serialize;

use crate::config::salesforce::JwtLogin;
use crate::destinations::trouble::Trouble;

/// What the token endpoint calls this flow.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long an assertion is good for. Salesforce refuses one that ends more than five minutes
/// ahead, so three leave two for clocks that differ.
const VALIDITY: Duration = Duration::from_mins(3);

#[derive(Serialize)]
struct Claims<'l> {
    iss: &'l str,
    sub: &'l str,
    aud: &'l str,
    exp: i64,
}

/// A fresh assertion.
pub(super) fn assertion(login: &JwtLogin, now: DateTime<Utc>) -> Result<String, Trouble> {
    let claims = Claims {
        iss: &login.client_id,
        sub: &login.username,
        aud: login.audience,
        exp: (now + VALIDITY).timestamp(),
    };
    encode(&Header::new(Algorithm::RS256), &claims, login.private_key.signing())
        .map_err(|error| Trouble::refusal("login", format!("SF_PRIVATE_KEY does not sign: {error}")))
}
