//! A Salesforce stand-in that enforces what Salesforce enforces.
//!
//! Real HTTP on 127.0.0.1, so that the destination under test runs its own client: logins that
//! check credentials, sessions that expire, Composite requests with their limits and roll-back,
//! records that remember what was written. Hooks make it fail in the ways that Salesforce fails.

mod composite;
mod describe;
mod fault;
mod login;
mod query;
mod store;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use commcare_sf_integration::config::salesforce::{
    ApiVersion, JwtLogin, Login, PrivateKey, SalesforceSettings,
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use url::Url;

use composite::Org;
pub(crate) use fault::Fault;
pub(crate) use login::private_key_pem;
use store::Store;

/// Credentials that it accepts; full of what XML and forms must escape.
pub(crate) const CLIENT_ID: &str = "3MVG9.client_id";
pub(crate) const CLIENT_SECRET: &str = "client&secret=+%";
pub(crate) const USERNAME: &str = "integration&tests@example.org";
pub(crate) const PASSWORD: &str = "p<a>ss\"w'ord";
pub(crate) const SECURITY_TOKEN: &str = "t&ken";
/// Who a signed token has to be for; it plays a sandbox.
pub(crate) const AUDIENCE: &str = "https://test.salesforce.com";

/// A running stand-in; stops when dropped.
pub(crate) struct SalesforceStandIn {
    url: Url,
    state: Shared,
    server: AbortHandle,
}

type Shared = Arc<Mutex<Inner>>;

/// How many rows of a collection an object's triggers bear, and what they say of more.
pub(crate) struct Bearable {
    rows: usize,
    message: String,
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
    /// Path and body of the calls that write without Composite.
    alone: Vec<(String, Value)>,
    /// Sessions of a server that no longer has the org, and what that server answers.
    moved: HashMap<String, Fault>,
    bearable: HashMap<String, Bearable>,
    used: u64,
    limit: u64,
    delay: Duration,
    faults: VecDeque<Fault>,
    /// By a text in the request.
    chosen: Vec<(String, Fault)>,
    /// A text in a Composite call, and what such calls meet.
    choked: Option<(String, Fault)>,
    login_faults: VecDeque<Fault>,
    /// What every call meets.
    outage: Option<Fault>,
    /// What every Composite call meets, while the other resources answer.
    composite_outage: Option<Fault>,
    limits_calls: usize,
    hides_limits: bool,
    /// Staff members by project role.
    roles: HashMap<String, Option<String>>,
    queries: Vec<String>,
    /// What its objects are like.
    org: Value,
    described: Vec<String>,
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
            alone: Vec::new(),
            moved: HashMap::new(),
            bearable: HashMap::new(),
            used: 0,
            limit: 15_000,
            delay: Duration::ZERO,
            faults: VecDeque::new(),
            chosen: Vec::new(),
            choked: None,
            login_faults: VecDeque::new(),
            outage: None,
            composite_outage: None,
            limits_calls: 0,
            hides_limits: false,
            roles: HashMap::new(),
            queries: Vec::new(),
            org: describe::org(),
            described: Vec::new(),
            refusals: HashMap::new(),
        }));
        let router = Router::new()
            .route("/services/oauth2/token", post(login::token))
            .route("/services/Soap/u/{version}", post(login::soap))
            .route("/services/data/{version}/composite", post(composite_call))
            .route("/services/data/{version}/composite/sobjects/{object}/{field}", patch(lone_call))
            .route("/services/data/{version}/sobjects/{object}/{field}/{id}", patch(lone_call))
            .route("/services/data/{version}/sobjects/{object}/describe", get(describe::describe_call))
            .route("/services/data/{version}/limits", get(limits_call))
            .route("/services/data/{version}/query", get(query::query_call))
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

    /// Settings that log in with a signed token.
    pub(crate) fn jwt_settings(&self) -> SalesforceSettings {
        self.settings_for(Login::Jwt(JwtLogin {
            client_id: CLIENT_ID.to_owned(),
            username: USERNAME.to_owned(),
            private_key: PrivateKey::from_pem_or_path(private_key_pem()).unwrap(),
            audience: AUDIENCE,
        }))
    }

    /// Settings that log in as `login` says.
    pub(crate) fn settings_for(&self, login: Login) -> SalesforceSettings {
        SalesforceSettings {
            login,
            login_url: self.url.clone(),
            api_version: ApiVersion::default(),
            request_timeout: Duration::from_secs(10),
            retry_budget: Duration::from_secs(10),
            retry_delay: Duration::from_millis(2),
            collection_size: SalesforceSettings::MAX_COLLECTION_SIZE,
            api_reserve_percent: 5,
        }
    }

    /// Where its sessions work, if that is not where it listens: behind a proxy.
    pub(crate) fn set_address(&self, url: &str) {
        self.inner().url = Url::parse(url).unwrap();
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

    /// The org moves: calls with a session of before meet `fault`, a login finds the new server.
    pub(crate) fn move_org(&self, fault: &Fault) {
        let mut inner = self.inner();
        let sessions: Vec<String> = inner.sessions.drain().collect();
        inner.moved.extend(sessions.into_iter().map(|session| (session, fault.clone())));
    }

    /// From now on the triggers of an object bear so many rows of a collection, and say this of more.
    pub(crate) fn bear(&self, object: &str, rows: usize, message: &str) {
        let bearable = Bearable { rows, message: message.to_owned() };
        self.inner().bearable.insert(object.to_owned(), bearable);
    }

    /// Whether every login is refused from now on, as with a deactivated user.
    pub(crate) fn refuse_logins(&self, refuses: bool) {
        self.inner().refuses_logins = refuses;
    }

    /// What every call meets from now on; `None` is a Salesforce that is well.
    pub(crate) fn set_outage(&self, outage: Option<Fault>) {
        self.inner().outage = outage;
    }

    /// What every Composite call meets from now on, while logins and `limits` go through.
    pub(crate) fn set_composite_outage(&self, outage: Option<Fault>) {
        self.inner().composite_outage = outage;
    }

    /// From now on the `limits` resource is refused, as for a user without the permission.
    pub(crate) fn hide_limits(&self) {
        self.inner().hides_limits = true;
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

    /// Composite calls meet nothing more that [`StandIn::fail_next`] announced.
    pub(crate) fn fail_no_more(&self) {
        self.inner().faults.clear();
    }

    /// What the next Composite call that holds `text` meets.
    pub(crate) fn fail_request_with(&self, text: &str, fault: Fault) {
        self.inner().chosen.push((text.to_owned(), fault));
    }

    /// What every Composite call that holds `text` meets from now on; with `None` it is like any other.
    pub(crate) fn choke_on(&self, text: &str, fault: Option<Fault>) {
        self.inner().choked = fault.map(|fault| (text.to_owned(), fault));
    }

    /// What the next login meets that no earlier fault is meant for.
    pub(crate) fn fail_next_login(&self, fault: Fault) {
        self.inner().login_faults.push_back(fault);
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

    /// Path and body of the calls that wrote without Composite.
    pub(crate) fn lone_calls(&self) -> Vec<(String, Value)> {
        self.inner().alone.clone()
    }

    /// Calls of the `limits` resource that reached it with a valid session.
    pub(crate) fn limits_calls(&self) -> usize {
        self.inner().limits_calls
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
    if let Some(fault) = arrive(&state, &headers).await {
        return fault.instead().await;
    }
    if !state.lock().unwrap().knows_session(&headers) {
        return no_session();
    }
    let fault = state.lock().unwrap().admit(&body);
    match fault {
        Some(fault) if !fault.does_the_work() => {
            let response = fault.instead().await;
            state.lock().unwrap().finish(response)
        }
        fault => state.lock().unwrap().work(&body, fault.as_ref()),
    }
}

/// A write without Composite.
async fn lone_call(State(state): State<Shared>, headers: HeaderMap, uri: Uri, body: Bytes) -> Response {
    if let Some(fault) = arrive(&state, &headers).await {
        return fault.instead().await;
    }
    let mut inner = state.lock().unwrap();
    if !inner.knows_session(&headers) {
        return no_session();
    }
    inner.used += 1;
    inner.alone.push((uri.path().to_owned(), serde_json::from_slice(&body).unwrap_or_default()));
    let (status, answer) = composite::run_alone(&mut inner.org(), uri.path(), &body);
    inner.finish((status, answer.to_string()).into_response())
}

async fn limits_call(State(state): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(fault) = arrive(&state, &headers).await {
        return fault.instead().await;
    }
    let mut inner = state.lock().unwrap();
    if !inner.knows_session(&headers) {
        return no_session();
    }
    inner.limits_calls += 1;
    inner.used += 1;
    if inner.hides_limits {
        return error(StatusCode::FORBIDDEN, "INSUFFICIENT_ACCESS", "insufficient access rights");
    }
    let remaining = i128::from(inner.limit) - i128::from(inner.used);
    let remaining = i64::try_from(remaining).unwrap();
    let body = json!({ "DailyApiRequests": { "Max": inner.limit, "Remaining": remaining } });
    inner.finish(body.to_string().into_response())
}

/// Lets a call take its time, and says what it meets in an outage, or at a server that no longer has the org.
async fn arrive(state: &Shared, headers: &HeaderMap) -> Option<Fault> {
    let delay = state.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
    let inner = state.lock().unwrap();
    let moved = || bearer(headers).and_then(|session| inner.moved.get(session).cloned());
    inner.outage.clone().or_else(moved)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

impl Inner {
    fn knows_session(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|session| self.sessions.contains(session))
    }

    /// Takes a Composite call, and says what it meets.
    fn admit(&mut self, body: &[u8]) -> Option<Fault> {
        self.bodies.push(serde_json::from_slice(body).unwrap_or_default());
        let text = String::from_utf8_lossy(body);
        if let Some(at) = self.chosen.iter().position(|(part, _)| text.contains(part)) {
            return Some(self.chosen.remove(at).1);
        }
        if let Some((_, fault)) = self.choked.as_ref().filter(|(part, _)| text.contains(part)) {
            return Some(fault.clone());
        }
        if self.used >= self.limit {
            let body = errors("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
            return Some(Fault::Answer(403, body));
        }
        self.used += 1;
        self.faults.pop_front().or_else(|| self.composite_outage.clone())
    }

    /// Does what a Composite call asks for, and answers as `fault` says.
    fn work(&mut self, body: &[u8], fault: Option<&Fault>) -> Response {
        let (status, answer) = composite::run(&mut self.org(), body);
        let response = match fault {
            Some(fault) => fault.after(status, answer),
            None => (status, answer.to_string()).into_response(),
        };
        self.finish(response)
    }

    fn org(&mut self) -> Org<'_> {
        Org { store: &mut self.store, refusals: &mut self.refusals, bearable: &self.bearable }
    }

    fn finish(&self, mut response: Response) -> Response {
        let usage = format!("api-usage={}/{}", self.used, self.limit);
        response.headers_mut().insert("Sforce-Limit-Info", usage.parse().unwrap());
        response
    }
}

fn no_session() -> Response {
    error(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", "Session expired or invalid")
}

/// An error in the shape of Salesforce's REST API.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, errors(code, message)).into_response()
}

fn errors(code: &str, message: &str) -> String {
    json!([{ "message": message, "errorCode": code }]).to_string()
}
