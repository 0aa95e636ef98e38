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

/// Fields that CommCare stamps by the way it sends a form: no part of its content.
const NOT_CONTENT: [&str; 2] = ["indexed_on", "resource_uri"];

/// Hash of a payload's content: the same for a payload that went through Firestore as the original service stored it,
/// which keeps `1.50` as a double.
pub(super) fn content_hash(data: &Value) -> String {
    let mut hasher = Sha256::new();
    for (name, value) in data.as_object().into_iter().flatten() {
        if !NOT_CONTENT.contains(&name.as_str()) {
            hash_text(&mut hasher, name);
            hash_value(&mut hasher, value);
        }
    }
    hex(&hasher.finalize())
}

fn hash_value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update("n"),
        Value::Bool(value) => hasher.update(if *value { "t" } else { "f" }),
        Value::Number(number) => {
            let double = number.as_f64().filter(|_| !number.is_i64() && !number.is_u64());
            let whole = double.filter(|double| double.fract() == 0.0 && double.abs() < 1e15);
            match (whole, double) {
                // `2.0` is the number that `2` is.
                (Some(whole), _) => hash_text(hasher, &format!("{whole:.0}")),
                (None, Some(double)) => hash_text(hasher, &double.to_string()),
                (None, None) => hash_text(hasher, &number.to_string()),
            }
        }
        Value::String(text) => {
            hasher.update("s");
            hash_text(hasher, text);
        }
        Value::Array(items) => {
            hasher.update("a");
            hasher.update(items.len().to_be_bytes());
            for item in items {
                hash_value(hasher, item);
            }
        }
        Value::Object(fields) => {
            hasher.update("o");
            hasher.update(fields.len().to_be_bytes());
            for (name, value) in fields {
                hash_text(hasher, name);
                hash_value(hasher, value);
            }
        }
    }
}

/// The length keeps apart what would read the same run together.
fn hash_text(hasher: &mut Sha256, text: &str) {
    hasher.update(text.len().to_be_bytes());
    hasher.update(text);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_firestore_makes_of_a_number_is_the_same_content() {
        let sent: Value =
            serde_json::from_str(r#"{"id":"a","form":{"x":1.50,"y":2.0,"z":7,"t":"1.50"}}"#).unwrap();
        let stored = json!({ "id": "a", "form": { "x": 1.5, "y": 2.0, "z": 7, "t": "1.50" } });
        assert_eq!(content_hash(&sent), content_hash(&stored));
        for other in [json!("1.5"), json!(1.51), json!(null), json!([1.5]), json!({ "x": 1.5 })] {
            let mut changed = stored.clone();
            changed["form"]["x"] = other.clone();
            assert_ne!(content_hash(&changed), content_hash(&stored), "{other}");
        }
        let mut text = stored.clone();
        text["form"]["t"] = json!("1.5");
        assert_ne!(content_hash(&text), content_hash(&stored), "a text is its characters");
    }

    #[test]
    fn what_commcare_stamps_by_the_way_it_sends_is_no_content() {
        let mut form = json!({ "id": "a", "form": { "indexed_on": "an answer" } });
        let hash = content_hash(&form);
        form["indexed_on"] = json!("2026-01-01T00:00:00Z");
        form["resource_uri"] = json!("/a/d/api/form/v1/a/");
        assert_eq!(content_hash(&form), hash);
        form["form"]["indexed_on"] = json!("another");
        assert_ne!(content_hash(&form), hash);
    }
}
