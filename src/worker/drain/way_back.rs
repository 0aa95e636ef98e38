//! Whose trouble a drain meets, a record's or its destination's, and the way back after it (`docs/service.md`, guarantee
//! 7).

use tracing::warn;

use super::super::verdict;
use super::super::{Worker, order};
use super::{Drain, Upcoming, run, suspects};
use crate::destinations::Admission;
use crate::plan::Plan;
use crate::queue::{Candidate, QueueError, Sweep};
use crate::submission::{Awaits, Destination, Status, Trigger};

/// Records whose failures are remembered that one drain reads, at most.
const REMEMBERED_READ: usize = 10;

impl Drain {
    /// One record that tests the way back to a destination: another one than the last time, as long as there is one that
    /// has not failed so already; from one end of the queue and the other in turn.
    pub(in crate::worker) async fn probe(
        &self,
        destination: Destination,
        sweep: &Sweep,
    ) -> Result<Vec<Candidate>, QueueError> {
        let mut candidates = self.worker.queue.probe_candidates(sweep).await?;
        candidates.retain(|candidate| self.would_tell(destination, candidate));
        if self.worker.evidence.next_probe_is_oldest(destination) {
            candidates.reverse();
        }
        // A stable sort: those that never failed so stay in front, then the one that did so longest ago.
        candidates.sort_by_key(|candidate| verdict::suspected_since(candidate.record()));
        candidates.truncate(1);
        Ok(candidates)
    }

    /// Whether a record would reach the destination.
    fn would_tell(&self, destination: Destination, candidate: &Candidate) -> bool {
        run::plan(&self.worker, candidate)
            .is_ok_and(|(of, plan)| of == destination && plan.note.is_none() && !self.is_held_up(&plan))
    }

    /// Runs a record that tests the way back to a destination.
    pub(in crate::worker) async fn run_probe(
        &mut self,
        destination: Destination,
        probe: Vec<Candidate>,
    ) -> usize {
        self.is_probing = true;
        let done = Box::pin(self.run_batch(probe)).await;
        self.is_probing = false;
        if self.is_paused(destination) {
            self.away.insert(destination);
        }
        done
    }

    /// Tries a destination with another record where this drain has made it pause: a few records that it chokes on must
    /// not hold up the others. Those that were set aside follow where it takes records again.
    pub(in crate::worker) async fn look_again(&mut self, destination: Destination, sweep: &Sweep) {
        let in_doubt = self.open_of(destination) > 0;
        if in_doubt && self.is_paused(destination) && !self.away.contains(&destination) {
            self.worker.destinations.drain_begins(destination);
            self.stops.lift(destination);
            match self.probe(destination, sweep).await {
                Ok(probe) if !self.is_paused(destination) => {
                    self.run_probe(destination, probe).await;
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "no record could be read to test the way back"
                    );
                }
            }
        }
        if self.worker.destinations.known_admission(destination) == Admission::Available {
            self.stops.lift(destination);
            let set_aside = self.set_aside.remove(&destination).unwrap_or_default();
            self.next.extend(set_aside.into_iter().map(Upcoming::from));
        }
        let open = &self.open;
        let open_of = |of: Destination| open.iter().filter(|open| open.destination == of).count();
        self.next.extend(self.suspects.release(open_of).into_iter().map(Upcoming::from));
    }

    /// Runs failed records again that got no usable answer, where the destination has taken another one since: it is then
    /// known whose trouble that is.
    pub(in crate::worker) async fn try_remembered_of(&mut self, destinations: &[Destination]) {
        for destination in destinations {
            if let Err(error) = self.try_remembered(*destination).await {
                warn!(error = &error as &dyn std::error::Error, "failed records could not be read");
            }
        }
    }

    async fn try_remembered(&mut self, destination: Destination) -> Result<(), QueueError> {
        let Worker { evidence, queue, .. } = self.worker.clone();
        if self.is_over() || self.is_paused(destination) || !evidence.has_witness(destination) {
            return Ok(());
        }
        let room = suspects::AT_A_TIME.saturating_sub(self.open_of(destination));
        let mut due = Vec::new();
        for doc_id in evidence.remembered(destination, REMEMBERED_READ) {
            let candidate = match queue.candidate(self.origin, &doc_id).await {
                // The oldest are read: one that is never run again would stand before all others.
                Err(QueueError::Unreadable(_)) => None,
                candidate => candidate?,
            };
            match candidate {
                // So would one that waits for a person.
                Some(candidate) if candidate.record().awaits() == Some(Awaits::Person) => {
                    evidence.forget(destination, &doc_id);
                }
                Some(candidate) if candidate.record().status == Status::Failed => due.push(candidate),
                Some(candidate) if candidate.record().status != Status::Completed => {}
                Some(_) | None => {
                    evidence.forget(destination, &doc_id);
                }
            }
        }
        due.retain(|candidate| candidate.record().next_retry_at.is_due(queue.now()));
        due.truncate(room);
        Box::pin(self.run_batch(due)).await;
        Ok(())
    }

    /// Open verdicts of a destination.
    pub(super) fn open_of(&self, destination: Destination) -> usize {
        self.open.iter().filter(|open| open.destination == destination).count()
    }

    /// Whether a form before it that touches the same records has not been written.
    pub(super) fn is_held_up(&self, plan: &Plan) -> bool {
        order::touches(plan, &self.unwritten) || self.suspects.hold_up(plan)
    }

    pub(super) fn is_paused(&self, destination: Destination) -> bool {
        matches!(self.worker.destinations.known_admission(destination), Admission::Paused { .. })
    }

    /// Whether another suspect may begin. A probe may, and what a person asks for.
    pub(super) fn may_begin(&self, destination: Destination) -> bool {
        self.is_probing
            || self.order.trigger == Trigger::Manual
            || self.suspects.may_begin(destination, self.open_of(destination))
    }
}
