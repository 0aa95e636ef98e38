//! Salesforce over REST: a plan in, all of it written or none.
//!
//! `composite` decides what is sent, `answer` whether it was done, `failure` what a refusal means, `gate` whether
//! Salesforce is called at all, [`retry`](crate::retry) whether it is called again; here they meet the wire.
//! Upserts can be repeated without harm, so a call whose answer was lost is sent again.

use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::config::salesforce::{Login, SalesforceSettings};
use crate::destinations::breaker::Admission;
use crate::destinations::delivery::{DeliveryError, Failure, Suspicion};
use crate::destinations::mask::Mask;
use crate::destinations::trouble::{Blame, Trouble};
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::retry::{Retries, RetryTimes};

mod answer;
mod composite;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod jwt;
mod login;
mod query;
mod quota;
mod response;
mod session;
mod soap;
mod soql;
mod transport;
mod wire;

pub use quota::ApiUsage;
pub use soql::Soql;

use composite::Request;
use gate::{Gate, Pass};
use quota::Room;
use wire::Wire;

/// Tries that one request is worth. jsforce makes up to six, Salto three, and the queue's own retries do what these
/// don't catch.
const TRIES: u32 = 4;

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Salesforce could not be built")]
pub struct SetUpError(#[source] reqwest::Error);

/// The Salesforce destination: one per process, shared by all deliveries.
pub struct Salesforce {
    wire: Wire,
    gate: Gate,
}

/// How Salesforce is doing, as far as is known without asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The org's daily calls, as the last answer told them.
    pub api_usage: Option<ApiUsage>,
    /// What work would meet now. Below the quota's reserve this says paused until
    /// [`Salesforce::admission`] has asked whether there is room again.
    pub admission: Admission,
}

impl Salesforce {
    /// A destination that logs in when the first plan needs it.
    pub fn new(settings: SalesforceSettings, metrics: Metrics) -> Result<Self, SetUpError> {
        if matches!(settings.login, Login::Password { .. }) {
            warn!(
                "Salesforce retires the SOAP login() that a user name and password need in 2027 \
                 (Summer '27): change to an external client app (SF_CLIENT_ID with SF_PRIVATE_KEY \
                 or SF_CLIENT_SECRET)"
            );
        }
        let gate = Gate::new(settings.api_reserve_percent);
        Ok(Self { wire: Wire::new(settings, metrics).map_err(SetUpError)?, gate })
    }

    /// Whether there is a point in claiming records now; to be asked before each batch. Below the quota's reserve
    /// this, and nothing else, asks Salesforce whether there is room again.
    pub async fn admission(&self) -> Admission {
        let now = Instant::now();
        if let paused @ Admission::Paused { .. } = self.gate.view_breakers(now) {
            return paused;
        }
        match self.gate.quota.room(now) {
            Room::Enough => self.gate.view(now),
            Room::TooLittle(reason) => Admission::Paused { reason },
            Room::Ask => self.ask_for_room().await,
        }
    }

    /// Says that a drain begins: after an outage it tries again at once, with one record, and below
    /// the quota's reserve it asks once (`docs/service.md`, guarantee 7). A refused login keeps its pause.
    pub fn drain_begins(&self) {
        self.gate.hasten(Instant::now());
    }

    /// What is known without asking anyone.
    pub fn health(&self) -> Health {
        Health { api_usage: self.gate.quota.usage(), admission: self.gate.view(Instant::now()) }
    }

    /// Writes everything that `plan` holds. A plan within Salesforce's limits is one transaction;
    /// a larger one is several, in order, and its error says how many of them were written.
    pub async fn execute(&self, plan: &Plan, suspicion: Suspicion) -> Result<(), DeliveryError> {
        let requests = composite::requests(plan.upserts(), self.wire.settings.api_version);
        if requests.is_empty() {
            return Ok(());
        }
        if let Some(reason) = self.gate.quota.pause() {
            return Err(DeliveryError::paused(reason));
        }
        let pass = self.gate.enter(Instant::now(), suspicion)?;
        let mask = Mask::from_upserts(plan.upserts());
        let (total, started) = (requests.len(), Instant::now());
        for (position, request) in requests.iter().enumerate() {
            self.deliver(&pass, request, &mask, started).await.map_err(|error| match position {
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

    /// One request, brought to an end. All requests of a delivery share the time that retries may take; the first
    /// call of all may take its whole time.
    async fn deliver(
        &self,
        pass: &Pass<'_>,
        request: &Request<'_>,
        mask: &Mask,
        started: Instant,
    ) -> Result<(), DeliveryError> {
        let body = request.body();
        let SalesforceSettings { request_timeout, retry_budget, retry_delay, .. } = self.wire.settings;
        let deadline = started + retry_budget.max(request_timeout);
        let attempt = || async {
            let answered = async {
                let response = self.wire.composite(pass, request, &body).await?;
                answer::read(request, &response, mask)
            };
            let ended = timeout_at(deadline, answered).await.unwrap_or_else(|_| {
                let why = "the call of Salesforce failed: no answer in time".to_owned();
                Err(Trouble::outage(composite::RESOURCE, why))
            });
            if ended.as_ref().err().is_none_or(|trouble| trouble.blame == Blame::Record) {
                pass.worked();
            }
            ended
        };
        let times = RetryTimes { tries: TRIES, budget: retry_budget, first_wait: retry_delay };
        let may_pass = |trouble: &Trouble| trouble.may_pass().filter(|_| pass.may_retry(Instant::now()));
        match Retries::new(started, times).run(attempt, may_pass).await {
            Ok(()) => Ok(()),
            Err(trouble) => {
                pass.failed(Instant::now(), &trouble);
                Err(trouble.into_error())
            }
        }
    }

    /// Asks the `limits` resource whether there is room again, once.
    async fn ask_for_room(&self) -> Admission {
        let pass = match self.gate.enter(Instant::now(), Suspicion::None) {
            Ok(pass) => pass,
            Err(error) => return Admission::Paused { reason: error.message },
        };
        match self.limits(&pass).await {
            Ok(usage) => {
                pass.worked();
                self.gate.quota.learn(usage);
                match self.gate.view(Instant::now()) {
                    Admission::Available if usage.is_none() => Admission::Probing,
                    view => view,
                }
            }
            Err(trouble) => {
                pass.failed(Instant::now(), &trouble);
                Admission::Paused { reason: trouble.error.message }
            }
        }
    }

    /// The daily calls by the `limits` resource; `None` where Salesforce answers without them.
    async fn limits(&self, pass: &Pass<'_>) -> Result<Option<ApiUsage>, Trouble> {
        let response = self.wire.limits(pass).await?;
        if response.status.is_success() {
            return Ok(quota::of_limits(&response.body).or(response.usage));
        }
        let trouble = answer::refused(&response, &Mask::default());
        // Reading limits takes a permission that writing records does not.
        if trouble.error.failure == Failure::Permanent { Ok(response.usage) } else { Err(trouble) }
    }
}
