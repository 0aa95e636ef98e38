//! The type of an answer, by the first rule that fits (`docs/mappings/commcare-to-postgis.md`, section 5).

use serde_json::Value;

use crate::jobs::wetmill::{calendar_date, number};
use crate::plan::rows::Typed;

/// The value of a single answer in the column of its type.
pub(super) fn typed(answer: &Value) -> Typed {
    match answer {
        Value::Null => Typed::Text(None),
        Value::String(text) => typed_text(text.trim()),
        Value::Bool(boolean) => Typed::Boolean(*boolean),
        // A number beyond any double is stored as it is spelled.
        Value::Number(number) => match number.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Typed::Number(number),
            None => Typed::Text(Some(number.to_string())),
        },
        // Compact, keys sorted (decision P14).
        Value::Array(_) | Value::Object(_) => Typed::Text(Some(answer.to_string())),
    }
}

fn typed_text(text: &str) -> Typed {
    if text == "1" || text.eq_ignore_ascii_case("true") {
        return Typed::Boolean(true);
    }
    if text == "0" || text.eq_ignore_ascii_case("false") {
        return Typed::Boolean(false);
    }
    if let Some(date) = calendar_date(text) {
        return Typed::Date(date);
    }
    match plain_number(text) {
        Some(number) => Typed::Number(number),
        None => Typed::Text(Some(text.to_owned()).filter(|text| !text.is_empty())),
    }
}

/// The value of number text. Text that begins with `+` or `0` and a digit has none: it is a telephone or
/// membership number (decision P15).
pub(super) fn plain_number(text: &str) -> Option<f64> {
    let after_sign = text.strip_prefix(['+', '0']);
    let is_label = after_sign.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    number(text).filter(|_| !is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_and_pluses_make_text() {
        for text in ["0712345678", "+254712345678", "007", "01e2", "00.5", "+7"] {
            assert_eq!(typed(&text.into()), Typed::Text(Some(text.to_owned())));
        }
        for (text, value) in [("0.5", 0.5), ("-0.5", -0.5), ("-05", -5.0), ("0e3", 0.0), ("+.5", 0.5)] {
            assert_eq!(typed(&text.into()), Typed::Number(value), "{text}");
        }
    }
}
