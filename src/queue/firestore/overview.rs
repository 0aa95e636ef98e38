//! What operators ask, of Firestore.
//!
//! Counts are aggregations: no document is read for them, but Firestore goes over the index entries
//! that it counts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use firestore::{FirestoreDocument, FirestoreQueryFilter, FirestoreValue};
use gcloud_sdk::google::firestore::v1::document_transform::FieldTransform;
use gcloud_sdk::google::firestore::v1::document_transform::field_transform::TransformType;
use gcloud_sdk::google::firestore::v1::precondition::ConditionType;
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{Document, DocumentMask, Precondition, Value, Write};
use sha2::{Digest, Sha256};

use super::document::scanned;
use super::{Firestore, LOOKING, codec, page_size, within};
use crate::queue::doc_id::hex;
use crate::queue::question::{FailedFilter, Place, Shown, Sighting};
use crate::queue::stored::Scanned;
use crate::queue::{QueueError, SWAP_TRIES};
use crate::submission::{Attempt, Awaits, ErrorKind, Origin, Status, Unmapped};

/// Answers whose code no label table knows: a document for each. The original service has no such
/// collection.
const UNMAPPED: &str = "unmapped_answers";

/// The field of an answer's document that marks it as known.
const KNOWN: &str = "known";

/// What a count is doing, for its errors.
const COUNTING: &str = "counting records";
/// The name of a count.
const COUNT: &str = "count";

