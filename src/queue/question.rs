//! What operators may ask of the queue: filters, pages, and what comes back.

use chrono::{DateTime, Utc};

use super::{groups, limits};
use crate::submission::{Awaits, Cause, ErrorKind, Origin, Record, Unmapped};

/// Which failed records; the default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedFilter {
    /// Only those of this job.
    pub job_name: Option<String>,
    /// Only those that failed of this kind. Documents of the original service have none.
    pub error_kind: Option<ErrorKind>,
    /// Only those with this cause. Older documents have none.
    pub cause: Option<Cause>,
    /// Only those that changed at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those that changed before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those whose error has this text, in any case.
    pub text: Option<String>,
    /// Only those of one group: its [`Group::key`](groups::Group::key).
    pub group: Option<String>,
    /// Only those that wait for this.
    pub awaits: Option<Awaits>,
}

impl FailedFilter {
    /// Whether it asks for what no record has: a job name that is too long for an index, or another kind that waits for
    /// a reference.
    pub(super) fn finds_nothing(&self) -> bool {
        let another = self.error_kind.is_some_and(|kind| kind != ErrorKind::Dependency);
        self.job_name.as_ref().is_some_and(|name| name.len() > limits::INDEXED_TEXT)
            || (another && self.awaits == Some(Awaits::Reference))
    }

    /// Whether it asks for what no index knows: then each record is looked at.
    pub(super) fn looks_at_each(&self) -> bool {
        self.text.is_some() || self.group.is_some()
    }

    /// Whether a record passes the part of the filter that no index knows.
    pub(super) fn takes(&self, doc_id: &str, record: &Record) -> bool {
        let error = record.error.as_deref().unwrap_or_default();
        let has_text =
            self.text.as_ref().is_none_or(|text| error.to_lowercase().contains(&text.to_lowercase()));
        let awaits = self.awaits.is_none_or(|awaits| record.awaits() == Some(awaits));
        awaits && has_text && self.group.as_ref().is_none_or(|key| *key == groups::key(doc_id, record))
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
    /// A document that has it: the last one.
    pub example: Option<String>,
    /// Whether an operator has marked it as known.
    pub known: bool,
}
