//! Who works in a project role, by Salesforce (`commcare-to-postgis.md`, section 2, "The user").

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::destinations::salesforce::{Salesforce, Soql};

/// How long a found answer is taken for true: roles change hands in months.
const KEPT: Duration = Duration::from_mins(10);

/// How long a mill waits for its user: it is stored without one rather than late.
const PATIENCE: Duration = Duration::from_secs(5);

/// Found answers, by role id.
#[derive(Default)]
pub(super) struct Staff {
    found: Mutex<HashMap<String, (String, Instant)>>,
}

impl Staff {
    /// The Salesforce id of the role's staff member; `None` for whatever reason it is not found.
    pub(super) async fn of_role(
        &self,
        salesforce: Option<&Salesforce>,
        role: Option<&str>,
    ) -> Option<String> {
        let (salesforce, role) = (salesforce?, role?);
        let now = Instant::now();
        if let Some(staff) = self.remembered(role, now) {
            return Some(staff);
        }
        let soql = Soql::field_of("Project_Role__c", "Staff__c", role);
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
        let staff =
            records.first()?.get("Staff__c").and_then(Value::as_str).filter(|staff| !staff.is_empty())?;
        self.remember(role, staff, now);
        Some(staff.to_owned())
    }

    fn remembered(&self, role: &str, now: Instant) -> Option<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(role).filter(|(_, until)| now < *until).map(|(staff, _)| staff.clone())
    }

    fn remember(&self, role: &str, staff: &str, now: Instant) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.retain(|_, (_, until)| now < *until);
        found.insert(role.to_owned(), (staff.to_owned(), now + KEPT));
    }
}
