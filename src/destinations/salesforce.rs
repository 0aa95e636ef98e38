//! Salesforce over REST: a plan in, all of it written or none.
//!
//! `calls` decides what is sent, `answer` whether it was done, `failure` what a refusal means, `gate` whether Salesforce
//! is called at all, [`retry`](crate::retry) whether it is called again, `sizes` how many rows the org bears at a
//! time; here they meet the wire. Upserts can be repeated without harm, so a call whose answer was lost is sent again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::config::salesforce::{Login, SalesforceSettings};
use crate::destinations::breaker::Admission;
use crate::destinations::delivery::{DeliveryError, Failure, Suspicion};
use crate::destinations::mask::Mask;
use crate::destinations::trouble::{Blame, Trouble};
use crate::metrics::Metrics;
use crate::plan::{Plan, Upsert};
use crate::retry::{Retries, RetryTimes};

mod answer;
mod calls;
mod composite;
mod describe;
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
mod sizes;
mod soap;
mod soql;
mod step;
mod transport;
mod wire;

pub use describe::{FieldDescription, ObjectDescription, PicklistValue, RecordTypeInfo};
pub use quota::ApiUsage;
pub use soql::Soql;

use answer::{NotDone, Remedy};
use calls::Call;
use gate::{Gate, Pass};
use quota::Room;
use sizes::Sizes;
use wire::Wire;

/// Tries that one request is worth. jsforce makes up to six, Salto three, and the queue's own retries do what these
/// don't catch.
const TRIES: u32 = 4;

/// Salesforce's code for an address that it does not have (REST API guide, Status Codes and Error Responses).
const RESOURCE_NOT_FOUND: &str = "NOT_FOUND";

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Salesforce could not be built")]
pub struct SetUpError(#[source] reqwest::Error);

/// The Salesforce destination: one per process, shared by all deliveries.
pub struct Salesforce {
    wire: Wire,
    gate: Gate,
    sizes: Sizes,
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
        let sizes = Sizes::new(settings.collection_size);
        Ok(Self { wire: Wire::new(settings, metrics).map_err(SetUpError)?, gate, sizes })
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

    /// Writes everything that `plan` holds. A plan within Salesforce's limits is one transaction; a larger one, and
    /// one with a text that Composite would misread, is several, in order, and the error says how many of them were
    /// written.
    pub async fn execute(&self, plan: &Plan, suspicion: Suspicion) -> Result<(), DeliveryError> {
        let started = Instant::now();
        let mut left = self.calls(&plan.upserts().iter().collect::<Vec<_>>());
        if left.is_empty() {
            return Ok(());
        }
        if let Some(reason) = self.gate.quota.pause() {
            return Err(DeliveryError::paused(reason));
        }
        let pass = self.gate.enter(started, suspicion)?;
        let mask = Mask::from_upserts(plan.upserts());
        let mut written = 0;
        while let Some(call) = left.pop_front() {
            match self.deliver(&pass, &call, &mask, started).await {
                Ok(()) => written += 1,
                Err(NotDone { remedy: Some(remedy), .. }) => left = self.other_calls(remedy, &call, &left),
                Err(NotDone { trouble, remedy: None }) => {
                    pass.failed(Instant::now(), &trouble);
                    let mut error = trouble.error;
                    if written > 0 {
                        let (position, total) = (written + 1, written + 1 + left.len());
                        let place = format!(" (request {position} of {total}; those before it are written)");
                        error.message.push_str(&place);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The calls that write `upserts`.
    fn calls<'p>(&self, upserts: &[&'p Upsert]) -> VecDeque<Call<'p>> {
        let now = Instant::now();
        calls::calls(upserts, |object| self.sizes.most(object, now)).into()
    }

    /// The calls that write what `failed` did not, and what is `left`.
    fn other_calls<'p>(
        &self,
        remedy: Remedy,
        failed: &Call<'p>,
        left: &VecDeque<Call<'p>>,
    ) -> VecDeque<Call<'p>> {
        let rest: Vec<&Upsert> = left.iter().flat_map(Call::upserts).collect();
        match remedy {
            Remedy::SmallerCollections { object, rows } => {
                self.sizes.too_much(object, rows, Instant::now());
                self.calls(&failed.upserts().chain(rest).collect::<Vec<_>>())
            }
            Remedy::WithoutComposite => failed.alone().into_iter().chain(self.calls(&rest)).collect(),
        }
    }

    /// One call, brought to an end. All calls of a delivery share the time that retries may take; the first call of
    /// all may take its whole time.
    async fn deliver(
        &self,
        pass: &Pass<'_>,
        call: &Call<'_>,
        mask: &Mask<'_>,
        started: Instant,
    ) -> Result<(), NotDone> {
        let body = self.wire.body(call);
        let SalesforceSettings { request_timeout, retry_budget, retry_delay, .. } = self.wire.settings;
        let deadline = started + retry_budget.max(request_timeout);
        let was_cut = AtomicBool::new(false);
        let attempt = || async {
            let answered = async {
                let response = self.wire.write(pass, call, &body).await?;
                answer::read(call, &response, mask)
            };
            let ended = timeout_at(deadline, answered).await.unwrap_or_else(|_| {
                was_cut.store(true, Ordering::Relaxed);
                let why = "the call of Salesforce failed: no answer in time".to_owned();
                Err(Trouble::outage(composite::RESOURCE, why).into())
            });
            if ended.as_ref().err().is_none_or(|end| end.trouble.blame == Blame::Record) {
                pass.worked();
            }
            ended
        };
        let times = RetryTimes { tries: TRIES, budget: retry_budget, first_wait: retry_delay };
        let mut last = None;
        let may_pass = |end: &NotDone| {
            if !was_cut.load(Ordering::Relaxed) {
                last = Some(Trouble::clone(&end.trouble));
            }
            let passes = end.remedy.is_none() && pass.may_retry(Instant::now(), end.trouble.error.failure);
            end.trouble.may_pass().filter(|_| passes)
        };
        let ended = Retries::new(started, times).run(attempt, may_pass).await;
        // The last answer says why; that there was no time for another one says nothing.
        match last {
            Some(trouble) if ended.is_err() && was_cut.into_inner() => Err(trouble.into()),
            _ => ended,
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
        let (code, _) = answer::code_of_request(&response.body);
        let trouble = answer::refused(&response, &Mask::default(), failure::of_request);
        // Reading limits takes a permission that writing records does not.
        let may_not_read = response.status == StatusCode::FORBIDDEN && !code.is_empty();
        let is_known = trouble.error.failure != Failure::Unclear;
        if may_not_read && !is_known { Ok(response.usage) } else { Err(trouble) }
    }
}
