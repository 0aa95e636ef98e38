//! A mill's operations: infrastructure, waste water, quality, water and energy.

use serde_json::Value;

use super::{MemberRule, Note};
use crate::jobs::form::{Labels, as_text};
use crate::jobs::wetmill_visit::group::{Group, Rule};

/// Who extends the tables looks here.
pub(super) const FILE: &str = file!();

pub(super) const INFRASTRUCTURE_NOTES: &[Note] = &[
    Note {
        group: "",
        member: IN_REPAIR,
        says: "a row with the label of each code, without what needs repair",
        labels: &[REPAIR],
    },
    Note {
        group: "",
        member: NEEDS_REPAIR_CODES,
        says: "as sent; and a row with the label of each code under which_of_the_following_needs_repair",
        labels: &[REPAIR],
    },
];

pub(super) const WATER_NOTES: &[Note] = &[Note {
    group: WATER,
    member: OTHER_EFFORT,
    says: "one more row of the efforts, unless it is blank; and as sent",
    labels: &[],
}];

pub(super) const INFRASTRUCTURE: &[MemberRule] = &[
    ("", "main_water_source", Rule::OneOf(WATER_SOURCE)),
    ("", "pulping_machine_brand", Rule::OneOf(PULPER_BRAND)),
    ("", "pulping_machine_type", Rule::OneOf(PULPER_TYPE)),
    ("", "network_coverage", Rule::OneOf(NETWORK)),
];

pub(super) const WASTE_WATER: &[MemberRule] = &[
    ("lagoons", "material", Rule::OneOf(&[("1", "Earth"), ("2", "Concrete")])),
    ("lagoons", "photo", Rule::PhotoIfAny),
    (
        "vetiver_wetland",
        "type_of_wetland",
        Rule::OneOf(&[("1", "Single wetland"), ("2", "Stepped wetland (multiple wetlands)")]),
    ),
    ("vetiver_wetland", "maintenance_done", Rule::ManyOf(MAINTENANCE)),
    ("vetiver_wetland", "photo", Rule::PhotoOrNull),
    ("advice_to_wet_mill", "advice_type", Rule::ManyOf(ADVICE)),
    ("pulp_separator", "waste_water_management_methods", Rule::ManyOf(WASTE_WATER_METHODS)),
    // Labelled for every method (decision P13).
    ("pulp_separator", "how_is_the_pulp_separated", Rule::ManyOrNone(PULP_SEPARATION)),
];

pub(super) const CPQI: &[MemberRule] = &[
    ("cherry_reception", "cherry_sorting", Rule::YesNo),
    ("cherry_reception", "cherry_weighing_essentials", Rule::YesNo),
    ("cherry_reception", "quality_cherry_delivery", Rule::YesNo),
    ("pulping", "machine_calibration", Rule::YesNo),
    ("pulping", "machine_cleanliness", Rule::YesNo),
    ("pulping", "timely_cherry_pulping", Rule::YesNo),
    ("pulping", "water_source_cleanliness", Rule::YesNo),
    ("drying", "bean_moisture_measurement", Rule::YesNo),
    ("drying", "covering_coffee", Rule::YesNo),
    ("drying", "drying_table_bean_depth", Rule::YesNo),
    ("drying", "drying_table_flatness", Rule::YesNo),
    ("drying", "parchment_sorting", Rule::YesNo),
    ("fermentation", "fermentation_monitoring", Rule::YesNo),
    ("fermentation", "fermentation_tank_cleanliness", Rule::YesNo),
    ("storage", "orderly_store_registry", Rule::YesNo),
    ("storage", "store_cleanliness", Rule::YesNo),
    ("washing", "washing_channel_cleanliness", Rule::YesNo),
    ("washing", "washing_monitoring", Rule::YesNo),
];

pub(super) const WATER_AND_ENERGY: &[MemberRule] = &[
    (WATER, "what_method_is_used_to_measure_water_use", Rule::OneOf(WATER_MEASURES)),
    (WATER, EFFORTS, Rule::ManyOrNone(WATER_EFFORTS)),
    (WATER, "is_there_a_record_book", Rule::YesIf1),
    (WATER, "photo_fo_the_office_records", Rule::PhotoOrNull),
    (WATER, "photo_of_water_meter", Rule::PhotoOrNull),
    (ENERGY, "which_energy_source_is_used_at_the_wet_mill", Rule::ManyOf(ENERGY_SOURCES)),
    (ENERGY, "is_there_an_energy_record_book_to_track_energy", Rule::YesIf1),
    (ENERGY, "photo_of_the_electric_meter", Rule::PhotoOrNull),
    (ENERGY, "photo_of_the_diesel_generator", Rule::PhotoOrNull),
    (ENERGY, "photo_of_the_solar_panels", Rule::PhotoOrNull),
    (ENERGY, "photo_of_energy_record_book", Rule::PhotoOrNull),
];

const WATER: &str = "water_usage";
const ENERGY: &str = "energy_use";
const EFFORTS: &str = "are_there_any_efforts_going_on_to_reduce_water_consumption";
const OTHER_EFFORT: &str = "please_specify_the_other_efforts_going_on_to_reduce_the_water_consumption";

