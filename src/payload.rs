//! Payloads as text: JSON in UTF-8 (RFC 8259), as senders write it and sometimes fail to.

mod discarded;
mod unicode;

use serde_json::Value;

use discarded::Discarded;

/// Why a text is no payload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    /// A byte that is not UTF-8, or half of a character: which, and where.
    #[error("{0}")]
    NotUnicode(String),
    /// The text is not JSON.
    #[error(transparent)]
    NotJson(serde_json::Error),
}

/// The JSON of a text, which may begin with a byte order mark.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, PayloadError> {
    let text = without_mark(bytes);
    serde_json::from_slice(text).map_err(|error| why_not(text, error))
}

/// Whether [`parse`] would take a text, without keeping any of it.
pub(crate) fn check(bytes: &[u8]) -> Result<(), PayloadError> {
    let text = without_mark(bytes);
    serde_json::from_slice(text).map(|Discarded| ()).map_err(|error| why_not(text, error))
}

fn why_not(text: &[u8], error: serde_json::Error) -> PayloadError {
    match unicode::fault(text) {
        Some(fault) => PayloadError::NotUnicode(fault),
        None => PayloadError::NotJson(error),
    }
}

/// The text behind a byte order mark, which some senders put before it (RFC 8259, section 8.1).
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
