//! What a drain tells of its work.

use std::collections::HashMap;

use crate::submission::{Destination, Status};

/// What a drain did.
#[derive(Debug, Default)]
pub struct DrainReport {
    /// Documents that completed.
    pub completed: Vec<String>,
    /// Documents that failed, and why.
    pub failed: Vec<(String, String)>,
    /// Documents that were put back: the status that they have now, and why.
    pub released: Vec<(String, Status, String)>,
    /// Documents that it came to and that did not run: another worker has them, or why else.
    pub(super) not_run: Vec<(String, RunEnd)>,
    /// Why the drain stopped before its end.
    pub stopped: Option<Stopped>,
}

impl DrainReport {
    /// How it ended with each document that it came to.
    pub(super) fn ends(self) -> HashMap<String, RunEnd> {
        let stopped = self.stopped.map(|stopped| stopped.reason);
        let completed = self.completed.into_iter().map(|doc_id| (doc_id, RunEnd::Completed));
        let failed = self.failed.into_iter().map(|(doc_id, error)| (doc_id, RunEnd::Failed(error)));
        let released = self.released.into_iter().map(|(doc_id, status, reason)| {
            (doc_id, RunEnd::PutBack(status, stopped.clone().unwrap_or(reason)))
        });
        self.not_run.into_iter().chain(completed).chain(failed).chain(released).collect()
    }
}

/// A destination that could not take more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Which.
    pub destination: Destination,
    /// Why, in words.
    pub reason: String,
}

/// How one record's run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// Its effect is done, or there was none to have.
    Completed,
    /// It failed, for this reason.
    Failed(String),
    /// It was put back, for this reason: to `new`, or to `failed` where it was that before.
    PutBack(Status, String),
    /// Another worker has it.
    Processing,
    /// It was not tried, for this reason.
    NotStarted(String),
}
