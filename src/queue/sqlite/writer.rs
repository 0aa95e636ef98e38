//! The one connection that writes, and the grouping of writes into transactions.
//!
//! While a commit waits for the disk, further writes gather; the next transaction takes them all.
//! Nobody is answered before the commit that holds their write is on disk.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, QueryBuilder, Sqlite};
use tokio::sync::{mpsc, oneshot};

use super::watch::FileWatch;
use crate::queue::QueueError;
use crate::queue::question::Sighting;
use crate::submission::{Origin, Unmapped};

/// Writes that one transaction takes at most.
const GROUP: usize = 512;
/// Rows that one statement inserts at most: nine values each, and SQLite takes 32,766.
const ROWS: usize = 128;
/// Writes that may wait; further ones wait to be let in.
const WAITING: usize = 4 * GROUP;

/// What a row will hold.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) collection: &'static str,
    pub(super) doc_id: String,
    pub(super) status: &'static str,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) lease_expires_at: Option<i64>,
    pub(super) due_at: Option<i64>,
    pub(super) state: String,
    /// The payload; `None` leaves it as it is.
    pub(super) data: Option<Arc<str>>,
    /// The records that it wrote; `None` leaves them as they are.
    pub(super) written: Option<Vec<String>>,
    /// The records that it waits for; `None` leaves them as they are.
    pub(super) waits: Option<Vec<String>>,
}

/// A row, and the version that it must still have; `None` inserts.
pub(super) type Change = (Row, Option<i64>);

/// What one caller asks for.
#[derive(Debug)]
enum Task {
    One(Change),
    /// All of them, or none.
    All(Vec<Change>),
    /// One more record had these answers.
    Unmapped(Vec<Sighting>),
    /// An answer is marked as known, or no longer.
    Mark {
        origin: Origin,
        job_name: String,
        answer: Unmapped,
        known: bool,
    },
    /// A text is kept under a name.
    State {
        name: String,
        value: String,
    },
    /// Up to so many rows that completed before a time are removed.
    Remove {
        collection: &'static str,
        end: i64,
        limit: u32,
    },
    /// Something that changes nothing is written, to learn whether writes go through.
    Probe,
}

