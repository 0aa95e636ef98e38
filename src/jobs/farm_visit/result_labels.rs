//! The labels of the codes of result rows: tables L1 to L10 of
//! `docs/mappings/commcare-to-salesforce.md`, section 8.3. Labels are picklist data: typos, double spaces
//! and stray capitals are kept exactly.

use crate::jobs::form::Labels;

/// Erosion control, all visits except Ethiopia's.
pub(super) const EROSION: Labels = &[
    ("1", "Stabilizing grasses"),
    ("2", "Mulch"),
    ("3", "Water traps or trenches"),
    ("4", "Physical barriers. (e.g. rocks)"),
    ("5", "Terraces"),
    ("6", "Contour planting"),
    ("7", "Bean or Arachis cover crop between the rows"),
    ("0", "No erosion control method seen"),
];

/// Erosion control, Ethiopia.
pub(super) const EROSION_ET: Labels = &[
    ("1", "Grasses such as vetiver planted in rows"),
    ("2", "Mulch"),
    ("3", "Water traps"),
    ("4", "Physical barriers. (e.g. rocks)"),
    ("5", "Terraces"),
    ("6", "Contour planting"),
    ("7", "Bean or Arachis cover crop between the rows"),
    ("0", "No erosion control method seen"),
];

/// Chemicals and fertilizers, Kenya.
pub(super) const FERTILIZER_KE: Labels = &[
    ("0", "Did NOT apply any fertilizer in past 12 months"),
    ("1", "Compost"),
    ("2", "Manure"),
    ("3", "NPK 22:6:12"),
    ("4", "NPK 17:17:17"),
    ("5", "Other NPK"),
    ("6", "Zinc/Boron Foliar feed"),
    ("7", "General Foliar feed"),
    ("8", "LIME"),
    ("9", "CAN"),
    ("10", "WonderGro"),
];

/// Chemicals and fertilizers, Burundi.
pub(super) const FERTILIZER_BU: Labels = &[
    ("0", "Did NOT apply any fertilizer in past 12 months"),
    ("1", "Compost"),
    ("2", "Manure"),
    ("3", "NPK 22:6:12"),
    ("4", "Lime"),
    ("5", "DAP"),
    ("6", "Urea"),
];

/// Chemicals and fertilizers, Puerto Rico.
pub(super) const FERTILIZER_PR: Labels = &[
    ("0", "Did NOT apply any fertilizer in past 12 months"),
    ("1", "NPK 10:10:5-10"),
    ("2", "NPK 10:10:5-10"),
    ("3", "NPK 10:5:15-20"),
    ("4", "NPK 10:5:15-20"),
    ("5", "NPK 10:5:15-20"),
    ("6", "NPK 10:5:15-20"),
    ("7", "NPK 10:5:15-20"),
    ("8", "NPK 15:5:10-19"),
    ("9", "NPK 15:5:10-19"),
    ("10", "NPK 15:5:10-19"),
    ("11", "NPK 15:15:15"),
    ("12", "NPK 20:5:10-20"),
    ("13", "NPK 20:5:10-20"),
    ("14", "DAP"),
    ("15", "Urea"),
    ("16", "Compost or Manure"),
    ("17", "Agricultural Lime - Calcium Carbonate"),
    ("18", "Nutrical (cal dolomita)"),
    ("19", "Foliar Zinc or Boron"),
    ("20", "General Foliar Feed (Nurish, Ferquido Ferqan)"),
];

/// Chemicals and fertilizers, Zambia.
pub(super) const FERTILIZER_ZM: Labels = &[
    ("0", "Did NOT apply any fertilizer in past 12 months"),
    ("1", "Compost"),
    ("2", "Manure"),
    ("3", "Lime"),
    ("4", "Compound S"),
    ("5", "Compound J"),
    ("6", "Single Super Phosphate (SSP)"),
    ("7", "Zinc/Boron Foliar Feed (Tracel)"),
    ("8", "Ammonium Nitrate"),
];

/// Chemicals and fertilizers, Ethiopia.
pub(super) const FERTILIZER_ET: Labels = &[
    ("0", "Did not apply any fertilizer in past 12 months"),
    ("1", "Compost, homemade or pulp compost"),
    ("2", "Manure"),
];

/// Chemicals and fertilizers, any other type of visit.
pub(super) const FERTILIZER_OTHER: Labels =
    &[("0", "Did NOT apply any fertilizer in past 12 months"), ("1", "Compost"), ("2", "Manure")];

/// Coffee berry borer, Kenya and Burundi.
pub(super) const BERRY_BORER_KE_BU: Labels = &[
    ("0", "Does not know any methods"),
    ("1", "Reduce pesticide use and/or encourage natural predators and parasites - beneficial insects."),
    ("2", "Strip all berries at the end of harvest, known as crop hygiene"),
    ("3", "Harvest ripe cherries regularly - to reduce pest and disease levels"),
    ("4", "Use berry borer traps"),
    ("5", "Collect fallen berries at the end of the season - crop hygiene"),
    ("6", "Feed the tree well to keep it healthy"),
    (
        "7",
        "Use good agricultural practices such as weeding or mulching to reduce stress and keep trees healthy",
    ),
    ("8", "Prune to keep the canopy open"),
    (
        "9",
        "Renovate (new planting or grafting) or rejuvenate regularly to keep main stems less than 8 years old",
    ),
    ("10", "Plant and grow disease resistant varieties e.g. Ruiru 11 and Batian"),
    ("11", "Smooth the bark to reduce egg laying sites for While Coffee Borer"),
    ("12", "Spray regular pesticides"),
    ("13", "Spray homemade herbal or botanical pesticides"),
];

