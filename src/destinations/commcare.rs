//! CommCare HQ's form receiver: a plan's documents in, each submitted on its own.
//!
//! `answer` reads what HQ says, `failure` says what that means, `gate` tells the guard, which decides whether HQ is
//! called at all, and `pace` bounds how many submissions are under way over the whole process. A document is the
//! same bytes whenever it is sent, and HQ drops a repeat, so a submission whose answer was lost is sent again
//! (`docs/mappings/salesforce-to-commcare.md`, sections 4 and 7).

use std::collections::HashMap;
use std::fmt;

use futures::StreamExt;
use futures::stream;
use tokio::time::{Instant, timeout_at};

use crate::config::commcare::CommCareSettings;
use crate::destinations::breaker::Admission;
use crate::destinations::delivery::{DeliveryError, Failure, Suspicion, Tally};
use crate::destinations::guard::{Entry, Guard};
use crate::destinations::trouble::{Blame, Trouble};
use crate::plan::{Document, Plan, case_key, list_errors};
use crate::retry::{Retries, RetryTimes};

mod answer;
mod failure;
pub mod forms;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod pace;
mod page;
mod quoted;
mod response;
mod rights;
mod wire;

use failure::SubmissionError;
use pace::{Pace, Slot};
use wire::Wire;

/// The step that an error names.
const SUBMISSION: &str = "submission";

/// Tries that one submission is worth: as many as a Salesforce request.
const TRIES: u32 = 4;

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for CommCare could not be built")]
pub struct SetUpError(#[source] reqwest::Error);

/// The CommCare destination: one per process, shared by all deliveries.
pub struct CommCare {
    wire: Wire,
    guard: Guard,
    pace: Pace,
}

/// Why a document was not taken.
enum NotTaken {
    Failed(SubmissionError),
    /// CommCare was found to be in trouble before the document's turn came.
    NotTried,
    /// The time for tries was over before this one ended.
    TooLate,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::NotTried | Self::TooLate => f.write_str("it was not tried"),
        }
    }
}

/// How one document's submission ended.
type Submitted = Result<(), NotTaken>;

/// A document whose submission has ended.
struct Ended<'d> {
    document: &'d Document,
    submitted: Submitted,
    at: Instant,
}

impl CommCare {
    /// A destination that connects when the first document needs it.
    pub fn new(settings: CommCareSettings) -> Result<Self, SetUpError> {
        let pace = Pace::new(settings.concurrency, settings.retry_delay);
        Ok(Self { wire: Wire::new(settings).map_err(SetUpError)?, guard: Guard::new(), pace })
    }

    /// What work would meet now, without asking anyone.
    pub fn admission(&self) -> Admission {
        self.guard.view(Instant::now())
    }

    /// Says that a drain begins: after an outage it tries again at once, with one record (`docs/service.md`,
    /// guarantee 7). The pause after a refusal stands.
    pub fn drain_begins(&self) {
        self.guard.hasten(Instant::now());
    }

    /// Submits every document of `plan`. `tally` notes what became of each as soon as that is known. One document's
    /// failure stops no other; the error lists all failures, and the records that the mapping refused.
    pub async fn execute(
        &self,
        plan: &Plan,
        tally: &Tally,
        suspicion: Suspicion,
    ) -> Result<(), DeliveryError> {
        let entry = self.guard.enter(Instant::now(), suspicion)?;
        let chains = chains(plan.documents());
        let mut ended = Vec::with_capacity(plan.documents().len());
        // A probe goes alone.
        let alone = usize::from(entry.is_probe()).min(chains.len());
        for chain in &chains[..alone] {
            ended.extend(self.submit_in_order(&entry, chain, tally).await);
        }
        let others = stream::iter(alone..chains.len());
        let mut submissions = others
            .map(|chain| self.submit_in_order(&entry, &chains[chain], tally))
            .buffer_unordered(self.wire.settings.concurrency);
        while let Some(chain) = submissions.next().await {
            ended.extend(chain);
        }
        drop(submissions);
        conclude(plan, ended)
    }

