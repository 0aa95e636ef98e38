//! A Salesforce stand-in that enforces what Salesforce enforces.
//!
//! Real HTTP on 127.0.0.1, so that the destination under test runs its own client: logins that
//! check credentials, sessions that expire, Composite requests with their limits and roll-back,
//! records that remember what was written. Hooks make it fail in the ways that Salesforce fails.

mod composite;
mod login;
mod store;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use commcare_sf_integration::config::salesforce::{ApiVersion, Login, SalesforceSettings};
use futures::stream;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use url::Url;

use store::Store;

/// Credentials that it accepts; full of what XML and forms must escape.
pub(crate) const CLIENT_ID: &str = "3MVG9.client_id";
pub(crate) const CLIENT_SECRET: &str = "client&secret=+%";
pub(crate) const USERNAME: &str = "integration&tests@example.org";
pub(crate) const PASSWORD: &str = "p<a>ss\"w'ord";
pub(crate) const SECURITY_TOKEN: &str = "t&ken";

/// A running stand-in; stops when dropped.
pub(crate) struct SalesforceStandIn {
    url: Url,
    state: Shared,
    server: AbortHandle,
}

type Shared = Arc<Mutex<Inner>>;

/// What it does to one Composite call instead of answering properly.
pub(crate) enum Fault {
    /// Answers this without looking at the request.
    Answer(u16, String),
    /// Does the work, and answers with what this makes of the answer.
    Rewrite(fn(Value) -> Value),
    /// Cuts the connection before anything was done.
    CutBefore,
    /// Does the work and cuts the connection: the answer is lost.
    CutAfter,
    /// Does the work, sends half of the answer and cuts the connection.
    HalfAnswer,
    /// Never answers.
    Hang,
}

/// What it says of one row instead of writing it.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

struct Inner {
    url: Url,
    store: Store,
    sessions: HashSet<String>,
    logins: usize,
    refuses_logins: bool,
    bodies: Vec<Value>,
    used: u64,
    limit: u64,
    delay: Duration,
    faults: VecDeque<Fault>,
    /// By external id in lower case.
    refusals: HashMap<String, VecDeque<Refusal>>,
}

impl SalesforceStandIn {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let state = Arc::new(Mutex::new(Inner {
            url: url.clone(),
            store: Store::default(),
            sessions: HashSet::new(),
            logins: 0,
            refuses_logins: false,
            bodies: Vec::new(),
            used: 0,
            limit: 15_000,
            delay: Duration::ZERO,
            faults: VecDeque::new(),
            refusals: HashMap::new(),
        }));
        let router = Router::new()
            .route("/services/oauth2/token", post(login::token))
            .route("/services/Soap/u/{version}", post(login::soap))
            .route("/services/data/{version}/composite", post(composite_call))
            .fallback(|| async {
                error(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
            })
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state, server: server.abort_handle() }
    }

    /// Settings that log in with client credentials.
    pub(crate) fn settings(&self) -> SalesforceSettings {
        self.settings_for(Login::ClientCredentials {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.into(),
        })
    }

    /// Settings that log in as `login` says.
    pub(crate) fn settings_for(&self, login: Login) -> SalesforceSettings {
        SalesforceSettings {
            login,
            login_url: self.url.clone(),
            api_version: ApiVersion::default(),
            request_timeout: Duration::from_secs(10),
        }
    }

    /// A record that is there already, by `Id` under that very id; gives its Salesforce id.
    pub(crate) fn seed(
        &self,
        object: &str,
        external_id_field: &str,
        external_id: &str,
        fields: Value,
    ) -> String {
        let Value::Object(mut fields) = fields else { panic!("fields are an object") };
        fields.insert(external_id_field.to_owned(), external_id.into());
        self.inner().store.create(object, fields)
    }

    /// From now on a reference to an unknown record creates that record and a blank one passes,
    /// for tests in which the referenced records do not matter.
    pub(crate) fn create_unknown_references(&self) {
        self.inner().store.lenient = true;
    }

    /// Every session so far is invalid.
    pub(crate) fn expire_sessions(&self) {
        self.inner().sessions.clear();
    }

    /// From now on no login succeeds, as with a deactivated user.
    pub(crate) fn refuse_logins(&self) {
        self.inner().refuses_logins = true;
    }

    /// The daily calls as counted from here on.
    pub(crate) fn set_usage(&self, used: u64, limit: u64) {
        let mut inner = self.inner();
        (inner.used, inner.limit) = (used, limit);
    }

    /// How long every call takes.
    pub(crate) fn delay(&self, delay: Duration) {
        self.inner().delay = delay;
    }

    /// What the next Composite call meets that no earlier fault is meant for.
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.inner().faults.push_back(fault);
    }

    /// The next write of this record is refused. Status 300 answers as for several matches.
    pub(crate) fn refuse_row(&self, external_id: &str, status: u16, code: &str, message: &str) {
        let refusal = Refusal { status, code: code.to_owned(), message: message.to_owned() };
        self.inner().refusals.entry(external_id.to_lowercase()).or_default().push_back(refusal);
    }

    /// The records of an object, in the order in which they were created.
    pub(crate) fn records(&self, object: &str) -> Vec<Map<String, Value>> {
        self.inner().store.records(object)
    }

    /// Composite calls that reached it with a valid session, faults included.
    pub(crate) fn requests(&self) -> usize {
        self.inner().bodies.len()
    }

    /// The bodies of those calls.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.inner().bodies.clone()
    }

    /// Login attempts, refused ones included.
    pub(crate) fn logins(&self) -> usize {
        self.inner().logins
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap()
    }
}

