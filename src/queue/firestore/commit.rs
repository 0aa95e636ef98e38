//! Several documents changed together: the parts of a payload, and what is counted beside records.
//!
//! One `Commit` is atomic, but no request may be larger than 10 MiB ("Usage and limits"). More than
//! that goes in several, in order: who is cut off between two is not answered, and sends again what
//! the next attempt then completes.

use std::collections::HashMap;

use firestore::errors::FirestoreError;
use gcloud_sdk::google::firestore::v1::precondition::ConditionType;
use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{CommitRequest, Document, DocumentMask, Precondition, Value, Write};
use gcloud_sdk::prost::Message;
use gcloud_sdk::prost_types::Timestamp;
use gcloud_sdk::tonic::Request;

use super::{Firestore, REQUEST_TIMEOUT, codec, lost_race};
use crate::queue::QueueError;
use crate::queue::stored::{Change, Stored};
use crate::submission::Origin;

/// Bytes of writes that one request takes: what Firestore takes, but for what is around them.
const REQUEST_ROOM: usize = 10 * 1024 * 1024 - 64 * 1024;

impl Firestore {
    /// `false` where a document is no longer what was read; then nothing of its request was written.
    pub(in crate::queue) async fn write_all(
        &self,
        origin: Origin,
        changes: &[Change],
    ) -> Result<bool, QueueError> {
        const DOING: &str = "storing the parts of a payload";
        let mut writes: Vec<Write> = Vec::new();
        let mut size = 0;
        for change in changes {
            let write = self.write(origin, change);
            let more = write.encoded_len() + 16;
            if size + more > REQUEST_ROOM && !writes.is_empty() {
                if !self.commit(std::mem::take(&mut writes), DOING).await? {
                    return Ok(false);
                }
                size = 0;
            }
            size += more;
            writes.push(write);
        }
        self.commit(writes, DOING).await
    }

    fn write(&self, origin: Origin, change: &Change) -> Write {
        let (fields, mask, condition): (HashMap<String, Value>, _, _) = match change {
            Change::Insert(_, record) => (codec::encode(record), None, ConditionType::Exists(false)),
            Change::Swap(stored, record) => {
                let (fields, field_paths) = codec::changed(&stored.record, record);
                (fields, Some(DocumentMask { field_paths }), ConditionType::UpdateTime(read_at(stored)))
            }
        };
        let name = self.document_name(origin, change.doc_id());
        Write {
            operation: Some(Operation::Update(Document { name, fields, ..Document::default() })),
            update_mask: mask,
            update_transforms: Vec::new(),
            current_document: Some(Precondition { condition_type: Some(condition) }),
        }
    }

    /// One request: all of its writes, or none.
    pub(super) async fn commit(&self, writes: Vec<Write>, doing: &'static str) -> Result<bool, QueueError> {
        let database = self.db.get_database_path().clone();
        let mut request = Request::new(CommitRequest { database, writes, ..CommitRequest::default() });
        request.set_timeout(REQUEST_TIMEOUT);
        match self.db.client().get().commit(request).await.map_err(FirestoreError::from) {
            Ok(_) => Ok(true),
            Err(FirestoreError::DataConflictError(_)) => Ok(false),
            Err(error) if lost_race(&error) => Ok(false),
            Err(error) => Err(QueueError::unavailable(doing, error)),
        }
    }
}

fn read_at(stored: &Stored) -> Timestamp {
    let nanoseconds = stored.version.0;
    let nanos = i32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or_default();
    Timestamp { seconds: nanoseconds.div_euclid(1_000_000_000), nanos }
}
