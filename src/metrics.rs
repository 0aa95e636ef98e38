//! What the service counts, and how `GET /metrics` shows it (`docs/service.md`, section 8).
//!
//! Every other module may count here, and this module knows none of them. Labels are bounded, whatever is sent: they
//! are words of this program (a job that it does not know is `other`), never an id and never a payload's value.

mod call;
mod labels;
mod scrape;
mod text;

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::clock;
use crate::submission::{Destination, ErrorKind, Origin, Trigger};
pub use call::{CallOutcome, SalesforceCall};
use labels::{
    CallLabels, CollectionLabels, JobLabels, RefusedLabels, RequestLabels, RetryLabels, RouteLabels,
    RunLabels, StoppedLabels, UnmappedLabels, WebhookLabels,
};
pub use scrape::{Depths, DestinationState, Reconciled, Scrape};
pub use text::CONTENT_TYPE;

/// Every name begins with it.
const PREFIX: &str = "commcare_sf";

/// Pairs of job and form path that are told apart. A mapping has a few dozen paths: more pairs are a mistake.
const ANSWERS: usize = 500;

/// What may become of a submission of a job that is handled.
const FATES: [&str; 4] = ["stored", "duplicate", "replaced", "stale"];

/// The routes that bring submissions.
const WEBHOOKS: [&str; 2] = ["/process-data-cc", "/process-data-sf"];

const DESTINATIONS: [Destination; 3] = [Destination::Salesforce, Destination::CommCare, Destination::Postgis];

/// Statuses after which CommCare gives a form up although nothing is wrong with it.
const REFUSALS: [u16; 2] = [401, 403];

/// Upper bounds in seconds: of an answer to a webhook up to a drain's whole budget.
const REQUEST_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0, 150.0];

/// Upper bounds in seconds: of a record that is only mapped up to a lease.
const RECORD_SECONDS: [f64; 11] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 120.0];

/// How a record's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordEnd {
    /// Its effect is done.
    Completed,
    /// There was no effect to have (`docs/service.md`, guarantee 8).
    WithoutEffect,
    /// It failed.
    Failed(ErrorKind),
    /// It was put back uncounted.
    Released,
    /// An edited form took its place meanwhile.
    Replaced,
    /// Its outcome could not be written: another worker has the record, or the queue did not answer.
    Lost,
}

impl RecordEnd {
    fn all() -> impl Iterator<Item = Self> {
        let others = [Self::Completed, Self::WithoutEffect, Self::Released, Self::Replaced, Self::Lost];
        others.into_iter().chain(ErrorKind::ALL.map(Self::Failed))
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::WithoutEffect => "completed_without_effect",
            Self::Failed(_) => "failed",
            Self::Released => "released",
            Self::Replaced => "replaced",
            Self::Lost => "lost",
        }
    }

    fn error_kind(self) -> Option<&'static str> {
        match self {
            Self::Failed(kind) => Some(kind.as_str()),
            _ => None,
        }
    }
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of one process; cheap to clone, and clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    known_jobs: KnownJobs,
    registry: Registry,
    webhooks: Family<WebhookLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    records: Family<RunLabels, Counter>,
    record_seconds: Histograms<JobLabels>,
    retries: Family<RetryLabels, Counter>,
    unmapped: Family<UnmappedLabels, Counter>,
    /// The answers that `unmapped` tells apart.
    answers_seen: Mutex<HashSet<UnmappedLabels>>,
    drains_stopped: Family<StoppedLabels, Counter>,
    last_drain: Family<CollectionLabels, Gauge<i64, AtomicI64>>,
    salesforce_calls: Family<CallLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
}

/// Finds the name of a handled job, which becomes a label.
pub type KnownJobs = fn(Origin, &str) -> Option<&'static str>;

impl Default for Metrics {
    fn default() -> Self {
        Self::new(|_, _| None)
    }
}