impl Drop for SalesforceStandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn composite_call(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let delay = state.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
    let (response, hangs) = state.lock().unwrap().composite_call(&headers, &body);
    if hangs {
        std::future::pending::<()>().await;
    }
    response
}

impl Inner {
    /// The answer to a Composite call, and whether it is never sent.
    fn composite_call(&mut self, headers: &HeaderMap, body: &[u8]) -> (Response, bool) {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if token
            .and_then(|token| token.strip_prefix("Bearer "))
            .is_none_or(|token| !self.sessions.contains(token))
        {
            let message = "Session expired or invalid";
            return (error(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", message), false);
        }
        self.used += 1;
        self.bodies.push(serde_json::from_slice(body).unwrap_or_default());
        let fault = self.faults.pop_front();
        match fault {
            Some(Fault::Answer(status, body)) => {
                return (self.finish((StatusCode::from_u16(status).unwrap(), body).into_response()), false);
            }
            Some(Fault::CutBefore) => return (cut(&[], 0), false),
            Some(Fault::Hang) => return (StatusCode::OK.into_response(), true),
            _ => {}
        }
        let (status, answer) = composite::run(&mut self.store, &mut self.refusals, body);
        let response = match fault {
            Some(Fault::CutAfter) => cut(&[], 0),
            Some(Fault::HalfAnswer) => {
                let text = answer.to_string();
                cut(&text.as_bytes()[..text.len() / 2], text.len())
            }
            Some(Fault::Rewrite(rewrite)) => (status, rewrite(answer).to_string()).into_response(),
            _ => (status, answer.to_string()).into_response(),
        };
        (self.finish(response), false)
    }

    fn finish(&self, mut response: Response) -> Response {
        let usage = format!("api-usage={}/{}", self.used, self.limit);
        response.headers_mut().insert("Sforce-Limit-Info", usage.parse().unwrap());
        response
    }
}

/// An answer of `length` bytes whose connection is cut after `sent`.
fn cut(sent: &[u8], length: usize) -> Response {
    let broken = io::Error::other("cut by the test");
    let body = Body::from_stream(stream::iter([Ok(Bytes::copy_from_slice(sent)), Err(broken)]));
    let length = length.max(1).to_string();
    ([(header::CONTENT_LENGTH, length)], body).into_response()
}

/// An error in the shape of Salesforce's REST API.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, json!([{ "message": message, "errorCode": code }]).to_string()).into_response()
}
