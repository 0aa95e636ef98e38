//! Statuses that are set, rather than reached by a run: by a person, or to have a record written again.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::transition::shorten;
use crate::config::RetryPolicy;
use crate::submission::{Attempt, AttemptOutcome, Caller, Cause, NextRetry, Record, Status, Trigger};

/// Sets a free record's status by hand, with no retries counted (`docs/service.md`, section 2,
/// `bulk_update`). The history says who did so.
///
/// `failed` is due at once, whatever it failed of: auto-retry takes it. `processing` is a record whose
/// worker is gone: the next drain takes it.
pub(super) fn set_status(
    stored: &Record,
    status: Status,
    caller: &Caller,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
) -> Record {
    let mut record = stored.clone();
    if stored.status == Status::Processing {
        record.close_attempt(AttemptOutcome::Abandoned, now, None);
    }
    record.updated_at = Some(now);
    record.run_retries = 0;
    record.end_lease();
    record.expires_at = None;
    record.undecided_since = None;
    if stored.status == Status::Completed && status != Status::Completed {
        // Asked for again, all of it.
        record.delivered = BTreeSet::new();
    }
    match status {
        Status::New | Status::Processing => {
            record.forget_outcome();
            record.status = status;
        }
        Status::Completed => {
            record.forget_outcome();
            record.complete(now, policy);
            record.note = Some("its status was set by hand, with nothing done".to_owned());
        }
        Status::Failed => {
            record.status = Status::Failed;
            record.error.get_or_insert_with(|| "its status was set by hand".to_owned());
            record.cause.get_or_insert(Cause::SetByHand);
            record.next_retry_at = NextRetry::At(now);
        }
    }
    record.remember(Attempt {
        started: now,
        finished: Some(now),
        worker: caller.role.as_str().to_owned(),
        trigger: Trigger::Manual,
        role: Some(caller.role),
        by: caller.name.clone(),
        outcome: Some(AttemptOutcome::Updated),
        step: Some(format!("status: {} → {}", stored.status.as_str(), status.as_str())),
        error: None,
    });
    record
}

/// Puts a completed record back, to be written once more; `None` where it is not completed. What it has
/// written stays known meanwhile.
pub(super) fn write_again(stored: &Record, why: &str, now: DateTime<Utc>) -> Option<Record> {
    if stored.status != Status::Completed {
        return None;
    }
    let mut record = Record { status: Status::New, updated_at: Some(now), ..stored.clone() };
    record.forget_outcome();
    record.remember(Attempt {
        started: now,
        finished: Some(now),
        worker: "kept newer data".to_owned(),
        trigger: Trigger::Batch,
        role: None,
        by: None,
        outcome: Some(AttemptOutcome::Updated),
        step: Some(shorten(why)),
        error: None,
    });
    Some(record)
}
