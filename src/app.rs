//! Puts together everything that runs. The server and the tests call the same function.

use std::sync::Arc;

use tracing::error;

use crate::check::{self, Report};
use crate::config::Config;
use crate::destinations::Destinations;
use crate::destinations::commcare::forms::FormList;
use crate::destinations::commcare::{self, CommCare};
use crate::destinations::postgis::{self, MigrationError, Postgis};
use crate::destinations::salesforce::{Salesforce, SetUpError};
use crate::jobs::{self, Facts};
use crate::metrics::Metrics;
use crate::queue::{Queue, QueueError};
use crate::reconcile::Reconciler;
use crate::worker::{Shutdown, Worker};

/// The running service.
pub struct App {
    /// The queue.
    pub queue: Queue,
    /// The worker, which processes the queue's records.
    pub worker: Worker,
    /// Fetches what CommCare could not deliver.
    pub reconciler: Reconciler,
    /// All counters.
    pub metrics: Metrics,
    /// The length of the longest address of a photo.
    longest_file_url: usize,
}

/// Why the service could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The queue could not be opened.
    #[error("the queue cannot be opened")]
    Queue(#[source] QueueError),
    /// The Salesforce destination could not be set up.
    #[error("the Salesforce destination cannot be set up")]
    Salesforce(#[source] SetUpError),
    /// The PostGIS database lacks the schema that the service needs, and could not be migrated.
    #[error("the PostGIS database cannot be migrated (RUN_MIGRATIONS)")]
    Migration(#[source] MigrationError),
    /// The CommCare destination could not be set up.
    #[error("the CommCare destination cannot be set up")]
    CommCare(#[source] commcare::SetUpError),
}

impl App {
    /// Opens the queue and prepares the destinations; `shutdown` ends the work.
    pub async fn start(config: &Config, shutdown: Shutdown) -> Result<Arc<Self>, StartError> {
        let metrics = metrics().from_zero(jobs::JOBS.iter().map(|job| (job.origin, job.name)));
        if let Some(settings) = config.postgis.as_ref().filter(|settings| settings.run_migrations) {
            match postgis::migrate(&settings.database).await {
                // Forms to Salesforce can go on, and forms to PostGIS wait in the queue.
                Err(error @ MigrationError::Unreachable { .. }) => {
                    error!(error = &error as &dyn std::error::Error, "PostGIS database not migrated");
                }
                migrated => migrated.map_err(StartError::Migration)?,
            }
        }
        let destinations = destinations(config, &metrics)?;
        let queue = Queue::open(&config.queue, config.retry).await.map_err(StartError::Queue)?;
        let forms = config.commcare.clone().map(FormList::new).transpose().map_err(StartError::CommCare)?;
        let reconciler = Reconciler::new(
            queue.clone(),
            forms,
            config.reconcile,
            config.retry.retention,
            config.drain.budget,
            shutdown.clone(),
        );
        let worker = Worker::new(
            queue.clone(),
            destinations,
            facts(config),
            [config.drain, config.drain_to_commcare],
            config.retry,
            shutdown,
            metrics.clone(),
        );
        let longest_file_url = check::longest_file_url(config);
        Ok(Arc::new(Self { queue, worker, reconciler, metrics, longest_file_url }))
    }

    /// Holds the destinations against the mappings, and keeps the result for the dashboard.
    pub async fn check_destinations(&self) -> Report {
        let report = check::run(self.worker.destinations(), Some(&self.queue), self.longest_file_url).await;
        if let Err(error) = check::keep(&self.queue, &report).await {
            error!(error = &error as &dyn std::error::Error, "result of the destination check not kept");
        }
        report
    }
}

/// Every destination that the settings name. None is called yet.
pub(crate) fn destinations(config: &Config, metrics: &Metrics) -> Result<Destinations, StartError> {
    let salesforce = config.salesforce.clone().map(|settings| Salesforce::new(settings, metrics.clone()));
    Ok(Destinations {
        salesforce: salesforce.transpose().map_err(StartError::Salesforce)?,
        commcare: config.commcare.clone().map(CommCare::new).transpose().map_err(StartError::CommCare)?,
        postgis: config.postgis.as_ref().map(Postgis::new),
    })
}

/// Counters that know the names of the form types.
pub(crate) fn metrics() -> Metrics {
    Metrics::new(|origin, name| jobs::find(origin, name).map(|job| job.name))
}

/// What mappings know apart from the payload, by these settings.
pub(crate) fn facts(config: &Config) -> Facts {
    let (sender, hq) = (config.sender.clone(), config.hq.clone().into());
    Facts { sender, hq, ..Facts::new(config.registration_attendance) }
}
