//! Bringing a database's schema up to date.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection};

use crate::config::postgis::Database;

static MIGRATOR: Migrator = sqlx::migrate!("migrations/postgis");

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

/// Runs the migrations that the database lacks. They hold an advisory lock: of many instances, one runs them and
/// the others wait. The connection is used for nothing else, so that the lock ends with it in every case.
pub async fn migrate(database: &Database) -> Result<(), MigrationError> {
    let name = database.to_string();
    let mut connection = match PgConnection::connect_with(&database.0).await {
        Ok(connection) => connection,
        Err(source) => return Err(MigrationError::Unreachable { database: name, source }),
    };
    let migrated = MIGRATOR.run(&mut connection).await;
    // Nothing depends on how the connection ends.
    let _ = connection.close().await;
    migrated.map_err(|source| MigrationError::Failed { database: name, source })
}
