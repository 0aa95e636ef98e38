//! Salesforce over REST: a plan in, all of it written or none.
//!
//! `composite` decides what is sent, `answer` whether it was done, `failure` what a refusal means;
//! here they meet the wire. Upserts can be repeated without harm, so a call whose answer was lost
//! may be sent again.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret;
use tracing::{Span, debug, field, instrument, warn};

use crate::config::salesforce::{Login, SalesforceSettings};
use crate::destinations::DeliveryError;
use crate::plan::Plan;

mod answer;
mod composite;
mod failure;
mod login;
mod mask;
mod quota;
mod session;
mod soap;
mod transport;

pub use quota::ApiUsage;

use composite::Request;
use mask::Mask;
use quota::Quota;
use session::{Session, Sessions};

/// A server that does not even take the connection is not worth the whole of a call's time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Salesforce could not be built")]
pub struct SetUpError(#[source] reqwest::Error);

/// The Salesforce destination: one per process, shared by all deliveries.
pub struct Salesforce {
    settings: SalesforceSettings,
    client: Client,
    sessions: Sessions,
    quota: Quota,
}

/// An answer as it came.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Salesforce {
    /// A destination that logs in when the first plan needs it.
    pub fn new(settings: SalesforceSettings) -> Result<Self, SetUpError> {
        if matches!(settings.login, Login::Password { .. }) {
            warn!(
                "Salesforce is retiring the SOAP login() that a user name and password need: \
                 change to a connected app (SF_CLIENT_ID and SF_CLIENT_SECRET)"
            );
        }
        // Redirects are not followed: one would carry credentials to another host.
        let client = Client::builder()
            .timeout(settings.request_timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(settings.request_timeout))
            .redirect(Policy::none())
            .build()
            .map_err(SetUpError)?;
        Ok(Self { settings, client, sessions: Sessions::default(), quota: Quota::default() })
    }

    /// Writes everything that `plan` holds. A plan within Salesforce's limits is one transaction;
    /// a larger one is several, in order, and its error says how many of them were written.
    pub async fn execute(&self, plan: &Plan) -> Result<(), DeliveryError> {
        let requests = composite::requests(&plan.upserts, self.settings.api_version);
        let mask = Mask::of_plan(&plan.upserts);
        let total = requests.len();
        for (position, request) in requests.iter().enumerate() {
            self.deliver(request, &mask).await.map_err(|error| match position {
                0 => error,
                _ => DeliveryError {
                    message: format!(
                        "{} (request {} of {total}; those before it are written)",
                        error.message,
                        position + 1
                    ),
                    ..error
                },
            })?;
        }
        Ok(())
    }

    /// The org's daily calls, as the last answer told them.
    pub fn api_usage(&self) -> Option<ApiUsage> {
        self.quota.usage()
    }

    /// One request, brought to an end. The session's renewal is no retry: Salesforce did not look
    /// at the request.
    async fn deliver(&self, request: &Request<'_>, mask: &Mask) -> Result<(), DeliveryError> {
        let body = request.body();
        let session = self.sessions.get(&self.client, &self.settings, None).await?;
        let mut answer = self.post(&session, request, &body).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let session = self.sessions.get(&self.client, &self.settings, Some(&session)).await?;
            answer = self.post(&session, request, &body).await?;
        }
        if answer.status == StatusCode::OK {
            answer::inspect(request, &answer.body, mask)
        } else {
            Err(answer::refused(answer.status, &answer.body, mask))
        }
    }

    #[instrument(
        name = "salesforce.composite",
        skip_all,
        fields(subrequests = request.steps().len(), rows = request.rows(), http.status = field::Empty)
    )]
    async fn post(
        &self,
        session: &Session,
        request: &Request<'_>,
        body: &serde_json::Value,
    ) -> Result<Answer, DeliveryError> {
        let mut url = session.server.clone();
        url.set_path(&format!("/services/data/v{}/composite", self.settings.api_version));
        let token = session.access_token.expose_secret();
        let call = self.client.post(url).bearer_auth(token).json(body);
        let read = async {
            let response = call.send().await?;
            self.quota.note(response.headers());
            Ok(Answer { status: response.status(), body: response.bytes().await?.into() })
        };
        let answer = read.await.map_err(|error| transport::error(answer::REQUEST, "the call", error))?;
        Span::current().record("http.status", answer.status.as_u16());
        debug!(bytes = answer.body.len(), "Salesforce answered");
        Ok(answer)
    }
}
