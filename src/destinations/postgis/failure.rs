//! The meaning of PostgreSQL's failures.
//!
//! An error text names the SQLSTATE, the constraint, the table and the column. It leaves out PostgreSQL's own
//! words, because they quote the row.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgDatabaseError;

use crate::destinations::trouble::{Blame, Trouble};
use crate::destinations::{DeliveryError, Failure};
use crate::plan::rows::Rows;

/// The step before any table.
pub(super) const CONNECTION: &str = "connection";

/// A form that could not be stored.
#[derive(Debug)]
pub(super) struct StoreError {
    pub(super) trouble: Trouble,
    /// Whether another try may succeed in a moment.
    passes_soon: bool,
    /// Whether a text holds a character that PostgreSQL cannot store.
    has_odd_text: bool,
}

impl StoreError {
    /// The meaning of `error` at a step: a table, `commit` or [`CONNECTION`].
    pub(super) fn from_sqlx(step: &str, error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(refusal) => match refusal.try_downcast_ref::<PgDatabaseError>() {
                Some(refusal) => Self::refused(step, refusal),
                None => Self::new(Class::of_others(step), step, "the database refused the form".to_owned()),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Configuration(_) => {
                let message = format!("the connection to PostgreSQL failed ({})", kind(error));
                Self { passes_soon: true, ..Self::new(Class::Outage, step, message) }
            }
            _ => {
                let message = format!("PostgreSQL's answer could not be read ({})", kind(error));
                Self::new(Class::of_others(step), step, message)
            }
        }
    }

    /// No connection became free, or none could be made.
    pub(super) fn no_connection(pool: &PgPool) -> Self {
        let (open, most) = (pool.size(), pool.options().get_max_connections());
        let seconds = pool.options().get_acquire_timeout().as_secs();
        let message = format!(
            "no connection to PostgreSQL within {seconds} s (DATABASE_URL): {open} of {most} connections are open"
        );
        Self::new(Class::Outage, CONNECTION, message)
    }

    /// The form took longer than a call may.
    pub(super) fn no_answer(timeout: Duration) -> Self {
        let message = format!("PostgreSQL did not end within {} s", timeout.as_secs());
        Self::new(Class::Outage, CONNECTION, message)
    }

    /// The mill of a visit is not registered.
    pub(super) fn no_mill(case_id: &str) -> Self {
        let message = format!("no mill is registered with the case id {case_id}");
        let mut missing = Self::new(Class::Missing, "wetmills", message);
        missing.trouble.error = missing.trouble.error.missing("wetmills", case_id);
        missing
    }

    /// The same, naming the column of `rows` that holds what PostgreSQL cannot store: it does not say so itself.
    pub(super) fn naming_odd_text(mut self, rows: &Rows) -> Self {
        if let Some(column) = odd_text(rows).filter(|_| self.has_odd_text) {
            let message = &mut self.trouble.error.message;
            message.extend([", ", &column, " holds a NUL character, which PostgreSQL cannot store"]);
        }
        self
    }

    /// Whether another try may go better at once.
    pub(super) fn may_pass(&self) -> Option<Duration> {
        self.passes_soon.then_some(Duration::ZERO)
    }

    fn refused(step: &str, refusal: &PgDatabaseError) -> Self {
        let mut message = format!("PostgreSQL refused the form: SQLSTATE {}", refusal.code());
        for (what, name) in
            [("constraint", refusal.constraint()), ("table", refusal.table()), ("column", refusal.column())]
        {
            if let Some(name) = name {
                message.extend([", ", what, " ", name]);
            }
        }
        let class = class_of(step, refusal.code());
        if class == Class::Schema {
            message.push_str("; is the schema up to date (the command migrate, or RUN_MIGRATIONS)?");
        }
        // character_not_in_repertoire
        let has_odd_text = refusal.code() == "22021";
        Self { has_odd_text, ..Self::new(class, step, message) }
    }

    fn new(class: Class, step: &str, message: String) -> Self {
        let (failure, blame) = match class {
            Class::Conflict => (Failure::Transient, Blame::Record),
            Class::Outage | Class::Session | Class::Cut | Class::Schema => (Failure::Unclear, Blame::Outage),
            Class::Missing => (Failure::Dependency, Blame::Record),
            Class::Row => (Failure::Permanent, Blame::Record),
        };
        let trouble = Trouble::new(DeliveryError::new(failure, step, message), blame);
        let passes_soon = matches!(class, Class::Conflict | Class::Session | Class::Cut);
        Self { trouble, passes_soon, has_odd_text: false }
    }
}

