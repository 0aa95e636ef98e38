//! Which forms have written the same Salesforce records (`docs/service.md`, guarantee 10).

use chrono::{DateTime, Utc};

use super::stored::{Read, Since};
use super::{Queue, QueueError, by_hand};
use crate::submission::{AttemptOutcome, Origin, Record, Status};

impl Queue {
    /// Forms that are later than `record` and have written one of `records` (`object/external id`).
    pub async fn later_writers(
        &self,
        origin: Origin,
        record: &Record,
        records: &[String],
    ) -> Result<Vec<(String, Record)>, QueueError> {
        if record.created_at.is_none() || records.is_empty() {
            return Ok(Vec::new());
        }
        let turn = record.turn();
        let found = self.store.writers(origin, Since::Arrived(turn.earliest()), records).await?;
        let mut later = self.that_wrote(origin, found);
        later.retain(|(_, other)| other.turn().compare(&turn).is_gt());
        Ok(later)
    }

    /// The records that have been written: those that only would write something have keys too.
    fn that_wrote(&self, origin: Origin, found: Vec<Read>) -> Vec<(String, Record)> {
        let found = self.readable(origin, found).into_iter().filter(|stored| has_written(&stored.record));
        found.map(|stored| (stored.doc_id, stored.record)).collect()
    }

    /// Forms that have written one of `records`, and that arrived after `arrived` or changed since `since`.
    pub async fn other_writers(
        &self,
        origin: Origin,
        arrived: DateTime<Utc>,
        since: DateTime<Utc>,
        records: &[String],
    ) -> Result<Vec<(String, Record)>, QueueError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let (later, changed) = futures::try_join!(
            self.store.writers(origin, Since::Arrived(arrived), records),
            self.store.writers(origin, Since::Changed(since), records),
        )?;
        let mut others = self.that_wrote(origin, later);
        others.extend(self.that_wrote(origin, changed));
        others.sort_by(|(a, _), (b, _)| a.cmp(b));
        others.dedup_by(|(a, _), (b, _)| a == b);
        Ok(others)
    }

    /// Has a completed record written once more, because of `why`; whether it was completed still.
    pub async fn write_again(&self, origin: Origin, doc_id: &str, why: &str) -> Result<bool, QueueError> {
        let again = |stored: &Record, now| by_hand::write_again(stored, why, now).map(|record| (record, ()));
        Ok(self.update(origin, doc_id, again).await?.is_some())
    }
}

/// Whether a record's effects are in its destination: it is completed, or it once was.
fn has_written(record: &Record) -> bool {
    let completed = |outcome| outcome == Some(AttemptOutcome::Completed);
    record.status == Status::Completed || record.attempts.iter().any(|attempt| completed(attempt.outcome))
}
