//! Records as a back end reads them, and the changes that it makes to them.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::question::Place;
use super::unreadable::Unreadable;
use crate::submission::{Origin, Record, id_text};

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

impl Stored {
    /// Whether it is of the payload with this id. The original service's documents may lack it beside the payload.
    pub(super) fn has_id(&self, id: &str) -> bool {
        let in_payload = || self.record.data.get("id").and_then(id_text).is_some_and(|own| own == id);
        self.record.job_id.as_ref().map_or_else(in_payload, |own| own == id)
    }
}

/// A document, or why it cannot be read.
pub(super) type Read = Result<Stored, Unreadable>;

/// The document of a read.
pub(super) fn id_of(read: &Read) -> &str {
    read.as_ref().map_or_else(|unreadable| &unreadable.doc_id, |stored| &stored.doc_id)
}

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

/// A payload that arrives as JSON text. Its record's `data` then holds only the members that tell editions apart: a
/// payload in many parts would take several times the memory as values.
pub(super) type Text = Option<Arc<str>>;

/// One of several changes that happen together.
#[derive(Debug)]
pub(super) enum Change {
    /// A document that must not exist yet. It arrives now, by the clock of the back end where that has one.
    Insert { doc_id: String, record: Box<Record>, text: Text },
    /// A document that must still be what was read. Another payload takes the place of its own.
    Replace {
        stored: Box<Stored>,
        record: Box<Record>,
        text: Text,
        /// Whether it arrives now, by the clock of the back end where that has one.
        arrives: bool,
    },
}

impl Change {
    /// The document that it changes.
    pub(super) fn doc_id(&self) -> &str {
        match self {
            Self::Insert { doc_id, .. } => doc_id,
            Self::Replace { stored, .. } => &stored.doc_id,
        }
    }
}
