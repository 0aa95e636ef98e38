//! An agronomy advisor looks at a demonstration plot: `Demo Plot Observation`
//! (`docs/mappings/commcare-to-salesforce.md`, section 6).
//!
//! # Sends
//! `Observation__c`, then one `Observation_Result__c` for each criterion with a result, each
//! pruning method and each cover crop.
//!
//! # Order
//! The observation goes first: Salesforce resolves a result's observation by its submission id.
//!
//! # Country differences
//! The Ethiopian apps send labels where the others send codes. These labels are copied.
//!
//! # Kept quirks
//! - A criterion without a result is dropped with its photo and its other answers.
//! - A result whose code is unknown is dropped; so is a label from an app that should send codes.

use serde_json::Value;

use crate::jobs::describe::Description;
use crate::jobs::fields::Row;
use crate::jobs::fields::Source::{self, Attachment, Label, LabelExceptIn, Sent, Text};
use crate::jobs::form::{Form, Labels};
use crate::jobs::observation::{self, CRITERION, FOUND, PLACE, RECORD_TYPE, RESULT, SUFFIX};
use crate::jobs::record::{Record, given, table};
use crate::jobs::{Facts, MapError};
use crate::plan::{Plan, Upsert};

const OBSERVATION: Record =
    Record { tables: &[&PLACE, &table!(OBSERVATION_ROWS)], ..observation::OBSERVATION };

const QUESTIONS: &str = "form.best_practice_questions";

/// Apps that send labels.
const LABEL_APPS: &[&str] = &[
    "521097abbcfd4fa79668cb6ca3dca28a",
    "dd10fc19040d40f0be48a447e1d2727c",
    "d63cdcf6b9d849548413ca356871cd3a",
    "0c9b5791828b4baea6c1eaa4d6979c5a",
    "f079b0daae1d4d34a89e331dc5a72fbd",
    "af9f1901f966494792ade0b63e0d8568",
];

/// Salesforce's record type for a demonstration plot's results.
const DEMO_PLOT_RESULT: &str = "01224000000gQe5AAE";

const OBSERVATION_ROWS: &[Row] = &[
    ("Observer__c", Sent("form.observer")),
    ("Trainer__c", Sent("form.trainer")),
    ("Training_Group__c", Sent("form.training_group")),
    ("RecordTypeId", Sent("form.record_type")),
    ("Date__c", Sent("form.date")),
    ("Comments_1__c", Sent("form.visit_comments")),
    ("Demo_Plot_Photo__c", Attachment("form.Demo_Plot_Photo")),
    ("Observer_Signature__c", Attachment("form.agronomy_advisor_signature")),
];

/// A code; in the apps that send labels, a label.
const fn coded(path: &'static str, labels: Labels) -> Source {
    LabelExceptIn(LABEL_APPS, path, labels)
}

/// A criterion: its result, and the fields that go with the result. Read at [`QUESTIONS`].
struct Criterion {
    name: &'static str,
    result: Source,
    others: &'static [Row],
}

const CRITERIA: &[Criterion] = &[
    Criterion {
        name: "coffee_global__compost_heap",
        result: coded(
            "compost_heap.present_compost_heap",
            &[("1", "Yes, compost or manure heap seen"), ("0", "No compost or manure heap seen")],
        ),
        others: &[("Compost_Photo__c", Attachment("compost_heap.compost_heap_photo"))],
    },
    Criterion {
        name: "coffee_global__mulch",
        result: coded(
            "mulch.mulch_under_the_canopy",
            &[("1", "Yes, Some mulch seen"), ("0", "No mulch seen")],
        ),
        others: &[(
            "Result_Text__c",
            coded(
                "mulch.thickness_of_mulch",
                &[
                    ("1", "Soil can be seen clearly, less than 2cm of mulch"),
                    ("2", "Soil can not be seen, more than 2cm of mulch"),
                ],
            ),
        )],
    },
    Criterion {
        name: "coffee_global__shade_management",
        result: coded(
            "shade_management.level_of_shade_present",
            &[
                ("0", "NO shade, less than 5%"),
                ("1", "Light shade, 5 to 20%"),
                ("2", "Medium shade, 20 to 40%"),
                ("3", "Heavy shade, over 40%"),
            ],
        ),
        others: &[("Shade_Management_Photo__c", Attachment("shade_management.shade_management_photo"))],
    },
    Criterion {
        name: "coffee_global__vetiver_planted",
        result: coded(
            "vetiver.vetiver_planted",
            &[("1", "Yes. Row of vetiver planted"), ("0", "No. Vetiver not planted")],
        ),
        others: &[],
    },
    Criterion {
        name: "coffee_global__weed_management",
        result: coded(
            "weed_management.has_the_demo_plot_been_dug",
            &[("1", "Yes, field dug"), ("0", "No sign of digging")],
        ),
        others: &[
            (
                "Result_Text__c",
                coded(
                    "weed_management.how_many_weeds_are_under_the_tree_canopy",
                    &[
                        ("0", "No weeds under the tree canopy"),
                        ("1", "Few weeds under the tree canopy"),
                        ("2", "Many weeds under the tree canopy"),
                    ],
                ),
            ),
            (
                "Result_Text_Two__c",
                coded(
                    "weed_management.how_big_are_the_weeds",
                    &[
                        ("1", "Weeds are less than 30cm tall or 30cm spread for grasses"),
                        ("2", "Weeds are more than 30cm tall or 30cm spread for grasses"),
                    ],
                ),
            ),
            ("Weed_Management_Photo__c", Attachment("weed_management.weed_management_photo")),
        ],
    },
    Criterion {
        name: "coffee_global__rejuvenation",
        result: Label(
            "rejuvenation.rejuvenation_plot",
            &[("1", "Yes. There is a rejuvenated plot"), ("0", "No rejuvenated plot")],
        ),
        others: &[
            (
                "Result_Text__c",
                Label(
                    "rejuvenation.suckers_three",
                    &[
                        ("1", "Yes. Sucker selection is complete"),
                        ("0", "No. Sucker selection has not been done"),
                    ],
                ),
            ),
            ("Rejuvenation_Photo__c", Attachment("rejuvenation.suckers_photo")),
        ],
    },
    Criterion {
        name: "coffee_global__sucker_selection_taken_place",
        result: Sent("sucker_selection.Sucker_Selection_Taken_Place"),
        others: &[("Result_number__c", Sent("sucker_selection.number_of_suckers"))],
    },
    Criterion { name: "coffee_global__stumped_trees", result: Sent("stumped.stumped_trees"), others: &[] },
];

