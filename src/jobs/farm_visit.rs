//! A trainer or agronomy advisor visits a farm: `Farm Visit Full`, `Farm Visit - AA`
//! (`docs/mappings/commcare-to-salesforce.md`, section 8).
//!
//! # Sends
//! A farmer who is new on the visit (`Household__c`, `Participant__c`), `Farm_Visit__c`,
//! `FV_Best_Practices__c`, one `FV_Best_Practice_Results__c` for each code of ten multi-select
//! answers, an AA visit's `Household__c`, the plots of a field inventory survey (`Farm__c`,
//! `Coffee_Variety__c`, `Household__c`), an AA visit's `Check__c`.
//!
//! # Order
//! As listed: later records name the farmer and the visit by external ids that earlier steps write.
//!
//! # Country differences
//! The visit's type names the country ([`Country`]), also that of an AA visit. A difference is a section
//! or a row for some countries.
//!
//! # Kept quirks
//! - The first farmer of an AA visit counts as `No` where the question was not asked, the second as `""`.
//! - An AA visit's household has the key `Id`, all other households `Household_ID__c`.
//! - Zambia's best practices stand at the form's root in four versions, which are a list and no range.
//! - The id of a relationship may be empty, unless an external id is built from it.

mod best_practices;
mod field_inventory;
mod result_labels;
mod results;

use serde_json::Value;

use crate::jobs::country::Country::{Bu, Et, Zm};
use crate::jobs::country::{ALL, Country, NOT_ET, Section};
use crate::jobs::describe::Description;
use crate::jobs::entry::Gives;
use crate::jobs::fields::Piece::{Answer, Words};
use crate::jobs::fields::Source::{
    self, Attachment, FirstFilled, Gps, Id, IsOneOf, Label, LabelOr, Sent, SentOrNull, Text,
};
use crate::jobs::fields::{Piece, Row, Rule};
use crate::jobs::form::{Form, Labels};
use crate::jobs::form_kind::FormKind;
use crate::jobs::record::{Record, Table, table};
use crate::jobs::{Facts, MapError, participant_checks, people};
use crate::plan::{Plan, Upsert};

/// External id of the visit and of its best practices.
const VISIT_KEY: &[Piece] = &[Words("FV-"), Answer("payload.id")];

const VISIT: Record = Record {
    object: "Farm_Visit__c",
    key: "FV_Submission_ID__c",
    id: VISIT_KEY,
    when: "",
    tables: &[&table!(VISIT_NAME), &table!(by country FARM_VISIT)],
    optional: &[],
};

const VISIT_NAME: &[Row] = &[("Name__c", Id(VISIT_KEY))];

const BY_TRAINER: Table = table!(FULL_VISIT);
const BY_ADVISOR: Table = table!(AA_VISIT);
const FARMER: Table = table!(FARMER_ROWS);
const SECOND_FARMER: Table = table!(SECOND_FARMER_ROWS, "a second farmer takes part");

const FARMER_ROWS: &[Row] =
    &[("Farm_Visited__r.CommCare_Case_Id__c", FIRST), ("Primary_Farmer_PIMA_ID__c", FIRST)];
const SECOND_FARMER_ROWS: &[Row] =
    &[("Secondary_Farmer__r.CommCare_Case_Id__c", SECOND), ("Secondary_Farmer_PIMA_ID__c", SECOND)];

const FIRST: Source = Source::Rule(&farmer(
    "the farmer visited: in an AA visit the first one chosen; else the farmer registered on the visit, or the one \
     chosen",
    |form| farmers(form).map(|(first, _)| first),
));
const SECOND: Source = Source::Rule(&farmer(
    "the second farmer: in an AA visit the second one chosen; else form.secondary_farmer, except where the visit \
     registers a farmer",
    |form| farmers(form).map(|(_, second)| second),
));

const fn farmer(says: &'static str, read: fn(&Form) -> Result<Value, MapError>) -> Rule {
    let paths = &["form.farm_being_visted", "form.subcase_0.case.@case_id", "form.secondary_farmer"];
    Rule { says, paths, labels: &[], gives: Gives::Id, read }
}

/// The household of an AA visit.
const VISITED_HOUSEHOLD: Record = Record {
    object: "Household__c",
    key: "Id",
    id: &[Answer("form.case.@case_id")],
    when: "",
    tables: &[&table!(AA_HOUSEHOLD)],
    optional: &[],
};

/// `form.@name` of an agronomy advisor's visit.
pub(super) const FARM_VISIT_AA: &str = "Farm Visit - AA";

/// Builds of the Zambian app with the best practices at the form's root.
const ROOT_BUILDS: [u16; 4] = [97, 233, 267, 463];

