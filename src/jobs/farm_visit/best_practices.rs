//! The best practices that the visitor saw on the farm: one `FV_Best_Practices__c` for every visit
//! (`docs/mappings/commcare-to-salesforce.md`, section 8.2).

use serde_json::Value;

use super::{FarmVisit, PRACTICES, VISIT_KEY, YES_NO};
use crate::jobs::MapError;
use crate::jobs::country::Country::{Bu, Et, Ke, Pr, Zm};
use crate::jobs::country::{ALL, NOT_BU, NOT_ET, Section};
use crate::jobs::describe::Description;
use crate::jobs::entry::Gives;
use crate::jobs::fields::Condition::{Is, Positive};
use crate::jobs::fields::Source::{self, Attachment, AttachmentIf, Id, Label, LabelOr, Sent, Text};
use crate::jobs::fields::{APP, Row, Rule};
use crate::jobs::form::{Form, Labels, find_label};
use crate::jobs::record::{Record, table};
use crate::plan::Upsert;

/// Read at the group that holds the best practices.
const RECORD: Record = Record {
    object: "FV_Best_Practices__c",
    key: "FV_Submission_ID__c",
    id: VISIT_KEY,
    when: "",
    tables: &[&table!(NAME_AND_VISIT), &table!(by country BEST_PRACTICES)],
    optional: &[],
};

const NAME_AND_VISIT: &[Row] =
    &[("Name__c", Id(VISIT_KEY)), ("Farm_Visit__r.FV_Submission_ID__c", Id(VISIT_KEY))];

