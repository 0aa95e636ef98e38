//! What the queue holds of the forms that CommCare HQ lists, and the other way round (`docs/service.md`, guarantee 12).

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::arrival::{self, Replacement};
use super::question::Place;
use super::stored::Stored;
use super::unreadable::Unreadable;
use super::{Arriving, Fate, Queue, QueueError, doc_id, limits};
use crate::submission::{Origin, Record, Status, commcare_time, id_text};

/// Held forms that are read at a time: only a few members of each.
const PAGE: usize = 1_000;

/// A form that the queue holds, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its document.
    pub doc_id: String,
    /// The form's id.
    pub job_id: Option<String>,
    /// When it arrived.
    pub(super) arrived: Option<DateTime<Utc>>,
    /// When CommCare received it, as the payload says it.
    pub(super) received_on: Option<String>,
}

impl Held {
    /// When CommCare received it.
    pub fn received(&self) -> Option<DateTime<Utc>> {
        const RECEIVED_ON: &str = "received_on";
        let text = self.received_on.as_deref()?;
        commcare_time(&serde_json::json!({ RECEIVED_ON: text }), RECEIVED_ON)
    }
}

/// Part of a listing of held forms, and where the rest of it begins.
#[derive(Debug)]
pub(super) struct HeldPage {
    pub(super) found: Vec<Held>,
    pub(super) next: Option<Place>,
}

/// The records that are there for some submission ids.
#[derive(Debug)]
pub struct Known {
    by_id: HashMap<String, Stored>,
    /// Documents of theirs that cannot be read.
    unreadable: Vec<Unreadable>,
    now: DateTime<Utc>,
}

impl Known {
    /// What accepting a form would do, by what was there when it was looked up. An error where no record could hold it, or
    /// its document cannot be read.
    pub fn fate(&self, arriving: &Arriving) -> Result<Fate, QueueError> {
        let doc_id = doc_id(&arriving.job_id);
        if let Some(unreadable) = self.unreadable.iter().find(|unreadable| unreadable.doc_id == doc_id) {
            return Err(unreadable.clone().into());
        }
        let record = arrival::fetch(arriving, self.now);
        let Some(stored) = self.by_id.get(&arriving.job_id) else {
            return limits::check(&record.data).map(|()| Fate::Stored);
        };
        Ok(match arrival::replace(&stored.record, &record, self.now) {
            Replacement::Duplicate => Fate::Duplicate,
            Replacement::Stale => Fate::Stale,
            Replacement::Replace(_) => limits::check(&record.data).map(|()| Fate::Replaced)?,
        })
    }

    /// The record that is there for a form.
    pub fn record(&self, job_id: &str) -> Option<&Record> {
        self.by_id.get(job_id).map(|stored| &stored.record)
    }
}

/// Goes over the forms that the queue holds, each given once, in no order that counts.
#[derive(Debug)]
pub struct HeldSweep {
    origin: Origin,
    since: DateTime<Utc>,
    /// Statuses that are still to be gone over; the last one is under way.
    left: Vec<Status>,
    after: Option<Place>,
}

impl HeldSweep {
    /// Over those that arrived since a time.
    pub fn since(origin: Origin, since: DateTime<Utc>) -> Self {
        Self { origin, since, left: Status::ALL.to_vec(), after: None }
    }
}

impl Queue {
    /// The records that are there for these submission ids, as [`Queue::accept`] would find them.
    pub async fn known(&self, origin: Origin, job_ids: &[String]) -> Result<Known, QueueError> {
        let doc_ids: Vec<String> = job_ids.iter().map(|id| doc_id(id)).collect();
        let own = self.store.get_many(origin, &doc_ids).await?;
        let unreadable = own.iter().filter_map(|read| read.as_ref().err().cloned()).collect();
        let mut by_doc_id: HashMap<String, Stored> =
            self.readable(origin, own).into_iter().map(|stored| (stored.doc_id.clone(), stored)).collect();
        let mut by_id = HashMap::with_capacity(job_ids.len());
        let mut absent = Vec::new();
        for (id, doc_id) in job_ids.iter().zip(&doc_ids) {
            match by_doc_id.remove(doc_id) {
                Some(stored) => drop(by_id.insert(id.clone(), stored)),
                None => absent.push(id.clone()),
            }
        }
        // Documents of the original service, with random ids: the latest of a form counts.
        let originals = self.store.of_submissions(origin, &absent).await?;
        for stored in self.readable(origin, originals) {
            if let Some(id) = stored.record.data.get("id").and_then(id_text) {
                by_id.insert(id, stored);
            }
        }
        Ok(Known { by_id, unreadable, now: self.now() })
    }

    /// The next forms of a sweep; none once it is over.
    pub async fn next_held(&self, sweep: &mut HeldSweep) -> Result<Vec<Held>, QueueError> {
        while let Some(status) = sweep.left.last().copied() {
            let HeldSweep { origin, since, .. } = *sweep;
            let page = self.store.held(origin, status, since, sweep.after.as_ref(), PAGE).await?;
            if page.next.is_none() {
                sweep.left.pop();
            }
            sweep.after = page.next;
            if !page.found.is_empty() {
                return Ok(page.found);
            }
        }
        Ok(Vec::new())
    }

    /// The form that arrived first of those that are there, and when that was; `None` where the queue is empty.
    pub async fn first_held(&self, origin: Origin) -> Result<Option<(Held, DateTime<Utc>)>, QueueError> {
        let first = |status| self.store.held(origin, status, DateTime::UNIX_EPOCH, None, 1);
        let pages = futures::future::try_join_all(Status::ALL.map(first)).await?;
        let firsts = pages.into_iter().flat_map(|page| page.found).filter_map(|held| {
            let arrived = held.arrived?;
            Some((held, arrived))
        });
        Ok(firsts.min_by_key(|(_, arrived)| *arrived))
    }
}
