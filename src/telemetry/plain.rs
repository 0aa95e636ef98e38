//! Text of others in log lines: one event is one line, of a bounded length, and nothing in it acts on a terminal
//! (`docs/service.md`, section 7).

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::Field;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Bytes of a line, its end included.
pub(super) const LINE: usize = 8 * 1024;

/// Bytes of a text that tells what happened: what errors list of a payload's records has a few thousand.
const TALE: usize = 6 * 1024;

/// Bytes of any other text, an id or a name.
const NAME: usize = 300;

/// The fields that tell what happened.
const TALES: [&str; 3] = ["message", "error", "reason"];

/// A field's text as a line may have it.
pub(super) fn text<'t>(field: &str, text: &'t str) -> Cow<'t, str> {
    escaped(text, if TALES.contains(&field) { TALE } else { NAME })
}

/// The text without characters that act on a terminal or break a line, cut after `most` bytes.
fn escaped(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len().min(most));
    for letter in text.chars() {
        if plain.len() + letter.len_utf8() > most {
            plain.push('…');
            break;
        }
        if acts(letter) { plain.extend(letter.escape_default()) } else { plain.push(letter) }
    }
    Cow::Owned(plain)
}

/// Whether a character does something other than be seen: controls, line ends, and what turns the direction of text.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A line for people, cut where it is too long.
pub(super) fn bounded(mut line: String) -> String {
    if line.len() > LINE {
        line.truncate(line.floor_char_boundary(LINE - "…\n".len()));
        line.push_str("…\n");
    }
    line
}

/// A line of JSON; of one that is too long the longest texts are cut.
pub(super) fn bounded_json(mut fields: Map<String, Value>) -> String {
    loop {
        let line = Value::Object(fields);
        let text = line.to_string();
        let Value::Object(of_line) = line else { return text };
        fields = of_line;
        if text.len() < LINE {
            return text;
        }
        let texts = fields.values_mut().filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        });
        let Some(longest) = texts.max_by_key(|text| text.len()).filter(|text| text.len() > NAME) else {
            return text;
        };
        longest.truncate(longest.floor_char_boundary(longest.len() / 2));
        longest.push('…');
    }
}

/// Fields for people: `name=value`.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainFields;

/// The only value.
pub(super) const FIELDS: PlainFields = PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let write = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
            let value = format!("{value:?}");
            let value = text(field.name(), &value);
            match field.name() {
                "message" => writer.write_str(&value),
                name => write!(writer, "{name}={value}"),
            }
        };
        let formatter = tracing_subscriber::field::MakeExt::delimited(debug_fn(write), " ");
        formatter.format_fields(writer, fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        let acting = "a\u{1b}[31mred\u{7} b\r\nc\u{202e}d\u{9b}e\u{2028}\0 é…";
        let written = "a\\u{1b}[31mred\\u{7} b\\r\\nc\\u{202e}d\\u{9b}e\\u{2028}\\u{0} é…";
        assert_eq!(escaped(acting, 1_000), written);
        assert!(matches!(escaped("Zoë Ñandú 🐄", 1_000), Cow::Borrowed(_)));
    }

    #[test]
    fn a_text_is_cut_by_what_it_is() {
        let long = "é".repeat(4_000);
        assert_eq!(text("kid", &long), format!("{}…", "é".repeat(NAME / 2)));
        assert_eq!(text("error", &long), format!("{}…", "é".repeat(TALE / 2)));
    }

    #[test]
    fn a_line_has_at_most_8_kib() {
        let fields = (0..50).map(|n| (format!("field_{n}"), Value::from("x".repeat(290))));
        let mut fields: Map<String, Value> = fields.take(10).collect();
        fields.insert("error".to_owned(), "\"".repeat(6_000).into());
        fields.insert("message".to_owned(), "record failed".into());
        let line = bounded_json(fields);
        assert!(line.len() < LINE, "{}", line.len());
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], "record failed");
        assert!(read["error"].as_str().unwrap().ends_with("\"…"));
        let line = bounded(format!("{}\n", "é".repeat(LINE)));
        assert!(line.len() <= LINE && line.ends_with("é…\n"));
        assert_eq!(bounded("short\n".to_owned()), "short\n");
    }
}
