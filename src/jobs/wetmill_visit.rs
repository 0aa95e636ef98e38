//! A wet mill is visited: `Wet Mill Visit` (`docs/mappings/commcare-to-postgis.md`, sections 3 to 7).
//!
//! # Writes
//! One row of `form_visits`, one row of `survey_responses` for each survey that was filled in, and one row
//! of `survey_question_responses` for each answer. A survey is first transformed (`surveys`); then the
//! answers are collected (`walk`) and typed (`answer`).
//!
//! # Order
//! The destination finds the mill by case id. The visit of an unknown mill fails until that mill is
//! registered. Faults of the form itself are reported first, because no registration mends them.
//!
//! # Country differences
//! The labels of the training topics and of the manager's documents.
//!
//! # Kept quirks
//! - Under one question, counts of 0 and 1 are booleans and larger counts are numbers.
//! - A survey that arrives as a list is dropped.
//! - Without an id in the payload, the submission ids contain the word `None`.

mod answer;
mod columns;
mod group;
mod surveys;
mod walk;

pub(super) use columns::describe;

use chrono::NaiveDate;
use serde_json::{Map, Value};

use crate::jobs::form::{Form, as_text};
use crate::jobs::wetmill::{Attachments, calendar_date, error, find, point, required, text};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;
use crate::plan::rows::{Rows, Survey, Visit};
use group::{Context, Group};

pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let wetmill = required(payload, columns::MILL)?;
    let visit_date = text(payload, columns::DATE)?.ok_or_else(|| error(columns::DATE, "missing"))?;
    let visit_date =
        calendar_date(&visit_date).ok_or_else(|| error(columns::DATE, "must be a date (YYYY-MM-DD)"))?;
    let form_name = text(payload, columns::SURVEY_TYPE)?;
    let form_name = form_name.ok_or_else(|| error(columns::SURVEY_TYPE, "missing"))?;
    let form = Form::new(payload, facts);
    let attachments = Attachments::new(payload, facts);
    let context = Context {
        form: &form,
        attachments: &attachments,
        survey_type: find(payload, columns::SURVEY_TYPE).and_then(Value::as_str).unwrap_or_default(),
        version: find(payload, "form.@version").and_then(as_text).and_then(|text| text.trim().parse().ok()),
    };
    let id = find(payload, "id").and_then(as_text).unwrap_or("None".into());
    let surveys = surveys::ALL.iter().filter_map(|transformation| {
        // A blank survey or a repeat group was not filled in.
        let sent = find(payload, "form.surveys")?.get(transformation.name)?.as_object()?;
        Some(survey(&context, payload, &id, transformation, sent.clone()))
    });
    let visit = Visit {
        submission_id: format!("WV-{id}"),
        wetmill,
        form_name,
        visit_date,
        entrance_photograph: attachments.url(find(payload, columns::PHOTOGRAPH)),
        geo_location: point(find(payload, columns::GPS)),
        surveys: surveys.collect::<Result<_, _>>()?,
    };
    Ok(Plan::postgis(Rows::Visit(Box::new(visit))).reporting(form.unmapped()))
}

fn survey(
    context: &Context,
    payload: &Value,
    id: &str,
    transformation: &surveys::Transformation,
    mut members: Map<String, Value>,
) -> Result<Survey, MapError> {
    let name = transformation.name;
    let completed_date = completed(payload, name)?;
    transformation.apply(&mut Group::new(context, format!("form.surveys.{name}"), &mut members))?;
    let general_feedback = members.get("general_feedback").filter(|value| !value.is_null());
    Ok(Survey {
        submission_id: format!("SR-{id}-{name}"),
        survey_type: name,
        completed_date,
        general_feedback: general_feedback
            .map(|value| as_text(value).map_or_else(|| value.to_string(), Into::into)),
        answers: walk::answers(&format!("SQR-{id}-{name}-"), &members),
    })
}

fn completed(payload: &Value, survey: &str) -> Result<Option<NaiveDate>, MapError> {
    let path = format!("form.completed_surveys.{survey}_date");
    let Some(value) = find(payload, &path) else { return Ok(None) };
    match value.as_str() {
        Some("") => Ok(None),
        text => {
            text.and_then(calendar_date).map(Some).ok_or_else(|| error(path, "must be a date (YYYY-MM-DD)"))
        }
    }
}
