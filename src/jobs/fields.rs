//! The language of the mapping tables: a Salesforce field and the source of its value, as in the rows of
//! `docs/mappings/commcare-to-salesforce.md`.
//!
//! Most of a job is such tables, which can be read beside the page. A field is a row; a difference
//! between countries is another table. The document of the mappings ([`crate::jobs::mappings`]) is made of
//! the same rows.

use serde_json::Value;

use crate::jobs::MapError;
use crate::jobs::entry::Gives;
use crate::jobs::form::{Form, Labels};

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
    /// The label of the answer's code; in these apps, which send labels, the answer as sent.
    LabelExceptIn(&'static [&'static str], &'static str, Labels),
    /// The URL of an attached file.
    Attachment(&'static str),
    /// The URL of an attached file where the condition holds, else `""`.
    AttachmentIf(&'static str, Condition),
    /// Piece 0, 1 or 2 of coordinates: latitude, longitude, altitude.
    Gps(&'static str, usize),
    /// An external id, put together.
    Id(&'static [Piece]),
    /// What the step knows of the record that it writes, under this name.
    Given(&'static str),
    /// The answer as sent, under a key that begins with this text and ends with what the step knows under this name;
    /// missing → `""`.
    SentUnder(&'static str, &'static str),
    /// A rule that no other source can express.
    Rule(&'static Rule),
}

/// A piece of an external id.
#[derive(Clone, Copy)]
pub(super) enum Piece {
    /// These letters.
    Words(&'static str),
    /// The answer at this path.
    Answer(&'static str),
    /// What the step knows of the record that it writes, under this name.
    Own(&'static str),
}

/// A rule in code, and the words that say it.
pub(super) struct Rule {
    /// One sentence or two, without a full stop at the end.
    pub(super) says: &'static str,
    /// The answers that it reads.
    pub(super) paths: &'static [&'static str],
    /// The label tables that it knows.
    pub(super) labels: &'static [Labels],
    /// What kind of value it gives.
    pub(super) gives: Gives,
    /// The rule.
    pub(super) read: fn(&Form) -> Result<Value, MapError>,
}

/// What a step knows of a record beside the form: values by name.
pub(super) type Given<'g> = &'g [(&'static str, Value)];

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
    pub(super) fn read(self, form: &Form, given: Given) -> Result<Value, MapError> {
        Ok(match self {
            Self::Text(text) => text.into(),
            Self::Flag(flag) => flag.into(),
            Self::Sent(path) => form.sent(path)?,
            Self::SentOrNull(path) => form.sent_or_null(path)?,
            Self::FilledOrNull(path) => form.filled_or_null(path)?,
            Self::FirstFilled(paths) => form.first_filled(paths)?,
            Self::WholeNumber(path) => form.whole_number(path)?,
            Self::IsOneOf(path, codes) => codes.contains(&&*form.text(path)?).into(),
            Self::LabelOr(path, labels, other) => form.label(path, labels)?.unwrap_or(other).into(),
            Self::LabelExceptIn(apps, path, _) if apps.contains(&&*form.text(APP)?) => form.sent(path)?,
            Self::Label(path, labels) | Self::LabelExceptIn(_, path, labels) => {
                form.label(path, labels)?.unwrap_or_default().into()
            }
            Self::Attachment(path) => form.attachment(path)?.into(),
            Self::AttachmentIf(path, condition) if condition.holds(form)? => form.attachment(path)?.into(),
            Self::AttachmentIf(..) => "".into(),
            Self::Gps(path, piece) => form.gps(path, piece)?.into(),
            Self::Id(pieces) => join(pieces, form, given)?.into(),
            Self::Given(name) => known(given, name),
            Self::SentUnder(start, name) => {
                form.sent_under_key(&format!("{start}{}", known(given, name).as_str().unwrap_or_default()))
            }
            Self::Rule(rule) => (rule.read)(form)?,
        })
    }
}

/// The app that sends a form.
pub(super) const APP: &str = "payload.app_id";

/// The external id that these pieces make.
pub(super) fn join(pieces: &[Piece], form: &Form, given: Given) -> Result<String, MapError> {
    let mut id = String::new();
    for piece in pieces {
        match piece {
            Piece::Words(words) => id += words,
            Piece::Answer(path) => id += &form.id(path)?,
            Piece::Own(name) => id += known(given, name).as_str().unwrap_or_default(),
        }
    }
    Ok(id)
}

/// A step gives every name that its record's tables use; the golden cases show it.
fn known(given: Given, name: &str) -> Value {
    given.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}
