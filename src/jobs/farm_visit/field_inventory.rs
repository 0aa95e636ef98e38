//! The field inventory survey of a visit: plots and their coffee varieties
//! (`docs/mappings/commcare-to-salesforce.md`, section 8.5). Only Zambia's forms ask for it, but it is
//! written for every form that has the data.

use serde_json::Value;

use super::FarmVisit;
use crate::jobs::MapError;
use crate::jobs::fields::Source::{Attachment, IsOneOf, Rule, Sent};
use crate::jobs::fields::{Row, fill};
use crate::jobs::form::{Form, Labels};
use crate::plan::Upsert;

/// Read at a plot.
const FARM: &[Row] = &[
    ("Farm_Size_Coffee_Trees__c", Sent("total_coffee")),
    ("Farm_Size_Land_Measurements__c", Sent("farm_size_ha")),
    ("Main_Coffee_Field__c", Rule(is_main_field)),
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
    ("Farm_GPS_Coordinates__Latitude__s", Rule(|plot| whole_gps(plot, 0))),
    ("Farm_GPS_Coordinates__Longitude__s", Rule(|plot| whole_gps(plot, 1))),
    ("Altitude__c", Rule(|plot| whole_gps(plot, 2))),
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
pub(super) fn plots(visit: &FarmVisit) -> Result<Vec<Upsert>, MapError> {
    let Some(plots) = visit.form.repeat("form.field_inventory_survey.general_plot_information")? else {
        return Ok(Vec::new());
    };
    let household = visit.form.id("form.household_tns_id")?;
    let (mut farms, mut varieties) = (Vec::new(), Vec::new());
    for plot in &plots {
        let index = plot.id("current_index")?;
        let farm_id = format!("F-0{index}-{household}");
        let farm = Upsert::new("Farm__c", "TNS_Id__c", &farm_id)
            .set("Name", format!("0{index}"))
            .relate("Household__r", "Household_ID__c", &*household)
            .relate("Latest_Farm_Visit_Record__r", "FV_Submission_ID__c", &*visit.key);
        farms.push(fill(farm, FARM, plot)?);
        for code in plot.id_tokens("varieties")? {
            varieties.push(variety(plot, &code, &farm_id)?);
        }
    }
    let surveyed = Upsert::new("Household__c", "Household_ID__c", household)
        .set("FIS_Completed__c", true)
        .relate("Lastest_Visit_with_FIS__r", "FV_Submission_ID__c", &*visit.key);
    Ok([farms, varieties, vec![surveyed]].concat())
}

fn variety(plot: &Form, code: &str, farm_id: &str) -> Result<Upsert, MapError> {
    let name = if code == OTHER_VARIETY {
        plot.sent("other_variety")?
    } else {
        plot.label_of("varieties", code, VARIETIES).unwrap_or_default().into()
    };
    Ok(Upsert::new("Coffee_Variety__c", "Name", format!("CV-0{code}-{farm_id}"))
        .set("Variety_Type_Name__c", name)
        .set("Variety_Number_of_Trees__c", plot.sent_under_key(&format!("variety_{code}")))
        .relate("Farm__r", "TNS_Id__c", farm_id))
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
