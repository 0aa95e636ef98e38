//! The calls themselves: a session, the request, the answer as it came.
//!
//! A session that Salesforce refuses is renewed once within the call. That is no retry: Salesforce
//! did not look at the request.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Span, debug, field, instrument};
use url::Url;

use super::answer;
use super::composite::Request;
use super::gate::Pass;
use super::query::Soql;
use super::quota::ApiUsage;
use super::session::{Session, Sessions};
use super::transport;
use super::trouble::Trouble;
use crate::clock;
use crate::config::salesforce::SalesforceSettings;
use crate::destinations::retry;
use crate::metrics::{CallOutcome, Metrics};

/// A server that does not even take the connection is not worth the whole of a call's time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The step that an error names when the quota could not be read.
const LIMITS: &str = "limits";

/// The resource of queries.
const QUERY: &str = "query";

/// The client, and the session that its calls share.
pub(super) struct Wire {
    pub(super) settings: SalesforceSettings,
    pub(super) client: Client,
    sessions: Sessions,
    pub(super) metrics: Metrics,
}

/// An answer as it came.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    /// How long Salesforce asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The daily calls, as the headers tell them.
    pub(super) usage: Option<ApiUsage>,
}

impl Wire {
    pub(super) fn new(settings: SalesforceSettings, metrics: Metrics) -> Result<Self, reqwest::Error> {
        // Redirects are not followed: one would carry credentials to another host.
        let client = Client::builder()
            .timeout(settings.request_timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(settings.request_timeout))
            .redirect(Policy::none())
            .build()?;
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
    ) -> Result<Answer, Trouble> {
        self.call(pass, answer::REQUEST, |url| self.client.post(url).json(body)).await
    }

    /// Reads the `limits` resource.
    #[instrument(name = "salesforce.limits", skip_all, fields(http.status = field::Empty))]
    pub(super) async fn limits(&self, pass: &Pass<'_>) -> Result<Answer, Trouble> {
        self.call(pass, LIMITS, |url| self.client.get(url)).await
    }

    /// Runs a query.
    #[instrument(name = "salesforce.query", skip_all, fields(http.status = field::Empty))]
    pub(super) async fn query(&self, pass: &Pass<'_>, soql: &Soql) -> Result<Answer, Trouble> {
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
    ) -> Result<Answer, Trouble> {
        let session = self.session(pass, None).await?;
        let answer = self.send(pass, &session, step, &request).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let session = self.session(pass, Some(&session)).await?;
        self.send(pass, &session, step, &request).await
    }

    async fn session(&self, pass: &Pass<'_>, refused: Option<&Session>) -> Result<Arc<Session>, Trouble> {
        self.sessions.get(self, pass, refused).await
    }

    async fn send(
        &self,
        pass: &Pass<'_>,
        session: &Session,
        step: &'static str,
        request: &impl Fn(Url) -> RequestBuilder,
    ) -> Result<Answer, Trouble> {
        let mut url = session.server.clone();
        url.set_path(&format!("/services/data/v{}/{step}", self.settings.api_version));
        let counted = self.metrics.salesforce_call(step);
        let call = request(url).bearer_auth(session.access_token.expose_secret());
        let read = async {
            let response = call.send().await?;
            let usage = pass.gate().quota.note(response.headers(), Instant::now());
            let retry_after = retry::retry_after(response.headers(), clock::now());
            let status = response.status();
            Ok(Answer { status, body: response.bytes().await?.into(), retry_after, usage })
        };
        let answer = read.await.map_err(|error| transport::error(step, "the call", error))?;
        counted.ended(CallOutcome::of_status(answer.status.as_u16()));
        Span::current().record("http.status", answer.status.as_u16());
        debug!(bytes = answer.body.len(), "Salesforce answered");
        Ok(answer)
    }
}
