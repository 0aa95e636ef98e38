//! The service under test: the real router on a real queue, put together as `main` does it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use commcare_sf_integration::app::App;
use commcare_sf_integration::config::Config;
use commcare_sf_integration::http::{self, Service};
use commcare_sf_integration::worker::Shutdown;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use tower::ServiceExt;

use super::process::{borrowed, queue_variables};
use super::salesforce::{CLIENT_ID, CLIENT_SECRET, SalesforceStandIn};
use crate::queue::backend::Backend;

/// A service on a queue of its own.
pub(crate) struct TestApp {
    service: Service,
    pub(crate) app: Arc<App>,
    pub(crate) shutdown: Shutdown,
    _folder: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct TestAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestAnswer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer that must be this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.json()
    }
}

impl TestApp {
    /// A service with nothing configured: a SQLite queue, dry-run destinations, open.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A service with these variables.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queue = format!("sqlite://{}", folder.path().join("queue.db").display());
        let mut environment = HashMap::from([("QUEUE_URL", queue.as_str())]);
        environment.extend(variables.iter().copied());
        let config = Config::load(&|name| environment.get(name).map(|value| (*value).to_owned())).unwrap();
        let shutdown = Shutdown::default();
        let app = App::start(&config, shutdown.clone()).await.unwrap();
        Self { service: http::service(Arc::clone(&app), &config).unwrap(), app, shutdown, _folder: folder }
    }

    /// A service that sends to the stand-in, as production does: registrations write attendance.
    pub(crate) async fn sending_to(stand_in: &SalesforceStandIn, variables: &[(&str, &str)]) -> Self {
        let login_url = stand_in.settings().login_url.to_string();
        let salesforce = [
            ("SALESFORCE_LOGIN_URL", login_url.as_str()),
            ("SF_CLIENT_ID", CLIENT_ID),
            ("SF_CLIENT_SECRET", CLIENT_SECRET),
            ("SF_SANDBOX_ATTENDANCE", "true"),
        ];
        Self::with(&[&salesforce, variables].concat()).await
    }

    /// The same, with its queue in this back end.
    pub(crate) async fn on(
        backend: &Backend,
        stand_in: &SalesforceStandIn,
        variables: &[(&str, &str)],
    ) -> Self {
        let queue = queue_variables(backend);
        Self::sending_to(stand_in, &[&borrowed(&queue), variables].concat()).await
    }

    /// The service, as a listener serves it.
    pub(crate) fn service(&self) -> Service {
        self.service.clone()
    }

    /// Calls the service.
    pub(crate) async fn send(&self, request: Request<Body>) -> TestAnswer {
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        TestAnswer { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn get(&self, path: &str) -> TestAnswer {
        self.call("GET", path, &[]).await
    }

    /// A call without a body.
    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> TestAnswer {
        self.call_with(method, path, headers, Body::empty()).await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> TestAnswer {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> TestAnswer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Posts a form that must be taken.
    pub(crate) async fn accept(&self, payload: &Value) -> Value {
        self.post("/process-data-cc", payload.to_string()).await.expect(200)
    }

    /// Works off one batch.
    pub(crate) async fn drain(&self) -> Value {
        self.post("/process-firestore-to-sf", "").await.expect(200)
    }

    /// Posts a form and drains; the record as it is then.
    pub(crate) async fn process(&self, payload: &Value) -> Value {
        let accepted = self.accept(payload).await;
        self.drain().await;
        self.record(accepted["request_id"].as_str().unwrap()).await
    }

    /// Posts a payload of records that must be taken.
    pub(crate) async fn accept_for_commcare(&self, payload: &Value) -> Value {
        self.post("/process-data-sf", payload.to_string()).await.expect(200)
    }

    /// Works off payloads of records.
    pub(crate) async fn drain_to_commcare(&self, query: &str) -> Value {
        self.post(&format!("/process-firestore-to-cc{query}"), "").await.expect(200)
    }

    /// Posts a payload of records and drains; the record as it is then.
    pub(crate) async fn process_for_commcare(&self, payload: &Value) -> Value {
        let accepted = self.accept_for_commcare(payload).await;
        self.drain_to_commcare("").await;
        self.commcare_record(accepted["doc_id"].as_str().unwrap()).await
    }

    /// The record of a payload.
    pub(crate) async fn commcare_record(&self, id: &str) -> Value {
        let found = self.get(&format!("/record/salesforce_collection/{id}")).await.expect(200);
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        found[0]["data"].clone()
    }

    /// Works off what is due for a retry.
    pub(crate) async fn auto_retry(&self) -> Value {
        self.post("/auto-retry-firestore-to-sf?drain=true", "").await.expect(200)
    }

    /// What the scheduler does, again and again, until so many forms are completed and no other is left.
    pub(crate) async fn until_completed(&self, forms: u64) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut pause = tokio::time::interval(Duration::from_millis(200));
        loop {
            pause.tick().await;
            self.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
            self.auto_retry().await;
            let counts = self.counts().await;
            if counts == json!({ "new": 0, "processing": 0, "completed": forms, "failed": 0 }) {
                return;
            }
            assert!(Instant::now() < deadline, "{counts}");
        }
    }

    /// Records by status.
    pub(crate) async fn counts(&self) -> Value {
        self.get("/status-count/commcare_collection").await.expect(200)["status_counts"].clone()
    }

    /// The record of a form.
    pub(crate) async fn record(&self, id: &str) -> Value {
        let found = self.get(&format!("/record/commcare_collection/{id}")).await.expect(200);
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        found[0]["data"].clone()
    }
}
