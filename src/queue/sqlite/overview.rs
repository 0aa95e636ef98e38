//! What operators ask, of SQLite: each from an index or a table of its own
//! (`migrations/queue/0003_operators.sql`).

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, QueryBuilder};

use super::{Sqlite, columns_of, rows};
use crate::queue::QueueError;
use crate::queue::question::{FailedFilter, Place, Shown, Sighting};
use crate::queue::stored::Scanned;
use crate::submission::{Attempt, Awaits, Origin, Status, Unmapped};

impl Sqlite {
    pub(in crate::queue) async fn failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
        after: Option<&Place>,
        shown: Shown,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        let (updated_at, doc_id) =
            after.map_or((i64::MAX, ""), |last| (super::micros_of(last), last.doc_id.as_str()));
        let columns = columns_of(shown);
        let mut query = QueryBuilder::new(format!("SELECT {columns}, updated_at FROM submissions"));
        push_failed(&mut query, origin, filter);
        query
            .push(" AND (updated_at, doc_id) < (")
            .push_bind(updated_at)
            .push(", ")
            .push_bind(doc_id.to_owned());
        query.push(") ORDER BY updated_at DESC, doc_id DESC LIMIT ").push_bind(rows(limit));
        super::scanned(origin, query.build_query_as().fetch_all(self.readers()?).await, limit)
    }

    pub(in crate::queue) async fn count_failed(
        &self,
        origin: Origin,
        filter: &FailedFilter,
    ) -> Result<u64, QueueError> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM submissions");
        push_failed(&mut query, origin, filter);
        let count: i64 = query.build_query_scalar().fetch_one(self.readers()?).await.map_err(counting)?;
        Ok(count.unsigned_abs())
    }

    pub(in crate::queue) async fn count(&self, origin: Origin, status: Status) -> Result<u64, QueueError> {
        let count: Option<i64> =
            sqlx::query_scalar("SELECT records FROM counts WHERE collection = ? AND status = ?")
                .bind(origin.collection())
                .bind(status.as_str())
                .fetch_optional(self.readers()?)
                .await
                .map_err(counting)?;
        Ok(count.unwrap_or_default().unsigned_abs())
    }

    pub(in crate::queue) async fn histories(
        &self,
        origin: Origin,
        status: Status,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Vec<Attempt>>, QueueError> {
        // The status is written out, as in its partial index, or the index is not used.
        let sql = format!(
            "SELECT CAST(json_extract(state, '$.attempts') AS TEXT) FROM submissions \
             WHERE collection = ? AND status = '{}' AND updated_at >= ? AND json_valid(state) \
             ORDER BY updated_at DESC LIMIT ?",
            status.as_str()
        );
        let found: Vec<Option<String>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(origin.collection())
            .bind(since.timestamp_micros())
            .bind(limit)
            .fetch_all(self.readers()?)
            .await
            .map_err(|error| QueueError::unavailable("reading histories", error))?;
        // A record that cannot be read is reported by the listings.
        let attempts = |found: Option<String>| serde_json::from_str(&found?).ok();
        Ok(found.into_iter().map(|found| attempts(found).unwrap_or_default()).collect())
    }

    pub(in crate::queue) async fn add_unmapped(&self, answers: &[Sighting]) -> Result<(), QueueError> {
        self.writer.add_unmapped(answers.to_vec()).await
    }

    pub(in crate::queue) async fn mark_unmapped(
        &self,
        origin: Origin,
        job_name: &str,
        answer: &Unmapped,
        known: bool,
    ) -> Result<bool, QueueError> {
        self.writer.mark_unmapped(origin, job_name, answer, known).await
    }

    pub(in crate::queue) async fn unmapped(&self, limit: u32) -> Result<Vec<Sighting>, QueueError> {
        type Answer = (String, String, String, String, i64, i64, i64, Option<String>, bool);
        let found: Vec<Answer> = sqlx::query_as(
            "SELECT collection, job_name, path, code, records, first_seen, last_seen, example, known \
             FROM unmapped_answers ORDER BY last_seen DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(self.readers()?)
        .await
        .map_err(|error| QueueError::unavailable("reading unmapped answers", error))?;
        let sighting = |answer: Answer| {
            let (collection, job_name, path, code, records, first, last, example, known) = answer;
            Some(Sighting {
                origin: Origin::from_collection(&collection)?,
                job_name,
                answer: Unmapped { path, code },
                records: records.unsigned_abs(),
                first_seen: DateTime::from_timestamp_micros(first)?,
                last_seen: DateTime::from_timestamp_micros(last)?,
                example,
                known,
            })
        };
        Ok(found.into_iter().filter_map(sighting).collect())
    }

    pub(in crate::queue) async fn remove_completed(
        &self,
        origin: Origin,
        end: DateTime<Utc>,
        limit: u32,
    ) -> Result<bool, QueueError> {
        self.writer.remove_completed(origin.collection(), end.timestamp_micros(), limit).await
    }
}

/// The condition that a row is failed and passes the filter, in the words of the partial indexes.
fn push_failed(query: &mut QueryBuilder<sqlx::Sqlite>, origin: Origin, filter: &FailedFilter) {
    query.push(" WHERE status = 'failed' AND collection = ").push_bind(origin.collection());
    if let Some(job_name) = &filter.job_name {
        query.push(" AND json_extract(state, '$.job_name') = ").push_bind(job_name.clone());
    }
    if let Some(kind) = filter.error_kind {
        query.push(" AND json_extract(state, '$.error_kind') = ").push_bind(kind.as_str());
    }
    if let Some(cause) = filter.cause {
        query.push(" AND json_extract(state, '$.cause') = ").push_bind(cause.as_str());
    }
    if let Some(since) = filter.since {
        query.push(" AND updated_at >= ").push_bind(since.timestamp_micros());
    }
    if let Some(until) = filter.until {
        query.push(" AND updated_at < ").push_bind(until.timestamp_micros());
    }
    if let Some(awaits) = filter.awaits {
        query.push(match awaits {
            Awaits::Person => " AND due_at IS NULL",
            Awaits::Reference => {
                " AND due_at IS NOT NULL AND json_extract(state, '$.error_kind') = 'dependency'"
            }
            Awaits::Retry => {
                " AND due_at IS NOT NULL AND json_extract(state, '$.error_kind') IS NOT 'dependency'"
            }
        });
    }
}

fn counting(error: sqlx::Error) -> QueueError {
    QueueError::unavailable("counting records", error)
}
