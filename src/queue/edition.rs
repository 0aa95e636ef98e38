//! Editions of one submission: which is the older, and whether two are the same (`docs/service.md`, section 2).

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::hex;

/// Whether `arrived` is an older edition of a form than `stored`: by `server_modified_on` where
/// both have it, else by `edited_on` (a form without one precedes its edits), else by arrival.
pub(super) fn is_older_edition(arrived: &Value, stored: &Value) -> bool {
    let modified = |payload| edition_time(payload, "server_modified_on");
    if let (Some(arrived), Some(stored)) = (modified(arrived), modified(stored)) {
        return arrived < stored;
    }
    edition_time(arrived, "edited_on") < edition_time(stored, "edited_on")
}

/// CommCare's times are UTC, with or without saying so.
fn edition_time(payload: &Value, field: &str) -> Option<DateTime<Utc>> {
    let text = payload.get(field)?.as_str()?;
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let naive = || text.parse::<NaiveDateTime>().map(|time| time.and_utc());
    zoned.or_else(|_| naive()).ok()
}

/// Hash of a payload's content. `indexed_on` is not part of it: CommCare stamps it at every send.
pub(super) fn content_hash(data: &Value) -> String {
    let mut hasher = Sha256::new();
    let mut text = Vec::new();
    for (name, value) in data.as_object().into_iter().flatten().filter(|(name, _)| *name != "indexed_on") {
        // The length keeps apart what would read the same run together.
        hasher.update(name.len().to_be_bytes());
        hasher.update(name);
        text.clear();
        // Writing JSON to memory cannot fail.
        let _ = serde_json::to_writer(&mut text, value);
        hasher.update(&text);
    }
    hex(&hasher.finalize())
}
