//! Document ids.

use sha2::{Digest, Sha256};

/// How a document id begins that is a hash.
const HASHED: &str = "sha256-";

/// The document id of a submission id: the id itself where it can be one, else its hash, so that
/// one submission id is always one document.
///
/// Firestore document ids may not hold a slash, be `.`, `..` or `__…__`, or pass 1,500 bytes
/// (Firestore documentation, "Usage and limits").
pub fn doc_id(job_id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':');
    // An id that reads like another's hash would be one document with it.
    let reserved = job_id.starts_with("__") || job_id.starts_with(HASHED);
    let usable = (1..=200).contains(&job_id.len()) && job_id.chars().all(plain) && !reserved;
    if usable { job_id.to_owned() } else { hashed_doc_id(job_id) }
}

/// The documents that an operator may mean by an id: the one that it makes as a submission's id, which is
/// its own where it can be a document's; and the one whose id it is, where that is a hash.
pub(super) fn named_by(id: &str) -> Vec<String> {
    let own = id.starts_with(HASHED).then(|| id.to_owned());
    [Some(doc_id(id)), own].into_iter().flatten().collect()
}

pub(super) fn hashed_doc_id(job_id: &str) -> String {
    format!("{HASHED}{}", hex(&Sha256::digest(job_id)))
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
