//! The words that the two wet-mill forms share (`docs/mappings/commcare-to-postgis.md`, sections 1 and 4).
//!
//! In a wet-mill form, any value in the place of a group counts as an empty group (decision P3). That is
//! why answers are read by [`find`]: [`Form`](super::form::Form) would refuse such a value.

use chrono::NaiveDate;
use geo_types::Point;
use serde_json::Value;

use crate::jobs::entry::{Entry, Gives};
use crate::jobs::form::{as_text, attachments, type_name};
use crate::jobs::{Facts, MapError};

/// The answer at `path`. `None` where the answer or a group above it is missing or null.
pub(super) fn find<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let found = path.split('.').try_fold(value, |group, key| group.as_object()?.get(key));
    found.filter(|value| !value.is_null())
}

/// The answer as sent, for a column of text. A number or boolean counts as its JSON text.
pub(super) fn text(payload: &Value, path: &str) -> Result<Option<String>, MapError> {
    let Some(value) = find(payload, path) else { return Ok(None) };
    match as_text(value) {
        Some(text) => Ok(Some(text.into_owned())),
        None => Err(error(path, format!("must be text, but is {}", type_name(value)))),
    }
}

/// The answer as text. A missing or blank answer is an error.
pub(super) fn required(payload: &Value, path: &str) -> Result<String, MapError> {
    let text = text(payload, path)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| error(path, "missing or blank"))
}

/// A line of the document of the mappings: a column of a table whose rows are found by `key`.
pub(super) fn row(
    table: &str,
    (key, id): (&'static str, &str),
    column: &str,
    path: &str,
    says: &str,
    written_in: &str,
) -> Entry {
    Entry {
        direction: "",
        job_name: "",
        countries: Vec::new(),
        object: table.to_owned(),
        external_id_field: key,
        external_id: id.to_owned(),
        when: String::new(),
        field: column.to_owned(),
        paths: Some(path).filter(|path| !path.is_empty()).map(str::to_owned).into_iter().collect(),
        source: says.to_owned(),
        labels: Vec::new(),
        table: written_in.to_owned(),
        gives: Gives::Answer,
        texts: Vec::new(),
    }
}

/// An error about the answer at `path`.
pub(super) fn error(path: impl Into<String>, rule: impl Into<String>) -> MapError {
    MapError { path: path.into(), rule: rule.into() }
}

/// The address of a form's photos and signatures.
pub(super) struct Attachments {
    /// The address before a file's name. `None` where the payload lacks domain or instance id (decision P17).
    of_form: Option<String>,
}

impl Attachments {
    /// The address of this payload's files.
    pub(super) fn new(payload: &Value, facts: &Facts) -> Self {
        let part = |path| find(payload, path).and_then(as_text).filter(|text| !text.is_empty());
        let of_form = part("domain").zip(part("form.meta.instanceID"));
        Self { of_form: of_form.map(|(domain, instance)| attachments(facts, &domain, &instance)) }
    }

    /// The URL of a file; `None` where no file is named (decision P8).
    pub(super) fn url(&self, file: Option<&Value>) -> Option<String> {
        let of_form = self.of_form.as_ref()?;
        let file = file.and_then(as_text).filter(|file| !file.is_empty())?;
        Some(format!("{of_form}{file}"))
    }
}

/// The position that an answer gives. Pieces after latitude and longitude are dropped.
pub(super) fn point(answer: Option<&Value>) -> Option<Point<f64>> {
    let pieces: Option<Vec<f64>> = answer?.as_str()?.split_whitespace().map(number).collect();
    match pieces?[..] {
        [latitude, longitude, ..] => Some(Point::new(longitude, latitude)),
        _ => None,
    }
}

/// The value of *number text*. A single `_` between two digits is ignored. `nan` and `inf` are no numbers
/// (decision P2).
pub(super) fn number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let fits = bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'_' => is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)),
        byte => byte.is_ascii_digit() || b"+-.eE".contains(byte),
    });
    let parsed = fits.then(|| text.replace('_', "").parse::<f64>().ok()).flatten();
    parsed.filter(|number| number.is_finite())
}

/// The day that a *calendar date* names.
pub(super) fn calendar_date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4..=4)?;
    let month = digits(parts.next()?, 1..=2)?;
    let day = digits(parts.next()?, 1..=2)?;
    if parts.next().is_some() || year == 0 {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

/// The value of a text of digits, whose number is in `length`.
pub(super) fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let fits = length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_text_is_pythons_without_its_words() {
        for (text, value) in
            [("5.", 5.0), (".5", 0.5), ("+.5", 0.5), ("1_000", 1000.0), ("-1e3", -1000.0), ("1E+2", 100.0)]
        {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in
            ["", ".", "e5", "1e", "1__0", "_1", "1_", "1_.5", "nan", "inf", "1,5", "0x1", "1 2", "1e999"]
        {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_calendar_date_exists() {
        assert_eq!(calendar_date("2025-4-7"), NaiveDate::from_ymd_opt(2025, 4, 7));
        for text in ["2025-02-30", "2025-04-01T10:00:00", "20250401", " 2025-04-01", "2025-04-", "0000-01-01"]
        {
            assert_eq!(calendar_date(text), None, "{text}");
        }
    }
}