impl Metrics {
    /// Counts nothing yet. Payloads may name any job: a name that `known_jobs` does not find is `other`.
    pub fn new(known_jobs: KnownJobs) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let families = Families {
            known_jobs,
            webhooks: counted(
                &mut registry,
                "webhooks_accepted",
                "Submissions that a webhook answered with 200, by what became of them",
            ),
            refused: counted(
                &mut registry,
                "webhooks_refused",
                "Webhook calls refused with 401 or 403, after which CommCare gives the form up",
            ),
            records: counted(
                &mut registry,
                "records_processed",
                "Runs of records, by how they ended; a failure has an error kind",
            ),
            record_seconds: timed(
                &mut registry,
                "record_processing_seconds",
                "Time from the beginning of a record's run until its outcome is written",
                || Histogram::new(RECORD_SECONDS),
            ),
            retries: counted(&mut registry, "record_retries", "Retries of records, by what made them run"),
            unmapped: counted(
                &mut registry,
                "unmapped_answers",
                "Answers of processed records whose code no label table knows",
            ),
            answers_seen: Mutex::default(),
            drains_stopped: counted(
                &mut registry,
                "drains_stopped",
                "Drains that ended early because a destination takes no more",
            ),
            last_drain: registered(
                &mut registry,
                "last_drain_timestamp_seconds",
                "Time at which a drain of new records ended; before the first, the start of this process",
            ),
            salesforce_calls: counted(
                &mut registry,
                "salesforce_calls",
                "Calls of Salesforce, repetitions included, by HTTP outcome",
            ),
            requests: counted(
                &mut registry,
                "http_requests",
                "HTTP requests; status 499 stands for no answer, as where the sender hung up",
            ),
            request_seconds: timed(
                &mut registry,
                "http_request_duration_seconds",
                "Time until an HTTP request was answered",
                || Histogram::new(REQUEST_SECONDS),
            ),
            registry,
        };
        let metrics = Self(Arc::new(families));
        for origin in Origin::ALL {
            metrics.drain_ended(origin, clock::now());
        }
        metrics
    }

    /// The same with every counter of these jobs at 0. An increase is seen from 0 on, and not where a counter begins at
    /// its first event, or at twenty.
    #[must_use]
    pub fn from_zero(self, jobs: impl IntoIterator<Item = (Origin, &'static str)>) -> Self {
        let families = &*self.0;
        for (origin, job) in jobs {
            let collection = origin.collection();
            for fate in FATES {
                let _ = families.webhooks.get_or_create(&WebhookLabels { collection, job, fate });
            }
            for end in RecordEnd::all() {
                let (outcome, error_kind) = (end.outcome(), end.error_kind());
                let _ = families.records.get_or_create(&RunLabels { collection, job, outcome, error_kind });
            }
        }
        for origin in Origin::ALL {
            let collection = origin.collection();
            for status in REFUSALS {
                let _ = families.refused.get_or_create(&RefusedLabels { collection, status });
            }
            for trigger in [Trigger::AutoRetry, Trigger::Manual, Trigger::Inline] {
                let _ =
                    families.retries.get_or_create(&RetryLabels { collection, trigger: trigger.as_str() });
            }
        }
        for destination in DESTINATIONS {
            let _ =
                families.drains_stopped.get_or_create(&StoppedLabels { destination: destination.as_str() });
        }
        for route in WEBHOOKS {
            let route = route.to_owned();
            let _ = families.requests.get_or_create(&RequestLabels { method: "POST", route, status: 503 });
        }
        self
    }
}

/// A registered family of counters.
fn counted<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: Clone + Hash + Eq,
    Family<L, Counter>: Metric,
{
    registered(registry, name, help)
}

