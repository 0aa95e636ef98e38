//! Who may call what (`docs/service.md`, section 7): one layer for each group of endpoints.
//!
//! Webhooks take the webhook credentials. Drains take the scheduler's or the operator's. Everything else
//! takes the operator's. With no credential configured every call is open, and the configuration has made
//! sure that only this machine can call. With some configured, a group without one is closed.

mod csrf;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod oidc;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tracing::warn;

use super::error::HttpError;
use crate::config::Access;
use crate::submission::Role;
use csrf::Csrf;
use oidc::SchedulerIdentity;

/// Checks credentials.
pub(super) struct Gatekeeper {
    open: bool,
    webhook_basic: Secrets,
    webhook_keys: Secrets,
    operator_tokens: Secrets,
    scheduler: Option<SchedulerIdentity>,
    /// Tokens of the dashboard's forms.
    pub(super) csrf: Csrf,
}

impl Gatekeeper {
    /// A gatekeeper of the configured credentials.
    pub(super) fn new(access: &Access) -> Result<Self, reqwest::Error> {
        Ok(Self {
            open: access.is_open(),
            webhook_basic: Secrets::new(&access.webhook_basic),
            webhook_keys: Secrets::new(&access.webhook_keys),
            operator_tokens: Secrets::new(&access.operator_tokens),
            scheduler: access.scheduler.as_ref().map(SchedulerIdentity::new).transpose()?,
            csrf: Csrf::new(&access.operator_tokens),
        })
    }

    fn admit_webhook(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        if self.open {
            return Ok(());
        }
        if self.webhook_basic.is_empty() && self.webhook_keys.is_empty() {
            return Err(CLOSED);
        }
        let basic = credential(headers, "basic").and_then(decode_basic);
        let header_key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
        let admitted = basic.is_some_and(|pair| self.webhook_basic.contain(&pair))
            || header_key.is_some_and(|key| self.webhook_keys.contain(key))
            || ["bearer", "apikey"]
                .into_iter()
                .filter_map(|scheme| credential(headers, scheme))
                .any(|key| self.webhook_keys.contain(key));
        if admitted { Ok(()) } else { Err(HttpError::Unauthenticated) }
    }

    async fn admit_scheduler(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        if self.open || self.is_operator(headers) {
            return Ok(());
        }
        match (&self.scheduler, credential(headers, "bearer")) {
            (Some(scheduler), Some(token)) => scheduler.verify(token).await,
            (None, _) if self.operator_tokens.is_empty() => Err(CLOSED),
            _ => Err(HttpError::Unauthenticated),
        }
    }

    /// The role of a caller who may do everything.
    fn admit_operator(&self, headers: &HeaderMap) -> Result<Role, HttpError> {
        if self.open {
            Ok(Role::Anyone)
        } else if self.is_operator(headers) {
            Ok(Role::Operator)
        } else if self.operator_tokens.is_empty() {
            Err(CLOSED)
        } else {
            Err(HttpError::Unauthenticated)
        }
    }

    /// Whether the token came as Bearer, or as the password that a browser asked for (with any user name).
    fn is_operator(&self, headers: &HeaderMap) -> bool {
        let password = credential(headers, "basic").and_then(decode_basic);
        let password =
            password.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password);
        credential(headers, "bearer").or(password).is_some_and(|token| self.operator_tokens.contain(token))
    }
}

const CLOSED: HttpError = HttpError::Forbidden("No credential is configured for this call");

/// Admits those who may post data.
pub(super) async fn webhook(
    State(gatekeeper): State<Arc<Gatekeeper>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    if let Err(refusal) = gatekeeper.admit_webhook(request.headers()) {
        // CommCare gives a form up after this answer: someone must act. A refused test loses no form.
        if request.method() == Method::POST {
            warn!(path = request.uri().path(), "webhook refused");
        }
        return Err(refusal);
    }
    Ok(next.run(request).await)
}

/// Admits the scheduler and operators.
pub(super) async fn scheduler(
    State(gatekeeper): State<Arc<Gatekeeper>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    gatekeeper.admit_scheduler(request.headers()).await?;
    Ok(next.run(request).await)
}

/// Admits operators, and tells the handlers their role.
pub(super) async fn operator(
    State(gatekeeper): State<Arc<Gatekeeper>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let role = gatekeeper.admit_operator(request.headers())?;
    request.extensions_mut().insert(role);
    Ok(next.run(request).await)
}

/// Refuses a call that changes state where a page of another site makes a browser send it. Browsers name
/// the site in `Sec-Fetch-Site`, and no page can change that header.
pub(super) async fn refuse_cross_site(request: Request, next: Next) -> Result<Response, HttpError> {
    let reads_only = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && !request.uri().path().starts_with("/retry/");
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let own = matches!(site, None | Some(b"same-origin" | b"none"));
    if reads_only || own {
        Ok(next.run(request).await)
    } else {
        Err(HttpError::Forbidden("A page of another site may not change anything here"))
    }
}

/// The credential of an `Authorization` header with this scheme.
fn credential<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (given, credential) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(credential.trim())
}

/// The `user:password` of a Basic credential. CommCare uses Python's HTTP client, which sends the pair in
/// Latin-1; other clients send UTF-8.
fn decode_basic(credential: &str) -> Option<String> {
    let latin = |bytes: Vec<u8>| bytes.into_iter().map(char::from).collect();
    let bytes = STANDARD.decode(credential).ok()?;
    Some(String::from_utf8(bytes).unwrap_or_else(|not_utf8| latin(not_utf8.into_bytes())))
}

/// Secrets of one kind, compared in constant time. Hashes are compared, so that not even a secret's length
/// shows, and always all of them.
struct Secrets(Vec<[u8; 32]>);

impl Secrets {
    fn new(secrets: &[SecretString]) -> Self {
        Self(secrets.iter().map(|secret| Sha256::digest(secret.expose_secret()).into()).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contain(&self, candidate: &str) -> bool {
        let candidate: [u8; 32] = Sha256::digest(candidate).into();
        self.0.iter().fold(Choice::from(0), |found, secret| found | secret.ct_eq(&candidate)).into()
    }
}
