//! Performing plans: what leaves the service, and how it can fail.
//!
//! A destination without credentials is a recorder: it sends nothing, and the plan is kept with
//! its record (`service.md`, section 6, "Dry run").

pub mod postgis;
pub mod salesforce;

use serde_json::Value;

use crate::jobs::Destination;
use crate::plan::{Effects, Plan};
use postgis::Postgis;
use salesforce::Salesforce;

/// What a failed delivery means for the record, and for the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: the record fails with a back-off time.
    Transient,
    /// Something that the record refers to isn't there yet: the same.
    Dependency,
    /// Trying again changes nothing: the record fails for good.
    Permanent,
    /// The destination's trouble, not the record's (refused login, quota used up): the drain
    /// stops for this destination and its unfinished records go back to `new`, uncounted.
    Unavailable,
}

/// Why a plan could not be performed. Its text holds ids, never other payload values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// What it means.
    pub failure: Failure,
    /// The step that failed, e.g. `Participant__c`; `login` or `admission` before any step.
    pub step: String,
    /// What happened, in words an operator can act on.
    pub message: String,
}

/// Whether a destination takes work: asked before records are claimed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It takes as much as there is.
    Open,
    /// It was in trouble: one record tests the way back, and once that went through, more.
    Probe,
    /// It takes none for now; nothing is to be claimed.
    Closed {
        /// Why, in words for operators.
        reason: String,
    },
}

/// What became of a plan.
#[derive(Debug)]
pub enum Delivery {
    /// Its effects are done.
    Sent,
    /// There is nowhere to send it to: the plan, to be kept with the record.
    Recorded(Value),
}

/// Every destination.
pub struct Destinations {
    /// Salesforce; `None` records.
    pub salesforce: Option<Salesforce>,
    /// PostGIS; `None` records.
    pub postgis: Option<Postgis>,
}

impl Destinations {
    /// Whether `destination` takes work now. PostGIS always does: a form that finds it down fails by
    /// itself, and holds up nothing that goes elsewhere.
    pub async fn admission(&self, destination: Destination) -> Admission {
        match (destination, &self.salesforce) {
            (Destination::Salesforce, Some(salesforce)) => salesforce.admission().await,
            (Destination::Salesforce | Destination::CommCare | Destination::Postgis, _) => Admission::Open,
        }
    }

    /// Says that a drain for `destination` begins.
    pub fn drain_begins(&self, destination: Destination) {
        if let (Destination::Salesforce, Some(salesforce)) = (destination, &self.salesforce) {
            salesforce.drain_begins();
        }
    }

    /// Performs `plan`, all of it or nothing.
    pub async fn perform(&self, plan: &Plan) -> Result<Delivery, DeliveryError> {
        match (&plan.effects, &self.salesforce, &self.postgis) {
            (Effects::Upserts(_), Some(salesforce), _) => salesforce.execute(plan).await?,
            (Effects::Rows(rows), salesforce, Some(postgis)) => {
                postgis.execute(rows, salesforce.as_ref()).await?;
            }
            (Effects::Upserts(_), None, _) | (Effects::Rows(_), _, None) => {
                return Ok(Delivery::Recorded(plan.to_json()));
            }
        }
        Ok(Delivery::Sent)
    }

    /// The destinations that are in trouble, as far as is known without asking them.
    pub fn down(&self) -> Vec<Destination> {
        let salesforce = self.salesforce.as_ref();
        let salesforce =
            salesforce.is_some_and(|salesforce| salesforce.health().admission != Admission::Open);
        let postgis = self.postgis.as_ref().is_some_and(Postgis::is_down);
        let down = [(Destination::Salesforce, salesforce), (Destination::Postgis, postgis)];
        down.into_iter().filter(|(_, is_down)| *is_down).map(|(destination, _)| destination).collect()
    }
}
