//! Several documents changed together: the parts of a payload, and what is counted beside records.
//!
//! One `Commit` is atomic, but a request may not be larger than 10 MiB ("Usage and limits"), or 4 MiB on the emulator.
//! More than that goes in several requests, in order. That is as safe: a sender that is cut off between two requests
//! gets no answer, and sends again what the next attempt then completes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::DateTime;
use firestore::errors::FirestoreError;
use gcloud_sdk::google::firestore::v1::document_transform::FieldTransform;
use gcloud_sdk::google::firestore::v1::document_transform::field_transform::{ServerValue, TransformType};
use gcloud_sdk::google::firestore::v1::precondition::ConditionType;
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{
    CommitRequest, Document, DocumentMask, Precondition, Value, Write, WriteResult,
};
use gcloud_sdk::prost::Message;
use gcloud_sdk::prost_types::Timestamp;
use gcloud_sdk::tonic::Request;

use super::document::lost_race;
use super::{Firestore, REQUEST_TIMEOUT, codec};
use crate::clock;
use crate::queue::QueueError;
use crate::queue::stored::{Change, Stored, Text};
use crate::submission::{Origin, Record};

/// Bytes of writes that one request takes, less what is around them: Firestore's emulator takes messages of 4 MiB.
const REQUEST_ROOM: usize = 4 * 1024 * 1024 - 64 * 1024;

/// Bytes that a write takes beside itself, three fields of the arrival included.
const ROOM_AROUND_A_WRITE: usize = 128;

/// Fields that hold the arrival of a payload. Firestore's clock sets them, so that instances with skewed clocks keep the
/// order of the queue.
const ARRIVAL: [&str; 3] = ["created_at", "timestamp", "updated_at"];

impl Firestore {
    /// `false` where a document is no longer what was read; then nothing of its request was written.
    pub(in crate::queue) async fn write_all(
        &self,
        origin: Origin,
        changes: &[Change],
    ) -> Result<bool, QueueError> {
        const DOING: &str = "storing a payload";
        let mut writes: Vec<Write> = Vec::new();
        let mut size = 0;
        // All parts of a payload arrive at one time: that of the first request.
        let mut arrival = Arrival::Now;
        for change in changes {
            let write = self.write(origin, change, arrival)?;
            let more = write.encoded_len() + ROOM_AROUND_A_WRITE;
            if size + more > REQUEST_ROOM && !writes.is_empty() {
                let Some(results) = self.commit(std::mem::take(&mut writes), DOING).await? else {
                    return Ok(false);
                };
                arrival = Arrival::from_results(&results).unwrap_or(arrival);
                size = 0;
            }
            size += more;
            // Again, since the arrival may be known by now.
            writes.push(self.write(origin, change, arrival)?);
        }
        Ok(self.commit(writes, DOING).await?.is_some())
    }

    fn write(&self, origin: Origin, change: &Change, arrival: Arrival) -> Result<Write, QueueError> {
        Ok(match change {
            Change::Insert { doc_id, record, text } => {
                self.insert_write(origin, doc_id, &*whole(record, text)?, arrival)
            }
            Change::Replace { stored, record, text, arrives } => {
                self.swap_write(stored, &*whole(record, text)?, arrives.then_some(arrival))
            }
        })
    }

    pub(super) fn insert_write(
        &self,
        origin: Origin,
        doc_id: &str,
        record: &Record,
        arrival: Arrival,
    ) -> Write {
        let mut fields = codec::encode(record);
        let update_transforms = arrival.set(&mut fields);
        Write {
            operation: Some(Operation::Update(self.document(origin, doc_id, fields))),
            update_mask: None,
            update_transforms,
            current_document: Some(condition(ConditionType::Exists(false))),
        }
    }

    pub(super) fn swap_write(&self, stored: &Stored, record: &Record, arrival: Option<Arrival>) -> Write {
        let changed = if arrival.is_some() { codec::replaced } else { codec::changed };
        let (mut fields, mut field_paths) = changed(&stored.record, record);
        let mut update_transforms = Vec::new();
        if let Some(arrival) = arrival {
            field_paths.retain(|name| !ARRIVAL.contains(&name.as_str()));
            update_transforms = arrival.set(&mut fields);
            field_paths
                .extend(ARRIVAL.into_iter().filter(|name| fields.contains_key(*name)).map(str::to_owned));
        }
        Write {
            operation: Some(Operation::Update(self.document(stored.origin, &stored.doc_id, fields))),
            update_mask: Some(DocumentMask { field_paths }),
            update_transforms,
            current_document: Some(condition(ConditionType::UpdateTime(read_at(stored)))),
        }
    }

