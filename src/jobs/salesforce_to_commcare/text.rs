//! How a JSON value becomes text (`docs/mappings/salesforce-to-commcare.md`, section 2). The conversions
//! are Python's, because the original's are.
//!
//! `None` stands for a value that no field can hold: a list, a group, or a number beyond any float.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// The text without the characters that XML 1.0 forbids (decision X10). Line ends become LF, as any XML
/// parser reads them.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(|c| allowed(c) && c != '\r') {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().filter(|c| allowed(*c)).collect();
    Cow::Owned(kept.replace("\r\n", "\n").replace('\r', "\n"))
}

/// *text of*: a value that is false in Python is empty.
pub(super) fn text(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value {
        Some(Value::Bool(false)) => Some(Cow::Borrowed("")),
        Some(Value::Number(number)) if is_zero(number) => Some(Cow::Borrowed("")),
        other => as_is(other),
    }
}

/// *as-is of*: the text of a scalar; null is empty.
pub(super) fn as_is(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value {
        None | Some(Value::Null) => Some(Cow::Borrowed("")),
        Some(Value::Bool(true)) => Some(Cow::Borrowed("True")),
        Some(Value::Bool(false)) => Some(Cow::Borrowed("False")),
        Some(Value::String(text)) => Some(clean(text)),
        Some(Value::Number(number)) => Some(Cow::Owned(match Numeric::from_number(number) {
            Numeric::Integer(digits) => digits,
            Numeric::Float(float) => float_text(float),
        })),
        Some(Value::Array(_) | Value::Object(_)) => None,
    }
}

/// *integer-like of*.
pub(super) fn whole_number(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value {
        Some(Value::Bool(truth)) => Some(Cow::Borrowed(if *truth { "1" } else { "0" })),
        Some(Value::Number(number)) => match Numeric::from_number(number) {
            Numeric::Integer(digits) => Some(Cow::Owned(digits)),
            Numeric::Float(float) => truncated(float).map(Cow::Owned),
        },
        Some(Value::String(text)) => {
            let text = clean(text);
            let trimmed = text.trim();
            Some(Cow::Owned(read_literal(trimmed).unwrap_or_else(|| trimmed.to_owned())))
        }
        other => as_is(other),
    }
}

/// A JSON number as Python reads it.
enum Numeric {
    Integer(String),
    Float(f64),
}

impl Numeric {
    fn from_number(number: &Number) -> Self {
        let text = number.to_string();
        match integer_literal(&text) {
            Some(digits) => Self::Integer(digits),
            // Every JSON number can be read as a float.
            None => Self::Float(text.parse().unwrap_or(f64::NAN)),
        }
    }
}

fn is_zero(number: &Number) -> bool {
    match Numeric::from_number(number) {
        Numeric::Integer(digits) => digits == "0",
        Numeric::Float(float) => float == 0.0,
    }
}

/// The number, truncated toward zero, with all digits.
fn truncated(float: f64) -> Option<String> {
    float.is_finite().then(|| {
        // Adding zero turns -0 into 0.
        let whole = float.trunc() + 0.0;
        format!("{whole:.0}")
    })
}

