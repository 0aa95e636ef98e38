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
        let tail = wrote(field);
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
        let query = select_of(columns_of(shown), "created_at", WAITS)
            .bind(origin.collection())
            .bind(serde_json::json!(records).to_string())
            .bind(after.unwrap_or_default().to_owned())
            .bind(rows(limit));
        read(origin, query.fetch_all(self.readers()?).await)
    }
}

/// The rows that wrote a record, by a time of theirs.
fn wrote(time: &str) -> String {
    format!(
        "JOIN written USING (collection, doc_id) WHERE collection = ? \
         AND record IN (SELECT value FROM json_each(?)) AND {time} > ? AND {time} <= ? GROUP BY doc_id \
         ORDER BY {time} DESC LIMIT ?"
    )
}

/// The rows that wait for a record. The plus keeps SQLite from going over everything that has failed, and the inner query
/// from going over all rows in their order.
const WAITS: &str = "WHERE collection = ?1 AND +status = 'failed' AND doc_id IN \
     (SELECT doc_id FROM waits WHERE collection = ?1 AND record IN (SELECT value FROM json_each(?2)) \
     AND doc_id > ?3) ORDER BY doc_id LIMIT ?4";

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::*;
    use crate::config::SqliteSettings;

    /// A million completed rows make a plan that goes over them take a second.
    #[tokio::test]
    async fn rows_are_found_by_the_keys_and_not_by_going_over_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Sqlite::open(&SqliteSettings { path: folder.path().join("queue.db") }).await.unwrap();
        let tails =
            [("written", wrote("created_at")), ("written", wrote("updated_at")), ("waits", WAITS.to_owned())];
        for (keys, tail) in tails {
            let sql = format!("EXPLAIN QUERY PLAN SELECT doc_id FROM submissions {tail}");
            let plan = sqlx::query(AssertSqlSafe(sql)).fetch_all(&queue.readers).await.unwrap();
            let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            let looks_up = |table: &str, by: &str| {
                steps.iter().any(|step| step.starts_with(&format!("SEARCH {table} ")) && step.contains(by))
            };
            assert!(looks_up(keys, "(collection=? AND record=?"), "{steps:#?}");
            assert!(looks_up("submissions", "(collection=? AND doc_id=?)"), "{steps:#?}");
        }
    }
}
