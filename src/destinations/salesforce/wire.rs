//! The calls themselves: a session, the request, the answer as it came.
//!
//! A session that Salesforce refuses is renewed once within the call. That is no retry: Salesforce did not look
//! at the request.

use std::sync::Arc;

use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Span, debug, field, instrument};
use url::Url;

use super::composite::{self, Request};
use super::gate::Pass;
use super::login::{self, Grant};
use super::response::Response;
use super::session::{Session, Sessions};
use super::soql::Soql;
use super::transport;
use crate::clock;
use crate::config::salesforce::SalesforceSettings;
use crate::destinations::transport::{client, retry_after};
use crate::destinations::trouble::{Blame, Trouble};
use crate::metrics::{CallOutcome, Metrics};

/// The resource of the daily calls.
const LIMITS: &str = "limits";

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

    /// Posts a Composite request.
    #[instrument(
        name = "salesforce.composite",
        skip_all,
        fields(subrequests = request.steps().len(), rows = request.rows(), http.status = field::Empty)
    )]
    pub(super) async fn composite(
        &self,
        pass: &Pass<'_>,
        request: &Request<'_>,
        body: &Value,
    ) -> Result<Response, Trouble> {
        self.call(pass, composite::RESOURCE, |url| self.client.post(url).json(body)).await
    }

    /// Reads the `limits` resource.
    #[instrument(name = "salesforce.limits", skip_all, fields(http.status = field::Empty))]
    pub(super) async fn limits(&self, pass: &Pass<'_>) -> Result<Response, Trouble> {
        self.call(pass, LIMITS, |url| self.client.get(url)).await
    }

    /// Runs a query.
    #[instrument(name = "salesforce.query", skip_all, fields(http.status = field::Empty))]
    pub(super) async fn query(&self, pass: &Pass<'_>, soql: &Soql) -> Result<Response, Trouble> {
        let soql = soql.to_string();
        self.call(pass, QUERY, |mut url| {
            url.query_pairs_mut().append_pair("q", &soql);
            self.client.get(url)
        })
        .await
    }

    /// A call of the resource that `step` names, with a session that Salesforce takes.
    async fn call(
        &self,
        pass: &Pass<'_>,
        step: &'static str,
        request: impl Fn(Url) -> RequestBuilder,
    ) -> Result<Response, Trouble> {
        let session = self.session(pass, None).await?;
        let response = self.send(pass, &session, step, &request).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let session = self.session(pass, Some(&session)).await?;
        self.send(pass, &session, step, &request).await
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
        request: &impl Fn(Url) -> RequestBuilder,
    ) -> Result<Response, Trouble> {
        let mut url = session.server.clone();
        url.set_path(&format!("/services/data/v{}/{step}", self.settings.api_version));
        let counted = self.metrics.salesforce_call(step);
        let call = request(url).bearer_auth(session.access_token.expose_secret());
        let read = async {
            let response = call.send().await?;
            let usage = pass.gate().quota.note(response.headers(), Instant::now());
            let retry_after = retry_after(response.headers(), clock::now());
            let status = response.status();
            Ok(Response { status, body: response.bytes().await?.into(), retry_after, usage })
        };
        let response = read.await.map_err(|error| transport::error(step, "the call", error))?;
        counted.ended(CallOutcome::from_status(response.status.as_u16()));
        Span::current().record("http.status", response.status.as_u16());
        debug!(bytes = response.body.len(), "Salesforce answered");
        Ok(response)
    }
}
