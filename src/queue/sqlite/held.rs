//! What a reconciliation asks, of SQLite.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use super::{Sqlite, micros_of, read, rows, select};
use crate::queue::QueueError;
use crate::queue::held::{Held, HeldPage};
use crate::queue::question::{OrderedBy, Place};
use crate::queue::stored::Read;
use crate::submission::{Origin, Status};

/// A held form as it is read: document id, arrival in microseconds, job id, the payload's `received_on`.
type Row = (String, i64, Option<String>, Option<String>);

impl Sqlite {
    /// Documents with these ids; those that are not there are left out.
    pub(in crate::queue) async fn get_many(
        &self,
        origin: Origin,
        doc_ids: &[String],
    ) -> Result<Vec<Read>, QueueError> {
        let query = select(
            "created_at",
            "WHERE collection = ? AND doc_id IN (SELECT value FROM json_each(?)) ORDER BY created_at",
        )
        .bind(origin.collection())
        .bind(serde_json::json!(doc_ids).to_string());
        read(origin, query.fetch_all(self.readers()?).await)
    }

    pub(in crate::queue) async fn held(
        &self,
        origin: Origin,
        status: Status,
        since: DateTime<Utc>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<HeldPage, QueueError> {
        let (time, doc_id) = after.map_or_else(
            || (since.timestamp_micros(), ""),
            |after| (micros_of(after), after.doc_id.as_str()),
        );
        let sql = format!(
            "SELECT doc_id, created_at, {}, {} FROM submissions WHERE collection = ? AND status = '{}' AND (created_at, doc_id) > (?, ?) \
             ORDER BY created_at, doc_id LIMIT ?",
            text_of("state", "job_id"),
            text_of("data", "received_on"),
            status.as_str()
        );
        let found: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(origin.collection())
            .bind(time)
            .bind(doc_id.to_owned())
            .bind(rows(limit))
            .fetch_all(self.readers()?)
            .await
            .map_err(|error| QueueError::unavailable("looking for records", error))?;
        let last = found.last().filter(|_| found.len() >= limit);
        let next = last.map(|(doc_id, micros, ..)| Place {
            order: DateTime::from_timestamp_micros(*micros).map_or(OrderedBy::Null, OrderedBy::Time),
            doc_id: doc_id.clone(),
        });
        let held = |(doc_id, micros, job_id, received_on): Row| Held {
            doc_id,
            job_id,
            arrived: DateTime::from_timestamp_micros(micros),
            received_on,
        };
        Ok(HeldPage { found: found.into_iter().map(held).collect(), next })
    }
}

/// A member that is text. Others write payloads, and anything may stand there.
fn text_of(column: &str, member: &str) -> String {
    format!(
        "CASE WHEN json_valid({column}) THEN CASE json_type({column}, '$.{member}') \
         WHEN 'text' THEN json_extract({column}, '$.{member}') END END"
    )
}
