//! The mapping tables' language: a Salesforce field and where its value comes from, as the rows
//! of `commcare-to-salesforce.md` say it.
//!
//! A job is then mostly tables that can be read beside the page and corrected there: a field is
//! a row, a difference between countries another table.

use serde_json::Value;

use crate::jobs::MapError;
use crate::jobs::form::Form;
use crate::plan::Upsert;

/// A Salesforce field and its source. A name with a dot (`Household__r.Household_ID__c`) names
/// another record by its external id.
pub(super) type Row = (&'static str, Source);

/// Where a field's value comes from. The first text of each is the answer's path.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// This text, whatever was answered.
    Text(&'static str),
    /// This flag, whatever was answered.
    Flag(bool),
    /// The answer as sent; missing → `""`.
    Sent(&'static str),
    /// The answer as sent; missing → null.
    SentOrNull(&'static str),
    /// The answer as sent; missing or `""` → null.
    FilledOrNull(&'static str),
    /// The URL of an attached file.
    Attachment(&'static str),
    /// Piece 0, 1 or 2 of coordinates: latitude, longitude, altitude.
    Gps(&'static str, usize),
}

use Source::{Attachment, FilledOrNull, Flag, Gps, Sent, SentOrNull, Text};

impl Source {
    fn read(self, form: &Form) -> Result<Value, MapError> {
        match self {
            Text(text) => Ok(text.into()),
            Flag(flag) => Ok(flag.into()),
            Sent(path) => form.sent(path),
            SentOrNull(path) => form.sent_or_null(path),
            FilledOrNull(path) => form.filled_or_null(path),
            Attachment(path) => form.attachment(path).map(Value::from),
            Gps(path, piece) => form.gps(path, piece).map(Value::from),
        }
    }
}

/// `upsert` with the fields of `rows` as `form` answers them.
pub(super) fn fill(mut upsert: Upsert, rows: &[Row], form: &Form) -> Result<Upsert, MapError> {
    for (name, source) in rows {
        upsert = upsert.put(name, source.read(form)?);
    }
    Ok(upsert)
}
