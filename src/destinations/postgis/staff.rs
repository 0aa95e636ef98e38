//! Who works in a project role, by Salesforce (`docs/mappings/commcare-to-postgis.md`, section 2, "The user").
//!
//! Asked anew for every registration: a mill that is registered while Salesforce is unreachable has
//! no user, whoever was found for its role before (golden case `reg-salesforce-unreachable-001`).
//! Mills are registered once; there is little that a cache could save.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tracing::warn;

use crate::destinations::salesforce::{Salesforce, Soql};

/// How long a mill waits for its user: it is stored without one rather than late.
const PATIENCE: Duration = Duration::from_secs(5);

/// The Salesforce id of the role's staff member; `None` for whatever reason it is not found.
pub(super) async fn of_role(salesforce: &Salesforce, role: &str) -> Option<String> {
    let soql = Soql::select_by_id("Staff__c", "Project_Role__c", role);
    let records = match timeout(PATIENCE, salesforce.query(&soql)).await {
        Ok(Ok(records)) => records,
        Ok(Err(error)) => {
            warn!(reason = error.message, "postgis.staff_unknown");
            return None;
        }
        Err(_) => {
            warn!(reason = "Salesforce took too long", "postgis.staff_unknown");
            return None;
        }
    };
    let staff = records.first()?.get("Staff__c").and_then(Value::as_str);
    staff.filter(|staff| !staff.is_empty()).map(str::to_owned)
}
