//! The smallest thing that Salesforce is asked for: one upsert, or a collection of rows.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::config::salesforce::ApiVersion;
use crate::plan::Upsert;
use crate::plan::fields::FieldValue;

/// The field that names a record by Salesforce's own id.
pub(super) const ID: &str = "Id";

/// Everything except RFC 3986's unreserved characters, so that no id can end its URL segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An upsert, or a collection of rows that share object and external-id field. Never empty.
pub(super) struct Step<'p> {
    rows: Vec<&'p Upsert>,
}

impl<'p> Step<'p> {
    /// A step of these rows, at least one.
    pub(super) fn new(rows: Vec<&'p Upsert>) -> Self {
        Self { rows }
    }

    /// The records that the step writes, in order: one for a single upsert.
    pub(super) fn rows(&self) -> &[&'p Upsert] {
        &self.rows
    }

    /// Whether it is a collection; one row is not worth a collection.
    pub(super) fn is_collection(&self) -> bool {
        self.rows.len() > 1
    }

    /// The URL of a subrequest.
    pub(super) fn url(&self, version: ApiVersion) -> String {
        if self.is_collection() { self.collection_url(version) } else { self.record_url(version) }
    }

    /// The body of a subrequest.
    pub(super) fn body(&self) -> Value {
        if self.is_collection() { self.collection_body() } else { Value::Object(fields(self.rows[0])) }
    }

    /// Whether the step, as a call of its own, is a collection even of one row: then the external id stands in the
    /// body, where no character means anything. Collections take no records by `Id` (REST API guide, Upsert Records
    /// Using sObject Collections).
    pub(super) fn is_collection_alone(&self) -> bool {
        self.rows[0].external_id_field != ID
    }

    /// The URL of the step as a call of its own.
    pub(super) fn url_alone(&self, version: ApiVersion) -> String {
        if self.is_collection_alone() { self.collection_url(version) } else { self.record_url(version) }
    }

    /// The body of the step as a call of its own.
    pub(super) fn body_alone(&self) -> Value {
        if self.is_collection_alone() { self.collection_body() } else { Value::Object(fields(self.rows[0])) }
    }

    /// Whether Composite would take some text of the step for a reference to another subrequest.
    pub(super) fn looks_like_reference(&self) -> bool {
        let in_row =
            |row: &&Upsert| is_reference(&row.external_id) || row.fields.values().any(field_holds_reference);
        self.rows.iter().any(in_row)
    }

    fn collection_url(&self, version: ApiVersion) -> String {
        let Upsert { object, external_id_field, .. } = self.rows[0];
        format!("/services/data/v{version}/composite/sobjects/{object}/{external_id_field}")
    }

    fn record_url(&self, version: ApiVersion) -> String {
        let Upsert { object, external_id_field, external_id, .. } = self.rows[0];
        let external_id = utf8_percent_encode(external_id, SEGMENT);
        format!("/services/data/v{version}/sobjects/{object}/{external_id_field}/{external_id}")
    }

    fn collection_body(&self) -> Value {
        let records: Vec<_> = self.rows.iter().map(|upsert| row(upsert)).collect();
        json!({ "allOrNone": true, "records": records })
    }
}

fn field_holds_reference(value: &FieldValue) -> bool {
    match value {
        FieldValue::Plain(value) | FieldValue::Related { id: value, .. } => holds_reference(value),
    }
}

fn holds_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => is_reference(text),
        Value::Array(items) => items.iter().any(holds_reference),
        Value::Object(members) => members.values().any(holds_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether `@{`, something, and `}` stand in a text: a reference in Composite (REST API guide, Composite Subrequest),
/// which nothing escapes (that guide and the one on Composite Graph name no escape). `@{` and `@{}` are none.
fn is_reference(text: &str) -> bool {
    text.match_indices("@{")
        .any(|(start, open)| text[start + open.len()..].find('}').is_some_and(|end| end > 0))
}

/// The fields of a single upsert's body, and of a collection's row. Salesforce refuses an external id in the body
/// that stands in the URL (REST API guide, sObject Rows by External ID).
fn fields(upsert: &Upsert) -> Map<String, Value> {
    let others = upsert.fields.iter().filter(|(field, _)| *field != upsert.external_id_field);
    others.map(|(field, value)| (field.to_owned(), value.to_json())).collect()
}

/// A collection's row: one URL serves all rows, so each carries its own external id.
fn row(upsert: &Upsert) -> Value {
    let mut row = fields(upsert);
    row.insert("attributes".to_owned(), json!({ "type": upsert.object }));
    row.insert(upsert.external_id_field.to_owned(), upsert.external_id.clone().into());
    Value::Object(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_looks_like_a_reference_only_with_something_between_the_braces() {
        for text in ["@{home}", "see @{step_0.id} there", "@{} @{x}", "@{ }", "a@{\n}"] {
            assert!(is_reference(text), "{text}");
        }
        for text in ["", "@{", "@{}", "a @ {b}", "{home}", "@home}", "}@{", "$@{"] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn a_reference_is_found_wherever_it_stands() {
        let upsert = |id: &str| Upsert::new("A", "Key__c", id);
        let steps = [
            upsert("a").set("Comment__c", "see @{home}"),
            upsert("@{a}"),
            upsert("a").relate("B__r", "Key__c", "@{b}"),
        ];
        for row in &steps {
            assert!(Step::new(vec![row]).looks_like_reference(), "{row:?}");
        }
        assert!(!Step::new(vec![&upsert("a").set("Number__c", 1).set("Name", "@{}")]).looks_like_reference());
    }
}
