//! Keeps the leases of a drain's claims alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::queue::{Claim, Lease, Queue};

#[derive(Clone, Default)]
struct Leases(Arc<Mutex<HashMap<String, Held>>>);

/// A lease, and when it ends unless it is renewed.
struct Held {
    lease: Lease,
    ends: Instant,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews until it is dropped.
pub(super) struct Renewal {
    leases: Leases,
    length: Duration,
    task: JoinHandle<()>,
}

impl Renewal {
    /// Renews three times in each lease's life.
    pub(super) fn start(queue: &Queue, length: Duration) -> Self {
        let leases = Leases::default();
        let task = tokio::spawn(renew(queue.clone(), leases.clone(), length));
        Self { leases, length, task }
    }

    /// Keeps the lease of a claim alive from now on.
    pub(super) fn add(&self, claim: &Claim) {
        let held = Held { lease: claim.lease(), ends: Instant::now() + self.length };
        self.leases.lock().insert(claim.doc_id().to_owned(), held);
    }

    /// Whether a claim's lease still runs. Where it ran out (the queue did not answer, or the machine
    /// stood still), another worker may have the record.
    pub(super) fn holds(&self, doc_id: &str) -> bool {
        self.leases.lock().get(doc_id).is_some_and(|held| Instant::now() < held.ends)
    }

    /// Leaves a record's lease alone from now on: its run is over.
    pub(super) fn forget(&self, doc_id: &str) {
        self.leases.lock().remove(doc_id);
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn renew(queue: Queue, leases: Leases, length: Duration) {
    loop {
        tokio::time::sleep(length / 3).await;
        let held: Vec<(String, Lease)> =
            leases.lock().iter().map(|(doc_id, held)| (doc_id.clone(), held.lease.clone())).collect();
        let asked = Instant::now();
        let renewals = held.iter().map(|(_, lease)| queue.renew(lease));
        for ((doc_id, _), renewed) in held.iter().zip(futures::future::join_all(renewals).await) {
            // Gone meanwhile: its run has ended, and with it the lease.
            let mut leases = leases.lock();
            let Some(held) = leases.get_mut(doc_id) else { continue };
            match renewed {
                Ok(true) => held.ends = asked + length,
                Ok(false) => {
                    held.ends = asked;
                    warn!(doc_id, "worker.lease_lost");
                }
                Err(error) => {
                    error!(doc_id, error = &error as &dyn std::error::Error, "worker.lease_not_renewed");
                }
            }
        }
    }
}
