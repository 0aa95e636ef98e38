//! What the disk and SQLite allow: the rows that the service writes, inserted in the largest groups
//! with nothing around them.

use std::str::FromStr;
use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, QueryBuilder, Sqlite};

use crate::{REGISTRATION, service};

/// Rows of one transaction, as many as the service's writer takes at most.
const GROUP: usize = 512;

/// What bare inserts take.
pub(crate) struct Inserts {
    pub(crate) per_second: f64,
    /// Processor time of one row, in microseconds.
    pub(crate) cpu: f64,
}

/// Inserts so many rows, with so many of them in one statement.
pub(crate) async fn inserts(rows: usize, rows_of_a_statement: usize) -> Inserts {
    let folder = service::folder();
    let options = SqliteConnectOptions::from_str("sqlite://").unwrap();
    let options = options.filename(folder.path().join("limit.db")).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(include_str!("../../migrations/queue/0001_submissions.sql"))
        .execute(&mut connection)
        .await
        .unwrap();
    let ids: Vec<String> = (0..rows).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let state = service::state_of_a_new_record();
    let (began, cpu) = (Instant::now(), service::cpu("self"));
    for (group, ids) in ids.chunks(GROUP).enumerate() {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        for (chunk, ids) in ids.chunks(rows_of_a_statement).enumerate() {
            let mut sql = QueryBuilder::<Sqlite>::new(
                "INSERT INTO submissions (collection, doc_id, status, created_at, updated_at, state, data) ",
            );
            sql.push_values(ids.iter().enumerate(), |mut values, (number, id)| {
                let arrived = i64::try_from(group * GROUP + chunk * rows_of_a_statement + number).unwrap();
                values.push_bind("commcare_collection").push_bind(id).push_bind("new");
                values.push_bind(arrived).push_bind(arrived).push_bind(&state).push_bind(REGISTRATION);
            });
            sql.push(" ON CONFLICT DO NOTHING").build().execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
    let took = began.elapsed().as_secs_f64();
    Inserts { per_second: rows as f64 / took, cpu: (service::cpu("self") - cpu) * 1e6 / rows as f64 }
}
