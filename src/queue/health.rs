//! How the queue's own calls have gone: whether it takes writes, and whether a lease ran out because it took none.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::{Queue, QueueError};
use crate::submission::Record;

/// What the last calls told.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Whether the last write failed.
    fails_writes: AtomicBool,
    /// When a write, or the read before it, failed last: in microseconds since 1970.
    failed_at: AtomicI64,
}

impl Queue {
    /// Whether the back end answers, and takes writes: where the last one failed, another is tried.
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.store.ping().await?;
        if self.health.fails_writes.load(Ordering::Relaxed) {
            self.wrote(self.store.probe_write().await)?;
        }
        Ok(())
    }

    /// Remembers whether a write went through.
    pub(super) fn wrote<T>(&self, written: Result<T, QueueError>) -> Result<T, QueueError> {
        self.health.fails_writes.store(written.is_err(), Ordering::Relaxed);
        self.noted(written)
    }

    /// Remembers when the queue failed last.
    pub(super) fn noted<T>(&self, done: Result<T, QueueError>) -> Result<T, QueueError> {
        if done.is_err() {
            self.health.failed_at.store(self.now().timestamp_micros(), Ordering::Relaxed);
        }
        done
    }

    /// Whether the lease of a record ran out since its worker died: not where the queue failed meanwhile, so that nobody
    /// could prolong it.
    pub(super) fn worker_died(&self, record: &Record) -> bool {
        let begun = record.attempts.last().map_or(i64::MAX, |attempt| attempt.started.timestamp_micros());
        self.health.failed_at.load(Ordering::Relaxed) < begun
    }
}
