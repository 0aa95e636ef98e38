//! An observer rates a training session: `Training Observation` (`docs/mappings/commcare-to-salesforce.md`,
//! section 5).
//!
//! # Sends
//! `Observation__c`, nine `Observation_Result__c` for three participants, eight for the observer,
//! and a `Check__c` for each participant, if the form comes from a newer version of one of two apps.
//!
//! # Order
//! The observation goes first: Salesforce resolves a result's and a check's observation by its
//! submission id.
//!
//! # Country differences
//! None. The participant checks depend on the app and its version.
//!
//! # Kept quirks
//! - All 17 results are written, with `""` where a participant is absent.
//! - A participant's comment is repeated on all three criteria.

use serde_json::Value;

use crate::jobs::describe::Description;
use crate::jobs::fields::Row;
use crate::jobs::fields::Source::{Attachment, FilledOrNull, Given, Sent, Text, WholeNumber};
use crate::jobs::form::Form;
use crate::jobs::observation::{self, CRITERION, FOUND, FRAME, PLACE, RECORD_TYPE, SUFFIX};
use crate::jobs::record::{Record, given, table};
use crate::jobs::{Facts, MapError, participant_checks};
use crate::plan::{Plan, Upsert};

const OBSERVATION: Record =
    Record { tables: &[&PLACE, &table!(OBSERVATION_ROWS)], ..observation::OBSERVATION };

/// Read at a participant's group.
const PARTICIPANT_RESULT: Record =
    Record { tables: &[&FRAME, &table!(PARTICIPANT_FIELDS)], ..observation::RESULT };

const PARTICIPANT_FIELDS: &[Row] =
    &[("Participant_Sex__c", Sent("Participant_Gender")), ("Comments__c", Sent("participant_comments"))];

/// Read at [`RATINGS`].
const OBSERVER_RESULT: Record = Record { tables: &[&FRAME, &table!(OBSERVER_FIELDS)], ..observation::RESULT };

const OBSERVER_FIELDS: &[Row] = &[("Comments__c", Given(COMMENT))];

/// The name of what a step knows of an observer's result.
const COMMENT: &str = "comment";

const RATINGS: &str = "form.Ratings_and_Comments";

const OBSERVATION_ROWS: &[Row] = &[
    ("Observer__c", Sent("form.Observer")),
    ("Trainer__c", Sent("form.trainer_salesforce_id")),
    ("Training_Group__c", Sent("form.Which_Group_Is_Farmer_Trainer_Teaching")),
    ("Training_Session__c", Sent("form.selected_session")),
    ("RecordTypeId", Sent("form.Record_Type")),
    ("Date__c", Sent("form.Date")),
    (
        "Male_Participants__c",
        WholeNumber("form.Current_session_participants.Male_Participants_In_Attendance"),
    ),
    (
        "Female_Participants__c",
        WholeNumber("form.Current_session_participants.Female_Participants_In_Attendance"),
    ),
    (
        "Number_of_Participants__c",
        WholeNumber("form.Current_session_participants.Total_Participants_In_Attendance"),
    ),
    (
        "Shared_Action_Plan__c",
        FilledOrNull("form.Feedback_And_Coaching_With_The_Farmer_Trainer.Share_Action_Plan"),
    ),
    (
        "Shared_Action_Plan_Comments__c",
        FilledOrNull("form.Feedback_And_Coaching_With_The_Farmer_Trainer.Share_Action_Plan_Comments"),
    ),
    ("Did_Well__c", Sent("form.Current_Session_Review.Did_Well")),
    ("To_Improve__c", Sent("form.Current_Session_Review.To_Improve")),
    ("Photo_of_Facilitator_URL__c", Attachment("form.Photo")),
    (
        "Farmer_Trainer_Signature__c",
        Attachment("form.Farmer_Trainer_Signature_Section.Farmer_Trainer_Signature"),
    ),
    ("Observer_Signature__c", Attachment("form.Observer_Signature_Section.Observer_Signature")),
];

/// Salesforce's record type for a participant's feedback.
const PARTICIPANT_FEEDBACK: &str = "01224000000gQe6AAE";

/// Salesforce's record type for the observer's feedback.
const OBSERVER_FEEDBACK: &str = "01224000000gQe7AAE";

/// The groups of the three participants, in order.
const PARTICIPANTS: [&str; 3] =
    ["form.Participant_One_Feedback", "form.Participant_Two_Feedback", "form.Participant_Three_Feedback"];

