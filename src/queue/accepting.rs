//! Submissions at the door: which documents they become, and what they do to those that are there.
//!
//! A form is one document. A payload of records is one as long as it fits, else as many parts as it
//! takes (`docs/service.md`, section 3); parts are written, and replaced, together.

use std::collections::HashSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::task::spawn_blocking;

use super::arrival::{self, Replacement};
use super::parts::{self, Part};
use super::stored::{Change, Stored, Text};
use super::{Accepted, Arriving, Fate, Queue, QueueError, SWAP_TRIES, doc_id, hashed_doc_id, limits};
use crate::submission::{Origin, Record};

/// A payload of records in the parts that documents hold.
pub struct SplitPayload {
    origin: Origin,
    job_id: String,
    records: &'static str,
    parts: Vec<Part>,
}

/// What an arriving payload does to the documents of its submission.
enum Arrived {
    /// Nothing: they hold it, or something newer.
    Settled(Fate),
    /// These changes, all together.
    Changes(Fate, Vec<Change>),
}

impl Queue {
    /// Stores a submission, durably, unless the record that its id names makes that unnecessary.
    pub async fn accept(&self, arriving: Arriving) -> Result<Accepted, QueueError> {
        if let Some(records) = arriving.records {
            let parts = parts::split(arrival::arrive(&arriving, self.now()), records)?;
            let Arriving { origin, job_id, .. } = arriving;
            return self.accept_split(&mut SplitPayload { origin, job_id, records, parts }).await;
        }
        let record = arrival::arrive(&arriving, self.now());
        self.accept_form(arriving, record).await
    }

    /// The same for a form that a reconciliation fetched: by the same rules, and in the place of the time when CommCare got
    /// it (`docs/service.md`, guarantee 12).
    pub async fn accept_fetched(&self, arriving: Arriving) -> Result<Accepted, QueueError> {
        let record = arrival::fetch(&arriving, self.now());
        self.accept_form(arriving, record).await
    }

    /// Splits a payload whose list `arriving.records` is `list`, JSON text that has been checked, and not in
    /// `arriving.data`.
    pub async fn split(&self, arriving: Arriving, list: Bytes) -> Result<SplitPayload, QueueError> {
        let head = arrival::arrive(&arriving, self.now());
        let Arriving { origin, job_id, records, .. } = arriving;
        let records = records.unwrap_or_default();
        let split = spawn_blocking(move || parts::split_text(head, records, &list)).await;
        let parts = split.map_err(|error| QueueError::unavailable("splitting a payload", error))??;
        Ok(SplitPayload { origin, job_id, records, parts })
    }

    async fn accept_form(&self, arriving: Arriving, record: Record) -> Result<Accepted, QueueError> {
        let doc_id = doc_id(&arriving.job_id);
        limits::check(&record.data)?;
        let mut existing = self.store.existing(arriving.origin, &arriving.job_id, &doc_id).await?;
        for _ in 0..SWAP_TRIES {
            let Some(stored) = existing else {
                if self.wrote(self.store.insert(arriving.origin, &doc_id, &record).await)? {
                    return Ok(Accepted { doc_id, fate: Fate::Stored });
                }
                existing = self.store.get(arriving.origin, &doc_id).await?;
                continue;
            };
            let doc_id = stored.doc_id.clone();
            let replacement = match arrival::replace(&stored.record, &record, self.now()) {
                Replacement::Duplicate => return Ok(Accepted { doc_id, fate: Fate::Duplicate }),
                Replacement::Stale => return Ok(Accepted { doc_id, fate: Fate::Stale }),
                Replacement::Replace(replacement) => replacement,
            };
            let size = limits::payload_size(&replacement.data);
            let change = [arrives(&stored, replacement, None, size)];
            if self.wrote(self.store.write_all(arriving.origin, &change).await)? {
                return Ok(Accepted { doc_id, fate: Fate::Replaced });
            }
            existing = self.store.get(arriving.origin, &doc_id).await?;
        }
        Err(QueueError::Contended { doc_id })
    }

    /// [`Queue::accept`] of a payload that was split.
    pub async fn accept_split(&self, payload: &mut SplitPayload) -> Result<Accepted, QueueError> {
        let SplitPayload { origin, ref job_id, records, ref mut parts } = *payload;
        parts::name(parts, &doc_id(job_id));
        let mut looks_closer = false;
        for _ in 0..SWAP_TRIES {
            let mut stored = self.editions(origin, job_id).await?;
            if looks_closer {
                self.look_closer(origin, job_id, parts, &mut stored).await?;
            }
            let first = parts.first().map(|part| part.doc_id.clone()).unwrap_or_default();
            match arrive(&stored, parts, records, self.now()) {
                Arrived::Settled(fate) => {
                    // An original document keeps its random id.
                    let named = stored.iter().any(|stored| stored.doc_id == first);
                    let doc_id = if named { first } else { stored[0].doc_id.clone() };
                    return Ok(Accepted { doc_id, fate });
                }
                Arrived::Changes(fate, changes) => {
                    if self.wrote(self.store.write_all(origin, &changes).await)? {
                        let doc_id = changes.first().map_or(first, |change| change.doc_id().to_owned());
                        return Ok(Accepted { doc_id, fate });
                    }
                }
            }
            looks_closer = true;
        }
        Err(QueueError::Contended { doc_id: doc_id(job_id) })
    }
}

