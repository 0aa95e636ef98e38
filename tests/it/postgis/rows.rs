//! The stored rows in the form of the golden cases (`docs/mappings/commcare-to-postgis.md`, section 9).

use serde_json::{Map, Value, json};

use crate::support::postgres::TestDatabase;

/// The rows of the four tables, in the order of the golden cases.
pub(crate) async fn stored(database: &TestDatabase) -> Value {
    let point = |column: &str| {
        format!(
            "CASE WHEN {column} IS NOT NULL THEN
                 json_build_object('lon', ST_X({column}), 'lat', ST_Y({column})) END"
        )
    };
    let mills = format!(
        r#"SELECT wet_mill_unique_id, commcare_case_id, name, mill_status, exporting_status,
               vertical_integration, manager_name, manager_role, programme, country, comments,
               ba_signature, manager_signature, tor_page_picture, office_entrance_picture,
               registration_date, date_ba_signature, {} AS office_gps, user_id
           FROM wetmills ORDER BY commcare_case_id COLLATE "C""#,
        point("office_gps")
    );
    let visits = format!(
        r#"SELECT submission_id, commcare_case_id AS wetmill, form_visits.user_id, form_name, visit_date,
               entrance_photograph, {} AS geo_location
           FROM form_visits LEFT JOIN wetmills ON wetmills.id = wetmill_id
           ORDER BY submission_id COLLATE "C""#,
        point("geo_location")
    );
    let surveys = r#"SELECT survey_responses.submission_id, form_visits.submission_id AS form_visit,
            survey_type, completed_date, general_feedback
        FROM survey_responses LEFT JOIN form_visits ON form_visits.id = form_visit_id
        ORDER BY survey_responses.submission_id COLLATE "C""#;
    let answers = r#"SELECT answer.submission_id, survey_responses.submission_id AS survey_response,
            section_name, question_name, field_type, value_text, value_number, value_boolean, value_date,
            value_gps
        FROM survey_question_responses AS answer
        LEFT JOIN survey_responses ON survey_responses.id = survey_response_id
        ORDER BY answer.submission_id COLLATE "C""#;
    json!({
        "wetmills": database.rows(&mills).await,
        "form_visits": database.rows(&visits).await,
        "survey_responses": database.rows(surveys).await,
        "survey_question_responses": database.rows(answers).await,
    })
}

/// The first difference between two sets of tables.
pub(crate) fn difference(found: &Value, expected: &Value) -> Option<String> {
    for (table, rows) in expected.as_object().unwrap() {
        let (found, rows) = (found[table].as_array().unwrap(), rows.as_array().unwrap());
        for (row, expected) in found.iter().zip(rows) {
            let (row, expected) = (plain(row), plain(expected));
            if row != expected {
                return Some(format!("{table}:\n  found    {row}\n  expected {expected}"));
            }
        }
        if found.len() != rows.len() {
            return Some(format!("{table}: {} rows instead of {}", found.len(), rows.len()));
        }
    }
    None
}

/// The value with every number as a double.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}
