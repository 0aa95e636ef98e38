//! Trainings and routine visits.

use super::{MemberRule, Note};
use crate::jobs::form::{Labels, as_text};
use crate::jobs::wetmill_visit::group::{Group, Rule};

/// Who extends the tables looks here.
pub(super) const FILE: &str = file!();

pub(super) const TRAINING_NOTES: &[Note] = &[
    Note {
        group: "",
        member: "training_topic",
        says: "the label of the code, Ethiopia up to form version 54; the code itself where it has none",
        labels: &[OLD_TOPICS],
    },
    Note {
        group: "",
        member: "training_topic",
        says: "the label of the code, every other form; the code itself where it has none",
        labels: &[TOPICS],
    },
];

pub(super) const ROUTINE_VISIT_NOTES: &[Note] = &[
    Note {
        group: "",
        member: "purpose_of_visit",
        says: "the label of the code, for 99 \"Other: \" and the answer in words; several purposes and a code without label as sent",
        labels: &[PURPOSES],
    },
    Note {
        group: "",
        member: "specify_the_purpose_of_visit",
        says: "stands behind \"Other: \" where the purpose is 99",
        labels: &[],
    },
    Note {
        group: "",
        member: "picture_of_activity",
        says: "the address of the photo; empty without one",
        labels: &[],
    },
];

pub(super) const TRAINING: &[MemberRule] = &[
    ("", "training_topic_category", Rule::Removed),
    ("", "training_status", Rule::OneOf(&[("1", "New"), ("2", "Refresher")])),
    ("", "picture_of_trainees_group", Rule::PhotoOrNull),
    ("", "picture_of_training_attendance_form", Rule::PhotoOrNull),
];

/// The last form version of Ethiopia with the old topics.
const LAST_WITH_OLD_TOPICS: i64 = 54;

const OLD_TOPICS: Labels = &[
    ("1", "Environmental Responsibility"),
    ("2", "Social Responsibility and Ethics"),
    ("3", "Gender Training"),
    ("4", "Occupational Health and Safety"),
    ("5", "Sustainability Standards Overview"),
    ("6", "Finance and Bookkeeping"),
    ("7", "Post-Harvest Coffee Processing and Quality Training"),
    ("8", "TASQ Overview "),
    ("9", "Inclusive Training"),
    ("10", "Gender Training"),
    ("11", "Regenerative Agriculture"),
    ("12", "Farm-level Traceability"),
    ("13", "Cooperative Good Governance"),
    ("14", "Bookkeeping"),
    ("15", "Quality Control and Processing Overview"),
];

const TOPICS: Labels = &[
    ("1", "Post Harvest Coffee Quality and Processing"),
    ("2", "Sustainability Standards Overview (SSO)"),
    ("3", "Social Responsibility and Ethics (SRE)"),
    ("4", "Gender"),
    ("5", "Environmental Responsibility (ER)"),
    ("6", "Occupational Health and Safety (OHS)"),
    ("7", "Finance and Bookkeeping"),
    ("8", "Wet Mill Processing and Quality Control"),
    ("9", "TASQ Overview"),
    ("10", "TASQ Inclusive Pillar"),
    ("11", "TASQ Regenerative Pillar"),
    ("12", "Bookkeeping"),
    ("13", "Cooperative Governance"),
    ("14", "Farm Level Traceability"),
    ("15", "Wet Mill Processing and Quality Control"),
    ("16", "Wet Mill coffee processing Parchment Traceability"),
    ("17", "Pulping Machine Operations and Maintenance"),
    ("18", "Nespresso AAA Regenerative Pillar Lesson Plan"),
    ("19", "IPDM Lesson Plan for Coop leaders and Agrochemical Storekeepers"),
    ("20", "Nespresso AAA TASQ Overview"),
    ("21", "Nespresso AAA Inclusive Pillar Lesson Plan"),
    ("22", "Safe use handling and storage"),
    ("23", "Kenya AAA POSA (Producer Organization Sustainability Assessment)"),
];

const PURPOSES: Labels = &[
    ("1", "Performance of last year (Q1 and Q2)"),
    ("2", "Process quality check"),
    ("3", "SWOT analysis (Q1 and Q2)"),
    ("4", "Gender action plan meeting"),
    ("5", "Perform annual audit"),
    ("6", "Discuss annual audit feedback"),
    ("7", "Review visit (prior to advice from previous visits)"),
];

/// The code of a purpose that is named in words.
const OTHER_PURPOSE: &str = "99";

/// A form version that is missing or no number counts as new (decision P3).
pub(super) fn training(survey: &mut Group) {
    let is_old = survey.context.survey_type == "Wet Mill Visit - ET"
        && survey.context.version.is_some_and(|version| version <= LAST_WITH_OLD_TOPICS);
    survey.apply("training_topic", Rule::OneOf(if is_old { OLD_TOPICS } else { TOPICS }));
}

/// Only four members remain. Several purposes and unknown purposes stay as sent (decision P12). Another
/// purpose that is not named in words is `Other: None`.
pub(super) fn routine_visit(survey: &mut Group) {
    if survey.text("purpose_of_visit") == Some(OTHER_PURPOSE) {
        let words = survey.get("specify_the_purpose_of_visit").and_then(as_text).unwrap_or("None".into());
        let purpose = format!("Other: {words}");
        survey.set("purpose_of_visit", purpose);
    } else {
        survey.apply("purpose_of_visit", Rule::OneOf(PURPOSES));
    }
    survey.apply("picture_of_activity", Rule::PhotoOrNull);
    let kept = ["purpose_of_visit", "summary_of_activity", "general_feedback", "picture_of_activity"]
        .map(|name| (name, survey.take(name)));
    survey.members.clear();
    for (name, value) in kept {
        survey.set(name, value);
    }
}
