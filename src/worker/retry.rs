//! Records that somebody asks for by id, whatever their status and retry count.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::future::join_all;
use tracing::error;

use super::drain::Drain;
use super::{CLAIMED_PER_SLOT, End, OVER, Worker};
use crate::destinations::Admission;
use crate::jobs;
use crate::queue::{Claim, Named, QueueError};
use crate::submission::{Destination, Origin, Role, Trigger};

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Who asks.
    pub role: Role,
    /// Whether to overwrite what later forms have written (`docs/service.md`, guarantee 10).
    pub force: bool,
}

/// What a retry did with one record.
#[derive(Debug, Clone)]
pub struct Retried {
    /// The document.
    pub doc_id: String,
    /// How it ended.
    pub end: End,
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
        let drain = Drain::new(self.clone(), origin, self.deadline(origin), asked.force);
        let named = self.queue.named(origin, ids).await?;
        let (ends, stopped) = self.run_again(drain, origin, targets(origin, &named), asked.role).await?;
        let not_started = || End::NotStarted(stopped.clone().unwrap_or_else(|| OVER.to_owned()));
        let retried = |Named { doc_id, .. }| {
            let end = ends.get(&doc_id).cloned().unwrap_or_else(not_started);
            Retried { doc_id, end }
        };
        Ok(named.into_iter().map(|(id, named)| (id, named.into_iter().map(retried).collect())).collect())
    }

    /// How each record that was begun ended, or why it could not; and why others were not begun, where a
    /// destination is to blame.
    async fn run_again(
        &self,
        mut drain: Drain,
        origin: Origin,
        mut waiting: VecDeque<Target>,
        role: Role,
    ) -> Result<(HashMap<String, End>, Option<String>), QueueError> {
        let settings = self.lane(origin).settings;
        let at_a_time = settings.claimed_at_a_time.min(CLAIMED_PER_SLOT * settings.concurrency);
        let destinations: HashSet<Destination> =
            waiting.iter().filter_map(|target| target.destination).collect();
        for destination in &destinations {
            self.destinations.drain_begins(*destination);
        }
        let mut ends = HashMap::new();
        while !waiting.is_empty() && !drain.is_over() {
            let mut admissions = HashMap::new();
            for destination in &destinations {
                admissions.insert(*destination, self.destinations.admission(*destination).await);
            }
            let round = admitted(&mut waiting, &admissions, at_a_time, &mut ends);
            let claims = self.claim_all(origin, round, role, &mut ends).await;
            match claims {
                Ok(claims) => drain.run_batch(claims).await,
                // What was done before is reported; with nothing done, the trouble is the answer.
                Err(error) if drain.is_untouched() => return Err(error),
                Err(error) => {
                    error!(error = &error as &dyn std::error::Error, "worker.claim_failed");
                    break;
                }
            };
        }
        let report = drain.finish().await;
        let stopped = report.stopped.as_ref().map(|stopped| stopped.reason.clone());
        ends.extend(report.ends());
        Ok((ends, stopped))
    }

    /// Claims a round's records. Those that cannot be run have ended.
    async fn claim_all(
        &self,
        origin: Origin,
        round: Vec<Target>,
        role: Role,
        ends: &mut HashMap<String, End>,
    ) -> Result<Vec<Claim>, QueueError> {
        let tries = round.into_iter().map(async |target| {
            let claimed = self.claim_for_retry(origin, &target.doc_id, Trigger::Manual, Some(role)).await;
            (target.doc_id, claimed)
        });
        let mut claims = Vec::new();
        let mut failure = None;
        for (doc_id, claimed) in join_all(tries).await {
            match claimed {
                Ok(Ok(claim)) => claims.push(claim),
                Ok(Err(end)) => {
                    ends.insert(doc_id, end);
                }
                Err(error) => {
                    ends.insert(doc_id, End::NotStarted("the queue did not answer".to_owned()));
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if claims.is_empty() => Err(error),
            // What is claimed already must be worked on: nobody else may take it now.
            Some(error) => {
                error!(error = &error as &dyn std::error::Error, "worker.claim_failed");
                Ok(claims)
            }
            None => Ok(claims),
        }
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
    ends: &mut HashMap<String, End>,
) -> Vec<Target> {
    let mut round = Vec::new();
    let mut probed = HashSet::new();
    for target in std::mem::take(waiting) {
        let admission = target.destination.and_then(|destination| admissions.get(&destination));
        match admission {
            Some(Admission::Paused { reason }) => {
                ends.insert(target.doc_id, End::NotStarted(reason.clone()));
            }
            _ if round.len() == at_a_time => waiting.push_back(target),
            Some(Admission::Probing) if !probed.insert(target.destination) => waiting.push_back(target),
            Some(Admission::Available | Admission::Probing) | None => round.push(target),
        }
    }
    round
}
