//! Which forms have written the same Salesforce records (`docs/service.md`, guarantee 10).

use chrono::{DateTime, Utc};

use super::stored::Since;
use super::{Queue, QueueError, SWAP_TRIES, by_hand, limits};
use crate::clock;
use crate::submission::{Origin, Record};

impl Queue {
    /// Forms that arrived after `record` and have written one of `records` (`object/external id`).
    pub async fn later_writers(
        &self,
        origin: Origin,
        record: &Record,
        records: &[String],
    ) -> Result<Vec<(String, Record)>, QueueError> {
        let Some(since) = record.created_at.filter(|_| !records.is_empty()) else { return Ok(Vec::new()) };
        let found = self.store.writers(origin, Since::Arrived(since), records).await?;
        Ok(found.into_iter().map(|stored| (stored.doc_id, stored.record)).collect())
    }

    /// Other forms that have written one of `records`, and that arrived after `record` or changed since
    /// `since`.
    pub async fn other_writers(
        &self,
        origin: Origin,
        doc_id: &str,
        record: &Record,
        since: DateTime<Utc>,
        records: &[String],
    ) -> Result<Vec<(String, Record)>, QueueError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let (later, changed) = futures::try_join!(
            self.later_writers(origin, record, records),
            self.store.writers(origin, Since::Changed(since), records),
        )?;
        let mut others = later;
        others.extend(changed.into_iter().map(|stored| (stored.doc_id, stored.record)));
        others.sort_by(|(a, _), (b, _)| a.cmp(b));
        others.dedup_by(|(a, _), (b, _)| a == b);
        others.retain(|(other, _)| other != doc_id);
        Ok(others)
    }

    /// Has a completed record written once more, because of `why`; whether it was completed still.
    pub async fn write_again(&self, origin: Origin, doc_id: &str, why: &str) -> Result<bool, QueueError> {
        for _ in 0..SWAP_TRIES {
            let Some(stored) = self.store.get(origin, doc_id).await? else { return Ok(false) };
            let Some(mut record) = by_hand::write_again(&stored.record, why, clock::now()) else {
                return Ok(false);
            };
            limits::fit(&mut record);
            if self.store.swap(&stored, &record).await?.is_some() {
                return Ok(true);
            }
        }
        Err(QueueError::Contended { doc_id: doc_id.to_owned() })
    }
}
