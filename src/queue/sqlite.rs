//! The embedded back end: one SQLite file, which several processes may share.
//!
//! WAL with `synchronous = FULL`: a commit is on disk when it returns. All writes of a process go
//! through one [`writer`], which commits whatever is waiting as one transaction, so that
//! concurrent webhooks share one fsync. Reads have connections of their own.

mod arrivals;
mod held;
mod keys;
mod overview;
mod state;
mod statements;
mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrator;
use sqlx::query::QueryAs;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::QueueError;
use super::edition::MEMBERS as EDITION;
use super::question::{OrderedBy, Place, Shown};
use super::stored::{Change, Jobs, Read, Scanned, Stored, Version};
use super::unreadable::Unreadable;
use crate::config::SqliteSettings;
use crate::submission::{NextRetry, Origin, Record, Status};
use statements::Row;
use watch::FileWatch;
use writer::Writer;

static MIGRATOR: Migrator = sqlx::migrate!("migrations/queue");

/// How long a write waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that read.
const READERS: u32 = 4;

/// The condition that a row is of one of some jobs, if any are given: twice, as JSON.
const OF_JOBS: &str = "(? IS NULL OR json_extract(state, '$.job_name') IN (SELECT value FROM json_each(?)))";

const COLUMNS: &str = "doc_id, state, data, version";
/// The same without the payload and the plan.
const SUMMARY: &str =
    "doc_id, CASE WHEN json_valid(state) THEN json_remove(state, '$.plan') ELSE state END, 'null', version";
/// The same of a record of whose payload only the id is read.
const SUMMARY_WITH_ID: &str = "doc_id, state, \
     CASE WHEN json_valid(data) THEN json_object('id', json_extract(data, '$.id')) ELSE data END, version";

/// The documents of one payload. The collection is written out, as in its partial index, or the index is not used.
const OF_SUBMISSION: &str = "WHERE collection = 'salesforce_collection' AND json_extract(state, '$.job_id') = ? \
     ORDER BY created_at, doc_id";

/// A row as it is read: document id, state, data, version, and what the listing is ordered by in microseconds.
type Found = (String, String, String, i64, i64);

/// The embedded queue.
#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    readers: SqlitePool,
    writer: Writer,
    watch: FileWatch,
}

