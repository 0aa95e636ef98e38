//! What became of the records of a time, in SQLite: it counts them itself.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;

use super::Sqlite;
use crate::queue::QueueError;
use crate::queue::arrivals::{ArrivalFate, Arrivals, Tally};
use crate::submission::{Origin, Status};

impl Sqlite {
    pub(in crate::queue) async fn arrivals(
        &self,
        origin: Origin,
        status: Status,
        times: Range<DateTime<Utc>>,
        tally: &mut Tally,
    ) -> Result<(), QueueError> {
        let day = TimeDelta::days(1).num_microseconds().unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT created_at / {day}, coalesce(CAST(json_extract(state, '$.job_name') AS TEXT), ''), \
             coalesce(json_extract(state, '$.dry_run'), 0) OR (json_extract(state, '$.note') IS NOT NULL \
             AND json_extract(state, '$.delivered') IS NULL AND json_extract(state, '$.written') IS NULL), \
             count(*) FROM submissions WHERE collection = ? AND status = ? AND created_at >= ? \
             AND created_at < ? AND json_valid(state) GROUP BY 1, 2, 3"
        );
        let found: Vec<(i64, String, bool, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(origin.collection())
            .bind(status.as_str())
            .bind(times.start.timestamp_micros())
            .bind(times.end.timestamp_micros())
            .fetch_all(self.readers()?)
            .await
            .map_err(|error| QueueError::unavailable("counting arrivals", error))?;
        for (days, job_name, without_effect, count) in found {
            let Some(arrived) = DateTime::from_timestamp_micros(days.saturating_mul(day)) else { continue };
            let fate = ArrivalFate::of(status, without_effect);
            tally.add(Arrivals { day: arrived.date_naive(), job_name, fate }, count.unsigned_abs());
        }
        Ok(())
    }
}
