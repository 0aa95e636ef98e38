//! What is kept of reconciliations, in a document of the service beside the queue: where the run is that is under way, and
//! what the last ones found.
//!
//! Calls may overlap: each keeps its own place, and the last one that writes stays. Every place is one up to which all is
//! done, so that at worst some forms are looked at twice.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::warn;

use super::asked::Asked;
use super::place::Place;
use super::report::Tally;
use super::window::Window;
use crate::queue::{Queue, QueueError};

/// Runs that are kept.
pub const RUNS: usize = 10;

/// A run that is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OpenRun {
    pub(super) started_at: DateTime<Utc>,
    pub(super) window: Window,
    pub(super) place: Place,
    /// What all of its calls did.
    pub(super) tally: Tally,
    /// Of one that brings the past.
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl OpenRun {
    pub(super) fn new(asked: &Asked, window: Window, now: DateTime<Utc>) -> Self {
        let (place, tally) = (Place::new(&window), Tally::default());
        Self { started_at: now, window, place, tally, since: asked.since, until: asked.until }
    }
}

/// A run that was, as far as it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PastRun {
    /// When its first call began.
    pub started_at: DateTime<Utc>,
    /// When its last call ended.
    pub ended_at: DateTime<Utc>,
    /// Up to when HQ has been asked.
    pub up_to: Option<DateTime<Utc>>,
    /// Whether the list was read to its end.
    pub finished: bool,
    /// Why HQ could not be asked.
    pub stopped: Option<String>,
    /// From when on forms were asked for, where somebody asked for the past.
    pub since: Option<DateTime<Utc>>,
    /// All that HQ listed.
    pub checked: u64,
    /// Forms that were missing: accepted and replaced.
    pub missing: u64,
    /// The same, by form type.
    pub missing_by_job: Vec<(String, u64)>,
}

impl PastRun {
    /// How a call of a run ended.
    pub(super) fn ended(
        up_to: Option<DateTime<Utc>>,
        finished: bool,
        stopped: Option<String>,
        now: DateTime<Utc>,
    ) -> Self {
        Self { up_to, finished, stopped, ended_at: now, ..Self::default() }
    }
}

/// The document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    open: Option<OpenRun>,
    /// The last runs, the newest first.
    pub runs: Vec<PastRun>,
}

/// The document of runs that ask for the same.
fn name(asked: &Asked) -> &'static str {
    match (asked.dry_run, asked.since) {
        (false, None) => "reconcile-cc",
        (false, Some(_)) => "reconcile-cc-since",
        (true, _) => "reconcile-cc-dry-run",
    }
}

impl Kept {
    pub(super) async fn load(queue: &Queue, asked: &Asked) -> Result<Self, QueueError> {
        let Some(kept) = queue.state(name(asked)).await? else { return Ok(Self::default()) };
        Ok(serde_json::from_value(kept).unwrap_or_else(|error| {
            // Another version's: the run begins anew.
            warn!(error = &error as &dyn std::error::Error, "place of a reconciliation cannot be read");
            Self::default()
        }))
    }

    /// Forms by form type that the runs since a time have found missing and fetched, as far as these runs are kept.
    pub async fn missing_since(
        queue: &Queue,
        since: DateTime<Utc>,
    ) -> Result<BTreeMap<String, u64>, QueueError> {
        let of_the_past = Asked { since: Some(since), ..Asked::default() };
        let mut missing = BTreeMap::new();
        for asked in [Asked::default(), of_the_past] {
            let runs = Self::load(queue, &asked).await?.runs;
            for (job_name, count) in
                runs.into_iter().filter(|run| run.started_at >= since).flat_map(|run| run.missing_by_job)
            {
                *missing.entry(job_name).or_default() += count;
            }
        }
        Ok(missing)
    }

    /// The run that is under way, if it asks for the same.
    pub(super) fn take_open(&mut self, asked: &Asked) -> Option<OpenRun> {
        self.open.take().filter(|open| (open.since, open.until) == (asked.since, asked.until))
    }

    /// Up to when the last run that came to its end has asked.
    pub(super) fn finished_up_to(&self) -> Option<DateTime<Utc>> {
        self.runs.iter().find(|run| run.finished)?.up_to
    }

    /// Forms that the last run found missing.
    pub fn last_missing(&self) -> u64 {
        self.runs.first().map_or(0, |run| run.missing)
    }

    /// Keeps where a run is.
    pub(super) async fn keep_open(
        &mut self,
        queue: &Queue,
        asked: &Asked,
        run: &OpenRun,
    ) -> Result<(), QueueError> {
        self.open = Some(run.clone());
        queue.set_state(name(asked), &json!(self)).await
    }

    /// Keeps what a run has come to with the end of a call.
    pub(super) async fn end_call(
        &mut self,
        queue: &Queue,
        asked: &Asked,
        run: OpenRun,
        ended: PastRun,
    ) -> Result<(), QueueError> {
        let Tally { checked, accepted, replaced, .. } = run.tally;
        let missing_by_job = run.tally.missing_by_job().map(|(job, count)| (job.to_owned(), count)).collect();
        let past = PastRun {
            started_at: run.started_at,
            since: asked.since,
            checked,
            missing: accepted + replaced,
            missing_by_job,
            ..ended
        };
        // An earlier call of the same run.
        self.runs.retain(|known| known.started_at != past.started_at);
        self.open = (!past.finished).then_some(run);
        self.runs.insert(0, past);
        self.runs.truncate(RUNS);
        queue.set_state(name(asked), &json!(self)).await
    }
}
