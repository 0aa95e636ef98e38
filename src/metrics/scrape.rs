//! The gauges: looked up at each scrape, instead of being kept up to date.
//!
//! Each scrape has a registry of its own. A value that is unknown is left out, so that no gauge shows what was true
//! once.

use std::sync::atomic::AtomicU64;

use chrono::TimeDelta;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::labels::{AwaitsLabels, CollectionLabels, DepthLabels, FindingLabels, StateLabels};
use crate::submission::{Awaits, Origin, Status};

/// A whole number. Counts of calls go beyond 32 bits, and none is negative.
type Number = Gauge<u64, AtomicU64>;
type Seconds = Gauge<f64, AtomicU64>;

/// Whether a destination takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationState {
    /// It takes work.
    Available,
    /// It was in trouble, and one record is to test the way back.
    Probing,
    /// It takes none.
    Paused,
}

impl DestinationState {
    const ALL: [Self; 3] = [Self::Available, Self::Probing, Self::Paused];

    fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Probing => "probing",
            Self::Paused => "paused",
        }
    }
}

/// The values of one scrape; the default knows none.
#[derive(Debug, Default)]
pub struct Scrape {
    /// Records by status, and the age of the oldest waiting one, by collection; `None` where the
    /// queue did not answer.
    pub queue: Option<Vec<Depths>>,
    /// How often an unreadable record was met, by collection. A record that is met again counts again.
    pub unreadable: Vec<(Origin, u64)>,
    /// Destinations that are called at all, and whether they take work.
    pub destinations: Vec<(&'static str, DestinationState)>,
    /// What the last check of each destination has found: the number of findings, by destination.
    pub findings: Vec<(String, u64)>,
    /// Salesforce's daily calls, used and allowed.
    pub salesforce_usage: Option<(u64, u64)>,
    /// What the last reconciliation came to; `None` before the first, or where the queue did not answer.
    pub reconciliation: Option<Reconciled>,
}

/// What a reconciliation came to.
#[derive(Debug, Clone, Copy)]
pub struct Reconciled {
    /// Forms that had not arrived.
    pub missing: u64,
    /// `RECONCILE_ALERT`: so many are no alarm.
    pub alert: u64,
    /// When the last one that came to its end did so, in seconds since 1970.
    pub finished: Option<u64>,
}

/// One collection's part of the queue.
#[derive(Debug)]
pub struct Depths {
    /// The collection.
    pub origin: Origin,
    /// Its records that are not completed. Completed ones are not counted, so that a scrape does not slow down as
    /// they grow in number.
    pub by_status: [(Status, u64); 3],
    /// Its failed records, by what their next run waits for.
    pub awaiting: [(Awaits, u64); 3],
    /// How long the oldest `new` record has waited.
    pub oldest_new: Option<TimeDelta>,
}

impl Scrape {
    /// A registry of this scrape's gauges.
    pub(super) fn registry(&self, prefix: &str) -> Registry {
        let mut registry = Registry::with_prefix(prefix);
        self.register_queue(&mut registry);
        let unreadable: Family<CollectionLabels, Counter<u64, AtomicU64>> = shown(
            &mut registry,
            "unreadable_records",
            "Stored records that could not be read, counted each time that one is met",
        );
        for (origin, count) in &self.unreadable {
            unreadable.get_or_create(&CollectionLabels { collection: origin.collection() }).inc_by(*count);
        }
        let states: Family<StateLabels, Number> =
            shown(&mut registry, "destination_state", "1 for the state that the destination is in");
        for (destination, now) in &self.destinations {
            for state in DestinationState::ALL {
                let labels = StateLabels { destination, state: state.as_str() };
                states.get_or_create(&labels).set(u64::from(state == *now));
            }
        }
        if !self.findings.is_empty() {
            let findings: Family<FindingLabels, Number> = shown(
                &mut registry,
                "destination_findings",
                "What would fail, by the last check of the destinations against the mappings",
            );
            for (destination, count) in &self.findings {
                findings.get_or_create(&FindingLabels { destination: destination.clone() }).set(*count);
            }
        }
        if let Some((used, limit)) = self.salesforce_usage {
            let used_calls: Number = shown(
                &mut registry,
                "salesforce_api_calls_used",
                "Daily API calls used, as Salesforce told last",
            );
            used_calls.set(used);
            let allowed: Number =
                shown(&mut registry, "salesforce_api_calls_limit", "Daily API calls that Salesforce allows");
            allowed.set(limit);
        }
        if let Some(Reconciled { missing, alert, finished }) = self.reconciliation {
            let mut gauge = |name, help, value| {
                let gauge: Number = shown(&mut registry, name, help);
                gauge.set(value);
            };
            gauge("reconcile_missing_forms", "Forms that the last reconciliation found missing", missing);
            gauge(
                "reconcile_missing_forms_allowed",
                "RECONCILE_ALERT: so many missing forms are no alarm",
                alert,
            );
            if let Some(finished) = finished {
                let help = "When the last reconciliation that read all of CommCare HQ's list ended";
                gauge("reconcile_finished_timestamp_seconds", help, finished);
            }
        }
        registry
    }

    fn register_queue(&self, registry: &mut Registry) {
        let up: Number = shown(registry, "queue_up", "Whether the queue answered this scrape");
        up.set(u64::from(self.queue.is_some()));
        let depth: Family<DepthLabels, Number> =
            shown(registry, "queue_records", "Records in the queue that are not done, by status");
        let awaiting: Family<AwaitsLabels, Number> = shown(
            registry,
            "queue_failed_records",
            "Failed records, by what their next run waits for: a reference that another form brings, a retry, or a person",
        );
        let age: Family<CollectionLabels, Seconds> = shown(
            registry,
            "queue_oldest_new_age_seconds",
            "How long the oldest new record has waited; 0 with none",
        );
        for depths in self.queue.iter().flatten() {
            let collection = depths.origin.collection();
            for (status, count) in depths.by_status {
                depth.get_or_create(&DepthLabels { collection, status: status.as_str() }).set(count);
            }
            for (awaits, count) in depths.awaiting {
                let labels = AwaitsLabels { collection, awaits: awaits.as_str() };
                awaiting.get_or_create(&labels).set(count);
            }
            let seconds = depths.oldest_new.map_or(0.0, |age| age.as_seconds_f64().max(0.0));
            age.get_or_create(&CollectionLabels { collection }).set(seconds);
        }
    }
}

/// A registered gauge, or family of them.
fn shown<M: Metric + Default + Clone>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}
