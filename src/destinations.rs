//! Performing plans: what leaves the service, and how it can fail.
//!
//! A destination without credentials is a recorder: it sends nothing, and the plan is kept with
//! its record (`docs/service.md`, section 6, "Dry run").

mod breaker;
pub mod commcare;
mod guard;
mod mask;
pub mod postgis;
mod retry;
pub mod salesforce;
mod staff;
mod transport;

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::plan::{Effects, Plan};
use crate::submission::{Destination, Progress};
use commcare::CommCare;
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

/// What has become of a plan's documents so far, for whoever watches the delivery.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Progress>);

impl Tally {
    /// The progress so far.
    pub fn progress(&self) -> Progress {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accepted(&self, position: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).delivered.insert(position);
    }

    fn refused(&self, position: u32, error: &str) {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        progress.refused.insert(position, error.to_owned());
    }
}

/// Every destination.
pub struct Destinations {
    /// Salesforce; `None` records.
    pub salesforce: Option<Salesforce>,
    /// CommCare; `None` records.
    pub commcare: Option<CommCare>,
    /// PostGIS; `None` records.
    pub postgis: Option<Postgis>,
}

impl Destinations {
    /// Whether `destination` takes work now. PostGIS always does: a form that finds it down fails by
    /// itself, and holds up nothing that goes elsewhere.
    pub async fn admission(&self, destination: Destination) -> Admission {
        match destination {
            Destination::Salesforce => match &self.salesforce {
                Some(salesforce) => salesforce.admission().await,
                None => Admission::Open,
            },
            Destination::CommCare => self.commcare.as_ref().map_or(Admission::Open, CommCare::admission),
            Destination::Postgis => Admission::Open,
        }
    }

    /// Says that a drain for `destination` begins.
    pub fn drain_begins(&self, destination: Destination) {
        if let (Destination::Salesforce, Some(salesforce)) = (destination, &self.salesforce) {
            salesforce.drain_begins();
        }
    }

    /// Performs `plan`: of Salesforce records and rows all or nothing, of documents as many as are
    /// taken, noted in `tally`.
    pub async fn perform(&self, plan: &Plan, tally: &Tally) -> Result<Delivery, DeliveryError> {
        match (&plan.effects, &self.salesforce, &self.commcare, &self.postgis) {
            (Effects::Upserts(_), Some(salesforce), _, _) => salesforce.execute(plan).await?,
            (Effects::Documents(_), _, Some(commcare), _) => commcare.execute(plan, tally).await?,
            (Effects::Rows(rows), salesforce, _, Some(postgis)) => {
                let staff = staff::look_up(rows, salesforce.as_ref()).await;
                postgis.execute(rows, staff.as_deref()).await?;
            }
            (Effects::Upserts(_), None, _, _)
            | (Effects::Documents(_), _, None, _)
            | (Effects::Rows(_), _, _, None) => return Ok(Delivery::Recorded(plan.to_json())),
        }
        Ok(Delivery::Sent)
    }

    /// The destinations that are in trouble, as far as is known without asking them.
    pub fn down(&self) -> Vec<Destination> {
        let salesforce = self.salesforce.as_ref().map(|salesforce| salesforce.health().admission);
        let commcare = self.commcare.as_ref().map(CommCare::admission);
        let in_trouble =
            |admission: Option<Admission>| admission.is_some_and(|found| found != Admission::Open);
        let down = [
            (Destination::Salesforce, in_trouble(salesforce)),
            (Destination::CommCare, in_trouble(commcare)),
            (Destination::Postgis, self.postgis.as_ref().is_some_and(Postgis::is_down)),
        ];
        down.into_iter().filter(|(_, is_down)| *is_down).map(|(destination, _)| destination).collect()
    }
}
