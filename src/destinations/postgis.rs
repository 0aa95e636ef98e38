//! PostGIS: the rows of one form in one transaction, all of them or none.
//!
//! `mills` and `visits` hold the statements, one round trip for each table however many rows it
//! gets; `failure` says what a refusal means, `staff` who a mill's user is in Salesforce. Every
//! statement is an upsert by an id of the form, so that a form can be stored again without harm and
//! the database ends as its latest version says.
//!
//! A form is held back by its own failure alone. A database that is down fails forms as transient:
//! the drain, whose other forms go to Salesforce, is not stopped for it.

mod failure;
mod migrations;
mod mills;
mod visits;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgTransaction;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::time::{sleep, timeout};
use tracing::{debug, instrument};

use crate::config::postgis::PostgisSettings;
use crate::destinations::DeliveryError;
use crate::plan::rows::Rows;
pub use migrations::{MigrationError, migrate};

use failure::Trouble;

/// How long a form waits for a connection, be it that all are in use or that none can be made.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Times that one form is tried within a call, and the wait before the second (it doubles).
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The PostGIS destination: one per process, shared by all deliveries.
pub struct Postgis {
    pool: PgPool,
    request_timeout: Duration,
    /// Whether the last form found no database.
    down: AtomicBool,
}

impl Postgis {
    /// A destination that connects when the first form needs it.
    pub fn new(settings: &PostgisSettings) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT.min(settings.request_timeout))
            .connect_lazy_with(settings.database.0.clone());
        Self { pool, request_timeout: settings.request_timeout, down: AtomicBool::new(false) }
    }

    /// Whether the last form found no database.
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Stores a form's rows. The user of a mill is the one whose `sf_user_id` is `staff`.
    #[instrument(name = "postgis.store", skip_all)]
    pub async fn execute(&self, rows: &Rows, staff: Option<&str>) -> Result<(), DeliveryError> {
        let stored = timeout(self.request_timeout, self.store_patiently(rows, staff));
        let stored = stored.await.unwrap_or_else(|_| Err(Trouble::no_answer(self.request_timeout)));
        self.down.store(stored.as_ref().is_err_and(|trouble| trouble.is_outage), Ordering::Relaxed);
        stored.map_err(|trouble| trouble.error)
    }

    /// Tries again where a repeat may well go through: after a deadlock or a cut connection.
    async fn store_patiently(&self, rows: &Rows, staff: Option<&str>) -> Result<(), Trouble> {
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            match self.store(rows, staff).await {
                Err(trouble) if trouble.passes_soon && tries < TRIES => {
                    debug!(reason = trouble.error.message, wait_ms = wait.as_millis(), "postgis.retry");
                    sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
                    wait *= 2;
                    tries += 1;
                }
                stored => return stored,
            }
        }
    }

    async fn store(&self, rows: &Rows, staff: Option<&str>) -> Result<(), Trouble> {
        let mut transaction = self.begin().await?;
        match rows {
            Rows::Mill(mill) => mills::store(&mut transaction, mill, staff).await?,
            Rows::Visit(visit) => visits::store(&mut transaction, visit).await?,
        }
        transaction.commit().await.map_err(|error| Trouble::of("commit", &error))
    }

    async fn begin(&self) -> Result<PgTransaction<'static>, Trouble> {
        self.pool.begin().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => Trouble::no_connection(&self.pool),
            error => Trouble::of("connection", &error),
        })
    }
}