impl Task {
    /// The row that it inserts, where it is one insert.
    fn insert(&self) -> Option<&Row> {
        match self {
            Self::One((row, None)) => Some(row),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Write {
    task: Task,
    /// Answers whether the write applied.
    reply: oneshot::Sender<Result<bool, QueueError>>,
}

/// Hands writes to the writer's task, which ends with the last of its handles.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    writes: mpsc::Sender<Write>,
}

impl Writer {
    /// Opens the writing connection and starts its task.
    pub(super) async fn start(options: SqliteConnectOptions, watch: FileWatch) -> Result<Self, QueueError> {
        let mut connection = WritingConnection { options, watch, open: None };
        connection.open().await?;
        let (writes, waiting) = mpsc::channel(WAITING);
        tokio::spawn(run(connection, waiting));
        Ok(Self { writes })
    }

    /// Writes something that changes nothing.
    pub(super) async fn probe(&self) -> Result<(), QueueError> {
        self.write(Task::Probe).await.map(drop)
    }

    /// Inserts; `false` where the document exists.
    pub(super) async fn insert(&self, row: Row) -> Result<bool, QueueError> {
        self.write(Task::One((row, None))).await
    }

    /// Replaces; `false` where the document no longer has this version.
    pub(super) async fn swap(&self, row: Row, expected: i64) -> Result<bool, QueueError> {
        self.write(Task::One((row, Some(expected)))).await
    }

    /// Inserts and replaces; `false`, with nothing written, where one of them does not apply.
    pub(super) async fn all(&self, changes: Vec<Change>) -> Result<bool, QueueError> {
        self.write(Task::All(changes)).await
    }

    /// Counts one more record for each answer.
    pub(super) async fn add_unmapped(&self, answers: Vec<Sighting>) -> Result<(), QueueError> {
        self.write(Task::Unmapped(answers)).await.map(drop)
    }

    /// Sets the mark of an answer; `false` where there is no such answer.
    pub(super) async fn mark_unmapped(
        &self,
        origin: Origin,
        job_name: &str,
        answer: &Unmapped,
        known: bool,
    ) -> Result<bool, QueueError> {
        let (job_name, answer) = (job_name.to_owned(), answer.clone());
        self.write(Task::Mark { origin, job_name, answer, known }).await
    }

    /// Keeps a text under a name.
    pub(super) async fn set_state(&self, name: String, value: String) -> Result<(), QueueError> {
        self.write(Task::State { name, value }).await.map(drop)
    }

    /// Removes up to `limit` rows that completed before `end`; whether there were any.
    pub(super) async fn remove_completed(
        &self,
        collection: &'static str,
        end: i64,
        limit: u32,
    ) -> Result<bool, QueueError> {
        self.write(Task::Remove { collection, end, limit }).await
    }

    async fn write(&self, task: Task) -> Result<bool, QueueError> {
        let gone = || QueueError::unavailable("writing", std::io::Error::other("its writer has ended"));
        let (reply, written) = oneshot::channel();
        self.writes.send(Write { task, reply }).await.map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }
}

/// The connection that writes. It is opened anew after a transaction that failed: SQLite rolls some back by itself (a
/// full disk), and the connection would go on counting a transaction that is none.
struct WritingConnection {
    options: SqliteConnectOptions,
    watch: FileWatch,
    open: Option<SqliteConnection>,
}

impl WritingConnection {
    async fn open(&mut self) -> Result<&mut SqliteConnection, QueueError> {
        let doing = "opening its file";
        self.watch.check()?;
        match &mut self.open {
            Some(connection) => Ok(connection),
            none => {
                let options = self.options.clone().create_if_missing(false);
                let connection =
                    options.connect().await.map_err(|error| QueueError::unavailable(doing, error))?;
                Ok(none.insert(connection))
            }
        }
    }

    /// Does all of `group` in one transaction; says for each write whether it applied.
    async fn commit(&mut self, group: &[Write]) -> Result<Vec<bool>, QueueError> {
        let connection = self.open().await?;
        let committed = commit(connection, group).await;
        if committed.is_err() {
            self.open = None;
        }
        let committed = committed.map_err(|error| QueueError::unavailable("writing", error))?;
        // What went into a file that is gone is lost: nobody is told that it is kept.
        self.watch.check()?;
        Ok(committed)
    }
}

async fn run(mut connection: WritingConnection, mut waiting: mpsc::Receiver<Write>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let committed = connection.commit(&group).await;
        for (position, write) in group.drain(..).enumerate() {
            let answer = committed.as_ref().map(|applied| applied[position]).map_err(Clone::clone);
            // Whoever waited may have hung up; the write stands all the same.
            let _ = write.reply.send(answer);
        }
    }
}

/// Does all of `group` in one transaction; says for each write whether it applied.
async fn commit(connection: &mut SqliteConnection, group: &[Write]) -> Result<Vec<bool>, sqlx::Error> {
    let mut applied = vec![false; group.len()];
    // IMMEDIATE: takes the write lock at the start, where waiting for another process is safe.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let inserts: Vec<(usize, &Row)> = group
        .iter()
        .enumerate()
        .filter_map(|(position, write)| Some((position, write.task.insert()?)))
        .collect();
    let mut rest = inserts.as_slice();
    while !rest.is_empty() {
        // Powers of two: few different statements, which the connection keeps prepared.
        let (rows, later) = rest.split_at(ROWS.min(1 << rest.len().ilog2()));
        insert(&mut transaction, rows, &mut applied).await?;
        rest = later;
    }
    for (write, applied) in group.iter().zip(&mut applied) {
        match &write.task {
            Task::One((_, None)) => {}
            Task::One((row, Some(version))) => *applied = update(&mut transaction, row, *version).await?,
            Task::All(changes) => *applied = all(&mut transaction, changes).await?,
            Task::Unmapped(answers) => *applied = add_unmapped(&mut transaction, answers).await?,
            Task::Mark { origin, job_name, answer, known } => {
                *applied = mark(&mut transaction, *origin, job_name, answer, *known).await?;
            }
            Task::State { name, value } => *applied = set_state(&mut transaction, name, value).await?,
            Task::Remove { collection, end, limit } => {
                *applied = remove_completed(&mut transaction, collection, *end, *limit).await?;
            }
            Task::Probe => *applied = probe(&mut transaction).await?,
        }
    }
    transaction.commit().await?;
    Ok(applied)
}

/// All changes, or none of them.
async fn all(connection: &mut SqliteConnection, changes: &[Change]) -> Result<bool, sqlx::Error> {
    // A transaction within the transaction.
    let mut savepoint = connection.begin().await?;
    for (row, expected) in changes {
        let mut applied = [false];
        match expected {
            Some(version) => applied[0] = update(&mut savepoint, row, *version).await?,
            None => insert(&mut savepoint, &[(0, row)], &mut applied).await?,
        }
        if applied == [false] {
            savepoint.rollback().await?;
            return Ok(false);
        }
    }
    savepoint.commit().await?;
    Ok(true)
}

/// Inserts some rows of a group with one statement: a statement costs more than a row, since each
/// goes to SQLite's thread and back.
async fn insert(
    connection: &mut SqliteConnection,
    rows: &[(usize, &Row)],
    applied: &mut [bool],
) -> Result<(), sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO submissions (collection, doc_id, status, created_at, updated_at, \
         lease_expires_at, due_at, state, data) ",
    );
    sql.push_values(rows, |mut values, (_, row)| {
        values
            .push_bind(row.collection)
            .push_bind(&row.doc_id)
            .push_bind(row.status)
            .push_bind(row.created_at)
            .push_bind(row.updated_at)
            .push_bind(row.lease_expires_at)
            .push_bind(row.due_at)
            .push_bind(&row.state)
            .push_bind(row.data.as_deref());
    });
    sql.push(" ON CONFLICT DO NOTHING");
    let done = sql.build().execute(&mut *connection).await?;
    if done.rows_affected() == rows.len() as u64 {
        for (position, _) in rows {
            applied[*position] = true;
        }
        return Ok(());
    }
    // Some exist already. The others have the last row ids: each is the highest there is and one more.
    let last = done.last_insert_rowid();
    let first = last - i64::try_from(done.rows_affected()).unwrap_or_default();
    let inserted: Vec<(String, String)> =
        sqlx::query_as("SELECT collection, doc_id FROM submissions WHERE rowid > ? AND rowid <= ?")
            .bind(first)
            .bind(last)
            .fetch_all(connection)
            .await?;
    let mut inserted: HashSet<(String, String)> = inserted.into_iter().collect();
    for (position, row) in rows {
        // Removed once found: of one document twice in the group, the first was inserted.
        applied[*position] = inserted.remove(&(row.collection.to_owned(), row.doc_id.clone()));
    }
    Ok(())
}