const IN_REPAIR: &str = "are_the_following_in_good_state_of_repair";
const NEEDS_REPAIR: &str = "which_of_the_following_needs_repair";
const NEEDS_REPAIR_CODES: &str = "which_of_the_following_needs_repair_check_all_that_apply";

/// Removes what needs repair from what is in good repair. The codes of what needs repair are stored
/// beside their labels.
pub(super) fn infrastructure(survey: &mut Group) {
    let needing = survey.text(NEEDS_REPAIR_CODES).map(str::to_owned);
    if let Some(codes) = &needing {
        let labels = survey.labels(NEEDS_REPAIR_CODES, codes, REPAIR);
        survey.set(NEEDS_REPAIR, labels);
    }
    if let Some(codes) = survey.text(IN_REPAIR) {
        let needs_repair = |code: &&str| {
            needing.iter().flat_map(|codes| codes.split_whitespace()).any(|other| other == *code)
        };
        let codes: Vec<&str> = codes.split_whitespace().filter(|code| !needs_repair(code)).collect();
        let labels = survey.labels(IN_REPAIR, &codes.join(" "), REPAIR);
        survey.set(IN_REPAIR, labels);
    }
}

/// An effort in words becomes one more entry of the list, unless it is blank (decision P4).
pub(super) fn water_and_energy(survey: &mut Group) {
    let Some(water) = survey.within(WATER) else { return };
    let effort =
        water.get(OTHER_EFFORT).filter(|effort| as_text(effort).is_none_or(|text| !text.trim().is_empty()));
    let effort = effort.cloned();
    if let (Some(effort), Some(Value::Array(efforts))) = (effort, water.members.get_mut(EFFORTS)) {
        efforts.push(effort);
    }
}

const REPAIR: Labels = &[
    ("1", "Constant, clean source of water"),
    ("2", "Water circulation and/or treatment"),
    ("3", "Water meter for measurement"),
    ("4", "Floatation tank"),
    ("5", "Cherry reception hopper"),
    ("6", "Fermentation tanks"),
    ("7", "Grading channels"),
    ("8", "Pulp hopper"),
    ("9", "General mills area clean and orderly"),
    ("10", "Drying tables in a good state of repair"),
    ("11", "Storage area clean"),
    ("12", "Weighing scale is calibrated"),
    ("13", "Pulp machine calibrated and oiled"),
    ("14", "Moisture meter, thermometer, hygrometer"),
    ("15", "Cherry purchasing receipts in stock"),
    ("16", "Covering materials available"),
    ("0", "None"),
];

const WATER_SOURCE: Labels = &[
    ("1", "River"),
    ("2", "Dam"),
    ("3", "Water pan"),
    ("4", "Piped system (local municipality)"),
    ("5", "Borehole"),
    ("6", "Spring"),
    ("7", "Roof catchment (rainwater)"),
];

const PULPER_BRAND: Labels = &[
    ("1", "Penagos"),
    ("2", "Mckinnon"),
    ("3", "Bendal"),
    ("4", "Pinhalense"),
    ("5", "Pre-agard"),
    ("6", "Agard"),
    ("7", "JM Estrada"),
    ("8", "Pallin & Alvis"),
    ("9", "Marshall Fowler"),
];

const PULPER_TYPE: Labels = &[("1", "Disc"), ("2", "Drum"), ("3", "Scree")];

const NETWORK: Labels = &[("1", "2G"), ("2", "3G"), ("3", "4G")];

const MAINTENANCE: Labels = &[
    ("1", "Leveling/correction"),
    ("2", "Soil bund maintenance"),
    ("3", "Vetiver grass replacement"),
    ("4", "Weeding"),
    ("5", "Vetiver cutting"),
    ("6", "Connecting channel maintenance"),
    ("0", "None"),
];

const ADVICE: Labels = &[
    ("1", "Pulp separation advice"),
    ("2", "Lagoon or pond maintenance or location advice"),
    ("3", "Vetiver wetland maintenance advice"),
];

const WASTE_WATER_METHODS: Labels = &[
    ("1", "Open lagoon or pond"),
    ("2", "Vetiver Wetland"),
    ("0", "No wastewater management, released onto land or into river"),
];

const PULP_SEPARATION: Labels = &[
    ("1", "Pulp hopper"),
    ("2", "Re-circulation pump with skin tower"),
    ("4", "Large metal sifter or separator"),
    ("eco-pulper", "Eco-pulper"),
];

const WATER_MEASURES: Labels =
    &[("1", "Water meter"), ("2", "Dip stick and tank size"), ("0", "No method used")];

const WATER_EFFORTS: Labels = &[
    ("1", "Turning water taps off when not in use"),
    ("2", "Recirculation pump"),
    ("0", "No efforts being made to reduce water consumption"),
    ("3", "Eco pulper"),
    ("4", "Repairing all leaks in tanks, pipes and gate valves"),
];

const ENERGY_SOURCES: Labels =
    &[("1", "Mains electricity"), ("2", "Diesel generator"), ("3", "Solar panels")];
