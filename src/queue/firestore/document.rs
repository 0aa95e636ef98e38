//! Documents as they are read, and what their errors mean.

use firestore::FirestoreDocument;
use firestore::errors::FirestoreError;
use gcloud_sdk::prost_types::Timestamp;

use super::super::question::Place;
use super::super::stored::{Read, Scanned, Stored, Version};
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

/// What a query found.
pub(super) fn read(origin: Origin, found: Vec<FirestoreDocument>) -> Vec<Read> {
    found.into_iter().map(|document| stored(origin, document)).collect()
}

/// A page of a query that is ordered by a field, of `limit` documents at most.
pub(super) fn scanned(origin: Origin, found: Vec<FirestoreDocument>, by: &str, limit: u32) -> Scanned {
    // By the documents themselves: one that cannot be read must not end the listing.
    let last = found.last().filter(|_| found.len() >= limit as usize);
    let next = last.map(|last| Place { order: codec::order_of(last.fields.get(by)), doc_id: doc_id(last) });
    Scanned { found: read(origin, found), next }
}

pub(super) fn stored(origin: Origin, document: FirestoreDocument) -> Read {
    let version = version(document.update_time.as_ref()).unwrap_or(Version(0));
    let doc_id = doc_id(&document);
    let record = codec::decode(&doc_id, document.fields)?;
    Ok(Stored { origin, doc_id, record, version })
}

pub(super) fn doc_id(document: &FirestoreDocument) -> String {
    document.name.rsplit('/').next().unwrap_or_default().to_owned()
}

pub(super) fn version(updated: Option<&Timestamp>) -> Option<Version> {
    updated
        .map(|time| Version(time.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanos))))
}
