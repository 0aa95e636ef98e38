//! Records as a back end reads them, and the changes that it makes to them.

use chrono::{DateTime, Utc};

use super::question::Place;
use super::unreadable::Unreadable;
use crate::submission::{Origin, Record};

/// Identifies one state of one document: any change gives another. SQLite counts changes,
/// Firestore gives its update time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(pub(super) i64);

/// A record as it was read.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) origin: Origin,
    pub(super) doc_id: String,
    pub(super) record: Record,
    pub(super) version: Version,
}

/// A document, or why it cannot be read.
pub(super) type Read = Result<Stored, Unreadable>;

/// Routing names that a listing is confined to; of all jobs without any.
pub(super) type Jobs<'j> = Option<&'j [&'static str]>;

/// Part of a listing, and where the rest of it begins; `None` where this is all.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) found: Vec<Read>,
    pub(super) next: Option<Place>,
}

/// The latest documents that have written something, or would write it.
#[derive(Debug)]
pub(super) struct Writers {
    /// The last first.
    pub(super) found: Vec<Read>,
    /// The time by which they are ordered, of the oldest one; `None` where there are no others.
    pub(super) oldest: Option<DateTime<Utc>>,
}

/// What a document did after a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    Arrived(DateTime<Utc>),
    Changed(DateTime<Utc>),
}

impl Since {
    /// When a document did it.
    pub(super) fn of(self, record: &Record) -> DateTime<Utc> {
        match self {
            Self::Arrived(_) => record.arrived(),
            Self::Changed(_) => record.updated_at.unwrap_or_default(),
        }
    }

    /// The field that tells, and the time.
    pub(super) fn field(self) -> (&'static str, DateTime<Utc>) {
        match self {
            Self::Arrived(time) => ("created_at", time),
            Self::Changed(time) => ("updated_at", time),
        }
    }
}

/// One of several changes that happen together.
#[derive(Debug)]
pub(super) enum Change {
    /// A document that must not exist yet. It arrives now, by the clock of the back end where that has one.
    Insert(String, Box<Record>),
    /// A document that must still be what was read.
    Swap {
        stored: Box<Stored>,
        record: Box<Record>,
        /// Whether a new payload arrives with it.
        arrives: bool,
    },
}

impl Change {
    /// The document that it changes.
    pub(super) fn doc_id(&self) -> &str {
        match self {
            Self::Insert(doc_id, _) => doc_id,
            Self::Swap { stored, .. } => &stored.doc_id,
        }
    }
}
