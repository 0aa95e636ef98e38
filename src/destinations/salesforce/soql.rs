//! Queries, with what they are asked about escaped.

use std::fmt;

/// A query of one field of the record with an id.
pub struct Soql(String);

impl Soql {
    /// Asks for `field` of the `object` with this `Id`, which may be any text.
    pub fn select_by_id(field: &'static str, object: &'static str, id: &str) -> Self {
        Self(format!("SELECT {field} FROM {object} WHERE Id = '{}'", escape(id)))
    }
}

impl fmt::Display for Soql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text inside a SOQL literal (SOQL and SOSL Reference, "Quoted String Escape Sequences").
fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_end_its_literal() {
        let soql = Soql::select_by_id("Staff__c", "Project_Role__c", r"a' OR Name != '\");
        assert_eq!(
            soql.to_string(),
            r"SELECT Staff__c FROM Project_Role__c WHERE Id = 'a\' OR Name != \'\\'"
        );
    }
}
