//! Statements that leave nothing behind on their connection.
//!
//! sqlx prepares a statement under a name and uses it again. Behind a pooler in transaction mode (pgbouncer before 1.21,
//! and later ones without `max_prepared_statements`) the next transaction may meet another connection of the server,
//! where the name is unknown (SQLSTATE 26000) or is another client's (42P05). An unnamed statement lives no longer than
//! the transaction needs it, and a form's few statements are not worth more.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgRow, PgStatement};
use sqlx::{Execute, Executor, PgTransaction, Postgres, SqlStr};

use super::failure::StoreError;

/// Runs a query at the table that `step` names.
pub(super) async fn execute<'q>(
    transaction: &mut PgTransaction<'_>,
    step: &str,
    query: impl Execute<'q, Postgres> + 'q,
) -> Result<(), StoreError> {
    let done = transaction.execute(Unnamed(query)).await;
    done.map(drop).map_err(|error| StoreError::from_sqlx(step, &error))
}

/// The same, with the row that the query gives, if any.
pub(super) async fn fetch_optional<'q>(
    transaction: &mut PgTransaction<'_>,
    step: &str,
    query: impl Execute<'q, Postgres> + 'q,
) -> Result<Option<PgRow>, StoreError> {
    let row = transaction.fetch_optional(Unnamed(query)).await;
    row.map_err(|error| StoreError::from_sqlx(step, &error))
}

/// A query whose statement gets no name.
struct Unnamed<Q>(Q);

impl<'q, Q: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<Q> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
