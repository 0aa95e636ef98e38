//! Claiming as a worker does, many records at a time.

use commcare_sf_integration::queue::{Claim, ClaimResult, Exhausted, Queue, QueueError, Sweep};
use commcare_sf_integration::submission::{Origin, Role, Trigger};

/// What claiming several records came to.
#[derive(Debug, Default)]
pub(crate) struct ManyClaimed {
    pub(crate) claims: Vec<Claim>,
    pub(crate) exhausted: Vec<Exhausted>,
}

pub(crate) trait ClaimMany {
    /// Claims up to `limit` records that are `new` or whose lease ran out, oldest first.
    async fn claim_oldest(
        &self,
        origin: Origin,
        limit: usize,
        worker: &str,
        trigger: Trigger,
    ) -> Result<ManyClaimed, QueueError>;

    /// Claims up to `limit` failed records whose retry is due.
    async fn claim_due(
        &self,
        origin: Origin,
        limit: usize,
        worker: &str,
        trigger: Trigger,
    ) -> Result<ManyClaimed, QueueError>;

    /// Claims one record, whatever its status.
    async fn claim_for_retry(
        &self,
        origin: Origin,
        doc_id: &str,
        worker: &str,
        trigger: Trigger,
        role: Option<Role>,
    ) -> Result<ClaimResult, QueueError>;
}

impl ClaimMany for Queue {
    async fn claim_oldest(
        &self,
        origin: Origin,
        limit: usize,
        worker: &str,
        trigger: Trigger,
    ) -> Result<ManyClaimed, QueueError> {
        claim_all(self, Sweep::over_claimable(origin), limit, worker, trigger).await
    }

    async fn claim_due(
        &self,
        origin: Origin,
        limit: usize,
        worker: &str,
        trigger: Trigger,
    ) -> Result<ManyClaimed, QueueError> {
        claim_all(self, Sweep::over_due(origin), limit, worker, trigger).await
    }

    async fn claim_for_retry(
        &self,
        origin: Origin,
        doc_id: &str,
        worker: &str,
        trigger: Trigger,
        role: Option<Role>,
    ) -> Result<ClaimResult, QueueError> {
        match self.candidate(origin, doc_id).await? {
            Some(candidate) => self.claim(candidate, worker, trigger, role.map(Into::into).as_ref()).await,
            None => Ok(ClaimResult::Gone),
        }
    }
}

async fn claim_all(
    queue: &Queue,
    mut sweep: Sweep,
    limit: usize,
    worker: &str,
    trigger: Trigger,
) -> Result<ManyClaimed, QueueError> {
    let mut claimed = ManyClaimed::default();
    while claimed.claims.len() < limit && !sweep.is_over() {
        for candidate in queue.next_candidates(&mut sweep, limit - claimed.claims.len()).await? {
            match queue.claim(candidate, worker, trigger, None).await? {
                ClaimResult::Claimed(claim) if claimed.claims.len() < limit => claimed.claims.push(*claim),
                ClaimResult::Exhausted(exhausted) => claimed.exhausted.push(exhausted),
                ClaimResult::Claimed(_) | ClaimResult::Busy | ClaimResult::Gone => {}
            }
        }
    }
    Ok(claimed)
}
