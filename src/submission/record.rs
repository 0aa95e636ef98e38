//! The record of one submission.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Attempt, AttemptOutcome, Awaits, Cause, ErrorKind, NextRetry, Status, Unmapped, lenient};

/// The note of a form that a reconciliation fetched.
pub const FETCHED: &str =
    "CommCare's forwarding did not bring this form: a reconciliation fetched it from CommCare HQ";

/// Why CommCare refused a record of a payload for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// The record's position in the payload.
    pub position: u32,
    /// Why; ids only.
    pub error: String,
}

/// One submission in the queue: the document of `docs/service.md`, section 3, without its doc id.
///
/// Absent fields stay absent, so that a document of the original service reads, and is shown,
/// as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// The payload as received. Shared, since it is the bulk of a record and never changed in
    /// place.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub data: Arc<Value>,
    /// Routing name.
    #[serde(default, deserialize_with = "lenient::blank_as_default")]
    pub job_name: String,
    /// The payload's `id`, as text; the original service wrote a number as it was.
    #[serde(default, deserialize_with = "lenient::text_or_number", skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Where the record is in its life.
    pub status: Status,
    /// Arrival of the payload now stored: the queue's order.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// The same under its documented name.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<DateTime<Utc>>,
    /// When a reconciliation fetched the form now stored, which no webhook had brought (`docs/service.md`, guarantee
    /// 12). Its `created_at` is then when CommCare received it, or when somebody edited it there.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<DateTime<Utc>>,
    /// Last change.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
    /// The first arrival, where the payload was replaced.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub first_received_at: Option<DateTime<Utc>>,
    /// Retries so far; the first processing is not one.
    #[serde(default, deserialize_with = "lenient::count")]
    pub run_retries: u32,
    /// When the last retry was claimed.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub last_retried_at: Option<DateTime<Utc>>,
    /// Last failure in words.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Last failure's kind.
    #[serde(default, deserialize_with = "lenient::word", skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<ErrorKind>,
    /// Why it failed, as a word that programs decide by; absent in older records.
    #[serde(default, deserialize_with = "lenient::known_word", skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What a dependency failure waits for, as `object/external id` (`docs/service.md`, guarantee 11).
    #[serde(default, deserialize_with = "lenient::blank_as_default", skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Since when it has met only failures that may be its destination's (`docs/service.md`, guarantee 7).
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub undecided_since: Option<DateTime<Utc>>,
    /// The step that failed.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub last_step: Option<String>,
    /// When auto-retry may take it.
    #[serde(default, skip_serializing_if = "NextRetry::is_unset")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub next_retry_at: NextRetry,
    /// Who is processing it: one claim's name, never used twice.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// Until when; absent in a `processing` document of the original service, which counts as
    /// run out.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// When a completed record may be removed; absent where it is kept. Firestore removes it by a
    /// policy on this field.
    #[serde(default, deserialize_with = "lenient::time", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Content hash of the payload, for duplicates; absent in the original's documents.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub payload_hash: Option<String>,
    /// Counts replacements of the payload.
    #[serde(default, deserialize_with = "lenient::count")]
    pub revision: u32,
    /// The last attempts, oldest first.
    #[serde(default, deserialize_with = "lenient::blank_as_default", skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Why nothing was sent.
    #[serde(default, deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether the plan was recorded instead of sent.
    #[serde(
        default,
        deserialize_with = "lenient::blank_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub dry_run: bool,
    /// The recorded plan of a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Value>,
    /// Answers whose code no label table knows.
    #[serde(default, deserialize_with = "lenient::blank_as_default", skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<Unmapped>,
    /// The records that it wrote, or would write where it failed, as `object/external id`. Those whose id is made of
    /// the submission's own are left out.
    #[serde(default, deserialize_with = "lenient::blank_as_default", skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<String>,
    /// Of a payload that is stored in parts: the position of the first record that this one holds,
    /// counted from 1 in the payload as it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_position: Option<u32>,
    /// Salesforce → CommCare: positions that CommCare has taken, so that a retry sends the rest alone.
    #[serde(
        default,
        deserialize_with = "lenient::blank_as_default",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub delivered: BTreeSet<u32>,
    /// Positions that CommCare has refused for good: a manual retry alone sends them again.
    #[serde(
        default,
        deserialize_with = "lenient::blank_as_default",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub refused: BTreeSet<u32>,
    /// Why, for the first of them.
    #[serde(default, deserialize_with = "lenient::blank_as_default", skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
}

impl Record {
    /// Whether its effects are in its destination: it has completed once, and not as a dry run. A status that a person
    /// has set says nothing.
    pub fn has_completed(&self) -> bool {
        let completed = |attempt: &Attempt| attempt.outcome == Some(AttemptOutcome::Completed);
        !self.dry_run && self.attempts.iter().any(completed)
    }

    /// Whether its last run may have reached its destination without anybody knowing: it goes on, its worker died, or the
    /// answer was none. What a person has to decide is not waited for.
    pub fn may_have_written(&self) -> bool {
        use AttemptOutcome::{Abandoned, Completed, Failed, Released, Replaced, Undecided, Updated};
        let mut runs =
            self.attempts.iter().rev().filter(|run| !matches!(run.outcome, Some(Released | Updated)));
        let is_open = match runs.next().map(|run| run.outcome) {
            Some(None | Some(Abandoned | Undecided)) => true,
            Some(Some(Failed)) => self.error_kind == Some(ErrorKind::Transient),
            Some(Some(Completed | Released | Replaced | Updated)) | None => false,
        };
        is_open && self.awaits() != Some(Awaits::Person)
    }

    /// What the next run of a failed record waits for; `None` where it has not failed.
    pub fn awaits(&self) -> Option<Awaits> {
        let awaits = match (self.next_retry_at, self.error_kind) {
            (NextRetry::Never, _) => Awaits::Person,
            (_, Some(ErrorKind::Dependency)) => Awaits::Reference,
            (NextRetry::Unset | NextRetry::At(_), _) => Awaits::Retry,
        };
        (self.status == Status::Failed).then_some(awaits)
    }

    /// When the payload now stored arrived; the same whenever it is asked.
    pub fn arrived(&self) -> DateTime<Utc> {
        self.created_at.or(self.timestamp).unwrap_or_default()
    }

    /// When this service got the payload now stored.
    pub fn came_in(&self) -> DateTime<Utc> {
        self.fetched_at.unwrap_or_else(|| self.arrived())
    }
}
