//! Going over the documents of one status, page by page, in an order of their times.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use firestore::FirestoreValue;

use super::document::scanned;
use super::{Firestore, LOOKING, codec, within};
use crate::queue::QueueError;
use crate::queue::question::Place;
use crate::queue::stored::{Jobs, Read, Scanned, Stored};
use crate::submission::{Origin, Status};

/// Documents that are read at a time where some may be passed by.
const SCAN_PAGE: u32 = 100;

/// Documents of one status, in an order of their times.
#[derive(Clone, Copy)]
pub(super) struct Scan<'j> {
    pub(super) origin: Origin,
    pub(super) status: Status,
    pub(super) jobs: Jobs<'j>,
    /// The field that orders them.
    pub(super) by: &'static str,
    /// The last value of it that counts.
    pub(super) until: Option<DateTime<Utc>>,
}

impl Scan<'_> {
    pub(super) fn by_arrival(origin: Origin, status: Status) -> Self {
        Self { origin, status, jobs: None, by: "created_at", until: None }
    }
}

/// What to do with a document of a scan: take it or pass it by, or end the scan there.
pub(super) type Judgement = ControlFlow<(), bool>;

pub(super) const TAKE: Judgement = ControlFlow::Continue(true);
pub(super) const PASS: Judgement = ControlFlow::Continue(false);

impl Firestore {
    /// Goes over the documents of a scan until `limit` are taken or it ends. Unreadable ones are passed by, and given
    /// back too.
    pub(super) async fn gather(
        &self,
        scan: Scan<'_>,
        limit: usize,
        judge: impl Fn(&Stored) -> Judgement,
    ) -> Result<Vec<Read>, QueueError> {
        let (mut taken, mut found) = (0, Vec::new());
        let mut after = None;
        loop {
            let page = self.page(scan, after.as_ref(), SCAN_PAGE).await?;
            for read in page.found {
                let judgement = read.as_ref().map_or(TAKE, &judge);
                match judgement {
                    ControlFlow::Continue(true) => {
                        taken += usize::from(read.is_ok());
                        found.push(read);
                    }
                    ControlFlow::Continue(false) => {}
                    ControlFlow::Break(()) => return Ok(found),
                }
                if taken == limit {
                    return Ok(found);
                }
            }
            match page.next {
                None => return Ok(found),
                next => after = next,
            }
        }
    }

    pub(super) async fn page(
        &self,
        scan: Scan<'_>,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Scanned, QueueError> {
        let until = scan.until.map(|until| FirestoreValue::from(codec::timestamp(until)));
        let mut query = self
            .db
            .fluent()
            .select()
            .from(scan.origin.collection())
            .filter(|q| {
                q.for_all([
                    q.field("status").eq(scan.status.as_str()),
                    scan.jobs.and_then(|jobs| q.field("job_name").is_in(jobs.to_vec())),
                    until.clone().and_then(|until| q.field(scan.by).less_than_or_equal(until)),
                ])
            })
            .order(|o| o.fields([o.field(scan.by).asc(), o.field("__name__").asc()]))
            .limit(limit);
        if let Some(after) = after {
            query = query.start_at(self.after(scan.origin, after));
        }
        let found = within(LOOKING, query.query()).await?;
        Ok(scanned(scan.origin, found, scan.by, limit))
    }
}