impl Sqlite {
    /// Opens the file, creating it and its folder where they are missing, and brings its schema up
    /// to date.
    pub(super) async fn open(settings: &SqliteSettings) -> Result<Self, QueueError> {
        let doing = "opening its file";
        if let Some(folder) = settings.path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|error| QueueError::unavailable(doing, error))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(&settings.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.clone())
            .await
            .map_err(|error| QueueError::unavailable(doing, error))?;
        prepare(&readers).await?;
        let watch = FileWatch::new(&settings.path);
        Ok(Self { readers, writer: Writer::start(options, watch.clone()).await?, watch })
    }

    /// The connections that read. What a file says that is gone, or another by now, is told to nobody.
    fn readers(&self) -> Result<&SqlitePool, QueueError> {
        self.watch.check()?;
        Ok(&self.readers)
    }

    /// Writes a little, to learn whether writes go through.
    pub(super) async fn probe_write(&self) -> Result<(), QueueError> {
        self.writer.probe().await
    }

    pub(super) async fn ping(&self) -> Result<(), QueueError> {
        sqlx::query("SELECT 1 FROM submissions LIMIT 1")
            .fetch_optional(self.readers()?)
            .await
            .map(drop)
            .map_err(|error| QueueError::unavailable("answering a ping", error))
    }

    pub(super) async fn insert(
        &self,
        origin: Origin,
        doc_id: &str,
        record: &Record,
    ) -> Result<bool, QueueError> {
        self.writer.insert(row(origin, doc_id, record, Some(text(record)?))?).await
    }

    pub(super) async fn swap(&self, stored: &Stored, record: &Record) -> Result<Option<Version>, QueueError> {
        let swapped = self.writer.swap(changed_row(stored, record)?, stored.version.0).await?;
        Ok(swapped.then_some(Version(stored.version.0 + 1)))
    }

    pub(super) async fn get(&self, origin: Origin, doc_id: &str) -> Result<Option<Stored>, QueueError> {
        let found: Option<Found> = select("created_at", "WHERE collection = ? AND doc_id = ?")
            .bind(origin.collection())
            .bind(doc_id)
            .fetch_optional(self.readers()?)
            .await
            .map_err(|error| QueueError::unavailable("reading a record", error))?;
        found.map(|found| stored(origin, found)).transpose().map_err(QueueError::from)
    }

    /// Changes several documents, or none where one is no longer what was read.
    pub(super) async fn write_all(&self, origin: Origin, changes: &[Change]) -> Result<bool, QueueError> {
        let rows = changes.iter().map(|change| match change {
            Change::Insert { doc_id, record, text } => {
                let text = text.clone().map_or_else(|| self::text(record), Ok)?;
                Ok((row(origin, doc_id, record, Some(text))?, None))
            }
            Change::Replace { stored, record, text, .. } => {
                let mut row = changed_row(stored, record)?;
                row.data = text.clone().or(row.data);
                Ok((row, Some(stored.version.0)))
            }
        });
        self.writer.all(rows.collect::<Result<_, QueueError>>()?).await
    }

    /// Every document of a payload that may be stored in parts.
    async fn of_submission(
        &self,
        origin: Origin,
        job_id: &str,
        columns: &str,
    ) -> Result<Vec<Read>, QueueError> {
        let query = select_of(columns, "created_at", OF_SUBMISSION).bind(job_id.to_owned());
        read(origin, query.fetch_all(self.readers()?).await)
    }

    /// The same, without most of their payloads.
    pub(super) async fn editions_of(&self, origin: Origin, job_id: &str) -> Result<Vec<Read>, QueueError> {
        let members = EDITION.map(|name| format!("'{name}', json_extract(data, '$.{name}')")).join(", ");
        self.of_submission(origin, job_id, &format!("doc_id, state, json_object({members}), version")).await
    }

    pub(super) async fn find(&self, origin: Origin, id: &str, shown: Shown) -> Result<Vec<Read>, QueueError> {
        let columns = match shown {
            Shown::All => COLUMNS,
            Shown::Summary => SUMMARY_WITH_ID,
        };
        if origin == Origin::Salesforce {
            let parts = self.of_submission(origin, id, columns).await?;
            if !parts.is_empty() {
                return Ok(parts);
            }
        }
        // Every other document's id is made of its submission's id: no index is needed for it.
        let tail = "WHERE collection = ? AND doc_id IN (?, ?) ORDER BY created_at";
        let query = select_of(columns, "created_at", tail)
            .bind(origin.collection())
            .bind(super::doc_id(id))
            .bind(id.to_owned());
        read(origin, query.fetch_all(self.readers()?).await)
    }

    pub(super) async fn in_arrival_order(
        &self,
        origin: Origin,
        status: Status,
        jobs: Jobs<'_>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        let (time, doc_id) = after.map_or((i64::MIN, ""), |after| (micros_of(after), after.doc_id.as_str()));
        // The status is written out, as in the partial indexes, or these are not used.
        let tail = format!(
            "WHERE collection = ? AND status = '{}' AND (created_at, doc_id) > (?, ?) AND {OF_JOBS} \
             ORDER BY created_at, doc_id LIMIT ?",
            status.as_str()
        );
        let query = select("created_at", &tail)
            .bind(origin.collection())
            .bind(time)
            .bind(doc_id.to_owned())
            .bind(json_of(jobs))
            .bind(json_of(jobs))
            .bind(rows(limit));
        scanned(origin, query.fetch_all(self.readers()?).await, limit)
    }

    pub(super) async fn newest(
        &self,
        origin: Origin,
        status: Status,
        limit: usize,
    ) -> Result<Vec<Read>, QueueError> {
        let query = select(
            "created_at",
            "WHERE collection = ? AND status = ? ORDER BY created_at DESC, doc_id DESC LIMIT ?",
        )
        .bind(origin.collection())
        .bind(status.as_str())
        .bind(rows(limit));
        read(origin, query.fetch_all(self.readers()?).await)
    }

    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        jobs: Jobs<'_>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Scanned, QueueError> {
        let (time, doc_id) = after.map_or((i64::MIN, ""), |after| (micros_of(after), after.doc_id.as_str()));
        let tail = format!(
            "WHERE collection = ? AND status = 'failed' AND due_at <= ? AND (due_at, doc_id) > (?, ?) AND {OF_JOBS} \
             ORDER BY due_at, doc_id LIMIT ?"
        );
        let query = select("due_at", &tail)
            .bind(origin.collection())
            .bind(now.timestamp_micros())
            .bind(time)
            .bind(doc_id.to_owned())
            .bind(json_of(jobs))
            .bind(json_of(jobs))
            .bind(rows(limit));
        scanned(origin, query.fetch_all(self.readers()?).await, limit)
    }
}

fn read(origin: Origin, found: Result<Vec<Found>, sqlx::Error>) -> Result<Vec<Read>, QueueError> {
    let found = found.map_err(|error| QueueError::unavailable("looking for records", error))?;
    Ok(found.into_iter().map(|found| stored(origin, found)).collect())
}

