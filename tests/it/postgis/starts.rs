//! Databases before their first migration: an empty one, and the two kinds of production database
//! (`docs/mappings/commcare-to-postgis.md`, section 1).

use serde_json::Value;

use crate::support::postgres::TestDatabase;

/// The schema that the original documents in its README.
pub(super) const DOCUMENTED_TABLES: &str = include_str!("documented_tables.sql");

/// The tables that the original's own program makes, with a few rows.
const ORIGINAL_TABLES: &str = include_str!("../../vectors/original/tables.sql");

/// A mill with a visit, as the original stored them.
pub(super) const DOCUMENTED_ROWS: &str = "
    INSERT INTO tbl_users VALUES ('00000000-0000-4000-8000-00000000f001', 'Wanjiru', '005old');
    INSERT INTO wetmills (wet_mill_unique_id, commcare_case_id, name, office_gps, user_id)
        VALUES ('KE-1', 'case-m', 'Old name', ST_SetSRID(ST_MakePoint(37, -0.4), 4326),
            '00000000-0000-4000-8000-00000000f001');
    INSERT INTO form_visits (submission_id, wetmill_id, form_name, visit_date)
        SELECT 'WV-v', id, 'Wet Mill Visit - KE', '2026-01-02' FROM wetmills;
    INSERT INTO survey_responses (submission_id, form_visit_id, survey_type)
        SELECT 'SR-v-kpis', id, 'kpis' FROM form_visits;
    INSERT INTO survey_question_responses
            (submission_id, survey_response_id, question_name, field_type, value_number)
        SELECT 'SQR-v-kpis-volume', id, 'volume', 'number', 40 FROM survey_responses;
";

/// A mill with visits of one submission id, and the same among their surveys and answers. An id begins
/// with its table: `a` mills, `b` visits, `c` surveys, `d` answers.
const ORIGINAL_REPEATS: &str = include_str!("original_repeats.sql");

/// A database before its first migration.
pub(super) struct Start {
    pub(super) name: &'static str,
    pub(super) scripts: &'static [&'static str],
    /// The columns, and their values, that a user needs beside `user_id` and `sf_user_id`.
    other_columns: (&'static str, &'static str),
}

pub(super) const EMPTY: Start = Start { name: "empty", scripts: &[], other_columns: ("", "") };

pub(super) const DOCUMENTED: Start = Start {
    name: "documented",
    scripts: &[DOCUMENTED_TABLES, DOCUMENTED_ROWS],
    other_columns: (", user_name", ", 'Wanjiru'"),
};

pub(super) const ORIGINAL: Start = Start {
    name: "original",
    scripts: &[ORIGINAL_TABLES, ORIGINAL_REPEATS],
    other_columns: (
        ", user_password, account_status, role_id",
        ", '', 'active', (SELECT role_id FROM tbl_roles)",
    ),
};

impl Start {
    /// A database that is like this, not yet migrated.
    pub(super) async fn database(&self) -> TestDatabase {
        let database = TestDatabase::empty().await;
        for script in self.scripts {
            database.run(script).await;
        }
        database
    }

    /// The statement that adds a user.
    pub(super) fn user(&self, user_id: &str, sf_user_id: Option<&str>) -> String {
        let (columns, values) = self.other_columns;
        let sf_user_id = sf_user_id.map_or("NULL".to_owned(), |id| format!("$id${id}$id$"));
        format!(
            "INSERT INTO tbl_users (user_id, sf_user_id{columns}) VALUES ('{user_id}', {sf_user_id}{values})"
        )
    }
}

/// Every row and column of the four tables; the visits' table has the name `visits`.
pub(super) async fn everything(database: &TestDatabase, visits: &str) -> Vec<Vec<Value>> {
    let mut tables = Vec::new();
    for table in ["wetmills", visits, "survey_responses", "survey_question_responses"] {
        tables.push(database.rows(&format!("SELECT * FROM {table} ORDER BY id")).await);
    }
    tables
}
