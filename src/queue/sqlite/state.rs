//! Documents of the service itself, in SQLite.

use super::Sqlite;
use crate::queue::QueueError;

impl Sqlite {
    pub(in crate::queue) async fn state(&self, name: &str) -> Result<Option<String>, QueueError> {
        sqlx::query_scalar("SELECT value FROM state WHERE name = ?")
            .bind(name)
            .fetch_optional(self.readers()?)
            .await
            .map_err(|error| QueueError::unavailable("reading a document of the service", error))
    }

    pub(in crate::queue) async fn set_state(&self, name: &str, value: &str) -> Result<(), QueueError> {
        self.writer.set_state(name.to_owned(), value.to_owned()).await
    }
}
