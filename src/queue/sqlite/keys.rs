//! Which rows wrote a record, and which wait for it, of SQLite: by their keys, which have tables of their own.

use chrono::{DateTime, Utc};

use super::{Sqlite, columns_of, read, rows, select_of};
use crate::queue::QueueError;
use crate::queue::question::Shown;
use crate::queue::stored::{Read, Since};
use crate::submission::Origin;

impl Sqlite {
    pub(in crate::queue) async fn writers(
        &self,
        origin: Origin,
        since: Since,
        until: Option<DateTime<Utc>>,
        records: &[String],
        shown: Shown,
        limit: u32,
    ) -> Result<Vec<Read>, QueueError> {
        let (field, since) = since.field();
        let tail = format!(
            "JOIN written USING (collection, doc_id) WHERE collection = ? \
             AND record IN (SELECT value FROM json_each(?)) AND {field} > ? AND {field} <= ? GROUP BY doc_id \
             ORDER BY {field} DESC LIMIT ?",
        );
        let query = select_of(columns_of(shown), "created_at", &tail)
            .bind(origin.collection())
            .bind(serde_json::json!(records).to_string())
            .bind(since.timestamp_micros())
            .bind(until.map_or(i64::MAX, |until| until.timestamp_micros()))
            .bind(limit);
        read(origin, query.fetch_all(self.readers()?).await)
    }

    pub(in crate::queue) async fn waiting(
        &self,
        origin: Origin,
        records: &[String],
        shown: Shown,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        let query = select_of(
            columns_of(shown),
            "created_at",
            "JOIN waits USING (collection, doc_id) WHERE collection = ? AND status = 'failed' \
             AND record IN (SELECT value FROM json_each(?)) AND doc_id > ? \
             GROUP BY doc_id ORDER BY doc_id LIMIT ?",
        )
        .bind(origin.collection())
        .bind(serde_json::json!(records).to_string())
        .bind(after.unwrap_or_default().to_owned())
        .bind(rows(limit));
        read(origin, query.fetch_all(self.readers()?).await)
    }
}
