//! Small documents of the service itself, which every instance reads and writes.

use serde_json::Value;

use super::{Queue, QueueError};

impl Queue {
    /// The document of a name; `None` where there is none yet.
    pub async fn state(&self, name: &str) -> Result<Option<Value>, QueueError> {
        let found = self.store.state(name).await?;
        let decode = |text: String| {
            serde_json::from_str(&text)
                .map_err(|error| QueueError::unavailable("reading a document of the service", error))
        };
        found.map(decode).transpose()
    }

    /// Durably keeps a document under a name, in place of the one before. Where two writers meet, the last one stays.
    ///
    /// A document of Firestore takes less than 1 MiB.
    pub async fn set_state(&self, name: &str, value: &Value) -> Result<(), QueueError> {
        self.store.set_state(name, &value.to_string()).await
    }
}
