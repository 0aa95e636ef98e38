//! What CommCare's answers tell its guard, and the log.

use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::destinations::guard::Entry;
use crate::destinations::trouble::{Blame, Trouble};

/// CommCare answered a submission.
pub(super) fn worked(entry: &Entry<'_>) {
    if entry.worked() {
        info!("CommCare answers again");
    }
}

/// A submission failed for good: its retries are over.
pub(super) fn failed(entry: &Entry<'_>, now: Instant, trouble: &Trouble) {
    let reason = &trouble.error.message;
    match trouble.blame {
        Blame::Record => {}
        Blame::Outage => {
            if entry.unanswered(now, &format!("CommCare does not answer: {reason}"), trouble.retry_after) {
                warn!(reason, "CommCare does not answer");
            }
        }
        Blame::Down => {
            if entry.down(now, reason) {
                warn!(reason, "CommCare is not where it is looked for");
            }
        }
        Blame::Quota | Blame::Refusal => {
            if entry.refused(now, &format!("CommCare refuses this service: {reason}")) {
                error!(reason, "CommCare refuses this service");
            }
        }
    }
}