impl Firestore {
    pub(in crate::queue) async fn failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
        after: Option<&Place>,
        shown: Shown,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        let mut query = self
            .select(shown)
            .from(origin.collection())
            .filter(|q| failed(&q, filter))
            .order(|o| o.fields([o.field("updated_at").desc(), o.field("__name__").desc()]))
            .limit(page_size(limit));
        if let Some(after) = after {
            query = query.start_at(self.after(origin, after));
        }
        let found = within(LOOKING, query.query()).await?;
        Ok(scanned(origin, found, "updated_at", page_size(limit)))
    }

    /// In the order of the listing, so that its indexes serve the count too.
    pub(in crate::queue) async fn count_failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
    ) -> Result<u64, QueueError> {
        let of = |filter| self.count_indexed(origin, filter);
        match filter.awaits {
            None | Some(Awaits::Person) => of(filter.clone()).await,
            // No index tells what is not null: the difference does.
            Some(Awaits::Reference) => {
                let all =
                    FailedFilter { awaits: None, error_kind: Some(ErrorKind::Dependency), ..filter.clone() };
                let given_up = FailedFilter { awaits: Some(Awaits::Person), ..all.clone() };
                let (all, given_up) = futures::try_join!(of(all), of(given_up))?;
                Ok(all.saturating_sub(given_up))
            }
            Some(Awaits::Retry) => {
                let all = FailedFilter { awaits: None, ..filter.clone() };
                let person = FailedFilter { awaits: Some(Awaits::Person), ..filter.clone() };
                let reference = FailedFilter { awaits: Some(Awaits::Reference), ..filter.clone() };
                let reference = async {
                    if reference.finds_nothing() {
                        return Ok(0);
                    }
                    Box::pin(self.count_failed(origin, &reference)).await
                };
                let (all, person, reference) = futures::try_join!(of(all), of(person), reference)?;
                Ok(all.saturating_sub(person + reference))
            }
        }
    }

    /// How many an index finds.
    async fn count_indexed(&self, origin: Origin, filter: FailedFilter) -> Result<u64, QueueError> {
        let counted = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| failed(&q, &filter))
            .order(|o| o.fields([o.field("updated_at").desc()]))
            .aggregate(|a| a.fields([a.field(COUNT).count()]))
            .query();
        within(COUNTING, counted).await.map(|counted| count_of(&counted))
    }

    pub(in crate::queue) async fn count(&self, origin: Origin, status: Status) -> Result<u64, QueueError> {
        let counted = self
            .db
            .fluent()
            .select()
            .from(origin.collection())
            .filter(|q| q.for_all([q.field("status").eq(status.as_str())]))
            .aggregate(|a| a.fields([a.field(COUNT).count()]))
            .query();
        within(COUNTING, counted).await.map(|counted| count_of(&counted))
    }

    pub(in crate::queue) async fn histories(
        &self,
        origin: Origin,
        status: Status,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Vec<Attempt>>, QueueError> {
        let found = self
            .db
            .fluent()
            .select()
            .fields(["attempts"])
            .from(origin.collection())
            .filter(|q| {
                q.for_all([
                    q.field("status").eq(status.as_str()),
                    q.field("updated_at")
                        .greater_than_or_equal(FirestoreValue::from(codec::timestamp(since))),
                ])
            })
            .order(|o| o.fields([o.field("updated_at").desc()]))
            .limit(limit)
            .query();
        let found = within("reading histories", found).await?;
        // Documents of the original service have none.
        Ok(found.into_iter().map(|document| codec::attempts(document.fields)).collect())
    }

    pub(in crate::queue) async fn add_unmapped(&self, answers: &[Sighting]) -> Result<(), QueueError> {
        let writes: Vec<Write> = answers.iter().map(|sighting| self.sighting_write(sighting)).collect();
        // Forms with the same answer are often settled at the same moment: then one is refused.
        for _ in 0..SWAP_TRIES {
            if self.commit(writes.clone(), "counting unmapped answers").await?.is_some() {
                return Ok(());
            }
        }
        Err(QueueError::Contended { doc_id: UNMAPPED.to_owned() })
    }

    /// Adds one record to an answer's document, whoever else does so at the same moment.
    fn sighting_write(&self, sighting: &Sighting) -> Write {
        let Sighting { origin, job_name, answer, records, first_seen, last_seen, example, .. } = sighting;
        let name = self.answer_name(*origin, job_name, answer);
        let example = example.as_deref().unwrap_or_default();
        let named = [
            ("collection", origin.collection()),
            ("job_name", job_name),
            ("path", &answer.path),
            ("code", &answer.code),
            ("example", example),
        ];
        let fields: HashMap<String, Value> =
            named.iter().map(|(name, part)| ((*name).to_owned(), codec::text(part))).collect();
        let transform = |field: &str, transform_type| FieldTransform {
            field_path: field.to_owned(),
            transform_type: Some(transform_type),
        };
        // Only numbers have a minimum and a maximum in Firestore: the times are in microseconds.
        let micros = |time: &DateTime<Utc>| codec::integer(time.timestamp_micros());
        let more = codec::integer(i64::try_from(*records).unwrap_or(i64::MAX));
        Write {
            operation: Some(Operation::Update(Document { name, fields, ..Document::default() })),
            update_mask: Some(DocumentMask {
                field_paths: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
            }),
            update_transforms: vec![
                transform("records", TransformType::Increment(more)),
                transform("first_seen", TransformType::Minimum(micros(first_seen))),
                transform("last_seen", TransformType::Maximum(micros(last_seen))),
            ],
            current_document: None,
        }
    }

    /// The name of an answer's document.
    fn answer_name(&self, origin: Origin, job_name: &str, answer: &Unmapped) -> String {
        let mut hasher = Sha256::new();
        for part in [origin.collection(), job_name, &answer.path, &answer.code] {
            // The length keeps apart what would read the same run together.
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        format!("{}/{UNMAPPED}/{}", self.db.get_documents_path(), hex(&hasher.finalize()))
    }

    pub(in crate::queue) async fn mark_unmapped(
        &self,
        origin: Origin,
        job_name: &str,
        answer: &Unmapped,
        known: bool,
    ) -> Result<bool, QueueError> {
        let name = self.answer_name(origin, job_name, answer);
        let doc_id = name.rsplit('/').next().unwrap_or_default();
        let known = Value { value_type: Some(ValueType::BooleanValue(known)) };
        let write = Write {
            operation: Some(Operation::Update(Document {
                name: name.clone(),
                fields: HashMap::from([(KNOWN.to_owned(), known)]),
                ..Document::default()
            })),
            update_mask: Some(DocumentMask { field_paths: vec![KNOWN.to_owned()] }),
            update_transforms: Vec::new(),
            current_document: Some(Precondition { condition_type: Some(ConditionType::Exists(true)) }),
        };
        // A form with the same answer may be settled at the same moment: then the write is refused, as it is where there
        // is no such document.
        for _ in 0..SWAP_TRIES {
            let found = self.db.fluent().select().by_id_in(UNMAPPED).one(doc_id);
            if within("reading an unmapped answer", found).await?.is_none() {
                return Ok(false);
            }
            if self.commit(vec![write.clone()], "marking an unmapped answer").await?.is_some() {
                return Ok(true);
            }
        }
        Err(QueueError::Contended { doc_id: UNMAPPED.to_owned() })
    }

    pub(in crate::queue) async fn unmapped(&self, limit: u32) -> Result<Vec<Sighting>, QueueError> {
        let found = self
            .db
            .fluent()
            .select()
            .from(UNMAPPED)
            .order(|o| o.fields([o.field("last_seen").desc()]))
            .limit(limit)
            .query();
        let found = within("reading unmapped answers", found).await?;
        Ok(found.iter().filter_map(sighting).collect())
    }
}

/// The condition that a document is failed and passes the filter, as far as an index tells.
fn failed(
    q: &firestore::select_filter_builder::FirestoreQueryFilterBuilder,
    filter: &FailedFilter,
) -> Option<FirestoreQueryFilter> {
    let at = |time| FirestoreValue::from(codec::timestamp(time));
    let waits = filter.awaits == Some(Awaits::Reference);
    let kind = filter.error_kind.or(waits.then_some(ErrorKind::Dependency));
    q.for_all([
        q.field("status").eq(Status::Failed.as_str()),
        filter.job_name.as_ref().and_then(|job_name| q.field("job_name").eq(job_name)),
        kind.and_then(|kind| q.field("error_kind").eq(kind.as_str())),
        filter.cause.and_then(|cause| q.field("cause").eq(cause.as_str())),
        (filter.awaits == Some(Awaits::Person)).then(|| q.field("next_retry_at").is_null()).flatten(),
        filter.since.and_then(|since| q.field("updated_at").greater_than_or_equal(at(since))),
        filter.until.and_then(|until| q.field("updated_at").less_than(at(until))),
    ])
}

fn count_of(counted: &[FirestoreDocument]) -> u64 {
    let count = counted.first().and_then(|document| document.fields.get(COUNT));
    count.and_then(codec::as_integer).unwrap_or_default().unsigned_abs()
}

fn sighting(document: &FirestoreDocument) -> Option<Sighting> {
    let text = |name: &str| codec::as_text(document.fields.get(name)?);
    let number = |name: &str| codec::as_integer(document.fields.get(name)?);
    Some(Sighting {
        origin: Origin::from_collection(&text("collection")?)?,
        job_name: text("job_name")?,
        answer: Unmapped { path: text("path")?, code: text("code")? },
        records: number("records")?.unsigned_abs(),
        first_seen: DateTime::from_timestamp_micros(number("first_seen")?)?,
        last_seen: DateTime::from_timestamp_micros(number("last_seen")?)?,
        example: text("example").filter(|doc_id| !doc_id.is_empty()),
        known: document.fields.get(KNOWN).and_then(|value| value.value_type.as_ref())
            == Some(&ValueType::BooleanValue(true)),
    })
}