/// A page of rows that are ordered by a time, of `limit` rows at most.
fn scanned(
    origin: Origin,
    found: Result<Vec<Found>, sqlx::Error>,
    limit: usize,
) -> Result<Scanned, QueueError> {
    let place = |(doc_id, _, _, _, micros): &Found| {
        let order = DateTime::from_timestamp_micros(*micros).map_or(OrderedBy::Null, OrderedBy::Time);
        Place { order, doc_id: doc_id.clone() }
    };
    let last = found.as_ref().ok().filter(|found| found.len() >= limit).and_then(|found| found.last());
    let next = last.map(place);
    Ok(Scanned { found: read(origin, found)?, next })
}

/// The time of a place in microseconds. This back end orders by nothing else.
fn micros_of(place: &Place) -> i64 {
    match &place.order {
        OrderedBy::Time(time) => time.timestamp_micros(),
        OrderedBy::Text(_) | OrderedBy::Integer(_) | OrderedBy::Null => i64::MIN,
    }
}

/// Brings the schema up to date. Another process may be doing the same: SQLite's migrations take no
/// lock, and the one that comes second finds the tables there at its next look.
async fn prepare(readers: &SqlitePool) -> Result<(), QueueError> {
    let mut tries = 5;
    loop {
        tries -= 1;
        match MIGRATOR.run(readers).await {
            Ok(()) => return Ok(()),
            Err(_) if tries > 0 => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => return Err(QueueError::unavailable("preparing its file", error)),
        }
    }
}

/// A query for whole rows of `submissions`, which are ordered by a column.
fn select<'q>(order: &str, tail: &str) -> QueryAs<'q, sqlx::Sqlite, Found, SqliteArguments> {
    select_of(COLUMNS, order, tail)
}

/// The same for rows of other columns.
fn select_of<'q>(
    columns: &str,
    order: &str,
    tail: &str,
) -> QueryAs<'q, sqlx::Sqlite, Found, SqliteArguments> {
    sqlx::query_as(AssertSqlSafe(format!("SELECT {columns}, {order} FROM submissions {tail}")))
}

/// The columns of a row that is read so.
fn columns_of(shown: Shown) -> &'static str {
    match shown {
        Shown::All => COLUMNS,
        Shown::Summary => SUMMARY,
    }
}

fn json_of(jobs: Jobs<'_>) -> Option<String> {
    jobs.map(|jobs| serde_json::json!(jobs).to_string())
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The row that a change makes of a record.
fn changed_row(stored: &Stored, record: &Record) -> Result<Row, QueueError> {
    let data = (record.data != stored.record.data).then(|| text(record)).transpose()?;
    let mut row = row(stored.origin, &stored.doc_id, record, data)?;
    row.written = (record.written != stored.record.written).then(|| record.written.clone());
    row.waits = (record.waits_for != stored.record.waits_for).then(|| record.waits_for.clone());
    Ok(row)
}

fn unreadable(error: serde_json::Error) -> QueueError {
    QueueError::unavailable("writing a record as JSON", error)
}

/// The payload of a record.
fn text(record: &Record) -> Result<Arc<str>, QueueError> {
    serde_json::to_string(&*record.data).map(Into::into).map_err(unreadable)
}

/// The row of a record; its payload only where that changes.
fn row(origin: Origin, doc_id: &str, record: &Record, data: Option<Arc<str>>) -> Result<Row, QueueError> {
    let micros = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_micros());
    let state = Record { data: Arc::default(), ..record.clone() };
    Ok(Row {
        collection: origin.collection(),
        doc_id: doc_id.to_owned(),
        status: record.status.as_str(),
        created_at: micros(record.created_at).unwrap_or_default(),
        updated_at: micros(record.updated_at).unwrap_or_default(),
        lease_expires_at: micros(record.lease_expires_at),
        due_at: match record.next_retry_at {
            NextRetry::Unset => Some(0),
            NextRetry::Never => None,
            NextRetry::At(time) => Some(time.timestamp_micros()),
        },
        state: serde_json::to_string(&state).map_err(unreadable)?,
        data,
        written: None,
        waits: None,
    })
}

fn stored(origin: Origin, (doc_id, state, data, version, _): Found) -> Read {
    let mut parser = serde_json::Deserializer::from_str(&state);
    let record: Record = serde_path_to_error::deserialize(&mut parser)
        .map_err(|error| Unreadable::from_decoding(&doc_id, &error))?;
    let data = serde_json::from_str(&data).map_err(|_| Unreadable::new(&doc_id, "data", "not JSON"))?;
    Ok(Stored { origin, doc_id, record: Record { data, ..record }, version: Version(version) })
}
