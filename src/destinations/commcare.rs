//! CommCare HQ's form receiver: a plan's documents in, each submitted on its own.
//!
//! `answer` reads what HQ says, `verdict` what that means, `gate` what it tells about whether HQ is
//! called at all, `pace` how many submissions are under way at a time over the whole process. A
//! document is the same bytes whenever it is sent, and HQ drops a repeat, so a submission whose answer
//! was lost is sent again (`docs/mappings/salesforce-to-commcare.md`, sections 4 and 7).

use std::collections::HashMap;

use futures::StreamExt;
use futures::stream;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use crate::config::commcare::CommCareSettings;
use crate::destinations::guard::{Entry, Guard};
use crate::destinations::retry::{Retries, RetryTimes};
use crate::destinations::{Admission, DeliveryError, Failure, Tally};
use crate::plan::{Document, Plan, list_errors};

mod answer;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod pace;
mod verdict;
mod wire;

use pace::Pace;
use verdict::{Blame, Trouble};
use wire::Wire;

/// The step that an error names.
const SUBMISSION: &str = "submission";

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

/// How one document's submission ended.
enum Ended {
    Accepted,
    Failed(Trouble),
    /// CommCare was found to be in trouble before its turn came.
    NotTried,
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

    /// Submits every document of `plan`, and notes in `tally` what became of each as soon as it is
    /// known. One document's failure stops no other; the error lists them all, those included that
    /// the mapping refused.
    pub async fn execute(&self, plan: &Plan, tally: &Tally) -> Result<(), DeliveryError> {
        let entry = self.guard.enter(Instant::now())?;
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
        conclude(plan, ended, entry.is_outage_probe())
    }

    /// Documents of one case, one after the other.
    async fn submit_in_order<'d>(
        &self,
        entry: &Entry<'_>,
        chain: &[&'d Document],
        tally: &Tally,
    ) -> Vec<(&'d Document, Ended)> {
        let mut ended = Vec::with_capacity(chain.len());
        for &document in chain {
            let end = self.submit(entry, document).await;
            match &end {
                Ended::Accepted => tally.accepted(document.position),
                Ended::Failed(trouble) if trouble.failure == Failure::Permanent => {
                    tally.refused(document.position, &trouble.of_record(document));
                }
                Ended::Failed(_) | Ended::NotTried => {}
            }
            ended.push((document, end));
        }
        ended
    }

    /// One document, brought to an end: the one place that retries.
    async fn submit(&self, entry: &Entry<'_>, document: &Document) -> Ended {
        let mut retries = None;
        loop {
            let slot = self.pace.enter().await;
            let now = Instant::now();
            if !entry.may_go_on(now) {
                return Ended::NotTried;
            }
            let retries = retries.get_or_insert_with(|| Retries::new(now, self.retry_times()));
            let submission = timeout_at(retries.deadline(), self.wire.submit(document)).await;
            let trouble = match submission.unwrap_or_else(|_| Err(Trouble::no_answer("no answer in time"))) {
                Ok(()) => {
                    gate::worked(entry);
                    self.pace.went_well();
                    return Ended::Accepted;
                }
                Err(trouble) => trouble,
            };
            let now = Instant::now();
            if trouble.slows {
                self.pace.slow_down(now, trouble.retry_after);
            }
            drop(slot);
            if trouble.blame == Blame::Record {
                gate::worked(entry);
            }
            let wait = retries.next_wait(now, trouble.retry_after, rand::random());
            let Some(wait) = wait.filter(|_| trouble.may_pass) else {
                gate::failed(entry, now, &trouble);
                return Ended::Failed(trouble);
            };
            debug!(position = document.position, wait_ms = wait.as_millis(), "commcare.retry");
            sleep(wait).await;
        }
    }

    fn retry_times(&self) -> RetryTimes {
        let settings = &self.wire.settings;
        RetryTimes {
            call: settings.request_timeout,
            budget: settings.retry_budget,
            delay: settings.retry_delay,
        }
    }
}

/// The documents by case, each case's in their order, so that two records of one case do not race.
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

/// What the ends of all submissions come to (`docs/service.md`, guarantee 6): the destination's own
/// trouble, else the first of transient, dependency and permanent.
fn conclude(plan: &Plan, ended: Vec<(&Document, Ended)>, is_outage_probe: bool) -> Result<(), DeliveryError> {
    let error = |failure, message| DeliveryError { failure, step: SUBMISSION.to_owned(), message };
    let (mut nothing_went, mut not_tried) = (true, 0);
    let mut failures: Vec<(u32, Failure, String)> = plan
        .refused
        .iter()
        .map(|refused| (refused.position, Failure::Permanent, refused.error.clone()))
        .collect();
    for (document, end) in ended {
        match end {
            Ended::Accepted => nothing_went = false,
            Ended::NotTried => not_tried += 1,
            Ended::Failed(trouble) if trouble.failure == Failure::Unavailable => {
                return Err(error(Failure::Unavailable, trouble.text));
            }
            Ended::Failed(trouble) => {
                nothing_went &= trouble.blame == Blame::Outage;
                failures.push((document.position, trouble.failure, trouble.of_record(document)));
            }
        }
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
    let failure = if is_outage_probe && nothing_went && has(Failure::Transient) {
        // An outage is not held against the record that probes it,
        Failure::Unavailable
    } else if has(Failure::Transient) {
        Failure::Transient
    } else if not_tried > 0 {
        // nor against one that met none of it.
        Failure::Unavailable
    } else if has(Failure::Dependency) {
        Failure::Dependency
    } else if has(Failure::Permanent) {
        Failure::Permanent
    } else {
        return Ok(());
    };
    Err(error(failure, message))
}
