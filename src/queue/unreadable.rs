//! Stored documents that are no records.

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