/// The column whose text holds a NUL, and the question that it answers.
fn odd_text(rows: &Rows) -> Option<String> {
    const NUL: char = '\0';
    let tables = serde_json::to_value(rows).unwrap_or_default();
    let tables = tables.as_object()?.iter();
    let mut rows =
        tables.flat_map(|(table, rows)| rows.as_array().into_iter().flatten().map(move |row| (table, row)));
    rows.find_map(|(table, row)| {
        let holds_nul = |value: &Value| value.as_str().is_some_and(|text| text.contains(NUL));
        let (column, _) = row.as_object()?.iter().find(|(_, value)| holds_nul(value))?;
        let question = row.get("question_name").and_then(Value::as_str).filter(|name| !name.contains(NUL));
        let of_question = question.map(|question| format!(" of {question}")).unwrap_or_default();
        Some(format!("{table}.{column}{of_question}"))
    })
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trouble.fmt(f)
    }
}

/// The subject of a SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A conflict with other transactions.
    Conflict,
    /// Trouble of the server with any statement.
    Outage,
    /// The state of one connection, which no form is to blame for.
    Session,
    /// The end of one connection, which the server, or a pooler before it, announces.
    Cut,
    /// The schema or the login. The form is not at fault, and a person must set it right.
    Schema,
    /// A row to which the form refers, and which is not there.
    Missing,
    /// The form's own rows.
    Row,
}

impl Class {
    /// What no rule knows. Before the first statement nothing of the form has been sent yet.
    fn of_others(step: &str) -> Self {
        if step == CONNECTION { Self::Outage } else { Self::Row }
    }
}

/// The class of a SQLSTATE (PostgreSQL documentation, Appendix A, "PostgreSQL Error Codes") at a step.
fn class_of(step: &str, code: &str) -> Class {
    match code {
        // serialization_failure, deadlock_detected and similar ones; lock_not_available.
        _ if code.starts_with("40") => Class::Conflict,
        "55P03" => Class::Conflict,
        // read_only_sql_transaction: the server is a standby, as after a fail-over.
        "25006" => Class::Outage,
        // duplicate_prepared_statement and duplicate_cursor, as behind a pooler; feature_not_supported: a statement that was
        // planned before its table changed. Another connection serves.
        "42P05" | "42P03" | "0A000" => Class::Session,
        // A transaction, cursor or statement (26000) that the session does not have, or has already.
        _ if ["0B", "24", "25", "26", "2D", "34", "3B"].iter().any(|class| code.starts_with(class)) => {
            Class::Session
        }
        // Connection exceptions, which poolers answer with as well (pgbouncer: 08P01); admin_shutdown, crash_shutdown,
        // cannot_connect_now and the like.
        _ if code.starts_with("08") || code.starts_with("57P") => Class::Cut,
        // Resources, prerequisite state (such as a database that takes no connections), operator
        // intervention (shutdown, cancellation), system, internal.
        _ if ["53", "55", "57", "58", "XX"].iter().any(|class| code.starts_with(class)) => Class::Outage,
        // Authorization, unknown database, schema, table or column, missing privilege.
        _ if ["28", "3D", "3F", "42"].iter().any(|class| code.starts_with(class)) => Class::Schema,
        // foreign_key_violation: the parent row was deleted meanwhile.
        "23503" => Class::Missing,
        _ => Class::of_others(step),
    }
}

/// The kind of an error that does not come from the server.
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
            ("57P01", Class::Cut),
            ("08P01", Class::Cut),
            ("57014", Class::Outage),
            ("53300", Class::Outage),
            ("55P03", Class::Conflict),
            ("55000", Class::Outage),
            ("26000", Class::Session),
            ("42P05", Class::Session),
            ("25P02", Class::Session),
            ("25001", Class::Session),
            ("34000", Class::Session),
            ("3B001", Class::Session),
            ("25006", Class::Outage),
            ("42P01", Class::Schema),
            ("28P01", Class::Schema),
            ("23503", Class::Missing),
            ("23505", Class::Row),
            ("22021", Class::Row),
            ("22001", Class::Row),
        ] {
            assert_eq!(class_of("wetmills", code), class, "{code}");
        }
        assert_eq!(class_of(CONNECTION, "22023"), Class::Outage, "no row is sent yet");
    }
}