/// The ends of the external ids of their results.
const SUFFIXES: [&str; 3] = ["-p1", "-p2", "-p3"];

/// Criterion and question, read at a participant's group.
const PARTICIPANT_CRITERIA: &[(&str, &str)] = &[
    ("coffee_prepare_and_implement_agronomy_practice", "Prepare_And_Implement_Agronomy_Practice"),
    ("coffee_teaching_clarity_and_effectiveness", "Teaching_Clarity_And_Effectiveness"),
    ("coffee_knowledge_of_trainer_on_agronomy", "Knowledge_Of_Trainer_On_Agronomy"),
];

/// Criterion, rating and comment, read at [`RATINGS`].
const OBSERVER_CRITERIA: &[(&str, &str, &str)] = &[
    ("coffee_shows_professionalism", "Shows_Professionalism", "Shows_Professionalism_Comments"),
    ("coffee_is_prepared_and_organized", "Is_Prepared_and_Organized", "Is_Prepared_and_Organized_Comments"),
    ("coffee_engages_participants", "Engages_Participants", "Engages_Participants_Comments"),
    (
        "coffee_facilitates_openings_and_closings",
        "Facilitates_Openings_and_Closings",
        "Facilitates_Openings_and_Closings_Comments",
    ),
    ("coffee_leads_activities", "Leads_Activities", "Leads_Activities_Comments"),
    ("coffee_leads_discussions", "Leads_Discussions", "Leads_Discussions_Comments"),
    ("coffee_follows_lesson_plans", "Follows_Lesson_Plans", "Follows_Lesson_Plans_Comments"),
    ("coffee_manages_time", "Manages_Time", "Manages_Time_Comments"),
];

/// Maps a training observation.
pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let form = Form::new(payload, facts);
    let mut upserts = vec![OBSERVATION.read(&form)?];
    upserts.extend(participant_feedback(&form)?);
    upserts.extend(observer_feedback(&form)?);
    upserts.extend(participant_checks::of_training(&form, &PARTICIPANTS)?);
    Ok(Plan::salesforce(upserts).reporting(form.unmapped()))
}

/// The records that the form may write.
pub(super) fn describe(description: &mut Description) {
    description.record(&OBSERVATION);
    for (criterion, question) in PARTICIPANT_CRITERIA {
        for (group, suffix) in PARTICIPANTS.iter().zip(SUFFIXES) {
            let own = [
                (CRITERION, Text(criterion)),
                (SUFFIX, Text(suffix)),
                (RECORD_TYPE, Text(PARTICIPANT_FEEDBACK)),
                (FOUND, Sent(question)),
            ];
            description.record_given(&PARTICIPANT_RESULT, group, &own);
        }
    }
    for (criterion, rating, comment) in OBSERVER_CRITERIA {
        let own = [
            (CRITERION, Text(criterion)),
            (SUFFIX, Text("")),
            (RECORD_TYPE, Text(OBSERVER_FEEDBACK)),
            (FOUND, Sent(rating)),
            (COMMENT, Sent(comment)),
        ];
        description.record_given(&OBSERVER_RESULT, RATINGS, &own);
    }
    participant_checks::describe_training(&PARTICIPANTS, description);
}

fn participant_feedback(form: &Form) -> Result<Vec<Upsert>, MapError> {
    let mut upserts = Vec::new();
    for (criterion, question) in PARTICIPANT_CRITERIA {
        for (group, suffix) in PARTICIPANTS.into_iter().zip(SUFFIXES) {
            let participant = form.group(group)?;
            let own = [
                given(CRITERION, *criterion),
                given(SUFFIX, suffix),
                given(RECORD_TYPE, PARTICIPANT_FEEDBACK),
                given(FOUND, participant.sent(question)?),
            ];
            upserts.push(PARTICIPANT_RESULT.read_given(&participant, &own)?);
        }
    }
    Ok(upserts)
}

fn observer_feedback(form: &Form) -> Result<Vec<Upsert>, MapError> {
    let ratings = form.group(RATINGS)?;
    OBSERVER_CRITERIA
        .iter()
        .map(|(criterion, rating, comment)| {
            let own = [
                given(CRITERION, *criterion),
                given(SUFFIX, ""),
                given(RECORD_TYPE, OBSERVER_FEEDBACK),
                given(FOUND, ratings.sent(rating)?),
                given(COMMENT, ratings.sent(comment)?),
            ];
            OBSERVER_RESULT.read_given(&ratings, &own)
        })
        .collect()
}
