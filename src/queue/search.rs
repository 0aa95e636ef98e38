//! Finding records by any id that has to do with them (`docs/service.md`, section 11).

use chrono::DateTime;

use super::question::Shown;
use super::stored::{Read, Since};
use super::{Found, Queue, QueueError};
use crate::plan::search_keys;
use crate::submission::Origin;

/// Records that an id finds because they wait for what it names.
const WAITING_LISTED: usize = 50;
/// Characters of an id that CommCare makes: a UUID.
const UUID: usize = 36;

impl Queue {
    /// The records of a submission id ([`Queue::find`]); then those that wrote, or would write, the record of a
    /// destination with this id; then those that wait for it. Of very many the latest.
    pub async fn search(&self, origin: Origin, id: &str) -> Result<Found, QueueError> {
        let mut found = self.find(origin, id).await?;
        let keys = search_keys(id);
        let begin = Since::Arrived(DateTime::UNIX_EPOCH);
        let (writers, mut waiting) = futures::try_join!(
            self.store.writers(origin, begin, None, &keys, Shown::All),
            self.store.waiting(origin, &keys, Shown::All, None, WAITING_LISTED),
        )?;
        // The latest come first.
        found.add(writers.found.into_iter().rev());
        waiting.sort_by_key(|read| read.as_ref().ok().map(|stored| stored.record.created_at));
        found.add(waiting.into_iter());
        if found.records.is_empty() && found.unreadable.is_empty() {
            // The ids of a form's own records are made of the form's.
            for form in uuids(id) {
                let of_form = self.find(origin, form).await?;
                found.records.extend(of_form.records);
                found.unreadable.extend(of_form.unreadable);
            }
        }
        Ok(found)
    }
}

impl Found {
    /// Adds records that are not there yet.
    fn add(&mut self, reads: impl Iterator<Item = Read>) {
        for read in reads {
            match read {
                Ok(stored) if self.records.iter().all(|(known, _)| *known != stored.doc_id) => {
                    self.records.push((stored.doc_id, stored.record));
                }
                Err(unreadable) if self.unreadable.iter().all(|known| known.doc_id != unreadable.doc_id) => {
                    self.unreadable.push(unreadable);
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// The ids in CommCare's form that are part of `text`, from its beginning; at most two, since no id is made of more.
fn uuids(text: &str) -> impl Iterator<Item = &str> {
    let windows = (0..text.len()).filter_map(|start| text.get(start..start + UUID));
    windows.filter(|window| window.len() < text.len() && uuid::Uuid::try_parse(window).is_ok()).take(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_form_is_found_in_those_of_its_records() {
        let (form, farmer) = ("e81696a6-8afe-4312-b459-071afb8adf9e", "b3a6a0ce-08a1-4e55-8a2f-3f2b2f0a9a11");
        let of = |text: &str| uuids(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of(&format!("FVBPN-{form}_pruning_1")), [form]);
        assert_eq!(of(&format!("CHK-{form}-{farmer}")), [form, farmer]);
        assert!(of(form).is_empty(), "the id itself has been looked for");
        assert!(of("é").is_empty());
    }
}
