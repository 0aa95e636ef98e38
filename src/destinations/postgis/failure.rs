//! What a failure of PostgreSQL means.
//!
//! The error's text names the SQLSTATE, the constraint and the column, never PostgreSQL's own words:
//! those quote the row.

use std::fmt;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgDatabaseError;

use crate::destinations::trouble::{Blame, Trouble};
use crate::destinations::{DeliveryError, Failure};

/// A form that could not be stored.
#[derive(Debug)]
pub(super) struct StoreError {
    pub(super) trouble: Trouble,
    /// Whether the same may go through in a moment.
    passes_soon: bool,
}

impl StoreError {
    /// What `error` means, at the table that `step` names.
    pub(super) fn of(step: &str, error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(refusal) => match refusal.try_downcast_ref::<PgDatabaseError>() {
                Some(refusal) => Self::refused(step, refusal),
                None => Self::new(Class::Row, step, "the database refused it".to_owned()),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Configuration(_) => {
                let message = format!("no connection to PostgreSQL, or it broke off ({})", kind(error));
                Self { passes_soon: true, ..Self::new(Class::Outage, step, message) }
            }
            _ => {
                let message = format!("the database's answer is no use: {}", kind(error));
                Self::new(Class::Row, step, message)
            }
        }
    }

    /// No connection became free, or none could be made.
    pub(super) fn no_connection(pool: &PgPool) -> Self {
        let (connected, most) = (pool.size(), pool.options().get_max_connections());
        let message = format!("no connection to PostgreSQL: {connected} of {most} are in use");
        Self::new(Class::Outage, "connection", message)
    }

    /// The form took longer than a call may.
    pub(super) fn no_answer(timeout: Duration) -> Self {
        let message = format!("PostgreSQL did not end within {} s", timeout.as_secs());
        Self::new(Class::Outage, "connection", message)
    }

    /// The mill of a visit is not registered.
    pub(super) fn no_mill(case_id: &str) -> Self {
        let message = format!("no mill is registered with the case id {case_id}");
        let mut missing = Self::new(Class::Missing, "wetmills", message);
        missing.trouble.error = missing.trouble.error.missing("wetmills", case_id);
        missing
    }

    /// Whether another try may go better at once.
    pub(super) fn may_pass(&self) -> Option<Duration> {
        self.passes_soon.then_some(Duration::ZERO)
    }

    fn refused(step: &str, refusal: &PgDatabaseError) -> Self {
        let mut message = format!("PostgreSQL refused it: SQLSTATE {}", refusal.code());
        for (what, name) in
            [("constraint", refusal.constraint()), ("table", refusal.table()), ("column", refusal.column())]
        {
            if let Some(name) = name {
                message.extend([", ", what, " ", name]);
            }
        }
        let class = class_of(refusal.code());
        if class == Class::Schema {
            message.push_str("; is its schema up to date (the command migrate, or RUN_MIGRATIONS)?");
        }
        Self::new(class, step, message)
    }

    fn new(class: Class, step: &str, message: String) -> Self {
        let (failure, blame) = match class {
            Class::Conflict => (Failure::Transient, Blame::Record),
            Class::Outage | Class::Schema => (Failure::Transient, Blame::Outage),
            Class::Missing => (Failure::Dependency, Blame::Record),
            Class::Row => (Failure::Permanent, Blame::Record),
        };
        let trouble = Trouble::new(DeliveryError::new(failure, step, message), blame);
        Self { trouble, passes_soon: class == Class::Conflict }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trouble.fmt(f)
    }
}

/// What a SQLSTATE is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Other transactions.
    Conflict,
    /// The server, whatever it is asked.
    Outage,
    /// The schema or the login: a person's to set right, and not the form's fault.
    Schema,
    /// A row that it refers to.
    Missing,
    /// The row itself.
    Row,
}

/// PostgreSQL documentation, Appendix A, "PostgreSQL Error Codes".
fn class_of(code: &str) -> Class {
    match code {
        // serialization_failure, deadlock_detected and their like; lock_not_available.
        _ if code.starts_with("40") => Class::Conflict,
        "55P03" => Class::Conflict,
        // Connection, resources, prerequisite state (a database that takes no connections), operator
        // intervention (shutdown, cancelled), system, internal.
        _ if ["08", "53", "55", "57", "58", "XX"].iter().any(|class| code.starts_with(class)) => {
            Class::Outage
        }
        // read_only_sql_transaction: a standby, as after a fail-over.
        "25006" => Class::Outage,
        // Authorization, no such database or schema, undefined table or column, no privilege.
        _ if ["28", "3D", "3F", "42"].iter().any(|class| code.starts_with(class)) => Class::Schema,
        // foreign_key_violation: the parent went away meanwhile.
        "23503" => Class::Missing,
        _ => Class::Row,
    }
}

/// The kind of an error that PostgreSQL did not word.
fn kind(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.kind().to_string(),
        sqlx::Error::Tls(_) => "TLS".to_owned(),
        sqlx::Error::Protocol(_) => "protocol".to_owned(),
        sqlx::Error::Configuration(_) => "configuration".to_owned(),
        sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            "a value does not fit its type".to_owned()
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => "connection pool".to_owned(),
        _ => "unexpected".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_says_whose_trouble_it_is() {
        for (code, class) in [
            ("40001", Class::Conflict),
            ("40P01", Class::Conflict),
            ("57P01", Class::Outage),
            ("53300", Class::Outage),
            ("55P03", Class::Conflict),
            ("55000", Class::Outage),
            ("42P01", Class::Schema),
            ("28P01", Class::Schema),
            ("23503", Class::Missing),
            ("23505", Class::Row),
            ("22021", Class::Row),
            ("22001", Class::Row),
        ] {
            assert_eq!(class_of(code), class, "{code}");
        }
    }
}