impl Queue {
    /// The documents of a submission, of whose payloads only the members that tell editions apart were read. Where the
    /// last document of the original service counts, it is whole: nothing else says whether its content is the same.
    async fn editions(&self, origin: Origin, job_id: &str) -> Result<Vec<Stored>, QueueError> {
        let found = self.store.editions_of(origin, job_id).await?;
        let mut stored = self.readable(origin, found);
        if let Some(original) = stored.iter_mut().rfind(|stored| stored.record.payload_hash.is_none())
            && let Some(whole) = self.store.get(origin, &original.doc_id).await?
        {
            *original = whole;
        }
        Ok(stored)
    }

    /// Looks behind the names of the parts, once one of them was taken: by this submission, where its
    /// id is a number that no index finds; or by another, whose id reads like a part's name: then
    /// the parts go by their hash.
    async fn look_closer(
        &self,
        origin: Origin,
        job_id: &str,
        parts: &mut [Part],
        stored: &mut Vec<Stored>,
    ) -> Result<(), QueueError> {
        for part in 0..parts.len() {
            if stored.iter().any(|stored| stored.doc_id == parts[part].doc_id) {
                continue;
            }
            match self.store.get(origin, &parts[part].doc_id).await? {
                None => {}
                Some(found) if found.has_id(job_id) => stored.push(found),
                Some(_) => {
                    parts::name(parts, &hashed_doc_id(job_id));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// A new payload, of so many bytes, in the place of the stored one.
fn arrives(stored: &Stored, mut record: Box<Record>, text: Text, size: usize) -> Change {
    limits::fit_beside(&mut record, size);
    // A fetched form has its place already.
    let arrives = record.fetched_at.is_none();
    Change::Replace { stored: Box::new(stored.clone()), record, text, arrives }
}

/// What `parts` do to the documents that their submission has.
fn arrive(stored: &[Stored], parts: &[Part], records: &str, now: DateTime<Utc>) -> Arrived {
    let mut changes = Vec::new();
    let mut is_stale = false;
    let mut taken = HashSet::new();
    let mut replace = |existing: &Stored, part: &Part, changes: &mut Vec<Change>| match arrival::replace(
        &existing.record,
        &part.record,
        now,
    ) {
        Replacement::Duplicate => {}
        Replacement::Stale => is_stale = true,
        Replacement::Replace(replacement) => {
            changes.push(arrives(existing, replacement, part.text.clone(), part.size));
        }
    };
    // A document of the original service, which has a random id: the latest of them counts.
    let original = stored.iter().rfind(|stored| {
        stored.record.first_position.is_none() && parts.iter().all(|part| part.doc_id != stored.doc_id)
    });
    for part in parts {
        let named = stored.iter().find(|stored| stored.doc_id == part.doc_id);
        if let Some(existing) = named.or(original.filter(|_| parts.len() == 1)) {
            taken.insert(existing.doc_id.as_str());
            replace(existing, part, &mut changes);
        } else {
            let (doc_id, record) = (part.doc_id.clone(), Box::new(part.record.clone()));
            changes.push(Change::Insert { doc_id, record, text: part.text.clone() });
        }
    }
    // Parts of an earlier edition that this one does not need hold nothing any more.
    let surplus = |stored: &&Stored| {
        let counts = stored.record.first_position.is_some()
            || original.is_some_and(|original| original.doc_id == stored.doc_id);
        counts && !taken.contains(stored.doc_id.as_str())
    };
    let surplus: Vec<&Stored> = stored.iter().filter(surplus).collect();
    if let Some(empty) = parts.last().filter(|_| !surplus.is_empty()).map(|last| parts::empty(last, records))
    {
        for existing in surplus {
            replace(existing, &empty, &mut changes);
        }
    }
    let only_inserts = changes.iter().all(|change| matches!(change, Change::Insert { .. }));
    match (is_stale, changes.is_empty()) {
        (true, _) => Arrived::Settled(Fate::Stale),
        (false, true) => Arrived::Settled(Fate::Duplicate),
        (false, false) if only_inserts => Arrived::Changes(Fate::Stored, changes),
        (false, false) => Arrived::Changes(Fate::Replaced, changes),
    }
}