/// Coffee berry borer, Zambia.
pub(super) const BERRY_BORER_ZM: Labels = &[
    ("0", "Does not know any methods"),
    ("1", "Reduce pesticide use and/or encourage natural predators and parasites - beneficial insects."),
    ("2", "Strip all berries at the end of harvest, known as crop hygiene"),
    ("3", "Harvest ripe cherries regularly - to reduce pest and disease levels"),
    ("4", "Use berry borer traps"),
    ("5", "Collect fallen berries at the end of the season - crop hygiene"),
    ("6", "Feed the tree well to keep it healthy"),
    (
        "7",
        "Use good agricultural practices such as weeding or mulching to reduce stress and keep trees healthy",
    ),
    ("8", "Prune to keep the canopy open"),
    ("9", "Renovate (new planting) or rejuvenate regularly to keep main stems less than 8 years old"),
    ("10", "Plant and grow disease resistant varieties"),
    ("11", "Smooth the bark to reduce egg laying sites for While Coffee Borer"),
    ("12", "Spray regular pesticides"),
    ("13", "Spray homemade herbal or botanical pesticides"),
];

/// White stem borer, Ethiopia.
pub(super) const STEM_BORER_ET: Labels = &[
    ("0", "Does not know any methods"),
    ("1", "Encourage natural predators and parasites"),
    ("2", "Strip all berries at the end of the harvest or collect fallen berries"),
    ("3", "Harvest ripe cherries regularly"),
    ("4", "Use berry borer traps"),
    ("5", "Use compost or manure, to keep the tree healthy"),
    (
        "6",
        "Use good agricultural practices such as weeding or mulching to reduce stress and keep trees healthy",
    ),
    ("7", "Stump old coffee"),
    ("8", "Plant disease resistant varieties"),
    ("9", "Prune to keep the canopy open"),
    ("10", "Uproot wilt infected coffee trees and burn"),
    ("11", "Uproot wilt infected coffee trees and burn"),
];

/// Coffee berry borer, Puerto Rico.
pub(super) const BERRY_BORER_PR: Labels = &[
    ("0", "Does not know any methods"),
    ("1", "Reduce pesticide use and encourage natural predators"),
    ("2", "Strip all berries at the end of harvest"),
    ("3", "Harvest ripe cherries regularly"),
    ("4", "Collect fallen berries"),
    ("5", "Use berry borer traps"),
    ("6", "Spray pesticides"),
];

/// Coffee berry borer, any other type of visit.
pub(super) const BERRY_BORER_OTHER: Labels = &[("0", "Does not know any methods")];

/// Coffee leaf rust.
pub(super) const LEAF_RUST: Labels = &[
    ("1", "Feed the tree well to keep it healthy"),
    (
        "2",
        "Use good agricultural practices such as weeding or mulching to reduce stress and keep trees healthy",
    ),
    ("3", "Prune or keep canopy open"),
    ("4", "Spray fungicides"),
    ("5", "Grow resistant varieties"),
    ("0", "Does not know any methods"),
];

/// Pruning.
pub(super) const PRUNING: Labels = &[
    ("1", "Centers opened"),
    ("2", "Unwanted suckers removed"),
    ("3", "Dead branches removed"),
    ("4", "Branches touching the ground removed"),
    ("5", "Broken / unproductive stems and/or branches removed"),
    ("0", "No pruning methods used"),
];

/// Herbicides, Zambia and Kenya.
pub(super) const HERBICIDES: Labels = &[("1", "Glyphosate (Eg Round Up)"), ("2", "Paraquat (Eg. Gramoxone)")];

/// Herbicides, Puerto Rico. Its forms do not ask for the name of another product.
pub(super) const HERBICIDES_PR: Labels = &[
    ("1", "Glyphosate (Honcho Plus, Round Up Ultra, GlyStar Plus, Credit, Compare and Save, TouchDown)"),
    ("2", "Paraquat (Gramaxon, Parazone, Parashot)"),
    ("3", ""),
];

/// Pest problems.
pub(super) const PESTS: Labels = &[
    ("1", "Leaf miner"),
    ("2", "Coffee Berry Borer"),
    ("3", "Scles and Mealy bugs"),
    ("4", "None pest issue"),
];

/// Pest sprays.
pub(super) const SPRAYS: Labels = &[
    ("1", "Products containing Imidacloprid"),
    ("2", "Products containing Propiconazole"),
    ("3", "None of the products used"),
];

/// Compost and manure, Burundi.
pub(super) const COMPOST: Labels = &[
    ("1", "YES a compost heap"),
    ("2", "YES a  compost pit"),
    ("3", "YES a manure heap"),
    ("0", "NO compost or manure"),
];

/// Vegetables of the kitchen garden.
pub(super) const VEGETABLES: Labels =
    &[("1", "Carrots"), ("2", "Beetroot"), ("3", "Swiss chard"), ("4", "Kale")];
