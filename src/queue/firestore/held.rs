//! What a reconciliation asks, of Firestore.

use chrono::{DateTime, Utc};
use firestore::{FirestoreDocument, FirestoreValue};
use futures::TryStreamExt;
use gcloud_sdk::google::firestore::v1::Value;
use gcloud_sdk::google::firestore::v1::value::ValueType;

use super::{Firestore, LOOKING, codec, page_size, read, within};
use crate::queue::QueueError;
use crate::queue::held::{Held, HeldPage};
use crate::queue::limits;
use crate::queue::question::Place;
use crate::queue::stored::Read;
use crate::submission::{Origin, Status};

/// What is read of a held form.
const SHOWN: [&str; 4] = ["job_id", "created_at", "data.id", "data.received_on"];

impl Firestore {
    /// Documents with these ids; those that are not there are left out.
    pub(in crate::queue) async fn get_many(
        &self,
        origin: Origin,
        doc_ids: &[String],
    ) -> Result<Vec<Read>, QueueError> {
        let found = async {
            let found = self.db.fluent().select().by_id_in(origin.collection()).batch_with_errors(doc_ids);
            found.await?.try_filter_map(async |(_, document)| Ok(document)).try_collect().await
        };
        Ok(read(origin, within("reading records", found).await?))
    }

    /// Documents of the original service with one of these submission ids, oldest first.
    pub(in crate::queue) async fn of_submissions(
        &self,
        origin: Origin,
        job_ids: &[String],
    ) -> Result<Vec<Read>, QueueError> {
        if !self.flask_documents {
            return Ok(Vec::new());
        }
        let mut values = Vec::with_capacity(job_ids.len());
        for id in job_ids {
            values.push(codec::text(id));
            // The original kept a number as it was.
            values
                .extend(id.parse().ok().filter(|number: &i64| number.to_string() == *id).map(codec::integer));
        }
        let mut found = Vec::new();
        for values in values.chunks(limits::DISJUNCTIONS) {
            let values = FirestoreValue::from(codec::array(values.to_vec()));
            let query = self
                .db
                .fluent()
                .select()
                .from(origin.collection())
                .filter(|q| q.for_all([q.field("data.id").is_in(values.clone())]))
                .query();
            found.extend(read(origin, within(LOOKING, query).await?));
        }
        found.sort_by_key(|read| read.as_ref().ok().and_then(|stored| stored.record.created_at));
        Ok(found)
    }

    pub(in crate::queue) async fn held(
        &self,
        origin: Origin,
        status: Status,
        since: DateTime<Utc>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<HeldPage, QueueError> {
        let since = FirestoreValue::from(codec::timestamp(since));
        let mut query = self
            .db
            .fluent()
            .select()
            .fields(SHOWN)
            .from(origin.collection())
            .filter(|q| {
                q.for_all([
                    q.field("status").eq(status.as_str()),
                    q.field("created_at").greater_than_or_equal(since.clone()),
                ])
            })
            .order(|o| o.fields([o.field("created_at").asc(), o.field("__name__").asc()]))
            .limit(page_size(limit));
        if let Some(after) = after {
            query = query.start_at(self.after(origin, after));
        }
        let documents = within(LOOKING, query.query()).await?;
        let last = documents.last().filter(|_| documents.len() >= limit);
        let next = last.map(|last| Place {
            order: codec::order_of(last.fields.get("created_at")),
            doc_id: super::document::doc_id(last),
        });
        Ok(HeldPage { found: documents.iter().map(held).collect(), next })
    }
}

fn held(document: &FirestoreDocument) -> Held {
    let data = match document.fields.get("data").and_then(|data| data.value_type.as_ref()) {
        Some(ValueType::MapValue(data)) => Some(&data.fields),
        _ => None,
    };
    let of_data = |name: &str| data.and_then(|data| text_of(data.get(name)?));
    let arrived = match document.fields.get("created_at").and_then(|time| time.value_type.as_ref()) {
        Some(ValueType::TimestampValue(time)) => {
            DateTime::from_timestamp(time.seconds, time.nanos.unsigned_abs())
        }
        _ => None,
    };
    Held {
        doc_id: super::document::doc_id(document),
        job_id: document.fields.get("job_id").and_then(text_of).or_else(|| of_data("id")),
        arrived,
        received_on: of_data("received_on"),
    }
}

/// A text, or a number as its text.
fn text_of(value: &Value) -> Option<String> {
    codec::as_text(value).or_else(|| codec::as_integer(value).map(|number| number.to_string()))
}
