//! A visit: one row of `form_visits`, the surveys and their answers (`docs/mappings/commcare-to-postgis.md`,
//! sections 3 and 6).
//!
//! The row of the visit is written first, which locks it until the end of the transaction. Two instances
//! therefore store the same visit one after the other.

use chrono::NaiveDate;
use geo_types::Point;
use sqlx::{PgTransaction, Row};

use super::failure::StoreError;
use super::unnamed;
use crate::plan::rows::{Answer, Survey, Typed, Visit};

/// Stores the visit. Afterwards it has the surveys and answers of this form and no others (decision P5).
pub(super) async fn store(transaction: &mut PgTransaction<'_>, visit: &Visit) -> Result<(), StoreError> {
    let is_new = store_visit(transaction, visit).await?.ok_or_else(|| StoreError::no_mill(&visit.wetmill))?;
    if !visit.surveys.is_empty() {
        store_surveys(transaction, visit).await?;
        store_answers(transaction, visit).await?;
    }
    // After the upserts: they may have moved a survey here from a repeat of this visit (migration 0000),
    // and the survey's old answers with it.
    if !is_new {
        remove_other_surveys(transaction, visit).await?;
        remove_other_answers(transaction, visit).await?;
    }
    Ok(())
}

/// Stores the visit's own row, with the user of the mill. Says whether the visit is new; `None` where the mill
/// is not registered.
async fn store_visit(transaction: &mut PgTransaction<'_>, visit: &Visit) -> Result<Option<bool>, StoreError> {
    let stored = sqlx::query!(
        r#"
        INSERT INTO form_visits (
            submission_id, wetmill_id, user_id, form_name, visit_date, entrance_photograph, geo_location
        )
        SELECT $1, id, user_id, $3, $4::date, $5, ST_SetSRID(ST_MakePoint($6, $7), 4326)
        FROM wetmills WHERE commcare_case_id = $2
        ON CONFLICT (submission_id) DO UPDATE SET
            wetmill_id = EXCLUDED.wetmill_id,
            user_id = EXCLUDED.user_id,
            form_name = EXCLUDED.form_name,
            visit_date = EXCLUDED.visit_date,
            entrance_photograph = EXCLUDED.entrance_photograph,
            geo_location = EXCLUDED.geo_location
        RETURNING xmax = 0 AS "is_new!" -- no transaction has updated it
        "#,
        visit.submission_id,
        visit.wetmill,
        visit.form_name,
        visit.visit_date,
        visit.entrance_photograph.as_deref(),
        visit.geo_location.map(Point::x),
        visit.geo_location.map(Point::y),
    );
    let row = unnamed::fetch_optional(transaction, VISITS, stored).await?;
    row.map(|row| row.try_get(0)).transpose().map_err(|error| StoreError::from_sqlx(VISITS, &error))
}

/// Deletes the surveys that the form no longer has. The database deletes their answers.
async fn remove_other_surveys(transaction: &mut PgTransaction<'_>, visit: &Visit) -> Result<(), StoreError> {
    let kept: Vec<&str> = visit.surveys.iter().map(|survey| &*survey.submission_id).collect();
    let removed = sqlx::query!(
        r#"
        DELETE FROM survey_responses
        WHERE form_visit_id = (SELECT id FROM form_visits WHERE submission_id = $1)
            AND submission_id <> ALL ($2::text[])
        "#,
        visit.submission_id,
        &kept as &[&str],
    );
    unnamed::execute(transaction, SURVEYS, removed).await
}

/// Deletes the answers that the form no longer has.
async fn remove_other_answers(transaction: &mut PgTransaction<'_>, visit: &Visit) -> Result<(), StoreError> {
    let answers = visit.surveys.iter().flat_map(|survey| &survey.answers);
    let kept: Vec<&str> = answers.map(|answer| &*answer.submission_id).collect();
    let removed = sqlx::query!(
        r#"
        DELETE FROM survey_question_responses AS stored
        USING survey_responses, form_visits
        WHERE stored.survey_response_id = survey_responses.id
            AND survey_responses.form_visit_id = form_visits.id
            AND form_visits.submission_id = $1
            AND NOT EXISTS (
                SELECT FROM unnest($2::text[]) AS kept (submission_id)
                WHERE kept.submission_id = stored.submission_id
            )
        "#,
        visit.submission_id,
        &kept as &[&str],
    );
    unnamed::execute(transaction, ANSWERS, removed).await
}

