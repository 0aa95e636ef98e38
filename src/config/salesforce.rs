//! How Salesforce is reached and logged in to.
//!
//! A login is one variant that carries all it needs, so that half a login can't be built. The types of secrets print
//! nothing.

mod private_key;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

pub use private_key::{NotAPrivateKey, PrivateKey};

/// Everything the Salesforce destination needs (`docs/service.md`, section 6).
#[derive(Debug, Clone)]
pub struct SalesforceSettings {
    /// How to log in.
    pub login: Login,
    /// Where to log in: `SALESFORCE_LOGIN_URL`, else by `SALESFORCE_ENV`. Client credentials work
    /// only at the org's My Domain address.
    pub login_url: Url,
    /// `SALESFORCE_API_VERSION`.
    pub api_version: ApiVersion,
    /// Bound of one HTTP call: `REQUEST_TIMEOUT_SECONDS`.
    pub request_timeout: Duration,
    /// How long one request may be retried: half of `LEASE_SECONDS`, so that the outcome is written before the
    /// record's lease runs out.
    pub retry_budget: Duration,
    /// The wait before the first retry within a call; it doubles with each.
    pub retry_delay: Duration,
    /// `SF_COLLECTION_SIZE`: rows that one collection has at most.
    pub collection_size: usize,
    /// `SF_API_RESERVE_PERCENT`: the share of the daily calls that is left to others.
    pub api_reserve_percent: u8,
}

impl SalesforceSettings {
    /// Salesforce's own bound of [`Self::collection_size`] (REST API guide, Upsert Records Using sObject
    /// Collections).
    pub const MAX_COLLECTION_SIZE: usize = 200;
    /// The [`Self::retry_delay`] of a service: jsforce starts at the same.
    pub const RETRY_DELAY: Duration = Duration::from_millis(500);
}

/// The kinds of login.
#[derive(Debug, Clone)]
pub enum Login {
    /// OAuth client credentials: `SF_CLIENT_ID` and `SF_CLIENT_SECRET`.
    ClientCredentials {
        /// The connected app's consumer key.
        client_id: String,
        /// Its consumer secret.
        client_secret: SecretString,
    },
    /// OAuth JWT bearer: `SF_CLIENT_ID`, `SF_PRIVATE_KEY` and a user name.
    Jwt(JwtLogin),
    /// SOAP `login()`, which Salesforce retires in 2027: `SF_{PROD,TEST}_USERNAME`, `…_PASSWORD` and
    /// `…_SECURITY_TOKEN`.
    Password {
        /// The user's name, an e-mail address.
        username: String,
        /// The user's password.
        password: SecretString,
        /// The token that Salesforce mails to the user; empty from a trusted network.
        security_token: SecretString,
    },
}

/// A login by a signed assertion.
#[derive(Debug, Clone)]
pub struct JwtLogin {
    /// The app's consumer key.
    pub client_id: String,
    /// The user to act as: `SF_USERNAME`, else the `SALESFORCE_ENV`'s user name.
    pub username: String,
    /// The private key. The app in Salesforce holds the certificate that belongs to it.
    pub private_key: PrivateKey,
    /// The assertion's audience. Salesforce takes `https://login.salesforce.com` or, for sandboxes,
    /// `https://test.salesforce.com`, also where the token is asked for at a My Domain address
    /// (Salesforce Help, OAuth 2.0 JWT Bearer Flow; simple-salesforce issue 672).
    pub audience: &'static str,
}

/// A REST API version, e.g. `66.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(u16);

impl ApiVersion {
    /// The oldest version that knows `collateSubrequests` (Composite Request Body, REST API
    /// guide); without it Salesforce may reorder what a plan put in order.
    pub const OLDEST: Self = Self(48);
}

impl Default for ApiVersion {
    /// Spring '26, the release that the mappings were checked against.
    fn default() -> Self {
        Self(66)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.0", self.0)
    }
}

/// A text that names no usable API version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Salesforce API version from {oldest} on, e.g. {current}", oldest = ApiVersion::OLDEST, current = ApiVersion::default())]
pub struct NotAnApiVersion;

impl FromStr for ApiVersion {
    type Err = NotAnApiVersion;

    /// Reads `66.0`, `66` and `v66.0`: people copy all three from Salesforce's pages.
    fn from_str(text: &str) -> Result<Self, NotAnApiVersion> {
        let text = text.trim();
        let number = text.strip_prefix('v').unwrap_or(text);
        let number = number.strip_suffix(".0").unwrap_or(number);
        let version = Self(number.parse().map_err(|_| NotAnApiVersion)?);
        if version < Self::OLDEST { Err(NotAnApiVersion) } else { Ok(version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_in_every_spelling() {
        for text in ["66.0", "66", "v66.0", " v66 "] {
            assert_eq!(text.parse::<ApiVersion>().unwrap().to_string(), "66.0");
        }
        for text in ["", "v", "47.0", "66.1", "latest", "-66"] {
            assert_eq!(text.parse::<ApiVersion>(), Err(NotAnApiVersion), "{text}");
        }
    }

    #[test]
    fn settings_print_no_secret() {
        let settings = SalesforceSettings {
            login: Login::Password {
                username: "user@example.org".into(),
                password: "hunter2".into(),
                security_token: "s3cr3t".into(),
            },
            login_url: Url::parse("https://login.salesforce.com").unwrap(),
            api_version: ApiVersion::default(),
            request_timeout: Duration::from_secs(30),
            retry_budget: Duration::from_mins(1),
            retry_delay: SalesforceSettings::RETRY_DELAY,
            collection_size: SalesforceSettings::MAX_COLLECTION_SIZE,
            api_reserve_percent: 5,
        };
        let printed = format!("{settings:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("s3cr3t"), "{printed}");
    }
}
