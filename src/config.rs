//! Everything that the environment decides (`docs/service.md`, section 6): read once, into real types, with every
//! problem reported together.
//!
//! Values are read through a look-up, so that tests pass a map. Each read is also listed, secrets masked:
//! `check-config` prints that list, and the test of `.env.example` compares it.

mod access;
pub mod commcare;
pub mod env_file;
mod login;
pub mod postgis;
mod queue;
mod reader;
mod reconcile;
pub mod salesforce;
mod unknown;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

pub use access::{Access, OperatorToken, SchedulerAccess};
use postgis::PostgisSettings;
pub use queue::{FirestoreSettings, QueueSettings, SqliteSettings};
pub use reader::Setting;
pub(crate) use reader::shown;
use reader::{Findings, Reader};
pub use reconcile::ReconcileSettings;
use salesforce::SalesforceSettings;

use crate::submission::Sender;
use commcare::CommCareSettings;

/// Why the service can't start: every problem, by variable name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} problem(s):\n{}", .0.len(), .0.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Shape of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, as Cloud Logging reads it.
    Json,
    /// For people.
    Pretty,
}

/// When and how often a record is tried again (`docs/service.md`, guarantees 3, 6, 7 and 11).
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// `LEASE_SECONDS`: how long a claim lasts unless it is renewed.
    pub lease: Duration,
    /// `MAX_RETRIES`: retries that auto-retry grants a record.
    pub max_retries: u32,
    /// `RETRY_BACKOFF_SECONDS`: the wait before the first retry.
    pub retry_backoff: Duration,
    /// `OUTAGE_PATIENCE_DAYS`: how long a record may meet nothing but its destination's trouble.
    pub outage_patience: Duration,
    /// `DEPENDENCY_PATIENCE_DAYS`: how long after its arrival a record waits for what it refers to.
    pub dependency_patience: Duration,
    /// `COMPLETED_RETENTION_DAYS`: how long a completed record is kept; `None` is for ever.
    pub retention: Option<Duration>,
}

/// Sizes and times of a drain.
#[derive(Debug, Clone, Copy)]
pub struct DrainSettings {
    /// `SF_BATCH_SIZE` or `CC_BATCH_SIZE`: records that one call claims.
    pub batch_size: usize,
    /// `SF_CONCURRENCY`, or four payloads for CommCare: records processed at a time.
    pub concurrency: usize,
    /// Records that a call reads before it has worked off those before, however many it is to take: what bounds the
    /// memory for their payloads.
    pub read_at_a_time: usize,
    /// `DRAIN_BUDGET_SECONDS`: how long one call goes on.
    pub budget: Duration,
}

/// Payloads for CommCare that are processed, and read, at a time. Each is up to a document's 1 MiB, and the
/// records of all share the `CC_CONCURRENCY` submissions.
const PAYLOADS_AT_A_TIME: usize = 4;

