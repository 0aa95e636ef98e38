//! Looking something up in Salesforce.

use std::fmt;

use serde_json::Value;
use tokio::time::Instant;

use super::trouble::Trouble;
use super::{Salesforce, answer};
use crate::destinations::mask::Mask;
use crate::destinations::{DeliveryError, guard};

/// A query of one field of the record with an id.
pub struct Soql(String);

impl Soql {
    /// `field` of the `object` with this `Id`, which may be any text: it is escaped.
    pub fn field_of(object: &'static str, field: &'static str, id: &str) -> Self {
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

impl Salesforce {
    /// The records that a query finds. Asked once: who asks can do without, or asks again.
    pub async fn query(&self, soql: &Soql) -> Result<Vec<Value>, DeliveryError> {
        if let Some(reason) = self.gate.quota.closed() {
            return Err(guard::closed(reason));
        }
        let pass = self.gate.enter(Instant::now())?;
        let asked = match self.wire.query(&pass, soql).await {
            Ok(answer) if answer.status.is_success() => records(&answer.body),
            Ok(answer) => Err(answer::refused(answer.status, &answer.body, &Mask::of_plan(&[]))),
            Err(trouble) => Err(trouble),
        };
        match asked {
            Ok(records) => {
                pass.worked();
                Ok(records)
            }
            Err(trouble) => {
                pass.failed(Instant::now(), &trouble);
                Err(trouble.error)
            }
        }
    }
}

pub(super) fn records(body: &[u8]) -> Result<Vec<Value>, Trouble> {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    match body.and_then(|mut body| body.get_mut("records").map(Value::take)) {
        Some(Value::Array(records)) => Ok(records),
        _ => Err(Trouble::outage(
            "query",
            "Salesforce's answer is not a whole one: it has no records".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_end_its_literal() {
        let soql = Soql::field_of("Project_Role__c", "Staff__c", r"a' OR Name != '\");
        assert_eq!(
            soql.to_string(),
            r"SELECT Staff__c FROM Project_Role__c WHERE Id = 'a\' OR Name != \'\\'"
        );
    }
}
