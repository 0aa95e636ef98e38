//! Whether the database is ready for the forms: extensions, migrations, tables with their columns, rights. It reads
//! PostgreSQL's catalogue and writes nothing.

use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use tokio::time::timeout;

use super::Postgis;
use super::migrations::migrator;
use crate::destinations::readiness::{Fault, NotAsked};

/// What the service does in each table.
const RIGHTS: &[(&str, &[&str])] = &[
    ("wetmills", &["SELECT", "INSERT", "UPDATE"]),
    ("form_visits", &["SELECT", "INSERT", "UPDATE"]),
    ("survey_responses", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("survey_question_responses", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("tbl_users", &["SELECT"]),
];
/// The extensions that the tables need.
const EXTENSIONS: [&str; 2] = ["postgis", "uuid-ossp"];
/// What to do about most of it.
const MIGRATE: &str = "run the command migrate";

impl Postgis {
    /// What the database lacks. `columns` are the tables and columns that the mappings write.
    pub async fn faults(&self, columns: &[(String, String)]) -> Result<Vec<Fault>, NotAsked> {
        let no_answer = |_| NotAsked("PostGIS does not answer in time".to_owned());
        timeout(self.request_timeout, self.look(columns)).await.map_err(no_answer)?
    }

    async fn look(&self, columns: &[(String, String)]) -> Result<Vec<Fault>, NotAsked> {
        let options = self.pool.connect_options();
        let mut connection = match PgConnection::connect_with(&options).await {
            Ok(connection) => connection,
            Err(error) => return refused(&error).map(|fault| vec![fault]),
        };
        let found = catalogue(&mut connection, columns).await;
        // Nothing depends on how the connection ends.
        let _ = connection.close().await;
        found.map_err(|error| NotAsked(format!("PostGIS could not be asked: {error}")))
    }
}

/// A refused login or an unknown database needs a person; anything else is an outage.
fn refused(error: &sqlx::Error) -> Result<Fault, NotAsked> {
    let code = error.as_database_error().and_then(DatabaseError::code).unwrap_or_default().into_owned();
    // Class 28: invalid authorization; 3D000: no such database (PostgreSQL, Appendix A).
    if code.starts_with("28") || code == "3D000" {
        let problem = format!("PostgreSQL refuses the connection ({code}): DATABASE_URL");
        return Ok(Fault::new("connection", problem));
    }
    Err(NotAsked("no connection to PostGIS (DATABASE_URL)".to_owned()))
}

async fn catalogue(
    connection: &mut PgConnection,
    columns: &[(String, String)],
) -> Result<Vec<Fault>, sqlx::Error> {
    let mut faults = Vec::new();
    let present: Vec<String> = sqlx::query_scalar("SELECT extname::text FROM pg_extension")
        .persistent(false)
        .fetch_all(&mut *connection)
        .await?;
    for extension in EXTENSIONS {
        if !present.iter().any(|known| known == extension) {
            faults.push(Fault::new(extension, format!("the extension is missing: {MIGRATE}")));
        }
    }
    migrations(connection, &mut faults).await?;
    for (table, rights) in RIGHTS {
        let row = sqlx::query(
            "SELECT to_regclass($1) IS NOT NULL, ARRAY(SELECT needed FROM unnest($2::text[]) AS needed \
             WHERE NOT has_table_privilege(to_regclass($1), needed)), \
             ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 \
             AND NOT attisdropped)",
        )
        .bind(table)
        .bind(rights.iter().map(|right| (*right).to_owned()).collect::<Vec<String>>())
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
        if !row.try_get::<bool, _>(0)? {
            faults.push(Fault::new(*table, format!("the table is missing: {MIGRATE}")));
            continue;
        }
        for right in row.try_get::<Vec<String>, _>(1)? {
            faults.push(Fault::new(*table, format!("the user lacks the right {right}")));
        }
        let present: Vec<String> = row.try_get(2)?;
        for (_, column) in columns.iter().filter(|(of, _)| of == table) {
            if !present.contains(column) {
                faults.push(Fault::new(
                    format!("{table}.{column}"),
                    format!("the column is missing: {MIGRATE}"),
                ));
            }
        }
    }
    Ok(faults)
}

/// The migrations that the database has not seen.
async fn migrations(connection: &mut PgConnection, faults: &mut Vec<Fault>) -> Result<(), sqlx::Error> {
    let known: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    let done: Vec<i64> = if known {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .persistent(false)
            .fetch_all(connection)
            .await?
    } else {
        Vec::new()
    };
    for migration in migrator().iter().filter(|migration| !done.contains(&migration.version)) {
        let problem = format!("the migration \"{}\" has not run: {MIGRATE}", migration.description);
        faults.push(Fault::new("schema", problem));
    }
    Ok(())
}
