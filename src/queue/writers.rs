//! Which forms have written the same records (`docs/service.md`, guarantee 10).

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::question::Shown;
use super::stored::{Read, Since, Stored};
use super::sweep::PAGE;
use super::{Queue, QueueError, by_hand};
use crate::submission::{Origin, Record};

/// Pages of later writers that are read at most.
const PAGES: usize = 20;

/// Whether one record is later than another. The parts of a payload arrive at the same time.
fn is_later((one, record): (&str, &Record), (other, earlier): (&str, &Record)) -> bool {
    let by_part = || (record.first_position, one).cmp(&(earlier.first_position, other));
    record.turn().compare(&earlier.turn()).then_with(by_part).is_gt()
}

impl Queue {
    /// Submissions that are later than this one and have written one of `records` (`object/external id`), at least in
    /// part, or may have; the last first.
    pub async fn later_writers(
        &self,
        origin: Origin,
        doc_id: &str,
        record: &Record,
        records: &[String],
    ) -> Result<Vec<(String, Record)>, QueueError> {
        if record.created_at.is_none() || records.is_empty() {
            return Ok(Vec::new());
        }
        // The other parts of its payload arrived with it.
        let since = Since::Arrived(record.turn().earliest() - TimeDelta::microseconds(1));
        // Payloads may be large, and the record itself is found each time: the others are read whole where they count.
        let mut others: BTreeSet<String> = BTreeSet::new();
        let mut until = None;
        // Of the latest of many, none may have written anything: then those before them count.
        for _ in 0..PAGES {
            let page = self.store.writers(origin, since, until, records, Shown::Summary).await?;
            let counts = |stored: &Stored| {
                stored.doc_id != doc_id && (has_written(&stored.record) || stored.record.may_have_written())
            };
            let found = self.readable(origin, page.found).into_iter().filter(counts);
            others.extend(found.map(|stored| stored.doc_id));
            if page.oldest.is_none() || page.oldest == until {
                break;
            }
            until = page.oldest;
        }
        let others: Vec<String> = others.into_iter().collect();
        let mut later = Vec::new();
        for others in others.chunks(PAGE) {
            let read = self.store.get_many(origin, others).await?;
            let others = self.readable(origin, read).into_iter();
            let is_later = |other: &Stored| is_later((&other.doc_id, &other.record), (doc_id, record));
            later.extend(others.filter(is_later).map(|other| (other.doc_id, other.record)));
        }
        later.sort_by_key(|(_, record)| Reverse(record.created_at));
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
            self.store.writers(origin, Since::Arrived(arrived), None, records, Shown::All),
            self.store.writers(origin, Since::Changed(since), None, records, Shown::All),
        )?;
        let mut others = self.that_wrote(origin, later.found);
        others.extend(self.that_wrote(origin, changed.found));
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

/// Whether a record's effects are in its destination, at least in part.
fn has_written(record: &Record) -> bool {
    record.has_completed() || !record.delivered.is_empty()
}
