//! How the queue fails.

use std::sync::Arc;

use super::unreadable::Unreadable;

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
    pub(super) fn unavailable(
        doing: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable { doing, source: Arc::new(source) }
    }
}

impl From<Unreadable> for QueueError {
    fn from(odd: Unreadable) -> Self {
        Self::Unreadable(odd)
    }
}
