//! What operators may ask of the queue: filters, pages, and what comes back.

use chrono::{DateTime, Utc};

use super::limits;
use crate::submission::{ErrorKind, Origin, Unmapped};

/// Which failed records; the default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedFilter {
    /// Only those of this job.
    pub job_name: Option<String>,
    /// Only those that failed of this kind. Documents of the original service have none.
    pub error_kind: Option<ErrorKind>,
}

impl FailedFilter {
    /// Whether it asks for a job name that no record has: an index could not find one that is so long.
    pub(super) fn finds_nothing(&self) -> bool {
        self.job_name.as_ref().is_some_and(|name| name.len() > limits::INDEXED_TEXT)
    }
}

/// What of a record is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    All,
    /// Everything but its payload and plan.
    Summary,
}

impl Shown {
    /// Records that are read at a time: of whole ones, few enough to hold.
    pub(super) fn read_at_a_time(self) -> usize {
        match self {
            Self::All => 20,
            Self::Summary => 1_000,
        }
    }
}

/// The place of a document in a listing: the next page begins after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// What the listing is ordered by, of the last document.
    pub order: OrderedBy,
    /// The last document's id.
    pub doc_id: String,
}

/// The value that a document is ordered by. Firestore orders values of different types by their type, and the
/// original service wrote some of its times as text.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderedBy {
    /// A time.
    Time(DateTime<Utc>),
    /// A text, such as the original service's `2026-01-02 03:04:05+00:00`.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Null.
    Null,
}

/// An answer whose code no label table knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Where the forms come from.
    pub origin: Origin,
    /// The form type.
    pub job_name: String,
    /// Form path and code.
    pub answer: Unmapped,
    /// Records that had it.
    pub records: u64,
    /// When the first was processed.
    pub first_seen: DateTime<Utc>,
    /// When the last was.
    pub last_seen: DateTime<Utc>,
}