/// A registered family.
fn registered<L, M>(registry: &mut Registry, name: &str, help: &str) -> Family<L, M>
where
    L: Clone + Hash + Eq,
    M: Default,
    Family<L, M>: Metric,
{
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

/// A registered family of histograms.
fn timed<L>(registry: &mut Registry, name: &str, help: &str, histogram: fn() -> Histogram) -> Histograms<L>
where
    L: Clone + Hash + Eq,
    Histograms<L>: Metric,
{
    let family = Family::new_with_constructor(histogram);
    registry.register(name, help, family.clone());
    family
}

impl Metrics {
    fn known_job(&self, origin: Origin, name: &str) -> &'static str {
        (self.0.known_jobs)(origin, name).unwrap_or(labels::OTHER)
    }

    /// A webhook has answered 200. `fate` says what became of the submission.
    pub fn webhook_accepted(&self, origin: Origin, job_name: &str, fate: &'static str) {
        let (collection, job) = (origin.collection(), self.known_job(origin, job_name));
        self.0.webhooks.get_or_create(&WebhookLabels { collection, job, fate }).inc();
    }

    /// An HTTP request has been answered. `webhook` is whose webhook it called, where it showed a credential.
    pub fn http_answered(
        &self,
        method: &'static str,
        route: &str,
        status: u16,
        webhook: Option<Origin>,
        took: Duration,
    ) {
        let route = route.to_owned();
        self.0
            .request_seconds
            .get_or_create(&RouteLabels { method, route: route.clone() })
            .observe(took.as_secs_f64());
        self.0.requests.get_or_create(&RequestLabels { method, route, status }).inc();
        if let Some(origin) = webhook.filter(|_| REFUSALS.contains(&status)) {
            self.0.refused.get_or_create(&RefusedLabels { collection: origin.collection(), status }).inc();
        }
    }

    /// A record's run has ended.
    pub fn record_ended(&self, origin: Origin, job_name: &str, end: RecordEnd, took: Duration) {
        let (collection, job) = (origin.collection(), self.known_job(origin, job_name));
        let (outcome, error_kind) = (end.outcome(), end.error_kind());
        self.0.records.get_or_create(&RunLabels { collection, job, outcome, error_kind }).inc();
        // A record that was put back was not processed.
        if end != RecordEnd::Released {
            self.0.record_seconds.get_or_create(&JobLabels { job }).observe(took.as_secs_f64());
        }
    }

    /// A record was run again.
    pub fn record_retried(&self, origin: Origin, trigger: Trigger) {
        let (collection, trigger) = (origin.collection(), trigger.as_str());
        self.0.retries.get_or_create(&RetryLabels { collection, trigger }).inc();
    }

    /// The answer at `path` of a record has a code that no label table knows.
    pub fn answer_unmapped(&self, origin: Origin, job_name: &str, path: &str) {
        let mut answer =
            UnmappedLabels { job: self.known_job(origin, job_name), path: without_positions(path) };
        let mut seen = self.0.answers_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(&answer) {
            if seen.len() < ANSWERS {
                seen.insert(answer.clone());
            } else {
                labels::OTHER.clone_into(&mut answer.path);
            }
        }
        self.0.unmapped.get_or_create(&answer).inc();
    }

    /// A drain of new records has ended.
    pub fn drain_ended(&self, origin: Origin, at: DateTime<Utc>) {
        let collection = origin.collection();
        self.0.last_drain.get_or_create(&CollectionLabels { collection }).set(at.timestamp());
    }

    /// A drain ended early because `destination` takes no more.
    pub fn drain_stopped(&self, destination: &'static str) {
        self.0.drains_stopped.get_or_create(&StoppedLabels { destination }).inc();
    }

    /// A call of Salesforce begins; `call` is its resource.
    pub fn salesforce_call(&self, call: &'static str) -> SalesforceCall<'_> {
        SalesforceCall::new(self, call)
    }

    fn salesforce_called(&self, call: &'static str, outcome: CallOutcome) {
        self.0.salesforce_calls.get_or_create(&CallLabels { call, outcome: outcome.as_str() }).inc();
    }

    /// Everything in Prometheus' text format, with what was looked up for this scrape.
    pub fn render(&self, scrape: &Scrape) -> String {
        text::render(&[&self.0.registry, &scrape.registry(PREFIX)])
    }
}

/// A form path without the positions of repeated groups: `a[3].b` is `a[].b`.
fn without_positions(path: &str) -> String {
    let mut inside = false;
    let kept = |c: &char| {
        inside = (inside || *c == '[') && *c != ']';
        !inside || *c == '['
    };
    path.chars().filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_repeated_groups_are_no_label() {
        assert_eq!(without_positions("form.plots[12].rows[0].crop"), "form.plots[].rows[].crop");
        assert_eq!(without_positions("form.crop"), "form.crop");
    }

    #[test]
    fn form_paths_are_bounded() {
        let metrics = Metrics::new(|_, name| (name == "Farm Visit Full").then_some("Farm Visit Full"));
        for n in 0..ANSWERS + 50 {
            metrics.answer_unmapped(Origin::CommCare, "Farm Visit Full", &format!("form.path_{n}"));
        }
        let text = metrics.render(&Scrape::default());
        let series = text.lines().filter(|line| line.starts_with("commcare_sf_unmapped_answers_total{"));
        assert_eq!(series.count(), ANSWERS + 1);
        assert!(text.contains(r#"{job="Farm Visit Full",path="other"} 50"#), "{text}");
    }
}
