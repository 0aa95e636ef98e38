//! One line of the document of the mappings (`docs/service.md`, section 10): a field, and where its value comes from.

use serde::Serialize;
use utoipa::ToSchema;

/// A field that a form type writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    /// Who sends and who receives, e.g. `CommCare → Salesforce`.
    pub direction: &'static str,
    /// The form type.
    pub job_name: &'static str,
    /// The countries to which the line applies, by the letters at the end of the survey type; empty where every
    /// country is meant.
    pub countries: Vec<&'static str>,
    /// The Salesforce object, the CommCare case type or the PostGIS table.
    pub object: String,
    /// The field by which the record is found.
    pub external_id_field: &'static str,
    /// The value of that field, with form paths in braces.
    pub external_id: String,
    /// When a form writes the record; empty where every form does.
    pub when: String,
    /// The field. A name with a dot names another record by its external id.
    pub field: String,
    /// Form paths of the answers that it is made of. A name in braces varies.
    pub paths: Vec<String>,
    /// How the value is made of them, in words.
    pub source: String,
    /// The labels of codes, where it is a label.
    pub labels: Vec<Label>,
    /// The table that holds the line, with its file.
    pub table: String,
    /// What kind of value is sent.
    #[serde(skip)]
    pub gives: Gives,
    /// Every text that may be sent, where these are known: labels and fixed texts.
    #[serde(skip)]
    pub texts: Vec<&'static str>,
}

/// A code and its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Label {
    /// The code that the phone sends.
    pub code: &'static str,
    /// The text that is stored.
    pub label: &'static str,
}

/// What kind of value a field gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// An answer, whatever that is.
    Answer,
    /// One of a few texts, or a blank.
    Texts,
    /// The URL of an attached file, or a blank.
    Url,
    /// True or false.
    Flag,
    /// A whole number, or nothing.
    Number,
    /// A number as text, or a blank.
    Coordinate,
    /// An id.
    Id,
}
