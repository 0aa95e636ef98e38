//! A Firestore that runs in the test process and speaks gRPC to the real client.
//!
//! It enforces what production enforces (preconditions, transactions, limits, indexes), since a
//! test against something more lenient proves nothing. What it doesn't do it refuses:
//! `UNIMPLEMENTED` for Listen, the streaming Write, pipelines, vector search, sums and averages.
//! With `FIRESTORE_EMULATOR_HOST` set, [`endpoint`] is Google's emulator instead.

mod filter;
mod index;
mod path;
mod query;
mod rpc;
mod service;
mod store;
mod value;
mod write;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use firestore::{FirestoreDb, FirestoreDbOptions, FirestoreResult};
use gcloud_sdk::google::firestore::v1::Document;
use gcloud_sdk::google_cloud_auth::credentials::{
    CacheableResource, Credentials, CredentialsProvider, EntityTag,
};
use gcloud_sdk::google_cloud_auth::errors::CredentialsError;
use gcloud_sdk::{GoogleAuthHeaders, HeaderMap};
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::codegen::http::{Extensions, HeaderValue, header::AUTHORIZATION};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use self::service::{Service, Shared, lock};

/// Where the tests' Firestore is.
pub(crate) enum Endpoint {
    /// Google's emulator, at the host of `FIRESTORE_EMULATOR_HOST`.
    Emulator(String),
    /// Ours, shared by every test of the process: keep apart by project id, and start your own
    /// for the hooks.
    StandIn(&'static FirestoreStandIn),
}

impl Endpoint {
    /// `host:port`.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Emulator(host) => host,
            Self::StandIn(stand_in) => stand_in.host(),
        }
    }
}

/// The emulator if the environment names one, else the shared stand-in.
pub(crate) fn endpoint() -> Endpoint {
    static SHARED: LazyLock<FirestoreStandIn> = LazyLock::new(FirestoreStandIn::start);
    #[expect(clippy::disallowed_methods, reason = "says where the tests run, isn't configuration")]
    let emulator = std::env::var("FIRESTORE_EMULATOR_HOST");
    emulator.map_or_else(|_| Endpoint::StandIn(&SHARED), Endpoint::Emulator)
}

/// The options of a client of that host.
pub(crate) fn options(host: &str, project: &str) -> FirestoreDbOptions {
    FirestoreDbOptions::new(project.to_owned()).with_firebase_api_url(format!("http://{host}"))
}

/// A real client that authenticates as the emulators expect. Connects at once, and fails if nobody
/// listens there.
pub(crate) async fn connect(options: FirestoreDbOptions) -> FirestoreResult<FirestoreDb> {
    let credentials = Credentials::from(Owner(EntityTag::new()));
    FirestoreDb::with_options_auth(options, GoogleAuthHeaders::from(credentials)).await
}

/// `Bearer owner`, which the emulators take.
#[derive(Debug)]
struct Owner(EntityTag);

impl CredentialsProvider for Owner {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        if extensions.get::<EntityTag>() == Some(&self.0) {
            return Ok(CacheableResource::NotModified);
        }
        let header = (AUTHORIZATION, HeaderValue::from_static("Bearer owner"));
        Ok(CacheableResource::New { entity_tag: self.0.clone(), data: HeaderMap::from_iter([header]) })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// A running stand-in. State is per database path, so that tests can share one.
pub(crate) struct FirestoreStandIn {
    host: String,
    shared: Arc<Shared>,
    /// Its own, so that it outlives the test that started it.
    runtime: Mutex<Option<Runtime>>,
}

impl FirestoreStandIn {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::new());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("firestore-stand-in")
            .enable_all()
            .build()
            .expect("a runtime starts");
        let incoming = {
            let _in_runtime = runtime.enter();
            TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("127.0.0.1 has a free port")
        };
        let host = incoming.local_addr().expect("a listener has an address").to_string();
        let routes = Routes::new(Service(shared.clone()));
        runtime.spawn(async move {
            let incoming = incoming.with_nodelay(Some(true));
            Server::builder().add_routes(routes).serve_with_incoming(incoming).await
        });
        Self { host, shared, runtime: Mutex::new(Some(runtime)) }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Fails the next requests of a method (`"Commit"`, `"RunQuery"`, …) before they do anything.
    pub(crate) fn fail_next(&self, method: &str, code: Code, times: usize) {
        let mut hooks = lock(&self.shared.hooks);
        hooks.failures.entry(method.to_owned()).or_default().extend(std::iter::repeat_n(code, times));
    }

    /// Does the work of the next request of a method but answers `UNAVAILABLE`, as a connection
    /// lost at the worst time does.
    pub(crate) fn lose_next_answer(&self, method: &str) {
        *lock(&self.shared.hooks).lost.entry(method.to_owned()).or_default() += 1;
    }

    /// What every request fails with from now on, untouched; `None` is a Firestore that is well.
    pub(crate) fn set_outage(&self, outage: Option<Code>) {
        lock(&self.shared.hooks).outage = outage;
    }

    /// Makes every request from now on wait that long before it does anything.
    pub(crate) fn delay(&self, delay: Duration) {
        lock(&self.shared.hooks).delay = delay;
    }

    /// How many requests of a method came so far.
    pub(crate) fn requests(&self, method: &str) -> usize {
        lock(&self.shared.hooks).requests.get(method).copied().unwrap_or_default()
    }

    /// The documents of a collection at the root of `projects/{p}/databases/{d}`, by name.
    pub(crate) fn documents(&self, database: &str, collection: &str) -> Vec<Document> {
        let mut store = lock(&self.shared.store);
        let database = store.database(database).expect("a database's name");
        let of_collection = |key: &Vec<String>| key.len() == 2 && key[0] == collection;
        let found = database.latest().filter(|(key, _)| of_collection(key));
        found.map(|(key, stored)| stored.document(database.name(), key, stored.fields.clone())).collect()
    }

    /// Forgets the open transactions of a database, as the service does with idle ones.
    pub(crate) fn expire_transactions(&self, database: &str) {
        lock(&self.shared.store).database(database).expect("a database's name").expire_transactions();
    }

    /// Closes every connection and the port; returns when they are closed.
    pub(crate) async fn stop(&self) {
        let running = lock(&self.runtime).take();
        if let Some(runtime) = running {
            let stopped = tokio::task::spawn_blocking(|| runtime.shutdown_timeout(Duration::from_secs(5)));
            stopped.await.expect("shutting down doesn't panic");
        }
    }
}

impl Drop for FirestoreStandIn {
    fn drop(&mut self) {
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }
}
