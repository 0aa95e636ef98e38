//! PostGIS: the rows of one form in one transaction, all of them or none.
//!
//! `mills` and `visits` hold the statements: one round trip for each table, for any number of rows.
//! `failure` gives the meaning of a refusal. Every statement is an upsert by an id of the form. A form can
//! therefore be stored again without harm, and the database ends as the latest version of the form says.
//!
//! If the database is down, full or without a schema, the trouble is the destination's: wet-mill forms go back
//! uncounted. Forms to Salesforce in the same drain go on.

mod failure;
mod migrations;
mod mills;
mod readiness;
mod unnamed;
mod visits;

use std::time::Duration;

use sqlx::PgTransaction;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::time::{Instant, timeout};
use tracing::{info, instrument, warn};

use crate::config::postgis::PostgisSettings;
use crate::destinations::guard::Guard;
use crate::destinations::trouble::Blame;
use crate::destinations::{Admission, DeliveryError, Suspicion};
use crate::plan::rows::Rows;
use crate::retry::{Retries, RetryTimes};
pub use migrations::{MigrationError, migrate};

use failure::{CONNECTION, StoreError};

/// How long a form waits for a connection, whether all are in use or none can be made.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often one form is tried within a call, and the wait before the second try.
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The PostGIS destination: one per process, shared by all deliveries.
pub struct Postgis {
    pool: PgPool,
    request_timeout: Duration,
    guard: Guard,
}

impl Postgis {
    /// A destination that connects when the first form needs it.
    pub fn new(settings: &PostgisSettings) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT.min(settings.request_timeout))
            .connect_lazy_with(settings.database.0.clone());
        Self { pool, request_timeout: settings.request_timeout, guard: Guard::new() }
    }

    /// Whether PostGIS takes forms now, as far as is known without asking it.
    pub fn admission(&self) -> Admission {
        self.guard.view(Instant::now())
    }

    /// Whether the last form found no database.
    pub fn is_down(&self) -> bool {
        !self.guard.is_well()
    }

    /// Says that a drain begins. After an outage the drain tries one form at once.
    pub fn drain_begins(&self) {
        self.guard.hasten(Instant::now());
    }

    /// Stores a form's rows. The user of a mill is the one whose `sf_user_id` is `staff`.
    #[instrument(name = "postgis.store", skip_all)]
    pub async fn execute(
        &self,
        rows: &Rows,
        staff: Option<&str>,
        suspicion: Suspicion,
    ) -> Result<(), DeliveryError> {
        let started = Instant::now();
        let entry = self.guard.enter(started, suspicion)?;
        let times = RetryTimes { tries: TRIES, budget: self.request_timeout, first_wait: FIRST_WAIT };
        // After a deadlock or a cut connection, another try may succeed at once.
        let tries = Retries::new(started, times).run(
            || self.store(rows, staff),
            |error| {
                let DeliveryError { failure, step, .. } = &error.trouble.error;
                // A connection that an outage has cut is found out before the form is sent.
                let was_one_try = step != CONNECTION && entry.was_one_try(*failure);
                error.may_pass().filter(|_| !was_one_try)
            },
        );
        let stored = timeout(self.request_timeout, tries).await;
        let stored = stored.unwrap_or_else(|_| Err(StoreError::no_answer(self.request_timeout)));
        let Err(StoreError { trouble, .. }) = stored.map_err(|error| error.naming_odd_text(rows)) else {
            if entry.worked() {
                info!("PostGIS answers again");
            }
            return Ok(());
        };
        let reason = &trouble.error.message;
        match trouble.blame {
            Blame::Record => {
                entry.worked();
            }
            Blame::Outage | Blame::Down | Blame::Quota | Blame::Refusal => {
                if entry.unanswered(Instant::now(), &format!("PostGIS takes nothing: {reason}"), None) {
                    warn!(reason, "PostGIS takes nothing");
                }
            }
        }
        Err(trouble.error)
    }

    async fn store(&self, rows: &Rows, staff: Option<&str>) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        match rows {
            Rows::Mill(mill) => mills::store(&mut transaction, mill, staff).await?,
            Rows::Visit(visit) => visits::store(&mut transaction, visit).await?,
        }
        transaction.commit().await.map_err(|error| StoreError::from_sqlx("commit", &error))
    }

    async fn begin(&self) -> Result<PgTransaction<'static>, StoreError> {
        self.pool.begin().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => StoreError::no_connection(&self.pool),
            error => StoreError::from_sqlx(CONNECTION, &error),
        })
    }
}