/// Paths count from the group that holds the best practices; `form.…` counts from the top.
const BEST_PRACTICES: &[Section] = &[
    (
        ALL,
        &[
            (
                "Color_of_coffee_tree_leaves__c",
                Label(
                    "nutrition.are_the_leave_green_or_yellow_pale_green",
                    &[
                        ("0", "5% or more (5 or more in 100) of the leaves are yellow, pale green or brown."),
                        (
                            "1",
                            "Nearly all leaves are dark green and less than 5% (less than 5 in 100) are yellow, pale green, or brown.",
                        ),
                    ],
                ),
            ),
            (
                "how_many_weeds_under_canopy_and_how_big__c",
                Label(
                    "weeding.how_many_weeds_under_canopy_and_how_big_are_they",
                    &[
                        ("1", "Few small weeds (less than 30cm) under the tree canopy"),
                        ("2", "Many small weeds under the tree canopy (ground is covered with weeds)"),
                        ("3", "Many large weeds under the tree canopy (ground is covered with weeds)"),
                    ],
                ),
            ),
            ("Have_herbicides_been_used_on_the_field__c", Sent("weeding.used_herbicides")),
            (
                "level_of_shade_present_on_the_farm__c",
                Label(
                    "shade_control.level_of_shade_present_on_the_farm",
                    &[
                        ("0", "NO shade, less than 5%"),
                        ("1", "Light shade, 5 to 20%"),
                        ("2", "Medium shade, 20 to 40%"),
                        ("3", "Heavy shade, over 40%"),
                    ],
                ),
            ),
            (
                "photo_of_level_of_shade_on_the_plot__c",
                Attachment("shade_control.photo_of_level_of_shade_on_the_plot"),
            ),
            (
                "have_new_shade_been_planted_last_3_years__c",
                Label(
                    "shade_control.new_shade_trees_in_the_last_3_years",
                    &[("0", "No"), ("1", "Yes"), ("2", "Few new shade trees")],
                ),
            ),
            ("do_you_have_a_record_book__c", Label("record_keeping.do_you_have_a_record_book", YES_NO)),
            (
                "are_there_records_on_the_record_book__c",
                Label("record_keeping.are_there_records_on_the_record_book", YES_NO),
            ),
            (
                "take_a_photo_of_the_record_book__c",
                AttachmentIf(
                    "record_keeping.take_a_photo_of_the_record_book",
                    Is("record_keeping.are_there_records_on_the_record_book", "1"),
                ),
            ),
        ],
    ),
    (&[Et], &[("photo_of_weeds_under_the_canopy__c", Attachment("weeding.photo_of_weeds_under_the_canopy"))]),
    (NOT_ET, &[("photo_of_weeds_under_the_canopy__c", Attachment("weeding.weeds_under_the_canopy_photo"))]),
    (
        NOT_BU,
        &[
            ("do_you_have_compost_manure__c", Label("compost.do_you_have_compost_manure", YES_NO)),
            (
                "photo_of_the_compost_manure__c",
                AttachmentIf(
                    "compost.photo_of_the_compost_manure",
                    Is("compost.do_you_have_compost_manure", "1"),
                ),
            ),
        ],
    ),
    (
        &[Bu],
        &[
            ("do_you_have_compost_manure__c", Text("")),
            ("photo_of_the_compost_manure__c", Source::Rule(&PHOTO_OF_ANY_COMPOST)),
        ],
    ),
    (
        &[Ke, Bu],
        &[
            ("used_pesticide__c", LabelOr("safe_use_of_pesticides.used_pesticides", YES_NO, "No")),
            ("pesticide_number_of_times__c", Sent("safe_use_of_pesticides.pesticide_number_of_times")),
            (
                "pesticide_spray_type__c",
                Label(
                    "safe_use_of_pesticides.pesticide_spray_type",
                    &[("1", "Routine spray"), ("2", "After scouting and seeing a pest")],
                ),
            ),
        ],
    ),
    (
        &[Zm],
        &[
            (
                "health_of_new_planting_choice__c",
                Label(
                    "health_of_new_planting.health_of_new_planting_choice",
                    &[
                        ("1", "The majority of trees are green and healthy and have grown well"),
                        ("2", "The majority of trees look stressed and growth is slow"),
                        ("3", "The majority of trees have dried up or died"),
                    ],
                ),
            ),
            ("planted_intercrop_bananas__c", Source::Rule(&PLANTED_BANANAS)),
            (
                "photograph_intercrop_bananas__c",
                AttachmentIf(
                    "shade_control.photograph_intercrop_bananas",
                    Is("shade_control.planted_intercrop_bananas", "yes"),
                ),
            ),
        ],
    ),
    (
        &[Ke, Zm, Pr, Bu],
        &[
            (
                "number_of_main_stems_on_majority_trees__c",
                Sent("main_stems.number_of_main_stems_on_majority_trees"),
            ),
            ("photo_of_trees_and_average_main_stems__c", Attachment("main_stems.trees_and_main_stems_photo")),
            ("Stabilizing_Grasses_Photo_URL__c", Attachment("erosion_control.stabilizing_grasses_image")),
            ("Mulch_Photo_URL__c", Attachment("erosion_control.mulch_image")),
            ("Water_Traps_Photo_URL__c", Attachment("erosion_control.water_traps_or_trenches_image")),
            ("Physical_Barriers_Photo_URL__c", Attachment("erosion_control.physical_barriers_image")),
            ("Terraces_Photo_URL__c", Attachment("erosion_control.terraces_image")),
            ("Contour_Planting_Photo_URL__c", Attachment("erosion_control.contour_planting_image")),
            ("Cover_Crop_Photo_URL__c", Attachment("erosion_control.bean_or_arachis_cover_crop_image")),
        ],
    ),
    (
        &[Bu, Et],
        &[("has_coffee_field_been_dug__c", Label("weeding.look_has_the_coffee_field_been_dug", YES_NO))],
    ),
    (
        &[Et],
        &[
            (
                "stumping_method_on_majority_of_trees__c",
                Label("stumping.stumping_methods_used_on_majority_of_trees", YES_NO),
            ),
            ("year_stumping__c", Source::Rule(&YEAR_OF_STUMPING)),
            ("number_of_trees_stumped__c", Sent("stumping.total_stumped_trees")),
            (
                "main_stems_in_majority_coffee_trees__c",
                Sent("stumping.look_on_average_how_many_main_stems_are_on_the_stumped_trees_note_to_traine"),
            ),
            (
                "photos_of_stumped_coffee_trees__c",
                AttachmentIf(
                    "stumping.photos_of_stumped_coffee_trees",
                    Is("stumping.stumping_methods_used_on_majority_of_trees", "1"),
                ),
            ),
            (
                "do_you_keep_bees__c",
                Sent(
                    "form.question1.ask_do_you_keep_bees_if_yes_ask_can_you_show_me_were_you_keep_your_bees",
                ),
            ),
            ("number_of_bee_hives__c", Sent(MODERN_HIVES)),
            ("number_of_bee_hives_transitional__c", Sent(TRANSITIONAL_HIVES)),
            (
                "number_of_bee_hives_traditional__c",
                Sent("form.question1.look_and_ask_how_many_hives_do_you_have_of_each_type_traditional"),
            ),
            (
                "take_a_photo_showing_the_modern_hives__c",
                AttachmentIf(
                    "form.question1.take_a_photo_showing_the_modern_hives_note_to_trainer_dont_get_too_close_to",
                    Positive(MODERN_HIVES),
                ),
            ),
            (
                "take_a_photo_of_the_transitional_hive__c",
                AttachmentIf(
                    "form.question1.take_a_photo_showing_the_transitional_hives__note_to_trainer_dont_get_too_c",
                    Positive(TRANSITIONAL_HIVES),
                ),
            ),
            (
                "did_you_start_beekeeping_before_feb_2023__c",
                Sent("form.question1.ask_did_you_start_beekeeping_before_february_2023"),
            ),
            (
                "take_a_photo_of_erosion_control__c",
                Attachment("erosion_control.photo_of_erosion_control_method"),
            ),
            (
                "is_there_a_kitchen_garden__c",
                Label(
                    "kitchen_garden.is_there_a_kitchen_garden",
                    &[
                        ("1", "Yes. There is a kitchen garden on the farm"),
                        ("0", "No kitchen garden planted"),
                    ],
                ),
            ),
            ("photograph_of_kitchen_garden__c", Source::Rule(&PHOTO_OF_KITCHEN_GARDEN)),
        ],
    ),
];

