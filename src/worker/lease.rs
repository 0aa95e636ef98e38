//! Keeps the leases of a drain's claims alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::queue::{Claim, Lease, Queue};

type Leases = Arc<Mutex<HashMap<String, Lease>>>;

/// Renews until it is dropped.
pub(super) struct Renewal {
    leases: Leases,
    task: JoinHandle<()>,
}

impl Renewal {
    /// Renews three times in each lease's life.
    pub(super) fn start(queue: &Queue, lease: Duration) -> Self {
        let leases = Leases::default();
        let task = tokio::spawn(renew(queue.clone(), Arc::clone(&leases), lease / 3));
        Self { leases, task }
    }

    /// Keeps the lease of a claim alive from now on.
    pub(super) fn add(&self, claim: &Claim) {
        let lease = (claim.doc_id().to_owned(), claim.lease());
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).extend([lease]);
    }

    /// Leaves a record's lease alone from now on: its run is over.
    pub(super) fn forget(&self, doc_id: &str) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(doc_id);
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn renew(queue: Queue, leases: Leases, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let held: Vec<Lease> =
            leases.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for renewed in futures::future::join_all(held.iter().map(|lease| queue.renew(lease))).await {
            match renewed {
                Ok(true) => {}
                // Its outcome will not be written: the queue fences it.
                Ok(false) => warn!("worker.lease_lost"),
                Err(error) => {
                    error!(error = &error as &dyn std::error::Error, "worker.lease_not_renewed");
                }
            }
        }
    }
}
