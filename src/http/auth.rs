//! Who may call what (`docs/service.md`, section 7): one layer for each group of endpoints.
//!
//! Webhooks take the webhook credentials. What the scheduler calls takes the scheduler's or the operator's. Everything
//! else takes the operator's; what changes nothing takes the viewer's too. With no credential configured every call is
//! open, and the configuration has made sure that only this machine can call. With some configured, a group without
//! one is closed.

mod csrf;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod oidc;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tracing::warn;

use super::error::HttpError;
use super::{browsers, credential, observe};
use crate::config::{Access, OperatorToken};
use crate::submission::{Caller, Role};
use csrf::Csrf;
use oidc::SchedulerIdentity;

/// Checks credentials.
pub(super) struct Gatekeeper {
    open: bool,
    webhook_basic: Secrets,
    webhook_keys: Secrets,
    operators: Operators,
    viewer_tokens: Secrets,
    scheduler: Option<SchedulerIdentity>,
    /// Tokens of the dashboard's forms.
    pub(super) csrf: Csrf,
}

impl Gatekeeper {
    /// A gatekeeper of the configured credentials.
    pub(super) fn new(access: &Access) -> Result<Self, reqwest::Error> {
        let tokens: Vec<_> = access.operator_tokens.iter().map(|operator| operator.token.clone()).collect();
        Ok(Self {
            open: access.is_open(),
            webhook_basic: Secrets::new(&access.webhook_basic),
            webhook_keys: Secrets::new(&access.webhook_keys),
            operators: Operators::new(&access.operator_tokens),
            viewer_tokens: Secrets::new(&access.viewer_tokens),
            scheduler: access.scheduler.as_ref().map(SchedulerIdentity::new).transpose()?,
            csrf: Csrf::new(&tokens),
        })
    }

    fn admit_webhook(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        if self.open {
            return Ok(());
        }
        if self.webhook_basic.is_empty() && self.webhook_keys.is_empty() {
            return Err(NO_WEBHOOK);
        }
        let basic = authorization(headers, "basic").and_then(|pair| decode_basic(&pair));
        let header_key = headers.get(credential::API_KEY).map(|value| text(value.as_bytes()));
        let admitted = basic.is_some_and(|pair| self.webhook_basic.contain(&pair))
            || header_key.is_some_and(|key| self.webhook_keys.contain(&key))
            || ["bearer", "apikey"]
                .into_iter()
                .filter_map(|scheme| authorization(headers, scheme))
                .any(|key| self.webhook_keys.contain(&key));
        if admitted { Ok(()) } else { Err(HttpError::Unauthenticated) }
    }

    /// The person who calls in the scheduler's place; `None` where it is the scheduler.
    async fn admit_scheduler(&self, headers: &HeaderMap) -> Result<Option<Caller>, HttpError> {
        if self.open {
            return Ok(None);
        }
        let token = operator_credential(headers);
        if let Some(caller) = token.as_deref().and_then(|token| self.operators.find(token)) {
            return Ok(Some(caller));
        }
        if token.is_some_and(|token| self.viewer_tokens.contain(&token)) {
            return Err(READ_ONLY);
        }
        match (&self.scheduler, authorization(headers, "bearer")) {
            (Some(scheduler), Some(token)) => scheduler.verify(&token).await.map(|()| None),
            (None, _) if self.operators.is_empty() => Err(NO_SCHEDULER),
            _ => Err(HttpError::Unauthenticated),
        }
    }

    /// Who calls: one who may do everything, or, where the call only reads, one who may look.
    fn admit_operator(&self, headers: &HeaderMap, reads_only: bool) -> Result<Visitor, HttpError> {
        if self.open {
            return Ok(Visitor(Some(Role::Anyone.into())));
        }
        let token = operator_credential(headers);
        if let Some(caller) = token.as_deref().and_then(|token| self.operators.find(token)) {
            Ok(Visitor(Some(caller)))
        } else if token.is_some_and(|token| self.viewer_tokens.contain(&token)) {
            if reads_only { Ok(Visitor(None)) } else { Err(READ_ONLY) }
        } else if self.operators.is_empty() && self.viewer_tokens.is_empty() {
            Err(NO_OPERATOR)
        } else {
            Err(HttpError::Unauthenticated)
        }
    }
}

/// Who looks at a page; `None` may change nothing.
#[derive(Debug, Clone)]
pub(super) struct Visitor(Option<Caller>);

