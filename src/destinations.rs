//! Performing plans: what leaves the service, and how it can fail.
//!
//! A destination without credentials is a recorder: it sends nothing, and the plan is kept with
//! its record (`docs/service.md`, section 6, "Dry run").

mod breaker;
pub mod commcare;
mod delivery;
mod guard;
mod mask;
pub mod postgis;
mod readiness;
pub mod salesforce;
mod staff;
mod transport;
mod trouble;
mod xml;

use crate::plan::{Effects, Plan};
use crate::submission::Destination;
pub use breaker::Admission;
use commcare::CommCare;
pub use delivery::{Delivery, DeliveryError, Failure, Suspicion, Tally};
use postgis::Postgis;
pub use readiness::{Fault, NotAsked};
use salesforce::Salesforce;

/// Bytes of a plan that are recorded: more than its record has room for.
const RECORDED: usize = 1024 * 1024;

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
    /// Whether `destination` takes work now.
    pub async fn admission(&self, destination: Destination) -> Admission {
        match destination {
            Destination::Salesforce => match &self.salesforce {
                Some(salesforce) => salesforce.admission().await,
                None => Admission::Available,
            },
            Destination::CommCare => self.commcare.as_ref().map_or(Admission::Available, CommCare::admission),
            Destination::Postgis => self.postgis.as_ref().map_or(Admission::Available, Postgis::admission),
        }
    }

    /// The same, as far as is known without asking anyone.
    pub fn known_admission(&self, destination: Destination) -> Admission {
        let known = match destination {
            Destination::Salesforce => {
                self.salesforce.as_ref().map(|salesforce| salesforce.health().admission)
            }
            Destination::CommCare => self.commcare.as_ref().map(CommCare::admission),
            Destination::Postgis => self.postgis.as_ref().map(Postgis::admission),
        };
        known.unwrap_or(Admission::Available)
    }

    /// Says that a drain for `destination` begins.
    pub fn drain_begins(&self, destination: Destination) {
        match destination {
            Destination::Salesforce => self.salesforce.as_ref().map(Salesforce::drain_begins),
            Destination::CommCare => self.commcare.as_ref().map(CommCare::drain_begins),
            Destination::Postgis => self.postgis.as_ref().map(Postgis::drain_begins),
        };
    }

    /// Performs `plan`: Salesforce records and rows all or none, documents as many as CommCare takes. `tally`
    /// notes those.
    pub async fn perform(
        &self,
        plan: &Plan,
        tally: &Tally,
        suspicion: Suspicion,
    ) -> Result<Delivery, DeliveryError> {
        match (&plan.effects, &self.salesforce, &self.commcare, &self.postgis) {
            (Effects::Upserts(_), Some(salesforce), _, _) => salesforce.execute(plan, suspicion).await?,
            (Effects::Documents(_), _, Some(commcare), _) => commcare.execute(plan, tally, suspicion).await?,
            (Effects::Rows(rows), salesforce, _, Some(postgis)) => {
                let staff = staff::look_up(rows, salesforce.as_ref()).await;
                postgis.execute(rows, staff.as_deref(), suspicion).await?;
            }
            (Effects::Upserts(_), None, _, _)
            | (Effects::Documents(_), _, None, _)
            | (Effects::Rows(_), _, _, None) => {
                return Ok(Delivery::Recorded(plan.to_json_within(RECORDED)));
            }
        }
        Ok(Delivery::Sent)
    }

    /// The destinations that are in trouble, as far as is known without asking them.
    pub fn down(&self) -> Vec<Destination> {
        let salesforce = self.salesforce.as_ref().map(|salesforce| salesforce.health().admission);
        let commcare = self.commcare.as_ref().map(CommCare::admission);
        let in_trouble =
            |admission: Option<Admission>| admission.is_some_and(|found| found != Admission::Available);
        let down = [
            (Destination::Salesforce, in_trouble(salesforce)),
            (Destination::CommCare, in_trouble(commcare)),
            (Destination::Postgis, self.postgis.as_ref().is_some_and(Postgis::is_down)),
        ];
        down.into_iter().filter(|(_, is_down)| *is_down).map(|(destination, _)| destination).collect()
    }
}
