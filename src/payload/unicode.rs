//! The place in a JSON text that is not Unicode, in words for the sender. Never the text itself: it is
//! personal data.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::discarded::Discarded;

/// Characters of a path that are quoted.
const PATH_LIMIT: usize = 200;

/// The first byte that is not UTF-8, or the first half of a surrogate pair; `None` where the text is
/// Unicode, or is no JSON for another reason.
pub(super) fn fault(bytes: &[u8]) -> Option<String> {
    match std::str::from_utf8(bytes) {
        Err(error) => Some(told(bytes, error.valid_up_to(), "is not UTF-8")),
        Ok(text) => {
            // Skips the contents of texts, where a parser of values refuses such escapes.
            serde_json::from_str::<IgnoredAny>(text).ok()?;
            let place = lone_surrogate(bytes)?;
            Some(told(bytes, place, "begins an escape of half a surrogate pair, which is no character"))
        }
    }
}

fn told(bytes: &[u8], place: usize, what: &str) -> String {
    let byte = place + 1;
    match path(bytes) {
        Some(path) => format!("{path}: byte {byte} of the payload {what}"),
        None => format!("byte {byte} of the payload {what}"),
    }
}

/// The member at which the text cannot be read as values.
fn path(bytes: &[u8]) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let _ = Discarded::deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    let path = track.path().to_string();
    // A member whose name is not Unicode has none that could be told.
    let path = path.strip_suffix('?').unwrap_or(&path).trim_end_matches('.');
    (!path.is_empty()).then(|| path.chars().take(PATH_LIMIT).collect())
}

/// The backslash of the first `\ud800` to `\udfff` that has no partner.
fn lone_surrogate(json: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < json.len() {
        match (json[at], json.get(at + 1)) {
            (b'\\', Some(b'u')) => match unit(json, at) {
                Some(0xd800..=0xdbff) if matches!(unit(json, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
                Some(0xd800..=0xdfff) => return Some(at),
                _ => at += 6,
            },
            (b'\\', _) => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// The UTF-16 unit that the escape at this place stands for.
fn unit(json: &[u8], at: usize) -> Option<u32> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_utf_8_is_named_by_path_and_place() {
        let json = b"{\"id\":\"f-1\",\"form\":{\"farmers\":[{\"name\":\"Mari\xe9\"}]}}";
        let told = "form.farmers[0].name: byte 45 of the payload is not UTF-8";
        assert_eq!(fault(json).as_deref(), Some(told));
        assert_eq!(json[44], 0xe9);
        assert_eq!(fault(b"\xff\xfe{\0").as_deref(), Some("byte 1 of the payload is not UTF-8"));
    }

    #[test]
    fn half_a_surrogate_pair_is_named_by_path_and_place() {
        for (json, place) in [
            (r#"{"a":{"b":"x\ud800"}}"#, Some(13)),
            (r#"{"a":{"b":"x\udc00\ud800"}}"#, Some(13)),
            (r#"{"a":{"b":"\ud83d\ude00 \ud83d!"}}"#, Some(25)),
            (r#"{"a":{"b":"\uD83D\uDE00 \\ud800 \" \u00e9"}}"#, None),
            (r#"{"a":{"b":"\ud800"}"#, None),
            (r#"{"a":{"b":"\ud8"}}"#, None),
        ] {
            let told = place.map(|place| {
                let what = "begins an escape of half a surrogate pair, which is no character";
                format!("a.b: byte {place} of the payload {what}")
            });
            assert_eq!(fault(json.as_bytes()), told, "{json}");
        }
    }
}
