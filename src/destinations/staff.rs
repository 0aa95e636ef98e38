//! The user of a mill: who works in its project role, according to Salesforce
//! (`docs/mappings/commcare-to-postgis.md`, section 2, "The user").
//!
//! Nothing is cached. A mill that is registered while Salesforce is unreachable has no user, even if an
//! earlier registration found one for the same role (golden case `reg-salesforce-unreachable-001`); and
//! mills are registered once, so that a cache would save little.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tracing::warn;

use crate::destinations::salesforce::{Salesforce, Soql};
use crate::plan::rows::Rows;

/// How long a mill waits for its user. After that it is stored without a user.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of the longest text that is worth a query: ids have 18, and a longer text would not fit a URL.
const LONGEST_ROLE: usize = 255;

/// The Salesforce id of the staff member whose project role `rows` name. `None` where they name no role, and
/// where the staff member is not found, for any reason.
pub(super) async fn look_up(rows: &Rows, salesforce: Option<&Salesforce>) -> Option<String> {
    let role = rows.project_role().filter(|role| role.len() <= LONGEST_ROLE);
    let (role, salesforce) = role.zip(salesforce)?;
    let soql = Soql::select_by_id("Staff__c", "Project_Role__c", role);
    let found = timeout(PATIENCE, salesforce.query(&soql)).await;
    let reason = match found {
        Ok(Ok(records)) => {
            let staff = records.first()?.get("Staff__c").and_then(Value::as_str);
            return staff.filter(|staff| !staff.is_empty()).map(str::to_owned);
        }
        Ok(Err(error)) => error.message,
        Err(_) => "Salesforce took too long".to_owned(),
    };
    warn!(reason, "the user of a mill could not be looked up in Salesforce");
    None
}
