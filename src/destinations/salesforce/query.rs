//! Looking something up in Salesforce.

use serde_json::Value;
use tokio::time::Instant;

use super::answer;
use super::failure;
use super::{Salesforce, Soql};
use crate::destinations::Suspicion;
use crate::destinations::delivery::DeliveryError;
use crate::destinations::mask::Mask;
use crate::destinations::trouble::Trouble;

impl Salesforce {
    /// The records that a query finds. Asked once: who asks can do without, or asks again.
    pub async fn query(&self, soql: &Soql) -> Result<Vec<Value>, DeliveryError> {
        if let Some(reason) = self.gate.quota.pause() {
            return Err(DeliveryError::paused(reason));
        }
        let pass = self.gate.enter(Instant::now(), Suspicion::None)?;
        let asked = match self.wire.query(&pass, soql).await {
            Ok(response) if response.status.is_success() => records(&response.body),
            Ok(response) => Err(answer::refused(&response, &Mask::default(), failure::of_query)),
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
    let records = body.and_then(|mut body| body.get_mut("records").map(Value::take));
    let Some(Value::Array(records)) = records else {
        let why = "Salesforce's answer is not a whole one: it has no records".to_owned();
        return Err(Trouble::outage("query", why));
    };
    Ok(records)
}
