//! The columns that a visit writes, for the document of the mappings.

use super::surveys::{self, Note, Transformation};
use crate::jobs::describe::{Description, pairs};
use crate::jobs::entry::Entry;
use crate::jobs::wetmill::row;

/// The answers that become columns of the visit.
pub(super) const MILL: &str = "form.case.@case_id";
pub(super) const DATE: &str = "form.date";
pub(super) const SURVEY_TYPE: &str = "form.survey_type";
pub(super) const PHOTOGRAPH: &str = "form.introduction.wetmill_entrance_photograph";
pub(super) const GPS: &str = "form.introduction.gps";

/// Column, path and rule.
const VISIT: &[(&str, &str, &str)] = &[
    ("submission_id", "payload.id", "put together: WV-{payload.id}"),
    ("wetmill", MILL, "the registered mill with this case id; without one the form waits"),
    ("form_name", SURVEY_TYPE, "the answer as sent; without it the form fails"),
    ("visit_date", DATE, "the day; without it the form fails"),
    ("entrance_photograph", PHOTOGRAPH, "the address of the photo; empty without one"),
    ("geo_location", GPS, "the point of latitude and longitude; empty for anything else"),
];

/// Where the rules of types stand.
const TYPES: &str = "src/jobs/wetmill_visit/answer.rs";

/// Columns of an answer, except its parent's.
const ANSWER: &[(&str, &str)] = &[
    ("submission_id", "put together: SQR-{payload.id}-{survey}-{section}-{question}"),
    ("section_name", "the group or list that holds the answer; empty without one"),
    ("question_name", "the question"),
    ("field_type", "text, number, boolean or date, as the answer looks"),
    ("value_text", "the answer where it is text, without blanks around it; a rule below may change it"),
    ("value_number", "the answer where it is a number"),
    ("value_boolean", "the answer where it is 1, 0, true or false"),
    ("value_date", "the answer where it is a date"),
];

/// The rows of a visit, its surveys and their answers.
pub(in crate::jobs) fn describe(description: &mut Description) {
    for (column, path, says) in VISIT {
        let key = ("submission_id", "WV-{payload.id}");
        description.line(row("form_visits", key, column, path, says, concat!("VISIT in ", file!())));
    }
    for survey in surveys::ALL {
        survey_row(survey, description);
        answers(survey, description);
    }
}

fn survey_row(survey: &Transformation, description: &mut Description) {
    let name = survey.name;
    let id = format!("SR-{{payload.id}}-{name}");
    let columns = [
        ("submission_id", "payload.id".to_owned(), format!("put together: {id}")),
        ("form_visit", "payload.id".to_owned(), "the visit".to_owned()),
        ("survey_type", String::new(), format!("always \"{name}\"")),
        (
            "completed_date",
            format!("form.completed_surveys.{name}_date"),
            "the day; empty where it is blank".to_owned(),
        ),
        (
            "general_feedback",
            format!("form.surveys.{name}.general_feedback"),
            "the answer as sent; empty where it is missing".to_owned(),
        ),
    ];
    for (column, path, says) in columns {
        let line = row(
            "survey_responses",
            ("submission_id", &id),
            column,
            &path,
            &says,
            "src/jobs/wetmill_visit.rs",
        );
        description.line(Entry { when: format!("the survey {name} was filled in"), ..line });
    }
}

fn answers(survey: &Transformation, description: &mut Description) {
    let name = survey.name;
    let id = format!("SQR-{{payload.id}}-{name}-{{section}}-{{question}}");
    let path = format!("form.surveys.{name}");
    let line = |column: &str, path: &str, says: &str, table: &str| Entry {
        when: format!("for each answer of the survey {name}"),
        ..row("survey_question_responses", ("submission_id", &id), column, path, says, table)
    };
    let all = format!("{path}.{{question}}");
    description.line(line("survey_response", "payload.id", "the survey", TYPES));
    for (column, says) in ANSWER {
        description.line(line(column, &all, says, TYPES));
    }
    let of = |group: &str, member: &str| {
        if group.is_empty() { format!("{path}.{member}") } else { format!("{path}.{group}.{member}") }
    };
    for (group, member, rule) in survey.rules {
        let (says, labels) = rule.words();
        let line = line("value_text", &of(group, member), says, survey.file);
        description.line(Entry { labels: pairs(&[labels]), ..line });
    }
    for Note { group, member, says, labels } in survey.notes {
        let line = line("value_text", &of(group, member), says, survey.file);
        description.line(Entry { labels: pairs(labels), ..line });
    }
}
