//! Documents as they are read, and what their errors mean.

use std::sync::Arc;

use firestore::errors::FirestoreError;
use firestore::{FirestoreDocument, FirestoreInstant};

use super::super::QueueError;
use super::super::stored::{Stored, Version};
use super::codec;
use crate::submission::Origin;

/// Whether a write failed because the document changed, or went, since it was read.
pub(super) fn lost_race(error: &FirestoreError) -> bool {
    match error {
        // ABORTED: another write to the document was under way.
        FirestoreError::DatabaseError(error) => {
            matches!(error.public.code.as_str(), "FailedPrecondition" | "Aborted")
        }
        FirestoreError::DataNotFoundError(_) => true,
        _ => false,
    }
}

/// What a query found. A document that is no queue record is left where it is, and said so: it
/// must not hold up those behind it.
pub(super) fn read(
    origin: Origin,
    found: Result<Vec<FirestoreDocument>, FirestoreError>,
) -> Result<Vec<Stored>, QueueError> {
    let found = found.map_err(|error| QueueError::unavailable("looking for records", error))?;
    let readable = found.into_iter().filter_map(|document| match stored(origin, document) {
        Ok(stored) => Some(stored),
        Err(error) => {
            tracing::error!(collection = origin.collection(), %error, "queue.unreadable_document");
            None
        }
    });
    Ok(readable.collect())
}

pub(super) fn stored(origin: Origin, document: FirestoreDocument) -> Result<Stored, QueueError> {
    let version = version(&document);
    let doc_id = doc_id(&document);
    match codec::decode(document.fields) {
        Ok(record) => Ok(Stored { origin, doc_id, record, version }),
        Err(error) => Err(QueueError::Unreadable { doc_id, source: Arc::new(error) }),
    }
}

pub(super) fn doc_id(document: &FirestoreDocument) -> String {
    document.name.rsplit('/').next().unwrap_or_default().to_owned()
}

pub(super) fn version(document: &FirestoreDocument) -> Version {
    let nanoseconds = document
        .update_time
        .as_ref()
        .map(|time| time.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanos)));
    Version(nanoseconds.unwrap_or_default())
}

pub(super) fn update_time(stored: &Stored) -> Result<FirestoreInstant, QueueError> {
    FirestoreInstant::from_nanosecond(stored.version.0.into())
        .map_err(|error| QueueError::unavailable("reading an update time", error))
}
