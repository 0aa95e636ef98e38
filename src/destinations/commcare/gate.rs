//! What CommCare's answers tell its guard, and the log.

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::verdict::{Blame, Trouble};
use crate::destinations::guard::Entry;

/// CommCare answered a submission.
pub(super) fn worked(entry: &Entry<'_>) {
    if entry.worked() {
        info!("commcare.back");
    }
}

/// A submission failed for good: its retries are over.
pub(super) fn failed(entry: &Entry<'_>, now: Instant, trouble: &Trouble) {
    let reason = &trouble.text;
    match trouble.blame {
        Blame::Record => {}
        Blame::Outage => {
            if entry.unanswered(now, &format!("CommCare does not answer: {reason}")) {
                warn!(reason, "commcare.outage");
            }
        }
        Blame::Refusal => {
            if entry.refused(now, &format!("CommCare refuses this service: {reason}")) {
                error!(reason, "commcare.refused");
            }
        }
    }
}
