//! What became of the records of a time, in Firestore: the documents are read, a few fields of each.

use std::ops::Range;

use chrono::{DateTime, Utc};
use firestore::{FirestoreDocument, FirestoreValue};
use gcloud_sdk::google::firestore::v1::value::ValueType;

use super::document::doc_id;
use super::{Firestore, codec, within};
use crate::queue::QueueError;
use crate::queue::arrivals::{ArrivalFate, Arrivals, Tally};
use crate::queue::question::{OrderedBy, Place};
use crate::submission::{Origin, Status};

/// What is read of a document.
const FIELDS: [&str; 6] = ["job_name", "created_at", "note", "dry_run", "delivered", "written"];
/// Documents that are read at a time.
const AT_A_TIME: u32 = 1_000;
/// Documents of one status that are read: each is billed.
const MOST: usize = 50_000;

impl Firestore {
    pub(in crate::queue) async fn arrivals(
        &self,
        origin: Origin,
        status: Status,
        times: Range<DateTime<Utc>>,
        tally: &mut Tally,
    ) -> Result<(), QueueError> {
        let at = |time| FirestoreValue::from(codec::timestamp(time));
        let (mut after, mut read) = (None, 0);
        loop {
            let mut query = self
                .db
                .fluent()
                .select()
                .fields(FIELDS)
                .from(origin.collection())
                .filter(|q| {
                    q.for_all([
                        q.field("status").eq(status.as_str()),
                        q.field("created_at").greater_than_or_equal(at(times.start)),
                        q.field("created_at").less_than(at(times.end)),
                    ])
                })
                .order(|o| o.fields([o.field("created_at").desc(), o.field("__name__").desc()]))
                .limit(AT_A_TIME);
            if let Some(after) = &after {
                query = query.start_at(self.after(origin, after));
            }
            let found = within("counting arrivals", query.query()).await?;
            for arrivals in found.iter().filter_map(|document| arrivals(status, document)) {
                tally.add(arrivals, 1);
            }
            read += found.len();
            let Some(last) = found.last().filter(|_| found.len() >= AT_A_TIME as usize) else {
                return Ok(());
            };
            if read >= MOST {
                tally.cut = true;
                return Ok(());
            }
            after =
                Some(Place { order: codec::order_of(last.fields.get("created_at")), doc_id: doc_id(last) });
        }
    }
}

fn arrivals(status: Status, document: &FirestoreDocument) -> Option<Arrivals> {
    let value = |name: &str| document.fields.get(name)?.value_type.as_ref();
    let has = |name: &str| match value(name) {
        None | Some(ValueType::NullValue(_)) => false,
        Some(ValueType::ArrayValue(array)) => !array.values.is_empty(),
        Some(_) => true,
    };
    let OrderedBy::Time(arrived) = codec::order_of(document.fields.get("created_at")) else { return None };
    let dry_run = value("dry_run") == Some(&ValueType::BooleanValue(true));
    let without_effect = dry_run || (has("note") && !has("delivered") && !has("written"));
    let job_name = document.fields.get("job_name").and_then(codec::as_text).unwrap_or_default();
    Some(Arrivals { day: arrived.date_naive(), job_name, fate: ArrivalFate::of(status, without_effect) })
}
