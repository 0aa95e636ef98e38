//! Why a record failed, as a word.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a record failed, as a word that programs, the dashboard and the alerts decide by
/// (`docs/service.md`, section 3). The words for people are in the record's `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The payload cannot be mapped.
    Mapping,
    /// The destination refuses the record for good.
    Refused,
    /// Something that the record refers to is not in the destination yet.
    ReferenceMissing,
    /// A form that arrived later has already written the same records.
    Superseded,
    /// A row or table was locked.
    Lock,
    /// The destination gave this record no usable answer, while it took others.
    Unanswered,
    /// The destination was in trouble for longer than `OUTAGE_PATIENCE_DAYS`.
    Outage,
    /// The workers that processed the record died.
    WorkerLost,
    /// A person set the status.
    SetByHand,
}

impl Cause {
    /// All causes, in the order of their documentation.
    pub const ALL: [Self; 9] = [
        Self::Mapping,
        Self::Refused,
        Self::ReferenceMissing,
        Self::Superseded,
        Self::Lock,
        Self::Unanswered,
        Self::Outage,
        Self::WorkerLost,
        Self::SetByHand,
    ];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Refused => "refused",
            Self::ReferenceMissing => "reference_missing",
            Self::Superseded => "superseded",
            Self::Lock => "lock",
            Self::Unanswered => "unanswered",
            Self::Outage => "outage",
            Self::WorkerLost => "worker_lost",
            Self::SetByHand => "set_by_hand",
        }
    }
}
