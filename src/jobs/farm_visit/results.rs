//! One `FV_Best_Practice_Results__c` for each code of a multi-select answer
//! (`docs/mappings/commcare-to-salesforce.md`, section 8.3).
//!
//! A family is one question and its labels. A country with other labels has its own family. A code
//! without a label makes a row, too.

use serde_json::Value;

use super::result_labels as labels;
use super::{FarmVisit, PRACTICES, VISIT_KEY};
use crate::jobs::MapError;
use crate::jobs::country::Country::{self, Bu, Et, Ke, Other, Pr, Zm};
use crate::jobs::country::{ALL, NOT_ET};
use crate::jobs::describe::Description;
use crate::jobs::fields::Piece::{Answer, Own, Words};
use crate::jobs::fields::Row;
use crate::jobs::fields::Source::{self, Given, Id, LabelOr, Sent, SentOrNull, Text};
use crate::jobs::form::Labels;
use crate::jobs::record::{Record, given, table};
use crate::plan::Upsert;

/// Read at the group that holds the best practices.
const RESULT: Record = Record {
    object: "FV_Best_Practice_Results__c",
    key: "Best_Practice_Result_Submission_ID__c",
    id: &[Words("FVBPN-"), Answer("payload.id"), Words("_"), Own(INFIX), Words("_"), Own(CODE)],
    when: "for each code of the answer",
    tables: &[&table!(RESULT_ROWS)],
    optional: &[],
};

const RESULT_ROWS: &[Row] = &[
    ("FV_Submission_ID__c", Id(VISIT_KEY)),
    ("FV_Best_Practices__r.FV_Submission_ID__c", Id(VISIT_KEY)),
    ("Best_Practice_Result_Type__c", Given(TYPE)),
    ("Best_Practice_Result_Description__c", Given(DESCRIPTION)),
];

/// The names of what a family knows of its row.
const INFIX: &str = "family";
const CODE: &str = "code";
const TYPE: &str = "type";
const DESCRIPTION: &str = "description";

/// What a row says of a question that the phone hides.
const HIDDEN: &str = "N/A";

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
        return Ok(vec![row(family, visit, "", HIDDEN.into())?]);
    }
    codes
        .iter()
        .map(|code| {
            let description = if hidden { HIDDEN.into() } else { description(family, visit, code)? };
            row(family, visit, code, description)
        })
        .collect()
}

fn description(family: &Family, visit: &FarmVisit, code: &str) -> Result<Value, MapError> {
    match family.in_words {
        Some((own, source)) if own == code => source.read(&visit.practices, &[]),
        _ => Ok(visit.practices.label_of(family.path, code, family.labels).unwrap_or(family.fallback).into()),
    }
}

fn row(family: &Family, visit: &FarmVisit, code: &str, description: Value) -> Result<Upsert, MapError> {
    let own = [
        given(INFIX, family.infix),
        given(CODE, code),
        given(TYPE, family.type_label),
        given(DESCRIPTION, description),
    ];
    RESULT.read_given(&visit.practices, &own)
}

/// The rows of every family.
pub(super) fn describe(description: &mut Description) {
    for family in FAMILIES {
        let own =
            |source| [(INFIX, Text(family.infix)), (TYPE, Text(family.type_label)), (DESCRIPTION, source)];
        let labelled = LabelOr(family.path, family.labels, family.fallback);
        description.family(&RESULT, family.countries, PRACTICES, &own(labelled), FAMILIES_NAME);
        if let Some((_, source)) = family.in_words {
            let record = Record { when: "for the code that stands for an answer in words", ..RESULT };
            description.family(&record, family.countries, PRACTICES, &own(source), FAMILIES_NAME);
        }
        if family.hidden_below.is_some() {
            let record = Record { when: "the phone hides the question, as the field is young", ..RESULT };
            description.family(&record, family.countries, PRACTICES, &own(Text(HIDDEN)), FAMILIES_NAME);
        }
    }
}

const FAMILIES_NAME: &str = concat!("FAMILIES in ", file!());