async fn update(connection: &mut SqliteConnection, row: &Row, version: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE submissions SET status = ?, created_at = ?, updated_at = ?, \
         lease_expires_at = ?, due_at = ?, state = ?, data = coalesce(?, data), version = version + 1 \
         WHERE collection = ? AND doc_id = ? AND version = ?",
    )
    .bind(row.status)
    .bind(row.created_at)
    .bind(row.updated_at)
    .bind(row.lease_expires_at)
    .bind(row.due_at)
    .bind(&row.state)
    .bind(row.data.as_deref())
    .bind(row.collection)
    .bind(&row.doc_id)
    .bind(version)
    .execute(&mut *connection)
    .await?;
    let applied = done.rows_affected() == 1;
    if let Some(written) = row.written.as_ref().filter(|_| applied) {
        keep_keys(connection, "written", row, written).await?;
    }
    if let Some(waits) = row.waits.as_ref().filter(|_| applied) {
        keep_keys(connection, "waits", row, waits).await?;
    }
    Ok(applied)
}

/// Makes these the keys that a table keeps for a document.
async fn keep_keys(
    connection: &mut SqliteConnection,
    table: &'static str,
    row: &Row,
    keys: &[String],
) -> Result<(), sqlx::Error> {
    let delete = format!("DELETE FROM {table} WHERE collection = ? AND doc_id = ?");
    sqlx::query(AssertSqlSafe(delete))
        .bind(row.collection)
        .bind(&row.doc_id)
        .execute(&mut *connection)
        .await?;
    let insert = format!(
        "INSERT INTO {table} (collection, record, doc_id) SELECT ?, value, ? FROM json_each(?) \
         WHERE true ON CONFLICT DO NOTHING"
    );
    sqlx::query(AssertSqlSafe(insert))
        .bind(row.collection)
        .bind(&row.doc_id)
        .bind(serde_json::json!(keys).to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// A write that changes nothing and goes to the disk all the same.
/// Writes as much as a webhook does, and takes it away again: on a disk that is almost full, less goes through.
async fn probe(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::raw_sql(
        "INSERT INTO submissions (collection, doc_id, status, created_at, updated_at, state, data) \
         VALUES ('probe', 'probe', 'new', 0, 0, '{}', hex(zeroblob(32768))); \
         DELETE FROM submissions WHERE collection = 'probe'",
    )
    .execute(connection)
    .await?;
    Ok(true)
}

async fn add_unmapped(connection: &mut SqliteConnection, answers: &[Sighting]) -> Result<bool, sqlx::Error> {
    for Sighting { origin, job_name, answer, records, first_seen, last_seen, example, .. } in answers {
        sqlx::query(
            "INSERT INTO unmapped_answers \
             (collection, job_name, path, code, records, first_seen, last_seen, example) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET \
             records = records + excluded.records, first_seen = min(first_seen, excluded.first_seen), \
             last_seen = max(last_seen, excluded.last_seen), example = excluded.example",
        )
        .bind(origin.collection())
        .bind(job_name)
        .bind(&answer.path)
        .bind(&answer.code)
        .bind(i64::try_from(*records).unwrap_or(i64::MAX))
        .bind(first_seen.timestamp_micros())
        .bind(last_seen.timestamp_micros())
        .bind(example)
        .execute(&mut *connection)
        .await?;
    }
    Ok(true)
}

async fn mark(
    connection: &mut SqliteConnection,
    origin: Origin,
    job_name: &str,
    answer: &Unmapped,
    known: bool,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE unmapped_answers SET known = ? \
         WHERE collection = ? AND job_name = ? AND path = ? AND code = ?",
    )
    .bind(known)
    .bind(origin.collection())
    .bind(job_name)
    .bind(&answer.path)
    .bind(&answer.code)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

async fn set_state(connection: &mut SqliteConnection, name: &str, value: &str) -> Result<bool, sqlx::Error> {
    sqlx::query("INSERT INTO state VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(true)
}

async fn remove_completed(
    connection: &mut SqliteConnection,
    collection: &str,
    end: i64,
    limit: u32,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "DELETE FROM submissions WHERE rowid IN (SELECT rowid FROM submissions WHERE collection = ? \
         AND status = 'completed' AND updated_at < ? ORDER BY updated_at LIMIT ?)",
    )
    .bind(collection)
    .bind(end)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}
