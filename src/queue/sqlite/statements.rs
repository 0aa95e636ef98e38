//! What the writer does in SQL, each function within a transaction that is open already.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, QueryBuilder, Sqlite};

use crate::queue::question::Sighting;
use crate::submission::{Origin, Unmapped};

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

/// All changes, or none of them.
pub(super) async fn all(connection: &mut SqliteConnection, changes: &[Change]) -> Result<bool, sqlx::Error> {
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
pub(super) async fn insert(
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

pub(super) async fn update(
    connection: &mut SqliteConnection,
    row: &Row,
    version: i64,
) -> Result<bool, sqlx::Error> {
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

/// Writes as much as a webhook does, and takes it away again: on a disk that is almost full, less goes through.
pub(super) async fn probe(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::raw_sql(
        "INSERT INTO submissions (collection, doc_id, status, created_at, updated_at, state, data) \
         VALUES ('probe', 'probe', 'new', 0, 0, '{}', hex(zeroblob(32768))); \
         DELETE FROM submissions WHERE collection = 'probe'",
    )
    .execute(connection)
    .await?;
    Ok(true)
}

pub(super) async fn add_unmapped(
    connection: &mut SqliteConnection,
    answers: &[Sighting],
) -> Result<bool, sqlx::Error> {
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

pub(super) async fn mark(
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

pub(super) async fn set_state(
    connection: &mut SqliteConnection,
    name: &str,
    value: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query("INSERT INTO state VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(true)
}

pub(super) async fn remove_completed(
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