/// The criteria that have a result for each code of a multi-select answer: name, path and labels.
const MULTI_CRITERIA: &[(&str, &str, Labels)] = &[
    (
        "coffee_global__pruning",
        "pruning.pruning_methods",
        &[
            ("1", "Centers opened"),
            ("2", "Unwanted suckers removed"),
            ("3", "Dead branches removed"),
            ("4", "Branches touching the ground removed"),
            ("5", "Broken/unproductive stems and/or branches removed"),
            ("0", "No pruning methods used"),
        ],
    ),
    (
        "coffee_global__covercrop_planted",
        "covercropping.covercrop_present",
        &[("1", "Arachis"), ("2", "Beans"), ("3", "Mulch"), ("0", "No Covercropping Practice")],
    ),
];

/// Maps a demonstration plot observation.
pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let form = Form::new(payload, facts);
    let mut upserts = vec![OBSERVATION.read(&form)?];
    let questions = form.group(QUESTIONS)?;
    for criterion in CRITERIA {
        upserts.extend(criterion_result(criterion, &questions)?);
    }
    for (criterion, path, labels) in MULTI_CRITERIA {
        for code in questions.tokens(path)? {
            if let Some(label) = questions.label_of(path, &code, labels) {
                upserts.push(result(&questions, criterion, &code, label.into())?);
            }
        }
    }
    Ok(Plan::salesforce(upserts).reporting(form.unmapped()))
}

/// The records that the form may write.
pub(super) fn describe(description: &mut Description) {
    description.record(&OBSERVATION);
    for Criterion { name, result, others } in CRITERIA {
        let own = [
            (CRITERION, Text(name)),
            (SUFFIX, Text("")),
            (RECORD_TYPE, Text(DEMO_PLOT_RESULT)),
            (FOUND, *result),
        ];
        let record = Record { when: "the criterion has a result", ..RESULT };
        description.record_given(&record, QUESTIONS, &own);
        description.rows(&record, QUESTIONS, &own, concat!("CRITERIA in ", file!()), others);
    }
    for (name, path, labels) in MULTI_CRITERIA {
        let own =
            [(CRITERION, Text(name)), (RECORD_TYPE, Text(DEMO_PLOT_RESULT)), (FOUND, Label(path, labels))];
        let record = Record { when: "for each code of the answer that has a label", ..RESULT };
        description.record_given(&record, QUESTIONS, &own);
    }
}

fn criterion_result(criterion: &Criterion, questions: &Form) -> Result<Option<Upsert>, MapError> {
    let found = criterion.result.read(questions, &[])?;
    if found == "" {
        return Ok(None);
    }
    let mut upsert = result(questions, criterion.name, "", found)?;
    for (field, answer) in criterion.others {
        upsert = upsert.set(*field, answer.read(questions, &[])?);
    }
    Ok(Some(upsert))
}

fn result(questions: &Form, criterion: &str, suffix: &str, found: Value) -> Result<Upsert, MapError> {
    let own = [
        given(CRITERION, criterion),
        given(SUFFIX, suffix),
        given(RECORD_TYPE, DEMO_PLOT_RESULT),
        given(FOUND, found),
    ];
    RESULT.read_given(questions, &own)
}
