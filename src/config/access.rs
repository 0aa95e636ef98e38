//! The credentials of callers (`docs/service.md`, section 7).

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Reader;

/// Google's signing keys, as the discovery document at
/// <https://accounts.google.com/.well-known/openid-configuration> names them.
const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// The credentials of each group of endpoints.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `WEBHOOK_BASIC_AUTH`: `user:password` pairs.
    pub webhook_basic: Vec<SecretString>,
    /// `WEBHOOK_API_KEY`.
    pub webhook_keys: Vec<SecretString>,
    /// Cloud Scheduler's identity token.
    pub scheduler: Option<SchedulerAccess>,
    /// `OPERATOR_TOKEN`.
    pub operator_tokens: Vec<OperatorToken>,
    /// `VIEWER_TOKEN`: who sees everything that an operator sees, and changes nothing.
    pub viewer_tokens: Vec<SecretString>,
}

/// A token that may do everything, and whose it is.
#[derive(Debug, Clone)]
pub struct OperatorToken {
    /// The name of a `name:token` entry.
    pub name: Option<Arc<str>>,
    /// The token.
    pub token: SecretString,
}

/// What Cloud Scheduler's identity token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerAccess {
    /// `SCHEDULER_OIDC_AUDIENCE`.
    pub audience: String,
    /// `SCHEDULER_OIDC_EMAIL`: the service accounts that may call.
    pub emails: Vec<String>,
    /// `OIDC_JWKS_URL`: where the signing keys are.
    pub keys_url: Url,
}

impl Access {
    /// Whether no credential is configured at all: then every endpoint is open.
    pub fn is_open(&self) -> bool {
        self.webhook_basic.is_empty()
            && self.webhook_keys.is_empty()
            && self.scheduler.is_none()
            && self.operator_tokens.is_empty()
            && self.viewer_tokens.is_empty()
    }
}

pub(super) fn load(reader: &mut Reader<'_>, host: IpAddr) -> Access {
    let basic = reader.secrets("WEBHOOK_BASIC_AUTH");
    let is_pair =
        |pair: &String| pair.split_once(':').is_some_and(|(user, pass)| ![user, pass].contains(&""));
    if !basic.iter().all(is_pair) {
        reader.problem("WEBHOOK_BASIC_AUTH: each entry must be user:password");
    }
    let keys = reader.secrets("WEBHOOK_API_KEY");
    let audience = reader.text("SCHEDULER_OIDC_AUDIENCE", "not set");
    let emails: Vec<String> = reader
        .text("SCHEDULER_OIDC_EMAIL", "not set")
        .iter()
        .flat_map(|emails| emails.split(','))
        .map(|email| email.trim().to_owned())
        .filter(|email| !email.is_empty())
        .collect();
    let keys_url = reader.url("OIDC_JWKS_URL", GOOGLE_KEYS);
    let operator_tokens = operator_tokens(reader);
    let viewer = reader.secrets("VIEWER_TOKEN");
    let allow_open = reader.flag("ALLOW_UNAUTHENTICATED", false);
    if audience.is_some() == emails.is_empty() {
        let missing = if audience.is_some() { "SCHEDULER_OIDC_EMAIL" } else { "SCHEDULER_OIDC_AUDIENCE" };
        reader.problem(&format!("{missing}: missing; the scheduler's token is checked against both"));
    }
    let scheduler = audience
        .zip(keys_url)
        .filter(|_| !emails.is_empty())
        .map(|(audience, keys_url)| SchedulerAccess { audience, emails, keys_url });
    let secret = |values: Vec<String>| values.into_iter().map(SecretString::from).collect();
    let access = Access {
        webhook_basic: secret(basic),
        webhook_keys: secret(keys),
        scheduler,
        operator_tokens,
        viewer_tokens: secret(viewer),
    };
    if !host.is_loopback() {
        reader.warn_of_weak_secrets();
    }
    if access.is_open() && !host.is_loopback() && !allow_open {
        reader.problem(&format!(
            "WEBHOOK_BASIC_AUTH, WEBHOOK_API_KEY, SCHEDULER_OIDC_AUDIENCE, OPERATOR_TOKEN: none is set, and HOST \
             {host} is open to the network; set them, or ALLOW_UNAUTHENTICATED=true"
        ));
    }
    access
}

/// The entries of `OPERATOR_TOKEN`: tokens, some with a name before them.
fn operator_tokens(reader: &mut Reader<'_>) -> Vec<OperatorToken> {
    let entry = |entry: String| match entry.split_once(':') {
        None => OperatorToken { name: None, token: entry.into() },
        Some((name, token)) => OperatorToken { name: Some(name.trim().into()), token: token.trim().into() },
    };
    let tokens: Vec<OperatorToken> = reader.secrets("OPERATOR_TOKEN").into_iter().map(entry).collect();
    let is_whole = |operator: &OperatorToken| {
        let name = operator.name.as_deref();
        let has_name = name.is_none_or(|name| !name.is_empty() && !name.contains(char::is_control));
        has_name && !operator.token.expose_secret().is_empty()
    };
    if !tokens.iter().all(is_whole) {
        reader.problem("OPERATOR_TOKEN: each entry must be a token or name:token");
    }
    tokens
}
