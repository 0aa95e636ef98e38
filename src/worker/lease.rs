//! Keeps the leases of a drain's claims alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::queue::{Claim, Lease, Queue};

/// The leases that are kept alive, by document. A record that is claimed again has another one.
type Leases = Arc<Mutex<HashMap<String, Arc<Lease>>>>;

/// Renews until it is dropped.
pub(super) struct Renewal {
    leases: Leases,
    task: JoinHandle<()>,
}

impl Renewal {
    /// Renews three times in each lease's life.
    pub(super) fn start(queue: &Queue, length: Duration) -> Self {
        let leases = Leases::default();
        let task = tokio::spawn(renew(queue.clone(), Arc::clone(&leases), length));
        Self { leases, task }
    }

    /// Keeps the lease of a claim alive from now on.
    pub(super) fn add(&self, claim: &Claim) {
        lock(&self.leases).insert(claim.doc_id().to_owned(), Arc::new(claim.lease()));
    }

    /// Leaves a record's lease alone from now on: its outcome is about to be written.
    pub(super) fn forget(&self, doc_id: &str) {
        lock(&self.leases).remove(doc_id);
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(leases: &Leases) -> MutexGuard<'_, HashMap<String, Arc<Lease>>> {
    leases.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn renew(queue: Queue, leases: Leases, length: Duration) {
    loop {
        tokio::time::sleep(length / 3).await;
        let held: Vec<(String, Arc<Lease>)> =
            lock(&leases).iter().map(|(doc_id, lease)| (doc_id.clone(), Arc::clone(lease))).collect();
        let renewals = held.iter().map(|(_, lease)| queue.renew(lease));
        for ((doc_id, lease), renewed) in held.iter().zip(futures::future::join_all(renewals).await) {
            // A record whose outcome is written meanwhile needs this lease no more, though it may have another by now.
            if !lock(&leases).get(doc_id).is_some_and(|kept| Arc::ptr_eq(kept, lease)) {
                continue;
            }
            match renewed {
                Ok(true) => {}
                Ok(false) => warn!(doc_id, "lease of a record was lost"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    error!(doc_id, error, "lease of a record could not be renewed");
                }
            }
        }
    }
}
