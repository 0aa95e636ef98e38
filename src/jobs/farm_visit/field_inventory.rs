//! The field inventory survey of a visit: plots and their coffee varieties
//! (`docs/mappings/commcare-to-salesforce.md`, section 8.5). Only Zambia's forms ask for it, but it is
//! written for every form that has the data.

use serde_json::Value;

use super::VISIT_KEY;
use crate::jobs::MapError;
use crate::jobs::describe::Description;
use crate::jobs::entry::Gives;
use crate::jobs::fields::Piece::{self, Answer, Own, Words};
use crate::jobs::fields::Source::{self, Attachment, Flag, Given, Id, IsOneOf, Label, Sent, SentUnder};
use crate::jobs::fields::{Row, Rule};
use crate::jobs::form::{Form, Labels};
use crate::jobs::record::{Record, given, table};
use crate::plan::Upsert;

/// The plots.
const PLOTS: &str = "form.field_inventory_survey.general_plot_information";

/// Read at a plot.
const FARM: Record = Record {
    object: "Farm__c",
    key: "TNS_Id__c",
    id: FARM_KEY,
    when: "for each plot of a field inventory survey",
    tables: &[&table!(FARM_ROWS)],
    optional: &[],
};

const FARM_KEY: &[Piece] =
    &[Words("F-0"), Answer("current_index"), Words("-"), Answer("form.household_tns_id")];

/// Read at a plot.
const VARIETY: Record = Record {
    object: "Coffee_Variety__c",
    key: "Name",
    id: &[
        Words("CV-0"),
        Own(CODE),
        Words("-F-0"),
        Answer("current_index"),
        Words("-"),
        Answer("form.household_tns_id"),
    ],
    when: "for each variety of a plot",
    tables: &[&table!(VARIETY_ROWS)],
    optional: &[],
};

const VARIETY_ROWS: &[Row] = &[
    ("Variety_Type_Name__c", Given(NAME)),
    ("Variety_Number_of_Trees__c", SentUnder("variety_", CODE)),
    ("Farm__r.TNS_Id__c", Id(FARM_KEY)),
];

/// The names of what a step knows of a variety.
const CODE: &str = "code";
const NAME: &str = "name";

const SURVEYED: Record = Record {
    object: "Household__c",
    key: "Household_ID__c",
    id: &[Answer("form.household_tns_id")],
    when: "the form has a field inventory survey",
    tables: &[&table!(SURVEYED_ROWS)],
    optional: &[],
};

const SURVEYED_ROWS: &[Row] =
    &[("FIS_Completed__c", Flag(true)), ("Lastest_Visit_with_FIS__r.FV_Submission_ID__c", Id(VISIT_KEY))];

const FARM_ROWS: &[Row] = &[
    ("Name", Id(&[Words("0"), Answer("current_index")])),
    ("Household__r.Household_ID__c", Id(&[Answer("form.household_tns_id")])),
    ("Latest_Farm_Visit_Record__r.FV_Submission_ID__c", Id(VISIT_KEY)),
    ("Farm_Size_Coffee_Trees__c", Sent("total_coffee")),
    ("Farm_Size_Land_Measurements__c", Sent("farm_size_ha")),
    ("Main_Coffee_Field__c", Source::Rule(&MAIN_FIELD)),
    (
        "Planted_on_visit_date__c",
        IsOneOf("important_notes_planting_dates.planting_period_note_same_date_as_visit", &["yes"]),
    ),
    (
        "Planted_out_of_season__c",
        IsOneOf("important_notes_planting_dates.planting_period_note_out_of_season", &["yes"]),
    ),
    (
        "Planted_out_of_season_comments__c",
        Sent("important_notes_planting_dates.planting_period_comment_out_of_season"),
    ),
    ("Planting_Month_and_Year__c", Sent("date_planted")),
    ("Farm_GPS_Coordinates__Latitude__s", Source::Rule(&gps(|plot| whole_gps(plot, 0)))),
    ("Farm_GPS_Coordinates__Longitude__s", Source::Rule(&gps(|plot| whole_gps(plot, 1)))),
    ("Altitude__c", Source::Rule(&gps(|plot| whole_gps(plot, 2)))),
    ("Farm_Image_URL__c", Attachment("plot_photo")),
];

const VARIETIES: Labels = &[
    ("1", "Costa Rica 95"),
    ("2", "SL28 or 34"),
    ("3", "K7"),
    ("4", "Catimor 129"),
    ("5", "Catuai"),
    ("6", "Yellow Catuai"),
    ("7", "F6"),
    ("8", "Caturra"),
];

/// The code of a variety that is named in words.
const OTHER_VARIETY: &str = "9";

/// Farms, then varieties, then their household. Nothing where the form has no such survey.
pub(super) fn plots(form: &Form) -> Result<Vec<Upsert>, MapError> {
    let Some(plots) = form.repeat(PLOTS)? else { return Ok(Vec::new()) };
    let surveyed = SURVEYED.read(form)?;
    let (mut farms, mut varieties) = (Vec::new(), Vec::new());
    for plot in &plots {
        farms.push(FARM.read(plot)?);
        for code in plot.id_tokens("varieties")? {
            varieties.push(variety(plot, &code)?);
        }
    }
    Ok([farms, varieties, vec![surveyed]].concat())
}

/// The records that a visit with such a survey writes.
pub(super) fn describe(description: &mut Description) {
    description.record_at(&FARM, PLOTS);
    description.record_given(&VARIETY, PLOTS, &[(NAME, Label("varieties", VARIETIES))]);
    let record = Record { when: "for a variety that is named in words", ..VARIETY };
    description.record_given(&record, PLOTS, &[(NAME, Sent("other_variety"))]);
    description.record(&SURVEYED);
}

fn variety(plot: &Form, code: &str) -> Result<Upsert, MapError> {
    let name = if code == OTHER_VARIETY {
        plot.sent("other_variety")?
    } else {
        plot.label_of("varieties", code, VARIETIES).unwrap_or_default().into()
    };
    VARIETY.read_given(plot, &[given(NAME, name), given(CODE, code)])
}

const MAIN_FIELD: Rule = Rule {
    says: "true where the answer is 1, or the form does not ask; else false",
    paths: &["best_practice_plot"],
    labels: &[],
    gives: Gives::Flag,
    read: is_main_field,
};

const fn gps(read: fn(&Form) -> Result<Value, MapError>) -> Rule {
    let says = "a piece of the plot's coordinates; blank unless they have latitude, longitude and altitude";
    Rule { says, paths: &["final_gps"], labels: &[], gives: Gives::Coordinate, read }
}

/// Whether a plot is the main field. It is where the form doesn't ask, and it is not where the answer is
/// blank.
fn is_main_field(plot: &Form) -> Result<Value, MapError> {
    Ok(plot.text_if_sent("best_practice_plot")?.is_none_or(|answer| answer == "1").into())
}

/// Coordinates count only with latitude, longitude and altitude (decision S5).
fn whole_gps(plot: &Form, piece: usize) -> Result<Value, MapError> {
    let text = plot.text("final_gps")?;
    let pieces: Vec<&str> = text.split(' ').collect();
    Ok(if pieces.len() < 3 { "".into() } else { pieces[piece].into() })
}
