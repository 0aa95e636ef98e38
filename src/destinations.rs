//! Performing plans: what leaves the service, and how it can fail.
//!
//! A destination without credentials is a recorder: it sends nothing, and the plan is kept with
//! its record (`service.md`, section 6, "Dry run").

mod breaker;
pub mod commcare;
mod mask;
mod retry;
pub mod salesforce;

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::jobs::Destination;
use crate::plan::Plan;
use crate::submission::Progress;
use commcare::CommCare;
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
}

impl Destinations {
    /// Whether `destination` takes work now.
    pub async fn admission(&self, destination: Destination) -> Admission {
        match destination {
            Destination::Salesforce => match &self.salesforce {
                Some(salesforce) => salesforce.admission().await,
                None => Admission::Open,
            },
            Destination::CommCare => self.commcare.as_ref().map_or(Admission::Open, CommCare::admission),
            // No job with a mapping goes there yet.
            Destination::Postgis => Admission::Open,
        }
    }

    /// Performs `plan`: of Salesforce records all or nothing, of documents as many as are taken, noted
    /// in `tally`.
    pub async fn perform(
        &self,
        destination: Destination,
        plan: &Plan,
        tally: &Tally,
    ) -> Result<Delivery, DeliveryError> {
        let done = match (destination, &self.salesforce, &self.commcare) {
            (Destination::Salesforce, Some(salesforce), _) => salesforce.execute(plan).await,
            (Destination::CommCare, _, Some(commcare)) => commcare.execute(plan, tally).await,
            _ => return Ok(Delivery::Recorded(plan.to_json())),
        };
        done.map(|()| Delivery::Sent)
    }

    /// The destinations that are in trouble, as far as is known without asking them.
    pub fn down(&self) -> Vec<Destination> {
        let salesforce = self.salesforce.as_ref().map(|salesforce| salesforce.health().admission);
        let commcare = self.commcare.as_ref().map(CommCare::admission);
        [(Destination::Salesforce, salesforce), (Destination::CommCare, commcare)]
            .into_iter()
            .filter(|(_, admission)| {
                admission.as_ref().is_some_and(|admission| *admission != Admission::Open)
            })
            .map(|(destination, _)| destination)
            .collect()
    }
}