impl Visitor {
    /// Whether they may change records.
    pub(super) fn may_change(&self) -> bool {
        self.0.is_some()
    }
}

/// The token that came as Bearer, or as the password that a browser asked for (with any user name).
fn operator_credential(headers: &HeaderMap) -> Option<String> {
    let password = || {
        let pair = authorization(headers, "basic").and_then(|pair| decode_basic(&pair))?;
        pair.split_once(':').map(|(_, password)| password.to_owned())
    };
    authorization(headers, "bearer").or_else(password)
}

const READ_ONLY: HttpError = HttpError::Forbidden("This token may look at everything, and change nothing");

/// The answers of a group without a credential, each with the variables that open it.
const NO_WEBHOOK: HttpError = HttpError::Forbidden(
    "No credential is configured for this call; set WEBHOOK_BASIC_AUTH or WEBHOOK_API_KEY",
);
const NO_SCHEDULER: HttpError = HttpError::Forbidden(
    "No credential is configured for this call; set SCHEDULER_OIDC_AUDIENCE or OPERATOR_TOKEN",
);
const NO_OPERATOR: HttpError =
    HttpError::Forbidden("No credential is configured for this call; set OPERATOR_TOKEN");

/// Admits those who may post data.
pub(super) async fn webhook(
    State(gatekeeper): State<Arc<Gatekeeper>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    if let Err(refusal) = gatekeeper.admit_webhook(request.headers()) {
        // CommCare gives a form up after this answer: someone must act. A refused test loses no form, nor does a
        // stranger's call.
        if request.method() == Method::POST && credential::is_shown(request.headers()) {
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
    if let Some(caller) = gatekeeper.admit_scheduler(request.headers()).await? {
        observe::name_operator(&caller);
    }
    Ok(next.run(request).await)
}

/// Admits operators, and to what only reads also viewers; tells the handlers who it is.
pub(super) async fn operator(
    State(gatekeeper): State<Arc<Gatekeeper>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    // A preview stores and sends nothing.
    let reads_only = browsers::reads_only(&request) || request.uri().path().starts_with("/preview/");
    let visitor = gatekeeper.admit_operator(request.headers(), reads_only)?;
    if let Visitor(Some(caller)) = &visitor {
        observe::name_operator(caller);
        request.extensions_mut().insert(caller.clone());
    }
    request.extensions_mut().insert(visitor);
    Ok(next.run(request).await)
}

/// The credential of an `Authorization` header with this scheme.
fn authorization(headers: &HeaderMap, scheme: &str) -> Option<String> {
    let value = text(headers.get(header::AUTHORIZATION)?.as_bytes());
    let (given, credential) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| credential.trim().to_owned())
}

/// The `user:password` of a Basic credential.
fn decode_basic(credential: &str) -> Option<String> {
    STANDARD.decode(credential).ok().map(|bytes| text(&bytes))
}

/// A credential as text. CommCare uses Python's HTTP client, which sends it in Latin-1; other clients send UTF-8.
fn text(bytes: &[u8]) -> String {
    let latin = || bytes.iter().copied().map(char::from).collect();
    std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned)
}

/// The operators' tokens, and whose they are.
struct Operators {
    tokens: Secrets,
    names: Vec<Option<Arc<str>>>,
}

impl Operators {
    fn new(operators: &[OperatorToken]) -> Self {
        let tokens = operators.iter().map(|operator| hashed(operator.token.expose_secret())).collect();
        Self {
            tokens: Secrets(tokens),
            names: operators.iter().map(|operator| operator.name.clone()).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn find(&self, token: &str) -> Option<Caller> {
        let name = self.names.get(self.tokens.position(token)?)?;
        Some(Caller { role: Role::Operator, name: name.clone() })
    }
}

/// Secrets of one kind, compared in constant time. Hashes are compared, so that not even a secret's length
/// shows, and always all of them.
struct Secrets(Vec<[u8; 32]>);

impl Secrets {
    fn new(secrets: &[SecretString]) -> Self {
        Self(secrets.iter().map(|secret| hashed(secret.expose_secret())).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contain(&self, candidate: &str) -> bool {
        self.position(candidate).is_some()
    }

    /// The place of the first one that this is.
    fn position(&self, candidate: &str) -> Option<usize> {
        let candidate = hashed(candidate);
        let same: Vec<Choice> = self.0.iter().map(|secret| secret.ct_eq(&candidate)).collect();
        same.into_iter().position(bool::from)
    }
}

fn hashed(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}
