//! Where in HQ's list a reconciliation is.
//!
//! HQ orders by the time when it indexed a form, in milliseconds, and forms of one millisecond in any order. So the next
//! page begins with the time that the last one ended with, and the forms that were given already are left out. Only where
//! a whole page has one time are forms passed by their number: HQ refuses to count beyond ten thousand.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::window::Window;
use crate::destinations::commcare::forms::ListQuery;
use crate::jobs;
use crate::submission::commcare_time;

/// A place in the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Place {
    /// When the last form was indexed that was given; in the beginning, that from which on they are asked for.
    from: DateTime<Utc>,
    /// Forms of that time that are passed by.
    offset: usize,
    /// Ids of forms that were indexed at that time and given already.
    given: HashSet<String>,
    /// Whether anything was given.
    begun: bool,
}

/// What a page held.
#[derive(Debug, Default)]
pub(super) struct PageSeen {
    forms: usize,
    last: Option<DateTime<Utc>>,
    /// Ids of the forms that were indexed at the last time.
    at_last: HashSet<String>,
    is_out_of_order: bool,
}

impl PageSeen {
    /// Notes a form; its id, where it has one.
    pub(super) fn add(&mut self, form: &Value, place: &Place) -> Option<String> {
        self.forms += 1;
        let id = jobs::job_id(form);
        let Some(indexed) = commcare_time(form, "indexed_on").map(|time| time.trunc_subsecs(3)) else {
            return id;
        };
        let last = self.last.unwrap_or(place.from);
        self.is_out_of_order |= indexed < last;
        if self.last.is_none() || indexed > last {
            self.last = Some(indexed);
            self.at_last.clear();
        }
        self.at_last.extend(id.clone());
        id
    }
}

impl Place {
    /// The beginning of the list.
    pub(super) fn new(window: &Window) -> Self {
        Self { from: window.indexed_from, offset: 0, given: HashSet::new(), begun: false }
    }

    /// When the last form was indexed that was given.
    pub(super) fn reached(&self) -> Option<DateTime<Utc>> {
        self.begun.then_some(self.from)
    }

    /// The query of the next page.
    pub(super) fn query(&self, window: &Window, limit: usize) -> ListQuery {
        ListQuery {
            indexed_from: self.from,
            received_until: window.received_until,
            offset: self.offset,
            limit,
        }
    }

    /// Whether the page before this one gave a form.
    pub(super) fn was_given(&self, id: &str) -> bool {
        self.given.contains(id)
    }

    /// Goes on after a page; whether there was anything in it.
    pub(super) fn advance(&mut self, seen: PageSeen) -> Result<bool, String> {
        if seen.is_out_of_order {
            return Err("CommCare HQ does not list its forms in the order of indexed_on, so that some could be missed"
                .to_owned());
        }
        if seen.forms == 0 {
            return Ok(false);
        }
        self.begun = true;
        match seen.last {
            Some(last) if last > self.from => {
                *self = Self { from: last, offset: 0, given: seen.at_last, begun: true };
            }
            _ => {
                self.offset += seen.forms;
                self.given.extend(seen.at_last);
            }
        }
        Ok(true)
    }
}

/// A short stand-in for an id.
pub(super) fn fingerprint(id: &str) -> u128 {
    let digest = Sha256::digest(id);
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_770_000_000_000 + millis).unwrap()
    }

    /// Reads a list of forms, each indexed so many milliseconds after the beginning; how often each was given, and the
    /// greatest offset.
    fn read(indexed: &[i64], limit: usize) -> (Vec<usize>, usize) {
        let window = Window::of_the_past(at(0), None);
        let mut place = Place::new(&window);
        let mut given = vec![0; indexed.len()];
        let mut deepest = 0;
        for _ in 0..100 {
            let query = place.query(&window, limit);
            deepest = deepest.max(query.offset);
            let mut due: Vec<usize> =
                (0..indexed.len()).filter(|n| at(indexed[*n]) >= query.indexed_from).collect();
            due.sort_by_key(|n| indexed[*n]);
            let page: Vec<usize> = due.iter().skip(query.offset).take(limit).copied().collect();
            let mut seen = PageSeen::default();
            for n in &page {
                let time = at(indexed[*n]).to_rfc3339();
                let id = seen.add(&json!({ "id": n.to_string(), "indexed_on": time }), &place).unwrap();
                given[*n] += usize::from(!place.was_given(&id));
            }
            let more = query.offset + page.len() < due.len();
            if !place.advance(seen).unwrap() || !more {
                return (given, deepest);
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn every_form_is_given_once_whatever_times_they_share() {
        for indexed in [
            vec![],
            vec![0, 1, 2, 3, 4, 5, 6],
            vec![1, 2, 2, 2, 3, 4, 4],
            vec![5; 13],
            vec![1, 5, 5, 5, 5, 5, 5, 5, 6, 6],
        ] {
            for limit in 1..6 {
                let (given, deepest) = read(&indexed, limit);
                assert!(given.iter().all(|times| *times == 1), "{indexed:?} by {limit}: {given:?}");
                let shared = BTreeSet::from_iter(&indexed)
                    .into_iter()
                    .map(|time| indexed.iter().filter(|other| *other == time).count())
                    .max();
                assert!(deepest <= shared.unwrap_or(0), "{indexed:?} by {limit}: offset {deepest}");
            }
        }
    }

    #[test]
    fn a_list_in_another_order_is_refused() {
        let window = Window::of_the_past(at(0), None);
        let mut place = Place::new(&window);
        let mut seen = PageSeen::default();
        for millis in [5, 3] {
            seen.add(&json!({ "id": millis, "indexed_on": at(millis).to_rfc3339() }), &place);
        }
        assert!(place.advance(seen).unwrap_err().contains("in the order of indexed_on"));
    }
}