    fn document(&self, origin: Origin, doc_id: &str, fields: HashMap<String, Value>) -> Document {
        Document { name: self.document_name(origin, doc_id), fields, ..Document::default() }
    }

    /// Deletes a document that is not there.
    pub(in crate::queue) async fn probe_write(&self) -> Result<(), QueueError> {
        let nothing = format!("{}/service_probe/none", self.db.get_documents_path());
        let write = Write {
            operation: Some(Operation::Delete(nothing)),
            update_mask: None,
            update_transforms: Vec::new(),
            current_document: None,
        };
        self.commit(vec![write], "testing whether writes go through").await.map(drop)
    }

    /// One request: all of its writes, or none where one of them does not apply.
    pub(super) async fn commit(
        &self,
        writes: Vec<Write>,
        doing: &'static str,
    ) -> Result<Option<Vec<WriteResult>>, QueueError> {
        let database = self.db.get_database_path().clone();
        let of_documents = writes.iter().any(|write| {
            let condition =
                write.current_document.as_ref().and_then(|condition| condition.condition_type.as_ref());
            matches!(condition, Some(ConditionType::UpdateTime(_)))
        });
        let mut request = Request::new(CommitRequest { database, writes, ..CommitRequest::default() });
        request.set_timeout(REQUEST_TIMEOUT);
        let sent = clock::now();
        match self.db.client().get().commit(request).await.map_err(FirestoreError::from) {
            Ok(answer) => {
                let answer = answer.into_inner();
                let done = answer
                    .commit_time
                    .as_ref()
                    .and_then(|time| DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?));
                if let Some(done) = done {
                    self.clock.learn(sent, clock::now(), done);
                }
                Ok(Some(answer.write_results))
            }
            Err(FirestoreError::DataConflictError(_)) => Ok(None),
            // Where no document has to be there, it is the database that is not found.
            Err(error) if lost_race(&error) && (of_documents || !is_not_found(&error)) => Ok(None),
            Err(error) => Err(QueueError::unavailable(doing, error)),
        }
    }
}

/// A record with its payload.
fn whole<'r>(record: &'r Record, text: &Text) -> Result<Cow<'r, Record>, QueueError> {
    let Some(text) = text else { return Ok(Cow::Borrowed(record)) };
    let data = serde_json::from_str(text);
    let data = data.map_err(|error| QueueError::unavailable("reading the parts of a payload", error))?;
    Ok(Cow::Owned(Record { data: Arc::new(data), ..record.clone() }))
}

fn is_not_found(error: &FirestoreError) -> bool {
    matches!(error, FirestoreError::DataNotFoundError(_))
}

fn condition(condition: ConditionType) -> Precondition {
    Precondition { condition_type: Some(condition) }
}

/// When a payload arrives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arrival {
    /// At the time of the commit.
    Now,
    /// At the time of an earlier one.
    At(Timestamp),
    /// When its record says: a form that was fetched has the place of the time when CommCare got it.
    Recorded,
}

impl Arrival {
    /// The time that a commit has set.
    fn from_results(results: &[WriteResult]) -> Option<Self> {
        let set = results.first()?.transform_results.first()?;
        match set.value_type {
            Some(ValueType::TimestampValue(time)) => Some(Self::At(time)),
            _ => None,
        }
    }

    /// Sets the fields of the arrival, or gives what makes Firestore set them.
    fn set(self, fields: &mut HashMap<String, Value>) -> Vec<FieldTransform> {
        let of = |time| Value { value_type: Some(ValueType::TimestampValue(time)) };
        match self {
            Self::At(time) => {
                fields.extend(ARRIVAL.map(|name| (name.to_owned(), of(time))));
                Vec::new()
            }
            Self::Recorded => Vec::new(),
            Self::Now => {
                fields.retain(|name, _| !ARRIVAL.contains(&name.as_str()));
                let now = |field: &str| FieldTransform {
                    field_path: field.to_owned(),
                    transform_type: Some(TransformType::SetToServerValue(ServerValue::RequestTime.into())),
                };
                ARRIVAL.map(now).to_vec()
            }
        }
    }
}

fn read_at(stored: &Stored) -> Timestamp {
    let nanoseconds = stored.version.0;
    let nanos = i32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or_default();
    Timestamp { seconds: nanoseconds.div_euclid(1_000_000_000), nanos }
}
