//! The language of the mapping tables: a Salesforce field and the source of its value, as in the rows of
//! `docs/mappings/commcare-to-salesforce.md`.
//!
//! Most of a job is such tables, which can be read beside the page. A field is a row; a difference
//! between countries is another table.

use serde_json::Value;

use crate::jobs::MapError;
use crate::jobs::form::{Form, Labels};
use crate::plan::Upsert;

/// A Salesforce field and its source. A name with a dot (`Household__r.Household_ID__c`) names
/// another record by its external id.
pub(super) type Row = (&'static str, Source);

/// Where a field's value comes from. The first text is the answer's path.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// This text, in every form.
    Text(&'static str),
    /// This flag, in every form.
    Flag(bool),
    /// The answer as sent; missing → `""`.
    Sent(&'static str),
    /// The answer as sent; missing → null.
    SentOrNull(&'static str),
    /// The answer as sent; missing or `""` → null.
    FilledOrNull(&'static str),
    /// The first answer that is neither missing nor `""`.
    FirstFilled(&'static [&'static str]),
    /// A whole number; missing or blank → null.
    WholeNumber(&'static str),
    /// Whether the answer is one of these codes.
    IsOneOf(&'static str, &'static [&'static str]),
    /// The label of the answer's code; without a label, `""`.
    Label(&'static str, Labels),
    /// The label of the answer's code; without a label, the last text.
    LabelOr(&'static str, Labels, &'static str),
    /// The URL of an attached file.
    Attachment(&'static str),
    /// The URL of an attached file where the condition holds, else `""`.
    AttachmentIf(&'static str, Condition),
    /// Piece 0, 1 or 2 of coordinates: latitude, longitude, altitude.
    Gps(&'static str, usize),
    /// A rule that no other source can express.
    Rule(fn(&Form) -> Result<Value, MapError>),
}

/// A condition for an attachment.
#[derive(Clone, Copy)]
pub(super) enum Condition {
    /// The answer is exactly this code.
    Is(&'static str, &'static str),
    /// The answer is a number above 0.
    Positive(&'static str),
}

impl Condition {
    fn holds(self, form: &Form) -> Result<bool, MapError> {
        match self {
            Self::Is(path, code) => form.is(path, code),
            Self::Positive(path) => Ok(form.decimal(path)? > 0.0),
        }
    }
}

impl Source {
    /// The value that `form` gives.
    pub(super) fn read(self, form: &Form) -> Result<Value, MapError> {
        Ok(match self {
            Self::Text(text) => text.into(),
            Self::Flag(flag) => flag.into(),
            Self::Sent(path) => form.sent(path)?,
            Self::SentOrNull(path) => form.sent_or_null(path)?,
            Self::FilledOrNull(path) => form.filled_or_null(path)?,
            Self::FirstFilled(paths) => form.first_filled(paths)?,
            Self::WholeNumber(path) => form.whole_number(path)?,
            Self::IsOneOf(path, codes) => codes.contains(&&*form.text(path)?).into(),
            Self::Label(path, labels) => form.label(path, labels)?.unwrap_or_default().into(),
            Self::LabelOr(path, labels, other) => form.label(path, labels)?.unwrap_or(other).into(),
            Self::Attachment(path) => form.attachment(path)?.into(),
            Self::AttachmentIf(path, condition) if condition.holds(form)? => form.attachment(path)?.into(),
            Self::AttachmentIf(..) => "".into(),
            Self::Gps(path, piece) => form.gps(path, piece)?.into(),
            Self::Rule(rule) => rule(form)?,
        })
    }
}

/// Adds the fields of `rows`, with the values that `form` gives, to `upsert`.
pub(super) fn fill(mut upsert: Upsert, rows: &[Row], form: &Form) -> Result<Upsert, MapError> {
    for (name, source) in rows {
        upsert = upsert.put(name, source.read(form)?);
    }
    Ok(upsert)
}