const MODERN_HIVES: &str = "form.question1.look_and_ask_how_many_hives_do_you_have_of_each_type";
const TRANSITIONAL_HIVES: &str =
    "form.question1.look_and_ask_how_many_hives_do_you_have_of_each_type_transitional";

/// The meaning of the stumping years in the apps of one training cohort.
struct Cohort {
    apps: &'static [&'static str],
    years: Labels,
}

const COHORTS: &[Cohort] = &[
    Cohort {
        apps: &["d63cdcf6b9d849548413ca356871cd3a", "e9fb922a1526447b9485b26c4a1b8eb5"],
        years: &[
            ("0", "January to March 2023 just after the training started"),
            ("1", "January to March 2024 at the start of the second year of training"),
        ],
    },
    Cohort {
        apps: &["dd10fc19040d40f0be48a447e1d2727c", "f079b0daae1d4d34a89e331dc5a72fbd"],
        years: &[
            ("0", "January to March 2024 just after the training started"),
            ("1", "January to March 2025 at the start of the second year of training"),
        ],
    },
    Cohort {
        apps: &["521097abbcfd4fa79668cb6ca3dca28a", "0c9b5791828b4baea6c1eaa4d6979c5a"],
        years: &[
            ("0", "January to March 2025 just after the training started"),
            ("1", "January to March 2026 at the start of the second year of training"),
        ],
    },
];

/// Stumping years that mean the same in every app.
const ANY_COHORT: Labels = &[("both_periods", "Both Stumping Periods")];

/// The best practices of a visit.
pub(super) fn best_practices(visit: &FarmVisit) -> Result<Upsert, MapError> {
    RECORD.read_for(visit.country, &visit.practices)
}

/// The record of every visit.
pub(super) fn describe(description: &mut Description) {
    description.record_at(&RECORD, PRACTICES);
}

const PHOTO_OF_ANY_COMPOST: Rule = Rule {
    says: "the address of the photo, where any kind of compost was seen",
    paths: &["form.compost.photo_of_the_compost_manure", "form.compost.do_you_have_compost_manure"],
    labels: &[],
    gives: Gives::Url,
    read: photo_of_any_compost,
};

/// In Burundi the answer may name several kinds of compost; `0` is none.
fn photo_of_any_compost(form: &Form) -> Result<Value, MapError> {
    let compost = form.text("form.compost.do_you_have_compost_manure")?;
    if compost.is_empty() || compost == "0" {
        return Ok("".into());
    }
    Ok(form.attachment("form.compost.photo_of_the_compost_manure")?.into())
}

const PLANTED_BANANAS: Rule = Rule {
    says: "the answer as sent, with a capital at its beginning: yes becomes Yes",
    paths: &["shade_control.planted_intercrop_bananas"],
    labels: &[],
    gives: Gives::Answer,
    read: planted_bananas,
};

fn planted_bananas(practices: &Form) -> Result<Value, MapError> {
    let answer = practices.text("shade_control.planted_intercrop_bananas")?;
    let mut letters = answer.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    Ok(first.chain(letters.as_str().to_lowercase().chars()).collect::<String>().into())
}

const YEAR_OF_STUMPING: Rule = Rule {
    says: "the label of the code as the app's training cohort means it; blank for a code that only other cohorts have",
    paths: &["stumping.year_stumping"],
    labels: &[COHORTS[0].years, COHORTS[1].years, COHORTS[2].years, ANY_COHORT],
    gives: Gives::Texts,
    read: year_of_stumping,
};

/// The label of a year of stumping; `""` for a year that only the cohorts of other apps know; null for a
/// year that no cohort knows.
fn year_of_stumping(practices: &Form) -> Result<Value, MapError> {
    const PATH: &str = "stumping.year_stumping";
    let code = practices.text(PATH)?;
    let app = practices.text(APP)?;
    let own =
        COHORTS.iter().find(|cohort| cohort.apps.contains(&&*app)).map_or(&[][..], |cohort| cohort.years);
    if let Some(label) = find_label(ANY_COHORT, &code).or_else(|| find_label(own, &code)) {
        return Ok(label.into());
    }
    practices.remember_unmapped(PATH, &code);
    let known = COHORTS.iter().any(|cohort| find_label(cohort.years, &code).is_some());
    Ok(if known { "".into() } else { Value::Null })
}

const PHOTO_OF_KITCHEN_GARDEN: Rule = Rule {
    says: "the address of the photo, where there is a kitchen garden; else empty",
    paths: &["kitchen_garden.photograph", "kitchen_garden.is_there_a_kitchen_garden"],
    labels: &[],
    gives: Gives::Url,
    read: photo_of_kitchen_garden,
};

/// The photo's URL, or null (not `""`) where there is no garden.
fn photo_of_kitchen_garden(practices: &Form) -> Result<Value, MapError> {
    if !practices.is("kitchen_garden.is_there_a_kitchen_garden", "1")? {
        return Ok(Value::Null);
    }
    Ok(practices.attachment("kitchen_garden.photograph")?.into())
}