/// *float text*: Python's notation, the fewest digits that read back as the same number.
fn float_text(float: f64) -> String {
    if !float.is_finite() {
        return if float > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let positional = float.to_string();
        return if positional.contains('.') { positional } else { positional + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// The new text of a text that reads as a number; `None` for any other text.
fn read_literal(text: &str) -> Option<String> {
    integer_literal(text).or_else(|| decimal_literal(text).map(float_text))
}

/// An integer literal without plus sign, leading zeros and underscores.
fn integer_literal(text: &str) -> Option<String> {
    let (sign, digits) = split_sign(text);
    let digits = digit_part(digits)?;
    let digits = digits.trim_start_matches('0');
    Some(match digits {
        "" => "0".to_owned(),
        _ if sign == "-" => format!("-{digits}"),
        _ => digits.to_owned(),
    })
}

/// The value of a decimal literal.
fn decimal_literal(text: &str) -> Option<f64> {
    let (sign, rest) = split_sign(text);
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let mantissa = match mantissa.split_once('.') {
        None => digit_part(mantissa)?,
        Some((whole, "")) => digit_part(whole)?,
        Some(("", fraction)) => format!("0.{}", digit_part(fraction)?),
        Some((whole, fraction)) => format!("{}.{}", digit_part(whole)?, digit_part(fraction)?),
    };
    let exponent = match exponent.map(split_sign) {
        None => "0".to_owned(),
        Some((sign, digits)) => format!("{sign}{}", digit_part(digits)?),
    };
    format!("{sign}{mantissa}e{exponent}").parse().ok()
}

fn split_sign(text: &str) -> (&str, &str) {
    text.split_at(usize::from(text.starts_with(['+', '-'])))
}

/// The digits of a part of a literal: at least one digit; a single underscore may stand between two.
fn digit_part(text: &str) -> Option<String> {
    let sound = text.split('_').all(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_digit()));
    sound.then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integer_like_texts() {
        for (text, expected) in [
            ("007", "7"),
            ("+254712345678", "254712345678"),
            ("-0", "0"),
            ("-007", "-7"),
            ("1_000", "1000"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("12.0", "12.0"),
            ("12.70", "12.7"),
            ("5.", "5.0"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("1e16", "1e+16"),
            ("0.00001", "1e-05"),
            ("-0.0", "-0.0"),
            ("1_0.5_0", "10.5"),
            ("1e999", "inf"),
            (" HH-4 ", "HH-4"),
            ("\u{a0}12\u{a0}", "12"),
            (" \t", ""),
            ("1__0", "1__0"),
            ("_1", "_1"),
            ("+", "+"),
            (".", "."),
            ("e5", "e5"),
            ("1e", "1e"),
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
            ("0x1F", "0x1F"),
        ] {
            assert_eq!(whole_number(Some(&json!(text))).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_told_apart_by_their_spelling() {
        for (json, text_of, as_is_of, whole) in [
            ("12", "12", "12", "12"),
            ("12.0", "12.0", "12.0", "12"),
            ("-0", "", "0", "0"),
            ("-0.0", "", "-0.0", "0"),
            ("0.99", "0.99", "0.99", "0"),
            ("-7.9", "-7.9", "-7.9", "-7"),
            ("1e16", "1e+16", "1e+16", "10000000000000000"),
            ("1e22", "1e+22", "1e+22", "10000000000000000000000"),
            ("1234567.25", "1234567.25", "1234567.25", "1234567"),
            ("0.0001", "0.0001", "0.0001", "0"),
            ("2.5e-07", "2.5e-07", "2.5e-07", "0"),
            ("18446744073709551616", "18446744073709551616", "18446744073709551616", "18446744073709551616"),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            let found = (text(Some(&value)), as_is(Some(&value)), whole_number(Some(&value)));
            let expected = [text_of, as_is_of, whole].map(|text| Some(Cow::Borrowed(text)));
            assert_eq!(found, expected.into(), "{json}");
        }
    }

    #[test]
    fn what_no_field_can_hold_is_nothing() {
        let beyond: Value = serde_json::from_str("1e999").unwrap();
        assert_eq!(whole_number(Some(&beyond)), None);
        for value in [json!([]), json!({}), json!([1]), json!({ "a": 1 })] {
            assert_eq!(
                (text(Some(&value)), as_is(Some(&value)), whole_number(Some(&value))),
                (None, None, None)
            );
        }
    }

    #[test]
    fn forbidden_characters_go_and_line_ends_are_one() {
        assert_eq!(clean("7\u{0}1\u{fffe}\u{7f}\u{85}"), "71\u{7f}\u{85}");
        assert_eq!(clean("a\r\nb\rc\nd\te"), "a\nb\nc\nd\te");
        assert_eq!(clean("a\r\u{0}\nb"), "a\nb");
    }
}
