//! Bringing a database's schema up to date.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::config::postgis::Database;

/// Why the schema is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// There is no connection.
    #[error("no connection to the database {database}")]
    Unreachable {
        /// The database, without its login.
        database: String,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed, and its changes were rolled back.
    #[error("a migration of the database {database} failed")]
    Failed {
        /// The database, without its login.
        database: String,
        /// The cause.
        #[source]
        source: MigrateError,
    },
}

/// The advisory lock of those who migrate: the bytes of "migrate".
const LOCK: i64 = 0x006d_6967_7261_7465;

/// Runs the migrations that the database lacks, all in one transaction. It holds an advisory lock: of many instances,
/// one migrates and the others wait. Nothing outlives the transaction, so that migrating works behind a pooler too:
/// neither the lock nor the names that sqlx gives to statements, which another client of the pooler may have used before.
pub async fn migrate(database: &Database) -> Result<(), MigrationError> {
    let name = database.to_string();
    let mut connection = match PgConnection::connect_with(&database.0).await {
        Ok(connection) => connection,
        Err(source) => return Err(MigrationError::Unreachable { database: name, source }),
    };
    let migrated = run(&mut connection).await;
    // Nothing depends on how the connection ends.
    let _ = connection.close().await;
    migrated.map_err(|source| MigrationError::Failed { database: name, source })
}

/// The migrations of the tables.
pub(super) fn migrator() -> Migrator {
    sqlx::migrate!("migrations/postgis")
}

async fn run(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut migrator = migrator();
    // sqlx's own lock is held by a connection, not by a transaction.
    migrator.set_locking(false);
    let mut transaction = connection.begin().await?;
    let begin = format!("SELECT pg_advisory_xact_lock({LOCK}); DEALLOCATE ALL");
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *transaction).await?;
    migrator.run(&mut *transaction).await?;
    sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