/// Settings that several destinations share.
struct Bounds {
    cloud_run: bool,
    /// `REQUEST_TIMEOUT_SECONDS`.
    request_timeout: Duration,
    /// `LEASE_SECONDS`.
    lease: Duration,
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `HOST` and `PORT`.
    pub listen: SocketAddr,
    /// `GOOGLE_CLOUD_PROJECT`: where log lines find their traces.
    pub project: Option<String>,
    /// The queue's back end.
    pub queue: QueueSettings,
    /// Salesforce; `None` records plans instead of sending them.
    pub salesforce: Option<SalesforceSettings>,
    /// PostGIS; `None` records plans instead of storing them.
    pub postgis: Option<PostgisSettings>,
    /// `INLINE_SECONDS`: how long a wet-mill form may take inside its webhook call.
    pub inline: Duration,
    /// CommCare; `None` records documents instead of sending them.
    pub commcare: Option<CommCareSettings>,
    /// `CC_BASE_URL`, without a slash at its end: where forms' photos and signatures are.
    pub hq: String,
    /// Who CommCare documents come from.
    pub sender: Sender,
    /// Whether registrations write attendance (`SALESFORCE_ENV`, `SF_SANDBOX_ATTENDANCE`).
    pub registration_attendance: bool,
    /// When a record is tried again.
    pub retry: RetryPolicy,
    /// Fetching the forms that CommCare could not deliver.
    pub reconcile: ReconcileSettings,
    /// CommCare → Salesforce and PostGIS.
    pub drain: DrainSettings,
    /// Salesforce → CommCare.
    pub drain_to_commcare: DrainSettings,
    /// `MAX_BODY_BYTES`.
    pub max_body_bytes: usize,
    /// `SCHEDULER_EVERY_SECONDS`: how often the scheduler is set to call; `None` where no call is expected.
    pub scheduler_every: Option<Duration>,
    /// `MAX_CONNECTIONS`.
    pub max_connections: usize,
    /// Who may call what.
    pub access: Access,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `RUST_LOG`: the filter of log lines.
    pub log_filter: String,
    /// Every variable that was read, with the value in force.
    pub settings: Vec<Setting>,
    /// What works, and is a risk, by variable name.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the configuration through `lookup`, which gives a variable's value.
    pub fn load(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let cloud_run = reader.cloud_run;
        let listen = listen(&mut reader, cloud_run);
        let project = reader.text("GOOGLE_CLOUD_PROJECT", "not set");
        let queue = queue::load(&mut reader, project.as_deref(), cloud_run);
        let production =
            reader.choice("SALESFORCE_ENV", &["sandbox", "production"], "sandbox") == "production";
        let sandbox_attendance = reader.flag("SF_SANDBOX_ATTENDANCE", false);
        let retry = RetryPolicy {
            lease: reader.seconds("LEASE_SECONDS", 120),
            max_retries: reader.number("MAX_RETRIES", 3, 0, 100),
            retry_backoff: reader.seconds("RETRY_BACKOFF_SECONDS", 60),
            outage_patience: reader.days("OUTAGE_PATIENCE_DAYS", 7),
            dependency_patience: reader.days("DEPENDENCY_PATIENCE_DAYS", 30),
            retention: retention(&mut reader),
        };
        let request_timeout = reader.seconds("REQUEST_TIMEOUT_SECONDS", 30);
        let bounds = Bounds { cloud_run, request_timeout, lease: retry.lease };
        let salesforce = login::load(&mut reader, production, &bounds);
        let hq = commcare::base(&mut reader);
        let commcare = commcare::load(&mut reader, hq.as_ref(), &bounds);
        let sender = commcare::sender(&mut reader);
        let postgis = postgis::load(&mut reader, cloud_run, request_timeout);
        let budget = reader.seconds("DRAIN_BUDGET_SECONDS", 150);
        let config = Self {
            listen,
            project,
            queue,
            salesforce,
            postgis,
            inline: reader.seconds("INLINE_SECONDS", 20),
            commcare,
            hq: hq.map_or_else(String::new, |hq| hq.as_str().trim_end_matches('/').to_owned()),
            sender,
            registration_attendance: production || sandbox_attendance,
            retry,
            reconcile: reconcile::load(&mut reader),
            drain: DrainSettings {
                batch_size: reader.number("SF_BATCH_SIZE", 10, 1, 500),
                concurrency: reader.number("SF_CONCURRENCY", 8, 1, 100),
                read_at_a_time: usize::MAX,
                budget,
            },
            drain_to_commcare: DrainSettings {
                batch_size: reader.number("CC_BATCH_SIZE", 1, 1, 500),
                concurrency: PAYLOADS_AT_A_TIME,
                read_at_a_time: PAYLOADS_AT_A_TIME,
                budget,
            },
            max_body_bytes: reader.number("MAX_BODY_BYTES", 32 * 1024 * 1024, 1, usize::MAX),
            scheduler_every: scheduler_every(&mut reader, cloud_run),
            max_connections: reader.number("MAX_CONNECTIONS", 1_024, 1, 1_000_000),
            access: access::load(&mut reader, listen.ip()),
            log_format: log_format(&mut reader, cloud_run),
            log_filter: log_filter(&mut reader),
            settings: Vec::new(),
            warnings: Vec::new(),
        };
        let Findings { settings, problems, warnings } = reader.finish();
        if problems.is_empty() {
            Ok(Self { settings, warnings, ..config })
        } else {
            Err(ConfigError(problems))
        }
    }

    /// Variables among these that look like one of the service's and are none: a misspelt one would be passed over.
    pub fn unknown<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        unknown::among(&self.settings, names)
    }
}

fn listen(reader: &mut Reader<'_>, cloud_run: bool) -> SocketAddr {
    let default = if cloud_run { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let host = match reader.text("HOST", &default.to_string()).as_deref() {
        None => default.into(),
        Some("localhost") => Ipv4Addr::LOCALHOST.into(),
        Some(host) => host.parse().unwrap_or_else(|_| {
            reader.problem("HOST: not an IP address");
            IpAddr::from(default)
        }),
    };
    SocketAddr::new(host, reader.number("PORT", 8080, 0, u16::MAX))
}

/// At least a week: CommCare sends a form again for days where it was not acknowledged, and the form is known as a
/// duplicate only while its record is there.
fn retention(reader: &mut Reader<'_>) -> Option<Duration> {
    const NEVER: u64 = 0;
    let days = reader.number("COMPLETED_RETENTION_DAYS", NEVER, 0, 3_650);
    if (1..7).contains(&days) {
        reader
            .problem("COMPLETED_RETENTION_DAYS: must be at least 7, or 0 to keep completed records for ever");
    }
    (days != NEVER).then(|| Duration::from_hours(24 * days))
}

fn scheduler_every(reader: &mut Reader<'_>, cloud_run: bool) -> Option<Duration> {
    const NEVER: u64 = 0;
    let default = if cloud_run { 300 } else { NEVER };
    // No schedule is rarer than once a year.
    let seconds = reader.number("SCHEDULER_EVERY_SECONDS", default, NEVER, 365 * 24 * 3600);
    (seconds != NEVER).then(|| Duration::from_secs(seconds))
}

fn log_filter(reader: &mut Reader<'_>) -> String {
    let filter = reader.text("RUST_LOG", "info").unwrap_or_else(|| "info".to_owned());
    if EnvFilter::try_new(&filter).is_err() {
        reader
            .problem("RUST_LOG: not a filter of log lines, e.g. info or warn,commcare_sf_integration=debug");
    }
    filter
}

fn log_format(reader: &mut Reader<'_>, cloud_run: bool) -> LogFormat {
    let default = if cloud_run { "json" } else { "pretty" };
    match reader.choice("LOG_FORMAT", &["json", "pretty"], default).as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Pretty,
    }
}