const YES_NO: Labels = &[("1", "Yes"), ("0", "No")];

const FORMER_WOODLAND: &str =
    "form.planted_on_land_that_have_previously_been_planted_with_woodland_or_forest";

const FARM_VISIT: &[Section] = &[
    (
        ALL,
        &[
            ("Farm_Visit_Type__c", Sent("form.survey_type")),
            ("Training_Session__c", Sent("form.training_session")),
            ("Date_Visited__c", Sent("form.date_of_visit")),
            ("visit_comments__c", Sent("form.farm_visit_comments")),
            ("Farmer_Trainer__c", Sent("form.trainer")),
            ("Field_Size__c", FirstFilled(&["form.field_size", "form.field_size1"])),
            ("Farm_Visit_Photo_Url__c", Attachment("form.farm_visit_photo")),
            ("Signature__c", Attachment("form.signature_of_farmer_trainer")),
            ("No_of_curedas__c", Sent("form.opening_questions.number_of_curedas")),
            (
                "No_of_separate_coffee_fields__c",
                Sent("form.opening_questions.number_of_separate_coffee_fields"),
            ),
            ("Field_Age__c", Sent("form.field_age")),
        ],
    ),
    (
        NOT_ET,
        &[
            ("Location_GPS__Latitude__s", Gps("form.gps_coordinates", 0)),
            ("Location_GPS__Longitude__s", Gps("form.gps_coordinates", 1)),
            ("Altitude__c", Gps("form.gps_coordinates", 2)),
        ],
    ),
    (
        &[Et],
        &[
            ("Location_GPS__Latitude__s", Gps("form.best_practice_questions.gps_coordinates", 0)),
            ("Location_GPS__Longitude__s", Gps("form.best_practice_questions.gps_coordinates", 1)),
            ("Altitude__c", Gps("form.best_practice_questions.gps_coordinates", 2)),
        ],
    ),
    (&[Bu], &[("Shade_Tee_Species__c", Sent("form.shade_tree_species"))]),
    (
        &[Zm],
        &[
            ("Deforested_Farm__c", IsOneOf(FORMER_WOODLAND, &["1", "2"])),
            (
                "Deforested_Previously_planted_trees__c",
                Label(
                    FORMER_WOODLAND,
                    &[
                        ("1", "Natural woodland or forest"),
                        ("2", "Eucalyptus or other tree plantation"),
                        ("0", "No sign the field(s) was previously woodland or forest."),
                    ],
                ),
            ),
            (
                "Still_original_trees__c",
                Label("form.number_of_trees_confirmation.still_original_trees", &[("1", "Yes"), ("2", "No")]),
            ),
            ("What_happened_to_most_of_the_trees__c", Source::Rule(&WHAT_HAPPENED)),
            ("Updated_number_of_trees__c", Sent("form.number_of_trees_confirmation.updated_number_of_trees")),
        ],
    ),
];

const FULL_VISIT: &[Row] = &[("Training_Group__c", Sent("form.case.@case_id"))];

const AA_VISIT: &[Row] = &[
    ("Training_Group__c", Sent("form.training_group")),
    (
        "FV_AA_Farmer_1_Attended_Any_Training__c",
        LabelOr("form.farmer_1_questions.attended_training", YES_NO, "No"),
    ),
    ("FV_AA_Farmer_2_Attended_Any_Training__c", Label("form.farmer_2_questions.attended_training", YES_NO)),
    ("FV_AA_Farmer_1_Trainings_Attended__c", Sent("form.farmer_1_questions.number_of_trainings")),
    ("FV_AA_Farmer_2_Trainings_Attended__c", Sent("form.farmer_2_questions.number_of_trainings")),
    ("FV_AA_Visit_Done_By_AA__c", Text("Yes")),
];

const AA_HOUSEHOLD: &[Row] = &[
    ("FV_AA_Visited__c", SentOrNull("form.case.update.FV_AA_Visited")),
    ("Latest_Farm_Visit_Record__r.FV_Submission_ID__c", Id(VISIT_KEY)),
];

/// A visit and what the steps know of it.
struct FarmVisit<'a> {
    form: Form<'a>,
    /// The group that holds the best practices.
    practices: Form<'a>,
    country: Country,
    /// Whether an agronomy advisor made it.
    by_advisor: bool,
}

/// The group that holds the best practices of every visit except those of [`ROOT_BUILDS`].
const PRACTICES: &str = "form.best_practice_questions";

