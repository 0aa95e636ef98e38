//! The embedded back end: one SQLite file, which several processes may share.
//!
//! WAL with `synchronous = FULL`: a commit is on disk when it returns. All writes of a process go
//! through one [`writer`], which commits whatever is waiting as one transaction, so that
//! concurrent webhooks share one fsync. Reads have connections of their own.

mod overview;
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
use super::stored::{Change, Since, Stored, Version};
use crate::config::SqliteSettings;
use crate::submission::{NextRetry, Origin, Record};
use writer::{Row, Writer};

static MIGRATOR: Migrator = sqlx::migrate!("migrations/queue");

/// How long a write waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that read.
const READERS: u32 = 4;

const COLUMNS: &str = "doc_id, state, data, version";

/// A row as it is read: document id, state, data, version.
type Found = (String, String, String, i64);

/// The embedded queue.
#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    readers: SqlitePool,
    writer: Writer,
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
        Ok(Self { readers, writer: Writer::start(options).await? })
    }

    pub(super) async fn ping(&self) -> Result<(), QueueError> {
        sqlx::query("SELECT 1 FROM submissions LIMIT 1")
            .fetch_optional(&self.readers)
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
        self.writer.insert(row(origin, doc_id, record, true)?).await
    }

    pub(super) async fn swap(&self, stored: &Stored, record: &Record) -> Result<Option<Version>, QueueError> {
        let swapped = self.writer.swap(changed_row(stored, record)?, stored.version.0).await?;
        Ok(swapped.then_some(Version(stored.version.0 + 1)))
    }

    pub(super) async fn get(&self, origin: Origin, doc_id: &str) -> Result<Option<Stored>, QueueError> {
        let found: Option<Found> = select("WHERE collection = ? AND doc_id = ?")
            .bind(origin.collection())
            .bind(doc_id)
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| QueueError::unavailable("reading a record", error))?;
        found.map(|found| stored(origin, found)).transpose()
    }

    /// Changes several documents, or none where one is no longer what was read.
    pub(super) async fn write_all(&self, origin: Origin, changes: &[Change]) -> Result<bool, QueueError> {
        let rows = changes.iter().map(|change| match change {
            Change::Insert(doc_id, record) => Ok((row(origin, doc_id, record, true)?, None)),
            Change::Swap(stored, record) => Ok((changed_row(stored, record)?, Some(stored.version.0))),
        });
        self.writer.all(rows.collect::<Result<_, QueueError>>()?).await
    }

    /// Every document of a payload that may be stored in parts.
    pub(super) async fn of_submission(
        &self,
        origin: Origin,
        job_id: &str,
    ) -> Result<Vec<Stored>, QueueError> {
        // The collection is written out, as in its partial index, or the index is not used.
        let query = select(
            "WHERE collection = 'salesforce_collection' AND json_extract(state, '$.job_id') = ? \
             ORDER BY created_at, doc_id",
        )
        .bind(job_id.to_owned());
        Self::read(origin, query.fetch_all(&self.readers).await)
    }

    pub(super) async fn find(&self, origin: Origin, id: &str) -> Result<Vec<Stored>, QueueError> {
        if origin == Origin::Salesforce {
            let parts = self.of_submission(origin, id).await?;
            if !parts.is_empty() {
                return Ok(parts);
            }
        }
        // Every other document's id is made of its submission's id: no index is needed for it.
        let query = select("WHERE collection = ? AND doc_id IN (?, ?) ORDER BY created_at")
            .bind(origin.collection())
            .bind(super::doc_id(id))
            .bind(id.to_owned());
        Self::read(origin, query.fetch_all(&self.readers).await)
    }

    pub(super) async fn oldest_new(&self, origin: Origin, limit: usize) -> Result<Vec<Stored>, QueueError> {
        let query = select(
            "WHERE collection = ? AND status = 'new' \
             ORDER BY created_at, doc_id LIMIT ?",
        )
        .bind(origin.collection())
        .bind(rows(limit));
        Self::read(origin, query.fetch_all(&self.readers).await)
    }

    pub(super) async fn abandoned(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let query = select(
            "WHERE collection = ? AND status = 'processing' \
             AND (lease_expires_at IS NULL OR lease_expires_at <= ?) ORDER BY created_at, doc_id LIMIT ?",
        )
        .bind(origin.collection())
        .bind(now.timestamp_micros())
        .bind(rows(limit));
        Self::read(origin, query.fetch_all(&self.readers).await)
    }

    pub(super) async fn due(
        &self,
        origin: Origin,
        now: DateTime<Utc>,
        max_retries: u32,
        limit: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let query = select(
            "WHERE collection = ? AND status = 'failed' AND due_at <= ? \
             AND json_extract(state, '$.run_retries') < ? ORDER BY due_at LIMIT ?",
        )
        .bind(origin.collection())
        .bind(now.timestamp_micros())
        .bind(max_retries)
        .bind(rows(limit));
        Self::read(origin, query.fetch_all(&self.readers).await)
    }

    pub(super) async fn writers(
        &self,
        origin: Origin,
        since: Since,
        records: &[String],
        limit: u32,
    ) -> Result<Vec<Stored>, QueueError> {
        let (field, since) = since.field();
        let query = select(&format!(
            "JOIN written USING (collection, doc_id) WHERE collection = ? \
             AND record IN (SELECT value FROM json_each(?)) AND {field} > ? GROUP BY doc_id \
             ORDER BY {field} DESC LIMIT ?",
        ))
        .bind(origin.collection())
        .bind(serde_json::json!(records).to_string())
        .bind(since.timestamp_micros())
        .bind(limit);
        Self::read(origin, query.fetch_all(&self.readers).await)
    }

    fn read(origin: Origin, found: Result<Vec<Found>, sqlx::Error>) -> Result<Vec<Stored>, QueueError> {
        let found = found.map_err(|error| QueueError::unavailable("looking for records", error))?;
        found.into_iter().map(|found| stored(origin, found)).collect()
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

/// A query for whole rows of `submissions`.
fn select<'q>(tail: &str) -> QueryAs<'q, sqlx::Sqlite, Found, SqliteArguments> {
    sqlx::query_as(AssertSqlSafe(format!("SELECT {COLUMNS} FROM submissions {tail}")))
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The row that a change makes of a record.
fn changed_row(stored: &Stored, record: &Record) -> Result<Row, QueueError> {
    let new_payload = record.data != stored.record.data;
    let mut row = row(stored.origin, &stored.doc_id, record, new_payload)?;
    row.written = (record.written != stored.record.written).then(|| record.written.clone());
    Ok(row)
}

/// The row of a record; its payload only where that changes.
fn row(origin: Origin, doc_id: &str, record: &Record, with_data: bool) -> Result<Row, QueueError> {
    let micros = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_micros());
    let unreadable = |error| QueueError::Unreadable { doc_id: doc_id.to_owned(), source: Arc::new(error) };
    let data = with_data.then(|| serde_json::to_string(&*record.data)).transpose().map_err(unreadable)?;
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
    })
}

fn stored(origin: Origin, (doc_id, state, data, version): Found) -> Result<Stored, QueueError> {
    let parsed = serde_json::from_str::<Record>(&state)
        .and_then(|state| Ok(Record { data: serde_json::from_str(&data)?, ..state }));
    match parsed {
        Ok(record) => Ok(Stored { origin, doc_id, record, version: Version(version) }),
        Err(error) => Err(QueueError::Unreadable { doc_id, source: Arc::new(error) }),
    }
}