async fn store_surveys(transaction: &mut PgTransaction<'_>, visit: &Visit) -> Result<(), StoreError> {
    let surveys = &visit.surveys;
    let submission_ids: Vec<&str> = surveys.iter().map(|survey| &*survey.submission_id).collect();
    let survey_types: Vec<&str> = surveys.iter().map(|survey| survey.survey_type).collect();
    let completed: Vec<Option<NaiveDate>> = surveys.iter().map(|survey| survey.completed_date).collect();
    let feedback: Vec<Option<&str>> =
        surveys.iter().map(|survey| survey.general_feedback.as_deref()).collect();
    let stored = sqlx::query!(
        r#"
        INSERT INTO survey_responses (
            submission_id, form_visit_id, survey_type, completed_date, general_feedback
        )
        SELECT survey.submission_id, form_visits.id, survey_type, completed_date, general_feedback
        FROM form_visits, unnest($2::text[], $3::text[], $4::date[], $5::text[])
            AS survey (submission_id, survey_type, completed_date, general_feedback)
        WHERE form_visits.submission_id = $1
        ON CONFLICT (submission_id) DO UPDATE SET
            form_visit_id = EXCLUDED.form_visit_id,
            survey_type = EXCLUDED.survey_type,
            completed_date = EXCLUDED.completed_date,
            general_feedback = EXCLUDED.general_feedback
        "#,
        visit.submission_id,
        &submission_ids as &[&str],
        &survey_types as &[&str],
        &completed as &[Option<NaiveDate>],
        &feedback as &[Option<&str>],
    );
    unnamed::execute(transaction, SURVEYS, stored).await
}

async fn store_answers(transaction: &mut PgTransaction<'_>, visit: &Visit) -> Result<(), StoreError> {
    let columns = Columns::from_surveys(&visit.surveys);
    let stored = sqlx::query!(
        r#"
        INSERT INTO survey_question_responses (
            submission_id, survey_response_id, section_name, question_name, field_type,
            value_text, value_number, value_boolean, value_date
        )
        SELECT
            answer.submission_id, survey_responses.id, section_name, question_name, field_type,
            value_text, value_number, value_boolean, value_date
        FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
            $6::text[], $7::float8[], $8::bool[], $9::date[]
        ) AS answer (
            submission_id, survey_response, section_name, question_name, field_type,
            value_text, value_number, value_boolean, value_date
        )
        JOIN survey_responses ON survey_responses.submission_id = answer.survey_response
        ON CONFLICT (submission_id) DO UPDATE SET
            survey_response_id = EXCLUDED.survey_response_id,
            section_name = EXCLUDED.section_name,
            question_name = EXCLUDED.question_name,
            field_type = EXCLUDED.field_type,
            value_text = EXCLUDED.value_text,
            value_number = EXCLUDED.value_number,
            value_boolean = EXCLUDED.value_boolean,
            value_date = EXCLUDED.value_date
        "#,
        &columns.submission_ids as &[&str],
        &columns.surveys as &[&str],
        &columns.sections as &[Option<&str>],
        &columns.questions as &[&str],
        &columns.field_types as &[&str],
        &columns.texts as &[Option<&str>],
        &columns.numbers as &[Option<f64>],
        &columns.booleans as &[Option<bool>],
        &columns.dates as &[Option<NaiveDate>],
    );
    unnamed::execute(transaction, ANSWERS, stored).await
}

const VISITS: &str = "form_visits";
const SURVEYS: &str = "survey_responses";
const ANSWERS: &str = "survey_question_responses";

/// Answers by column, as a statement takes them.
#[derive(Default)]
struct Columns<'v> {
    submission_ids: Vec<&'v str>,
    surveys: Vec<&'v str>,
    sections: Vec<Option<&'v str>>,
    questions: Vec<&'v str>,
    field_types: Vec<&'static str>,
    texts: Vec<Option<&'v str>>,
    numbers: Vec<Option<f64>>,
    booleans: Vec<Option<bool>>,
    dates: Vec<Option<NaiveDate>>,
}

impl<'v> Columns<'v> {
    fn from_surveys(surveys: &'v [Survey]) -> Self {
        let mut columns = Self::default();
        for survey in surveys {
            for answer in &survey.answers {
                columns.add(&survey.submission_id, answer);
            }
        }
        columns
    }

    fn add(&mut self, survey: &'v str, answer: &'v Answer) {
        self.submission_ids.push(&answer.submission_id);
        self.surveys.push(survey);
        self.sections.push(answer.section_name.as_deref());
        self.questions.push(&answer.question_name);
        self.field_types.push(answer.value.field_type());
        let (mut text, mut number, mut boolean, mut date) = (None, None, None, None);
        match &answer.value {
            Typed::Text(value) => text = value.as_deref(),
            Typed::Number(value) => number = Some(*value),
            Typed::Boolean(value) => boolean = Some(*value),
            Typed::Date(value) => date = Some(*value),
        }
        self.texts.push(text);
        self.numbers.push(number);
        self.booleans.push(boolean);
        self.dates.push(date);
    }
}
