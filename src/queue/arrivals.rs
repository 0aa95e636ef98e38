//! What became of the records that arrived in a time: one look at each, for the summaries of operators.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::{Queue, QueueError};
use crate::submission::{Origin, Status};

/// Records that arrived on one day, of one form type and one fate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrivals {
    /// The day, by UTC.
    pub day: NaiveDate,
    /// Their routing name.
    pub job_name: String,
    /// Where they are in their life.
    pub fate: ArrivalFate,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArrivalFate {
    /// It waits, or is in work.
    Waiting,
    /// Its effect is done.
    Written,
    /// It completed, and nothing was written: no rule of its form type matched, or its destination is in dry run.
    WithoutEffect,
    /// Its last run failed.
    Failed,
}

impl ArrivalFate {
    /// The fate of records of a status.
    pub(super) fn of(status: Status, without_effect: bool) -> Self {
        match (status, without_effect) {
            (Status::New | Status::Processing, _) => Self::Waiting,
            (Status::Completed, false) => Self::Written,
            (Status::Completed, true) => Self::WithoutEffect,
            (Status::Failed, _) => Self::Failed,
        }
    }
}

/// How many records there are of each day, form type and fate.
#[derive(Debug, Default)]
pub struct Tally {
    /// The counts.
    pub records: BTreeMap<Arrivals, u64>,
    /// Whether there were more records than are looked at: the oldest are left out.
    pub cut: bool,
}

impl Tally {
    pub(super) fn add(&mut self, arrivals: Arrivals, count: u64) {
        *self.records.entry(arrivals).or_default() += count;
    }
}

impl Queue {
    /// The records that arrived since a time and before another.
    pub async fn arrivals(
        &self,
        origin: Origin,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Tally, QueueError> {
        let mut tally = Tally::default();
        for status in Status::ALL {
            self.store.arrivals(origin, status, since..until, &mut tally).await?;
        }
        Ok(tally)
    }
}
