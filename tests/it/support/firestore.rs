//! Google's Firestore emulator, and a proxy in front of it for what it has not: troubles, a bill, and
//! the refusal of queries that no deployed index serves.
//!
//! `tests/run` starts the emulator and names it in `FIRESTORE_EMULATOR_HOST`; where there is none it
//! leaves out the tests that have `firestore` in their path. Every test has a project of its own.

mod bill;
mod index;
mod proxy;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};

pub(crate) use self::bill::Bill;
use self::proxy::{Proxy, State, lock};

/// The emulator's `host:port`. Without one the test fails: nothing stands in for it.
pub(crate) fn emulator() -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    assert!(
        name.contains("firestore") || !name.contains("::"),
        "{name} needs the emulator, so that its path needs the word firestore: tests/run leaves out by it"
    );
    #[expect(clippy::disallowed_methods, reason = "tests/run says where its emulator is")]
    std::env::var("FIRESTORE_EMULATOR_HOST")
        .expect("FIRESTORE_EMULATOR_HOST names no Firestore emulator; run tests/run")
}

/// The emulator behind a proxy of one test. The test fails in the end if a query had no index, or if nobody
/// met a trouble that it made.
pub(crate) struct Firestore {
    /// The proxy's `127.0.0.1:port`.
    pub(crate) host: String,
    /// A name that no other test has.
    pub(crate) project: String,
    /// The emulator's `host:port`: past the proxy.
    pub(crate) emulator: String,
    state: Arc<Mutex<State>>,
    /// Its own, so that it answers while the test's runtime waits.
    runtime: Mutex<Option<Runtime>>,
}

impl Firestore {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        let emulator = emulator();
        let state = Arc::new(Mutex::new(State::default()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("firestore-proxy")
            .enable_all()
            .build()
            .expect("a runtime starts");
        let (incoming, channel) = {
            let _in_runtime = runtime.enter();
            let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("127.0.0.1 has a free port");
            let channel = Channel::from_shared(format!("http://{emulator}")).expect("a host and a port");
            (incoming, channel.connect_lazy())
        };
        let host = incoming.local_addr().expect("a listener has an address").to_string();
        let routes = Routes::new(Proxy::new(state.clone(), channel));
        runtime.spawn(async move {
            let incoming = incoming.with_nodelay(Some(true));
            Server::builder().add_routes(routes).serve_with_incoming(incoming).await
        });
        let project = format!("test-{}", uuid::Uuid::new_v4().simple());
        Self { host, project, emulator, state, runtime: Mutex::new(Some(runtime)) }
    }

    /// The variables of a service whose queue this is.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 3] {
        [
            ("QUEUE_URL", "firestore"),
            ("GOOGLE_CLOUD_PROJECT", &self.project),
            ("FIRESTORE_EMULATOR_HOST", &self.host),
        ]
    }

    /// Fails the next requests of a method (`"Commit"`, `"RunQuery"`, …) before they do anything; those
    /// with `Code::Ok` pass.
    pub(crate) fn fail_next(&self, method: &str, code: Code, times: usize) {
        let mut state = lock(&self.state);
        state.failures.entry(method.to_owned()).or_default().extend(std::iter::repeat_n(code, times));
    }

    /// Does the work of the next request of a method but answers `UNAVAILABLE`, as a connection
    /// lost at the worst time does.
    pub(crate) fn lose_next_answer(&self, method: &str) {
        *lock(&self.state).lost.entry(method.to_owned()).or_default() += 1;
    }

    /// What every request fails with from now on, untouched; `None` is a Firestore that is well.
    pub(crate) fn set_outage(&self, outage: Option<Code>) {
        lock(&self.state).outage = outage;
    }

    /// Makes every request from now on wait that long before anything is done about it.
    pub(crate) fn delay(&self, delay: Duration) {
        lock(&self.state).delay = delay;
    }

    /// How many requests of a method came so far.
    pub(crate) fn requests(&self, method: &str) -> usize {
        lock(&self.state).requests.get(method).copied().unwrap_or_default()
    }

    /// What Firestore would have billed so far.
    pub(crate) fn bill(&self) -> Bill {
        lock(&self.state).bill
    }

    /// The refusals of queries that no index serves, which the test then does not fail for.
    pub(crate) fn take_unserved(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).unserved)
    }

    /// Closes every connection and the port; returns when they are closed.
    pub(crate) async fn stop(&self) {
        let running = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = running {
            let stopped = tokio::task::spawn_blocking(|| runtime.shutdown_timeout(Duration::from_secs(5)));
            stopped.await.expect("shutting down doesn't panic");
        }
    }
}

impl Drop for Firestore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
        if !std::thread::panicking() {
            let State { unserved, failures, lost, .. } = &*lock(&self.state);
            assert!(unserved.is_empty(), "no index serves: {unserved:#?}");
            let met = failures.values().all(VecDeque::is_empty) && lost.values().all(|lost| *lost == 0);
            assert!(met, "nobody met these troubles: {failures:?}, lost {lost:?}");
        }
    }
}

/// What others write and see: past the proxy, by the emulator's REST interface.
impl Firestore {
    fn url(&self, path: &str) -> String {
        let Self { emulator, project, .. } = self;
        format!("http://{emulator}/v1/projects/{project}/databases/(default)/documents/{path}")
    }

    /// Writes a document whole. Its fields are plain JSON, a time is `{"timestamp": "…"}`.
    pub(crate) async fn put(&self, collection: &str, doc_id: &str, fields: &Value) {
        let document = json!({ "fields": rest_value(fields)["mapValue"]["fields"] });
        let request = reqwest::Client::new().patch(self.url(&format!("{collection}/{doc_id}")));
        let request = request.bearer_auth("owner").body(document.to_string());
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// The fields of a document, each as the REST interface gives it (`{"stringValue": "…"}`).
    pub(crate) async fn fields(&self, collection: &str, doc_id: &str) -> Value {
        let request = reqwest::Client::new().get(self.url(&format!("{collection}/{doc_id}")));
        let answer = request.bearer_auth("owner").send().await.unwrap().error_for_status().unwrap();
        answer.json::<Value>().await.unwrap()["fields"].take()
    }
}

/// A plain value as the REST interface takes it.
fn rest_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "nullValue": null }),
        Value::Bool(value) => json!({ "booleanValue": value }),
        Value::Number(number) if number.is_i64() => json!({ "integerValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Array(values) => {
            json!({ "arrayValue": { "values": values.iter().map(rest_value).collect::<Vec<_>>() } })
        }
        Value::Object(map) => match map.get("timestamp") {
            Some(Value::String(time)) if map.len() == 1 => json!({ "timestampValue": time }),
            _ => {
                let fields: serde_json::Map<String, Value> =
                    map.iter().map(|(name, value)| (name.clone(), rest_value(value))).collect();
                json!({ "mapValue": { "fields": fields } })
            }
        },
    }
}
