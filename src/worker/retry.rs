//! Records that somebody asks for by id, whatever their status and retry count.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::future::join_all;
use tracing::error;

use super::asked::Order;
use super::drain::Drain;
use super::{OVER, QUEUE_AWAY, READ_PER_SLOT, REMOVED, RunEnd, Worker};
use crate::destinations::Admission;
use crate::jobs;
use crate::queue::{Candidate, Named, QueueError};
use crate::submission::{Caller, Destination, Origin, Trigger};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks.
    pub caller: Caller,
    /// Whether to overwrite what later forms have written (`docs/service.md`, guarantee 10).
    pub force: bool,
}

/// What a retry did with one record.
#[derive(Debug, Clone)]
pub struct Retried {
    /// The document.
    pub doc_id: String,
    /// How it ended.
    pub end: RunEnd,
}

/// A record to be run.
struct Target {
    doc_id: String,
    /// Where it goes; one that goes nowhere fails by itself.
    destination: Option<Destination>,
}

impl Worker {
    /// Runs the records of each of these ids again, in the order of their arrival where they touch the
    /// same records and side by side where not. An id without records has no results.
    pub async fn retry(
        &self,
        origin: Origin,
        ids: &[String],
        asked: Asked,
    ) -> Result<Vec<(String, Vec<Retried>)>, QueueError> {
        let order = Order { trigger: Trigger::Manual, caller: Some(asked.caller), force: asked.force };
        let drain = Drain::new(self.clone(), origin, self.deadline(origin), order);
        let named = self.queue.named(origin, ids).await?;
        let (ends, stopped) = Box::pin(self.run_again(drain, origin, targets(origin, &named))).await?;
        let not_started = || RunEnd::NotStarted(stopped.clone().unwrap_or_else(|| OVER.to_owned()));
        let retried = |Named { doc_id, .. }| {
            let end = ends.get(&doc_id).cloned().unwrap_or_else(not_started);
            Retried { doc_id, end }
        };
        Ok(named.into_iter().map(|(id, named)| (id, named.into_iter().map(retried).collect())).collect())
    }

    /// How each record ended that the drain came to; and why it came to no others, where the queue or a destination is to
    /// blame.
    async fn run_again(
        &self,
        mut drain: Drain,
        origin: Origin,
        mut waiting: VecDeque<Target>,
    ) -> Result<(HashMap<String, RunEnd>, Option<String>), QueueError> {
        let settings = self.lane(origin).settings;
        let at_a_time = settings.read_at_a_time.min(READ_PER_SLOT * settings.concurrency);
        let destinations: HashSet<Destination> =
            waiting.iter().filter_map(|target| target.destination).collect();
        for destination in &destinations {
            self.destinations.drain_begins(*destination);
        }
        let (mut ends, mut stopped) = (HashMap::new(), None);
        while !waiting.is_empty() && !drain.is_over() {
            let mut admissions = HashMap::new();
            for destination in &destinations {
                admissions.insert(*destination, self.destinations.admission(*destination).await);
            }
            let round = admitted(&mut waiting, &admissions, at_a_time, &mut ends);
            let candidates = self.candidates(origin, round, &mut ends).await;
            match candidates {
                Ok(candidates) => Box::pin(drain.run_batch(candidates)).await,
                // What was done before is reported; with nothing done, the trouble is the answer.
                Err(error) if drain.is_untouched() => return Err(error),
                Err(error) => {
                    error!(
                        error = &error as &dyn std::error::Error,
                        "records could not be read; the retry ends"
                    );
                    stopped = Some(QUEUE_AWAY.to_owned());
                    break;
                }
            };
        }
        let report = Box::pin(drain.finish()).await;
        let stopped = stopped.or_else(|| report.stopped.as_ref().map(|stopped| stopped.reason.clone()));
        ends.extend(report.ends());
        Ok((ends, stopped))
    }

    /// A round's records. Those that are gone, or in work, have ended.
    async fn candidates(
        &self,
        origin: Origin,
        round: Vec<Target>,
        ends: &mut HashMap<String, RunEnd>,
    ) -> Result<Vec<Candidate>, QueueError> {
        let reads = round.into_iter().map(async |target| {
            let read = self.queue.candidate(origin, &target.doc_id).await;
            (target.doc_id, read)
        });
        let mut candidates = Vec::new();
        for (doc_id, read) in join_all(reads).await {
            if let Err(QueueError::Unreadable(unreadable)) = &read {
                ends.insert(doc_id, RunEnd::Failed(format!("it cannot be read: {}", unreadable.error)));
                continue;
            }
            match read? {
                None => {
                    ends.insert(doc_id, RunEnd::Failed(REMOVED.to_owned()));
                }
                Some(candidate) if !candidate.record().is_free(self.queue.now()) => {
                    ends.insert(doc_id, RunEnd::Processing);
                }
                Some(candidate) => candidates.push(candidate),
            }
        }
        Ok(candidates)
    }
}

/// Each document once, oldest first.
fn targets(origin: Origin, named: &[(String, Vec<Named>)]) -> VecDeque<Target> {
    let mut named: Vec<&Named> = named.iter().flat_map(|(_, named)| named).collect();
    named.sort_by(|a, b| (a.arrived, &a.doc_id).cmp(&(b.arrived, &b.doc_id)));
    named.dedup_by(|a, b| a.doc_id == b.doc_id);
    let target = |named: &Named| Target {
        doc_id: named.doc_id.clone(),
        destination: jobs::find(origin, &named.job_name).map(|job| job.destination),
    };
    named.into_iter().map(target).collect()
}

/// Takes the next records whose destinations take them: of one that was in trouble a single record, which
/// tests the way back; those of one that takes none are not started.
fn admitted(
    waiting: &mut VecDeque<Target>,
    admissions: &HashMap<Destination, Admission>,
    at_a_time: usize,
    ends: &mut HashMap<String, RunEnd>,
) -> Vec<Target> {
    let mut round = Vec::new();
    let mut probed = HashSet::new();
    for target in std::mem::take(waiting) {
        let admission = target.destination.and_then(|destination| admissions.get(&destination));
        match admission {
            Some(Admission::Paused { reason }) => {
                ends.insert(target.doc_id, RunEnd::NotStarted(reason.clone()));
            }
            _ if round.len() == at_a_time => waiting.push_back(target),
            Some(Admission::Probing) if !probed.insert(target.destination) => waiting.push_back(target),
            Some(Admission::Available | Admission::Probing) | None => round.push(target),
        }
    }
    round
}