/// Maps a farm visit.
pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let form = Form::new(payload, facts);
    let kind = FormKind::from_form(&form)?;
    let mut upserts = Vec::new();
    upserts.extend(people::household(&form, &kind)?);
    upserts.extend(people::participant(&form, &kind)?);
    let visit = FarmVisit::from_form(form, &kind)?;
    upserts.push(farm_visit(&visit)?);
    upserts.push(best_practices::best_practices(&visit)?);
    upserts.extend(results::results(&visit)?);
    if visit.by_advisor {
        upserts.push(VISITED_HOUSEHOLD.read(&visit.form)?);
    }
    upserts.extend(field_inventory::plots(&visit.form)?);
    if visit.by_advisor {
        upserts.extend(participant_checks::of_visit(&visit.form)?);
    }
    Ok(Plan::salesforce(upserts).reporting(visit.form.unmapped()))
}

/// The records that a form of this type may write.
pub(super) fn describe(description: &mut Description) {
    let name = description.job_name();
    let by_advisor = name == FARM_VISIT_AA;
    if !by_advisor {
        people::describe_visit(description);
    }
    let own = if by_advisor { &BY_ADVISOR } else { &BY_TRAINER };
    description.record(&Record { optional: &[&FARMER, &SECOND_FARMER], ..VISIT });
    description.table(&VISIT, own);
    description.moved_in_zambia(PRACTICES, "form");
    best_practices::describe(description);
    results::describe(description);
    if by_advisor {
        description.record(&VISITED_HOUSEHOLD);
        participant_checks::describe_visit(description);
    }
    field_inventory::describe(description);
}

impl<'a> FarmVisit<'a> {
    fn from_form(form: Form<'a>, kind: &FormKind) -> Result<Self, MapError> {
        let country = Country::from_form(&form)?;
        form.id("payload.id")?;
        let at_root = country == Zm && is_root_build(&form)?;
        let practices = form.group(if at_root { "form" } else { PRACTICES })?;
        let by_advisor = kind.is_named(&[FARM_VISIT_AA]);
        Ok(Self { form, practices, country, by_advisor })
    }
}

fn is_root_build(form: &Form) -> Result<bool, MapError> {
    let Some(version) = form.version()? else { return Ok(false) };
    Ok(ROOT_BUILDS.iter().any(|build| f64::from(*build).total_cmp(&version).is_eq()))
}

fn farm_visit(visit: &FarmVisit) -> Result<Upsert, MapError> {
    let form = &visit.form;
    let upsert = VISIT.read_for(visit.country, form)?;
    let upsert = if visit.by_advisor { &BY_ADVISOR } else { &BY_TRAINER }.fill(upsert, form)?;
    let upsert = FARMER.fill(upsert, form)?;
    let (_, second) = farmers(form)?;
    if second == "" { Ok(upsert) } else { SECOND_FARMER.fill(upsert, form) }
}

/// The farmer visited and a second one, `""` where there is none.
fn farmers(form: &Form) -> Result<(Value, Value), MapError> {
    if form.is("form.@name", FARM_VISIT_AA)? {
        let mut visited = form.tokens("form.farm_being_visted")?.into_iter().map(Value::from);
        let mut next = || visited.next().unwrap_or_else(|| "".into());
        return Ok((next(), next()));
    }
    if form.is("form.new_farmer", "1")? {
        return Ok((form.sent("form.subcase_0.case.@case_id")?, "".into()));
    }
    Ok((form.sent("form.farm_being_visted")?, form.sent("form.secondary_farmer")?))
}

const WHAT_HAPPENED: Rule = Rule {
    says: "the label of the code; for 99 \"Other: \" and the answer in words behind it",
    paths: &[WHAT_HAPPENED_CODE, WHAT_HAPPENED_IN_WORDS],
    labels: &[WHAT_HAPPENED_LABELS],
    gives: Gives::Texts,
    read: what_happened_to_the_trees,
};
const WHAT_HAPPENED_CODE: &str = "form.number_of_trees_confirmation.ask_what_happened_to_most_of_the_trees";
const WHAT_HAPPENED_IN_WORDS: &str =
    "form.number_of_trees_confirmation.ask_what_happened_to_most_of_the_trees_other";
const WHAT_HAPPENED_LABELS: Labels = &[
    ("1", "Died due to lack of irrigation"),
    ("2", "Died due to frost"),
    ("3", "Died due to fire"),
    ("99", "Other: "),
];

fn what_happened_to_the_trees(form: &Form) -> Result<Value, MapError> {
    let label = form.label(WHAT_HAPPENED_CODE, WHAT_HAPPENED_LABELS)?.unwrap_or_default();
    if form.is(WHAT_HAPPENED_CODE, "99")? {
        return Ok(format!("{label}{}", form.text(WHAT_HAPPENED_IN_WORDS)?).into());
    }
    Ok(label.into())
}
