//! Whether Firestore has the indexes that the queries of the queue need: a query of each kind is asked, for very little.

use chrono::{DateTime, Utc};
use futures::future::join_all;

use super::question::{FailedFilter, Shown};
use super::store::Store;
use super::stored::Since;
use super::{Queue, QueueError};
use crate::submission::{Awaits, Cause, ErrorKind, Origin, Status};

/// Queries that are asked at a time.
const AT_A_TIME: usize = 8;
/// No record has this key, job name or id.
const NOBODY: &str = "check-destinations";

impl Queue {
    /// The kinds of queries that lack an index, with Firestore's words, which hold a link that makes it. `None` where the
    /// queue is no Firestore.
    pub async fn missing_indexes(&self) -> Result<Option<Vec<(&'static str, String)>>, QueueError> {
        if !matches!(self.store, Store::Firestore(_)) {
            return Ok(None);
        }
        let kinds: Vec<Kind> = KINDS.iter().copied().chain(FILTERS.map(Kind::Failed)).collect();
        let mut missing: Vec<(&'static str, String)> = Vec::new();
        for origin in Origin::ALL {
            // Only forms are compared with what CommCare has, go to two destinations, and are asked for by what they changed.
            let of_forms = |kind: &Kind| {
                matches!(kind, Kind::WrittenSince | Kind::Held | Kind::OldestOfJobs(_) | Kind::DueOfJobs)
            };
            let asks = |kind: &&Kind| origin == Origin::CommCare || !of_forms(kind);
            let kinds: Vec<Kind> = kinds.iter().filter(asks).copied().collect();
            for kinds in kinds.chunks(AT_A_TIME) {
                let answers = join_all(kinds.iter().map(|kind| self.ask(origin, *kind))).await;
                for (kind, answer) in kinds.iter().zip(answers) {
                    let Err(error) = answer else { continue };
                    let words = missing_index(&error).ok_or(error)?;
                    if missing.iter().all(|(_, known)| *known != words) {
                        missing.push((kind.name(), words));
                    }
                }
            }
        }
        Ok(Some(missing))
    }

    async fn ask(&self, origin: Origin, kind: Kind) -> Result<(), QueueError> {
        let (store, now) = (&self.store, self.now());
        let keys = [NOBODY.to_owned()];
        let jobs = Some(&[NOBODY][..]);
        let writers = |since| store.writers(origin, since, None, &keys, Shown::Summary);
        match kind {
            Kind::Oldest(status) => store.in_arrival_order(origin, status, None, None, 1).await.map(drop),
            Kind::OldestOfJobs(status) => {
                store.in_arrival_order(origin, status, jobs, None, 1).await.map(drop)
            }
            Kind::Newest(status) => store.newest(origin, status, 1).await.map(drop),
            Kind::Due => store.due(origin, now, None, None, 1).await.map(drop),
            Kind::DueOfJobs => store.due(origin, now, jobs, None, 1).await.map(drop),
            Kind::Histories(status) => store.histories(origin, status, now, 1).await.map(drop),
            Kind::Count(status) => store.count(origin, status).await.map(drop),
            Kind::Failed(conditions) => {
                let filter = filter(conditions, now);
                store.failed(origin, &filter, None, Shown::Summary, 1).await?;
                store.count_failed(origin, &filter).await.map(drop)
            }
            Kind::Id => store.find(origin, NOBODY, Shown::All).await.map(drop),
            Kind::Waiting => store.waiting(origin, &keys, Shown::All, None, 1).await.map(drop),
            Kind::Written => writers(Since::Arrived(now)).await.map(drop),
            Kind::WrittenSince => writers(Since::Changed(now)).await.map(drop),
            Kind::Held => store.held(origin, Status::Completed, now, None, 1).await.map(drop),
            Kind::WithoutStatus => store.without_status(origin, 1).await.map(drop),
            Kind::Unmapped => store.unmapped(1).await.map(drop),
        }
    }
}

/// The filters of failed records: each bit is a condition. `since` and `until` are about the same field, and one stands for
/// both.
const FILTERS: std::ops::Range<u8> = 0..32;

fn filter(conditions: u8, now: DateTime<Utc>) -> FailedFilter {
    let has = |bit: u8| conditions & (1 << bit) != 0;
    FailedFilter {
        job_name: has(0).then(|| NOBODY.to_owned()),
        error_kind: has(1).then_some(ErrorKind::Transient),
        cause: has(2).then_some(Cause::Refused),
        since: has(3).then_some(now),
        awaits: has(4).then_some(Awaits::Person),
        ..FailedFilter::default()
    }
}

/// The kinds of queries.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Oldest(Status),
    OldestOfJobs(Status),
    Newest(Status),
    Due,
    DueOfJobs,
    Histories(Status),
    Count(Status),
    /// By the conditions of one of [`FILTERS`].
    Failed(u8),
    Id,
    Waiting,
    Written,
    WrittenSince,
    Held,
    WithoutStatus,
    Unmapped,
}

const KINDS: &[Kind] = &[
    Kind::Oldest(Status::New),
    Kind::OldestOfJobs(Status::New),
    Kind::Newest(Status::New),
    Kind::Due,
    Kind::DueOfJobs,
    Kind::Histories(Status::Completed),
    Kind::Count(Status::New),
    Kind::Id,
    Kind::Waiting,
    Kind::Written,
    Kind::WrittenSince,
    Kind::Held,
    Kind::WithoutStatus,
    Kind::Unmapped,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Oldest(_) => "records of a status, the oldest first",
            Self::OldestOfJobs(_) => "records of a status and a form type, the oldest first",
            Self::Newest(_) => "records of a status, the newest first",
            Self::Due => "failed records that are due",
            Self::DueOfJobs => "failed records of a form type that are due",
            Self::Histories(_) => "records that changed of late",
            Self::Count(_) => "the number of records of a status",
            Self::Failed(_) => "failed records, the last changed first",
            Self::Id => "records of an id",
            Self::Waiting => "records that wait for another",
            Self::Written => "records that wrote another",
            Self::WrittenSince => "records that wrote another of late",
            Self::Held => "forms that the queue holds",
            Self::WithoutStatus => "records without a status",
            Self::Unmapped => "answers that no mapping knows",
        }
    }
}

/// Firestore's words about a missing index; `None` for any other error.
fn missing_index(error: &QueueError) -> Option<String> {
    let QueueError::Unavailable { source, .. } = error else { return None };
    let words = source.to_string();
    let from = words.find("The query requires an index")?;
    // The client puts its own words behind Firestore's.
    words[from..].split(['"', '\n']).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use firestore::errors::{FirestoreDatabaseError, FirestoreError, FirestoreErrorPublicGenericDetails};

    use super::*;

    fn of_firestore(code: &str, details: &str) -> QueueError {
        let public = FirestoreErrorPublicGenericDetails::new(code.to_owned());
        let error = FirestoreDatabaseError::new(public, details.to_owned(), false);
        QueueError::unavailable("looking for records", FirestoreError::DatabaseError(error))
    }

    #[test]
    fn a_missing_index_is_told_with_the_link_that_makes_it() {
        let details = "status: FailedPrecondition, message: \"The query requires an index. You can create it here: \
                       https://console.firebase.google.com/x\"";
        let words = missing_index(&of_firestore("FailedPrecondition", details));
        let link =
            "The query requires an index. You can create it here: https://console.firebase.google.com/x";
        assert_eq!(words.as_deref(), Some(link));
        assert_eq!(
            missing_index(&of_firestore("PermissionDenied", "Missing or insufficient permissions.")),
            None
        );
    }
}
