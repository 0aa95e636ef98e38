//! Stored documents that cannot be read as records.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::submission::Origin;

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

/// How often an unreadable record was met, by origin.
#[derive(Debug, Default)]
pub(super) struct UnreadableCounts([AtomicU64; 2]);

impl UnreadableCounts {
    /// Counts one.
    pub(super) fn count(&self, origin: Origin) {
        let [from_commcare, from_salesforce] = &self.0;
        match origin {
            Origin::CommCare => from_commcare.fetch_add(1, Ordering::Relaxed),
            Origin::Salesforce => from_salesforce.fetch_add(1, Ordering::Relaxed),
        };
    }

    /// The counts, in the order of [`Origin::ALL`].
    pub(super) fn read(&self) -> [u64; 2] {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}