    /// Documents of one case, one after the other.
    async fn submit_in_order<'d>(
        &self,
        entry: &Entry<'_>,
        chain: &[&'d Document],
        tally: &Tally,
    ) -> Vec<Ended<'d>> {
        let mut ended = Vec::with_capacity(chain.len());
        for &document in chain {
            let submitted = self.submit(entry, document).await;
            match &submitted {
                Ok(()) => tally.accepted(document.position),
                Err(NotTaken::Failed(SubmissionError { trouble, .. }))
                    if trouble.error.failure == Failure::Permanent =>
                {
                    tally.refused(document.position, &of_record(document, trouble));
                }
                Err(NotTaken::Failed(_) | NotTaken::NotTried | NotTaken::TooLate) => {}
            }
            ended.push(Ended { document, submitted, at: Instant::now() });
        }
        ended
    }

    /// One document, brought to an end. The time of retries begins with the first slot, however long that took.
    async fn submit(&self, entry: &Entry<'_>, document: &Document) -> Submitted {
        let CommCareSettings { request_timeout, retry_budget, retry_delay, .. } = self.wire.settings;
        let mut slot = Some(self.pace.enter().await);
        let started = Instant::now();
        let deadline = started + retry_budget.max(request_timeout);
        let attempt = || self.submit_once(entry, document, slot.take(), deadline);
        let mut last = None;
        let may_pass = |end: &NotTaken| match end {
            NotTaken::Failed(error) => {
                last = Some(error.clone());
                let may_retry = entry.may_retry(Instant::now(), error.trouble.error.failure);
                error.trouble.may_pass().filter(|_| may_retry)
            }
            NotTaken::NotTried | NotTaken::TooLate => None,
        };
        let times = RetryTimes { tries: TRIES, budget: retry_budget, first_wait: retry_delay };
        let ended = Retries::new(started, times).run(attempt, may_pass).await;
        // The last answer says why; that there was no time for another one says nothing.
        let no_answer = || SubmissionError::no_answer("no answer in time");
        let ended = match ended {
            Err(NotTaken::TooLate) => Err(NotTaken::Failed(last.unwrap_or_else(no_answer))),
            ended => ended,
        };
        if let Err(NotTaken::Failed(error)) = &ended {
            gate::failed(entry, Instant::now(), &error.trouble);
        }
        ended
    }

    /// One try, in the slot that is there already or in the next one.
    async fn submit_once(
        &self,
        entry: &Entry<'_>,
        document: &Document,
        slot: Option<Slot<'_>>,
        deadline: Instant,
    ) -> Submitted {
        let _slot = match slot {
            Some(slot) => slot,
            None => timeout_at(deadline, self.pace.enter()).await.map_err(|_| NotTaken::TooLate)?,
        };
        if !entry.may_go_on(Instant::now()) {
            return Err(NotTaken::NotTried);
        }
        let submitted =
            timeout_at(deadline, self.wire.submit(document)).await.map_err(|_| NotTaken::TooLate)?;
        self.observe(entry, submitted.as_ref());
        submitted.map_err(NotTaken::Failed)
    }

    /// Tells guard and pace how a try ended.
    fn observe(&self, entry: &Entry<'_>, submitted: Result<&(), &SubmissionError>) {
        match submitted {
            Ok(()) => {
                gate::worked(entry);
                self.pace.went_well();
            }
            Err(SubmissionError { trouble, slows, .. }) => {
                if *slows {
                    self.pace.slow_down(Instant::now(), trouble.retry_after);
                }
                if trouble.blame == Blame::Record {
                    gate::worked(entry);
                }
            }
        }
    }
}

/// What became of a document, with the record that it is about.
fn of_record(document: &Document, trouble: &Trouble) -> String {
    format!("record {} ({}): {}", document.position, document.case_id, trouble.error.message)
}

/// The documents by case, in order within each, so that two records of one case do not race.
fn chains(documents: &[Document]) -> Vec<Vec<&Document>> {
    let mut chains: Vec<Vec<&Document>> = Vec::with_capacity(documents.len());
    let mut of_case = HashMap::with_capacity(documents.len());
    for document in documents {
        let chain = *of_case.entry(document.case_id.as_str()).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[chain].push(document);
    }
    chains
}

/// What the ends of all submissions come to (`docs/service.md`, guarantees 6 and 7): the destination's own trouble, else
/// the first of unclear, transient, dependency and permanent. A failure that may be CommCare's is the document's own where
/// CommCare has taken another document since.
fn conclude(plan: &Plan, ended: Vec<Ended<'_>>) -> Result<(), DeliveryError> {
    let taken = ended.iter().filter(|end| end.submitted.is_ok());
    let last_taken = taken.map(|end| end.at).max();
    let mut not_tried = 0;
    let mut missing = Vec::new();
    let mut failures: Vec<(u32, Failure, String)> = plan
        .refused
        .iter()
        .map(|refused| (refused.position, Failure::Permanent, refused.error.clone()))
        .collect();
    for Ended { document, submitted, at } in ended {
        let trouble = match submitted {
            Ok(()) => continue,
            Err(NotTaken::NotTried | NotTaken::TooLate) => {
                not_tried += 1;
                continue;
            }
            Err(NotTaken::Failed(SubmissionError { trouble, .. })) => trouble,
        };
        // Another document that was taken proves the address whenever that was, and anything else only afterwards.
        let is_its_own = last_taken.is_some_and(|taken| taken > at || trouble.blame == Blame::Down);
        let failure = match trouble.error.failure {
            Failure::Unavailable => return Err(trouble.error),
            Failure::Unclear if is_its_own => Failure::Transient,
            failure => failure,
        };
        if failure == Failure::Dependency {
            missing.extend(document.parent_id.as_deref().map(case_key));
        }
        failures.push((document.position, failure, of_record(document, &trouble)));
    }
    failures.sort_by_key(|(position, ..)| *position);
    let untried = format!("{not_tried} records were not tried, since CommCare is in trouble");
    let listed = list_errors(failures.iter().map(|(_, _, text)| text.as_str()));
    let message = match (failures.is_empty(), not_tried) {
        (_, 0) => listed,
        (true, _) => untried,
        (false, _) => format!("{listed}; {untried}"),
    };
    let has = |kind| failures.iter().any(|(_, failure, _)| *failure == kind);
    let order = [Failure::Unclear, Failure::Transient, Failure::Dependency, Failure::Permanent];
    // Records that were not sent met none of the trouble.
    let first = if not_tried > 0 && !has(Failure::Unclear) {
        Some(Failure::Unavailable)
    } else {
        order.into_iter().find(|kind| has(*kind))
    };
    first.map_or(Ok(()), |failure| {
        Err(DeliveryError { missing, ..DeliveryError::new(failure, SUBMISSION, message) })
    })
}
