//! What a run has delivered so far, and the rules for keeping it: `docs/service.md`, section 3.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Lease;
use super::transition::shorten;
use crate::submission::{ERRORS_LISTED, Progress, Record, Refusal, Status};

impl Record {
    pub(super) fn forget_refusals(&mut self) {
        self.refused = BTreeSet::new();
        self.refusals = Vec::new();
    }

    /// Adds what a run has come to.
    pub(super) fn add(&mut self, progress: &Progress) {
        self.delivered.extend(&progress.delivered);
        self.refused.extend(progress.refused.keys());
        self.refused.retain(|position| !self.delivered.contains(position));
        self.refusals.retain(|known| !progress.refused.contains_key(&known.position));
        self.refusals.extend(
            progress
                .refused
                .iter()
                .map(|(position, error)| Refusal { position: *position, error: shorten(error) }),
        );
        self.refusals.retain(|refusal| self.refused.contains(&refusal.position));
        self.refusals.sort_by_key(|refusal| refusal.position);
        self.refusals.truncate(ERRORS_LISTED);
    }
}

/// Adds what a run has come to so far; `None` where the record is no longer its own.
pub(super) fn add(stored: &Record, lease: &Lease, progress: &Progress, now: DateTime<Utc>) -> Option<Record> {
    let held = stored.status == Status::Processing
        && stored.lease_owner.as_deref() == Some(lease.owner.as_str())
        && stored.revision == lease.revision;
    held.then(|| {
        let mut record = Record { updated_at: Some(now), ..stored.clone() };
        record.add(progress);
        record
    })
}
