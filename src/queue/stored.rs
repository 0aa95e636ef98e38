//! Records as a back end reads them, and the changes that it makes to them.

use chrono::{DateTime, Utc};

use super::question::Place;
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

/// A stored document that cannot be read as a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The document.
    pub doc_id: String,
    /// The field that is wrong, as a path: `attempts[2].started`.
    pub field: String,
    /// What is wrong; never a value of the document.
    pub error: String,
}

impl Unreadable {
    pub(super) fn new(doc_id: &str, field: &str, error: &str) -> Self {
        Self { doc_id: doc_id.to_owned(), field: field.to_owned(), error: format!("{field}: {error}") }
    }

    /// A document whose fields are no record's. The decoder's own text is left out where it may quote a value.
    pub(super) fn from_decoding(doc_id: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let missing = error.inner().to_string();
        match missing.strip_prefix("missing field `").and_then(|text| text.split('`').next()) {
            Some(field) => Self::new(doc_id, field, "missing"),
            None => Self::new(doc_id, &path, "not what this field holds"),
        }
    }
}

/// A document, or why it cannot be read.
pub(super) type Read = Result<Stored, Unreadable>;

/// Part of a listing, and where the rest of it begins; `None` where this is all.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) found: Vec<Read>,
    pub(super) next: Option<Place>,
}

/// What a document did after a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    Arrived(DateTime<Utc>),
    Changed(DateTime<Utc>),
}

impl Since {
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
