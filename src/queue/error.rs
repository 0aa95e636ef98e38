//! How the queue fails.

use std::sync::Arc;

use firestore::errors::FirestoreError;

use super::unreadable::Unreadable;

/// Codes that the client does not repeat a write after, and that pass by themselves all the same. A repeat
/// does no harm: every write has a precondition.
const PASSING: [&str; 2] = ["DeadlineExceeded", "Internal"];

/// Why the queue could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The back end did not answer, or refused.
    #[error("the queue is unavailable while {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The back end's own error. Shared, since one failed commit fails several callers.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The submission is larger than a queue document may be.
    #[error("the submission takes {size} bytes in the queue, more than the {limit} that a document may have")]
    TooLarge {
        /// Bytes that the document would take.
        size: usize,
        /// Bytes that it may take.
        limit: usize,
    },
    /// A stored document can't be read as a record.
    #[error("document {} cannot be read: {}", .0.doc_id, .0.error)]
    Unreadable(Unreadable),
    /// A record kept changing under every attempt to change it.
    #[error("document {doc_id} is being changed by others all the time")]
    Contended {
        /// The document.
        doc_id: String,
    },
}

impl QueueError {
    /// Whether the same again may succeed a moment later, with nobody doing anything: a Firestore that is
    /// out of reach, slow or overloaded. A full disk and a refused credential do not pass by themselves,
    /// and SQLite has waited for its lock already.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable { source, .. } => match source.downcast_ref::<FirestoreError>() {
                Some(FirestoreError::DatabaseError(error)) => {
                    error.retry_possible || PASSING.contains(&error.public.code.as_str())
                }
                Some(FirestoreError::NetworkError(_)) => true,
                _ => false,
            },
            Self::Contended { .. } => true,
            Self::TooLarge { .. } | Self::Unreadable(_) => false,
        }
    }

    pub(super) fn unavailable(
        doing: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable { doing, source: Arc::new(source) }
    }
}

impl From<Unreadable> for QueueError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use firestore::errors::{FirestoreDatabaseError, FirestoreErrorPublicGenericDetails};

    use super::*;

    fn of_firestore(code: &str, retry_possible: bool) -> QueueError {
        let public = FirestoreErrorPublicGenericDetails::new(code.to_owned());
        let error = FirestoreDatabaseError::new(public, String::new(), retry_possible);
        QueueError::unavailable("writing", FirestoreError::DatabaseError(error))
    }

    #[test]
    fn a_hiccup_passes_and_what_somebody_must_mend_does_not() {
        for (code, retry_possible, passes) in [
            ("Unavailable", true, true),
            ("CONNECTION_CLOSED", true, true),
            ("Internal", false, true),
            ("DeadlineExceeded", false, true),
            ("PermissionDenied", false, false),
            ("FailedPrecondition", false, false),
            ("InvalidArgument", false, false),
        ] {
            assert_eq!(of_firestore(code, retry_possible).may_pass(), passes, "{code}");
        }
        let full = sqlx::Error::Io(io::Error::from(io::ErrorKind::StorageFull));
        assert!(!QueueError::unavailable("writing", full).may_pass());
        assert!(!QueueError::TooLarge { size: 2, limit: 1 }.may_pass());
        assert!(QueueError::Contended { doc_id: "f-1".to_owned() }.may_pass());
    }
}
