//! Gender-equitable business practices: an assessment and an action plan, flattened into one group.

use serde_json::{Map, Value};

use super::Note;
use crate::jobs::form::{Labels, find_label};
use crate::jobs::wetmill_visit::group::Group;

/// Who extends the tables looks here.
pub(super) const FILE: &str = file!();

pub(super) const NOTES: &[Note] = &[
    Note {
        group: "assessment_form",
        member: "{question}",
        says: "the label of y or n; anything else as sent",
        labels: LABELS,
    },
    Note {
        group: "action_plan",
        member: "{question}",
        says: "the label of y or n; anything else as sent. It takes the place of an equal question of the assessment",
        labels: LABELS,
    },
];

const LABELS: &[Labels] = &[SECTIONS[0].1, SECTIONS[1].1, YES_NO];

/// A part of a section's name, and the labels of `y` and `n` in that section. The first part that fits
/// counts.
const SECTIONS: &[(&str, Labels)] = &[
    (
        "delivers_meetings_and_training_in_ways_women_and_men_prefer",
        &[("y", "Yes, most of the time"), ("n", "No, rarely or never")],
    ),
    (
        "delivers_resources_and_services_women_and_men_need",
        &[("y", "Equal to or more than 40 percent"), ("n", "Less than 40 percent")],
    ),
    ("", YES_NO),
];

const YES_NO: Labels = &[("y", "Yes"), ("n", "No")];

/// Where names are equal, the action plan wins over the assessment, and the survey's own feedback over
/// both.
pub(super) fn transform(survey: &mut Group) {
    let feedback = survey.take("general_feedback");
    let parts = ["assessment_form", "action_plan"].map(|part| survey.take_group(part));
    let flat = parts.into_iter().flat_map(flatten).collect();
    *survey.members = flat;
    survey.set("general_feedback", feedback);
    for (name, value) in survey.members.iter_mut() {
        match value {
            Value::Object(section) => {
                let labels = SECTIONS.iter().find(|(part, _)| name.contains(part)).map(|(_, labels)| labels);
                section.values_mut().for_each(|value| say(value, labels.unwrap_or(&YES_NO)));
            }
            value => say(value, YES_NO),
        }
    }
}

/// Replaces each group by its members. A group on the second level takes both names.
fn flatten(group: Map<String, Value>) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in group {
        if name == "survey_12___gender_equitable_business_practices"
            || name == "table"
            || name.ends_with("_label")
        {
            continue;
        }
        match value {
            Value::Object(members) => flat.extend(members.into_iter().map(|(inner, value)| {
                let key = if value.is_object() { format!("{name}-{inner}") } else { inner };
                (key, value)
            })),
            value => flat.push((name, value)),
        }
    }
    flat
}

fn say(value: &mut Value, labels: Labels) {
    if let Some(label) = value.as_str().and_then(|code| find_label(labels, code)) {
        *value = label.into();
    }
}
