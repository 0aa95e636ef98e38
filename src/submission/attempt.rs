//! A record's processing history.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What made a worker take a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The scheduler's drain of new records.
    Batch,
    /// The scheduler's retry of due failures.
    AutoRetry,
    /// An operator's retry.
    Manual,
    /// The webhook's own try, inside its request.
    Inline,
    /// A reconciliation, which fetched the form: not a run.
    Reconcile,
}

impl Trigger {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::AutoRetry => "auto-retry",
            Self::Manual => "manual",
            Self::Inline => "inline",
            Self::Reconcile => "reconcile",
        }
    }
}

/// Who asked for what a person has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Somebody with the operator's credential.
    Operator,
    /// Anybody: the service asks for no credential.
    Anyone,
}

impl Role {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Anyone => "anyone",
        }
    }
}

/// A person who asks for something that changes records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What gives the right to do so.
    pub role: Role,
    /// The name that `OPERATOR_TOKEN` has for the token that was sent; `None` where it has none.
    pub name: Option<Arc<str>>,
}

impl From<Role> for Caller {
    fn from(role: Role) -> Self {
        Self { role, name: None }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// The record completed.
    Completed,
    /// The record failed; the attempt's `error` says why.
    Failed,
    /// The run failed, and that may be the destination's trouble: the record was put back uncounted.
    Undecided,
    /// The record was put back untouched.
    Released,
    /// The worker disappeared: its lease ran out.
    Abandoned,
    /// An edited form replaced the payload meanwhile.
    Replaced,
    /// Not a run. An operator set the status (`role` is set), or the service requeued or fetched the record (`role` is
    /// empty).
    Updated,
}

impl AttemptOutcome {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Undecided => "undecided",
            Self::Released => "released",
            Self::Abandoned => "abandoned",
            Self::Replaced => "replaced",
            Self::Updated => "updated",
        }
    }
}

/// One entry of a record's processing history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// When the worker claimed the record.
    pub started: DateTime<Utc>,
    /// When the attempt ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<DateTime<Utc>>,
    /// The lease owner.
    pub worker: String,
    /// What made the worker take it.
    pub trigger: Trigger,
    /// Who asked for it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Their name, where `OPERATOR_TOKEN` gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub by: Option<Arc<str>>,
    /// How it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AttemptOutcome>,
    /// The step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
