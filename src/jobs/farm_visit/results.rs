//! One `FV_Best_Practice_Results__c` for each code of a multi-select answer
//! (`docs/mappings/commcare-to-salesforce.md`, section 8.3).
//!
//! A family is one question and its labels. A country with other labels has its own family. A code
//! without a label makes a row, too.

use serde_json::Value;

use super::FarmVisit;
use super::country::Country::{self, Bu, Et, Ke, Other, Pr, Zm};
use super::country::{ALL, NOT_ET};
use super::result_labels as labels;
use crate::jobs::MapError;
use crate::jobs::fields::Source::{self, Sent, SentOrNull};
use crate::jobs::form::Labels;
use crate::plan::Upsert;

/// The rows of one question.
#[derive(Clone, Copy)]
struct Family {
    countries: &'static [Country],
    /// The answer's path, from the group that holds the best practices.
    path: &'static str,
    /// The part of an external id that tells this family's rows from another family's.
    infix: &'static str,
    /// The family's label in Salesforce.
    type_label: &'static str,
    labels: Labels,
    /// The code that stands for an answer in words, and the source of that answer.
    in_words: Option<(&'static str, Source)>,
    /// The description of a code without label.
    fallback: &'static str,
    /// An answer and the code that it must have, or there are no rows.
    only_if: Option<(&'static str, &'static str)>,
    /// The field age below which the phone hides the question. Then every row says `N/A`, and a form
    /// without an answer gives one such row (decision S9).
    hidden_below: Option<f64>,
}

/// The values that most families share.
const FAMILY: Family = Family {
    countries: ALL,
    path: "",
    infix: "",
    type_label: "",
    labels: &[],
    in_words: None,
    fallback: "",
    only_if: None,
    hidden_below: None,
};

const EROSION: Family = Family {
    path: "erosion_control.methods_of_erosion_control",
    infix: "erosion",
    type_label: "Erosion Control",
    fallback: "Unknown Result",
    ..FAMILY
};

const FERTILIZER: Family = Family {
    path: "nutrition.type_chemical_applied_on_coffee_last_12_months",
    infix: "fertilizer",
    type_label: "Chemicals and Fertilizers Applied",
    ..FAMILY
};

/// Ethiopia asks about the white stem borer, and yet stores the answer as berry borer.
const BORER: Family = Family {
    path: "pest_disease_management.methods_of_controlling_coffee_berry_borer",
    infix: "cbb",
    type_label: "Management of Coffee Berry Borer (CBB)",
    ..FAMILY
};

const LEAF_RUST: Family = Family {
    path: "pest_disease_management.methods_of_controlling_coffee_leaf_rust",
    infix: "clr",
    type_label: "Management of Coffee Leaf Rust (CLR)",
    ..FAMILY
};

const PRUNING: Family = Family {
    path: "pruning.pruning_method_on_majority_trees",
    infix: "pruning",
    type_label: "Pruning",
    labels: labels::PRUNING,
    ..FAMILY
};

const WEEDING: Family = Family {
    path: "weeding.which_product_have_you_used",
    infix: "weeding",
    type_label: "Weeding",
    only_if: Some(("weeding.used_herbicides", "yes")),
    ..FAMILY
};

const PESTS: Family = Family {
    path: "pesticide_use.which_pests_cause_you_problems",
    infix: "pesticide_use_problems",
    type_label: "Pest Problems",
    ..FAMILY
};

const SPRAYS: Family = Family {
    path: "pesticide_use.do_you_spray_any_of_the_following_on_your_farm_for_leaf_miner_or_rust",
    infix: "pesticide_use_sprays",
    type_label: "Pest Sprays",
    ..FAMILY
};

const COMPOST: Family = Family {
    path: "form.compost.do_you_have_compost_manure",
    infix: "compost",
    type_label: "Compost",
    ..FAMILY
};

/// Read below `form.best_practice_questions` even where the best practices stand at the form's root.
const KITCHEN_GARDEN: Family = Family {
    path: "form.best_practice_questions.kitchen_garden.vegetables_planted",
    infix: "kitchen_garden",
    type_label: "Kitchen Garden",
    ..FAMILY
};

/// In the order in which their rows are sent.
const FAMILIES: &[Family] = &[
    Family { countries: NOT_ET, labels: labels::EROSION, ..EROSION },
    Family { countries: &[Et], labels: labels::EROSION_ET, ..EROSION },
    Family { countries: &[Ke], labels: labels::FERTILIZER_KE, ..FERTILIZER },
    Family { countries: &[Bu], labels: labels::FERTILIZER_BU, ..FERTILIZER },
    Family { countries: &[Pr], labels: labels::FERTILIZER_PR, ..FERTILIZER },
    Family { countries: &[Zm], labels: labels::FERTILIZER_ZM, ..FERTILIZER },
    Family { countries: &[Et], labels: labels::FERTILIZER_ET, ..FERTILIZER },
    Family { countries: &[Other], labels: labels::FERTILIZER_OTHER, ..FERTILIZER },
    Family { countries: &[Ke, Bu], labels: labels::BERRY_BORER_KE_BU, ..BORER },
    Family { countries: &[Zm], labels: labels::BERRY_BORER_ZM, ..BORER },
    Family { countries: &[Pr], labels: labels::BERRY_BORER_PR, ..BORER },
    Family { countries: &[Other], labels: labels::BERRY_BORER_OTHER, ..BORER },
    Family {
        countries: &[Et],
        path: "pest_disease_management.methods_of_controlling_white_stem_borer",
        labels: labels::STEM_BORER_ET,
        ..BORER
    },
    Family { countries: &[Pr], labels: labels::LEAF_RUST, ..LEAF_RUST },
    Family { countries: &[Pr, Zm], hidden_below: Some(3.0), ..PRUNING },
    Family { countries: &[Ke, Bu], ..PRUNING },
    Family {
        countries: &[Zm, Ke],
        labels: labels::HERBICIDES,
        in_words: Some(("3", SentOrNull("weeding.ask_which_other_product_have_you_used"))),
        ..WEEDING
    },
    Family { countries: &[Pr], labels: labels::HERBICIDES_PR, ..WEEDING },
    Family { countries: &[Pr], labels: labels::PESTS, ..PESTS },
    Family { countries: &[Pr], labels: labels::SPRAYS, ..SPRAYS },
    Family { countries: &[Bu], labels: labels::COMPOST, ..COMPOST },
    Family {
        labels: labels::VEGETABLES,
        in_words: Some(("99", Sent("form.best_practice_questions.kitchen_garden.other_vegetables_planted"))),
        ..KITCHEN_GARDEN
    },
];

/// The rows of every family that applies to the visit.
pub(super) fn results(visit: &FarmVisit) -> Result<Vec<Upsert>, MapError> {
    let mut upserts = Vec::new();
    for family in FAMILIES.iter().filter(|family| family.countries.contains(&visit.country)) {
        if is_asked(family, visit)? {
            upserts.extend(family_results(family, visit)?);
        }
    }
    Ok(upserts)
}

fn is_asked(family: &Family, visit: &FarmVisit) -> Result<bool, MapError> {
    match family.only_if {
        Some((path, code)) => visit.practices.is(path, code),
        None => Ok(true),
    }
}

fn family_results(family: &Family, visit: &FarmVisit) -> Result<Vec<Upsert>, MapError> {
    let codes = visit.practices.id_tokens(family.path)?;
    let hidden = match family.hidden_below {
        Some(age) => visit.form.decimal("form.field_age")? < age,
        None => false,
    };
    if hidden && codes.is_empty() {
        return Ok(vec![row(family, visit, "", "N/A".into())]);
    }
    codes
        .iter()
        .map(|code| {
            let description = if hidden { "N/A".into() } else { describe(family, visit, code)? };
            Ok(row(family, visit, code, description))
        })
        .collect()
}

fn describe(family: &Family, visit: &FarmVisit, code: &str) -> Result<Value, MapError> {
    match family.in_words {
        Some((own, source)) if own == code => source.read(&visit.practices),
        _ => Ok(visit.practices.label_of(family.path, code, family.labels).unwrap_or(family.fallback).into()),
    }
}

fn row(family: &Family, visit: &FarmVisit, code: &str, description: Value) -> Upsert {
    let external_id = format!("FVBPN-{}_{}_{code}", visit.id, family.infix);
    Upsert::new("FV_Best_Practice_Results__c", "Best_Practice_Result_Submission_ID__c", external_id)
        .set("FV_Submission_ID__c", &*visit.key)
        .relate("FV_Best_Practices__r", "FV_Submission_ID__c", &*visit.key)
        .set("Best_Practice_Result_Type__c", family.type_label)
        .set("Best_Practice_Result_Description__c", description)
}
