//! Document ids.

use sha2::{Digest, Sha256};

/// The document id of a submission id: the id itself where it can be one, else its hash, so that
/// one submission id is always one document.
///
/// Firestore document ids may not hold a slash, be `.`, `..` or `__…__`, or pass 1,500 bytes
/// (Firestore documentation, "Usage and limits").
pub fn doc_id(job_id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':');
    let usable = (1..=200).contains(&job_id.len()) && job_id.chars().all(plain) && !job_id.starts_with("__");
    if usable { job_id.to_owned() } else { hashed_doc_id(job_id) }
}

pub(super) fn hashed_doc_id(job_id: &str) -> String {
    format!("sha256-{}", hex(&Sha256::digest(job_id)))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
