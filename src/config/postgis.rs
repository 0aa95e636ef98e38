//! Where the wet mills are stored.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::reader::{Reader, is_loopback};

/// Everything the PostGIS destination needs (`docs/service.md`, section 6).
#[derive(Debug, Clone)]
pub struct PostgisSettings {
    /// `DATABASE_URL`.
    pub database: Database,
    /// `DATABASE_MAX_CONNECTIONS`.
    pub max_connections: u32,
    /// `RUN_MIGRATIONS`: whether the schema is brought up to date at the start.
    pub run_migrations: bool,
    /// How long storing one form may take: `REQUEST_TIMEOUT_SECONDS`.
    pub request_timeout: Duration,
}

/// A database and how to log in to it. Only the place is ever shown.
#[derive(Clone)]
pub struct Database(pub(crate) PgConnectOptions);

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(options) = self;
        match options.get_socket() {
            Some(socket) => write!(f, "{}", socket.display())?,
            None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
        }
        write!(f, "/{}", options.get_database().unwrap_or(options.get_username()))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Database {
    /// Whether nobody has said, in its address or in `PGSSLMODE`, how the connection to another host is encrypted.
    fn may_be_plain(&self, url: &str) -> bool {
        let Self(options) = self;
        let says = |name: &str| url.split(['?', '&']).skip(1).any(|pair| pair.starts_with(name));
        matches!(options.get_ssl_mode(), PgSslMode::Prefer)
            && !says("sslmode=")
            && !says("ssl-mode=")
            && options.get_socket().is_none()
            && !is_loopback(options.get_host())
    }
}

/// A text that is no address of a PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be postgres://user:password@host/database")]
pub struct NotADatabase;

impl FromStr for Database {
    type Err = NotADatabase;

    /// Also reads the original service's spelling with a driver (`postgresql+psycopg2://`).
    fn from_str(url: &str) -> Result<Self, NotADatabase> {
        let (scheme, rest) = url.split_once("://").ok_or(NotADatabase)?;
        let scheme = scheme.split_once('+').map_or(scheme, |(scheme, _)| scheme);
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(NotADatabase);
        }
        let options: PgConnectOptions = format!("{scheme}://{rest}").parse().map_err(|_| NotADatabase)?;
        // Poolers refuse start-up parameters that they don't know. This one only changes how floats are written as
        // text, and sqlx reads none as text.
        Ok(Self(options.extra_float_digits(None::<i8>)))
    }
}

/// Reads the PostGIS variables. `None` where there is no database: plans are recorded then, outside
/// Cloud Run.
pub(super) fn load(
    reader: &mut Reader<'_>,
    cloud_run: bool,
    request_timeout: Duration,
) -> Option<PostgisSettings> {
    let url = reader.secret("DATABASE_URL");
    let max_connections = reader.number("DATABASE_MAX_CONNECTIONS", 5, 1, 1_000);
    let run_migrations = reader.flag("RUN_MIGRATIONS", false);
    let Some(url) = url else {
        if cloud_run {
            reader.problem("DATABASE_URL: missing, and PostGIS needs it");
        }
        return None;
    };
    match url.expose_secret().parse::<Database>() {
        Ok(database) => {
            if database.may_be_plain(url.expose_secret()) {
                reader.warning(
                    "DATABASE_URL: has no sslmode: the connection is encrypted only where the server offers it; add \
                     sslmode=verify-full, or sslmode=require"
                        .to_owned(),
                );
            }
            Some(PostgisSettings { database, max_connections, run_migrations, request_timeout })
        }
        Err(error) => {
            reader.problem(&format!("DATABASE_URL: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_shown_without_its_login() {
        for url in ["postgres://user:s3cr3t@db:5433/mills", "postgresql+psycopg2://user:s3cr3t@db:5433/mills"]
        {
            let database: Database = url.parse().unwrap();
            assert_eq!(
                (database.to_string(), format!("{database:?}")),
                ("db:5433/mills".into(), "db:5433/mills".into())
            );
        }
        for url in ["", "mills", "mysql://db/mills", "postgres://db:port/mills"] {
            assert_eq!(url.parse::<Database>().unwrap_err(), NotADatabase, "{url}");
        }
    }
}
