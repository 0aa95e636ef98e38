//! The calls themselves: a session, the request, the answer as it came.
//!
//! A session that Salesforce refuses is renewed once within the call. That is no retry: Salesforce did not look
//! at the request.

use std::sync::Arc;

use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Span, debug, field, instrument};
use url::Url;

use super::answer;
use super::calls::Call;
use super::composite;
use super::gate::Pass;
use super::login::{self, Grant};
use super::response::Response;
use super::session::{Session, Sessions};
use super::soql::Soql;
use super::transport;
use crate::bounded::{self, ANSWER_LIMIT};
use crate::clock;
use crate::config::salesforce::SalesforceSettings;
use crate::destinations::transport::{client, retry_after};
use crate::destinations::trouble::{Blame, Trouble};
use crate::metrics::{CallOutcome, Metrics};

/// How metrics call a step that Composite cannot carry.
const ALONE: &str = "sobjects";

/// The resource of the daily calls.
const LIMITS: &str = "limits";

/// How metrics call the description of an object.
const DESCRIBE: &str = "describe";

/// The resource of queries.
const QUERY: &str = "query";

/// The client, and the session that its calls share.
pub(super) struct Wire {
    pub(super) settings: SalesforceSettings,
    client: Client,
    sessions: Sessions,
    metrics: Metrics,
}

impl Wire {
    pub(super) fn new(settings: SalesforceSettings, metrics: Metrics) -> Result<Self, reqwest::Error> {
        let client = client(settings.request_timeout).build()?;
        Ok(Self { settings, client, sessions: Sessions::default(), metrics })
    }

    /// Writes what a call holds. `body` is [made](Self::body) once, however often it is sent.
    #[instrument(
        name = "salesforce.write",
        skip_all,
        fields(steps = call.steps().len(), rows = call.upserts().count(), http.status = field::Empty)
    )]
    pub(super) async fn write(
        &self,
        pass: &Pass<'_>,
        call: &Call<'_>,
        body: &Value,
    ) -> Result<Response, Trouble> {
        match call {
            Call::Composite(_) => {
                let path = self.path(composite::RESOURCE);
                self.call(pass, composite::RESOURCE, &path, |url| self.client.post(url).json(body)).await
            }
            Call::Alone(step) => {
                let path = step.url_alone(self.settings.api_version);
                self.call(pass, ALONE, &path, |url| self.client.patch(url).json(body)).await
            }
        }
    }

    /// The body of a call.
    pub(super) fn body(&self, call: &Call<'_>) -> Value {
        match call {
            Call::Composite(request) => request.body(self.settings.api_version),
            Call::Alone(step) => step.body_alone(),
        }
    }

    /// Reads the `limits` resource.
    #[instrument(name = "salesforce.limits", skip_all, fields(http.status = field::Empty))]
    pub(super) async fn limits(&self, pass: &Pass<'_>) -> Result<Response, Trouble> {
        self.call(pass, LIMITS, &self.path(LIMITS), |url| self.client.get(url)).await
    }

    /// Reads the description of an object.
    #[instrument(name = "salesforce.describe", skip_all, fields(object, http.status = field::Empty))]
    pub(super) async fn describe(&self, pass: &Pass<'_>, object: &str) -> Result<Response, Trouble> {
        let path = self.path(&format!("sobjects/{object}/describe"));
        self.call(pass, DESCRIBE, &path, |url| self.client.get(url)).await
    }

    /// Runs a query.
    #[instrument(name = "salesforce.query", skip_all, fields(http.status = field::Empty))]
    pub(super) async fn query(&self, pass: &Pass<'_>, soql: &Soql) -> Result<Response, Trouble> {
        let soql = soql.to_string();
        self.call(pass, QUERY, &self.path(QUERY), |mut url| {
            url.query_pairs_mut().append_pair("q", &soql);
            self.client.get(url)
        })
        .await
    }

    /// A call of the resource at `path`, with a session that Salesforce takes. Metrics count it as a `step`.
    async fn call(
        &self,
        pass: &Pass<'_>,
        step: &'static str,
        path: &str,
        request: impl Fn(Url) -> RequestBuilder,
    ) -> Result<Response, Trouble> {
        let session = self.session(pass, None).await?;
        let response = self.send(pass, &session, step, path, &request).await?;
        if !answer::refuses_session(&response) {
            return Ok(response);
        }
        let session = self.session(pass, Some(&session)).await?;
        self.send(pass, &session, step, path, &request).await
    }

    fn path(&self, resource: &str) -> String {
        format!("/services/data/v{}/{resource}", self.settings.api_version)
    }

    async fn session(&self, pass: &Pass<'_>, refused: Option<&Session>) -> Result<Arc<Session>, Trouble> {
        self.sessions.get(pass, refused, self.log_in()).await
    }

    async fn log_in(&self) -> Result<Grant, Trouble> {
        let counted = self.metrics.salesforce_call("login");
        let granted = login::log_in(&self.client, &self.settings).await;
        counted.ended(match &granted {
            Ok(_) => CallOutcome::Ok,
            Err(trouble) if trouble.blame == Blame::Outage => CallOutcome::NoAnswer,
            Err(_) => CallOutcome::Refused,
        });
        granted
    }

    async fn send(
        &self,
        pass: &Pass<'_>,
        session: &Session,
        step: &'static str,
        path: &str,
        request: &impl Fn(Url) -> RequestBuilder,
    ) -> Result<Response, Trouble> {
        let mut url = session.server.clone();
        url.set_path(path);
        let counted = self.metrics.salesforce_call(step);
        let call = request(url).bearer_auth(session.access_token.expose_secret());
        let read = async {
            let response = call.send().await?;
            let usage = pass.gate().quota.note(response.headers(), Instant::now());
            let retry_after = retry_after(response.headers(), clock::now());
            let status = response.status();
            let body = bounded::read(response, ANSWER_LIMIT).await?;
            Ok(Response { status, body, retry_after, usage })
        };
        let response = read.await.map_err(|error| transport::error(step, "the call", error))?;
        counted.ended(CallOutcome::from_status(response.status.as_u16()));
        Span::current().record("http.status", response.status.as_u16());
        debug!(bytes = response.body.len(), "Salesforce answered");
        Ok(response)
    }
}
