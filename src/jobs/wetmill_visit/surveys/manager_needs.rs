//! The needs of a mill's manager.

use serde_json::Value;

use super::{MemberRule, Note};
use crate::jobs::form::Labels;
use crate::jobs::wetmill_visit::group::{Group, Rule};

/// Who extends the tables looks here.
pub(super) const FILE: &str = file!();

pub(super) const NOTES: &[Note] = &[
    Note {
        group: "business_and_operations",
        member: "documents",
        says: "Ethiopia and Burundi: a row with the label of each code; codes without label are left out",
        labels: &[DOCUMENTS],
    },
    Note {
        group: "business_and_operations",
        member: "documents",
        says: "Kenya: a row with the label of each code; codes without label are left out",
        labels: &[DOCUMENTS_KE],
    },
    Note {
        group: "business_and_operations",
        member: "distribution_of_revenues",
        says: "its answers are stored one level up, as if they stood in business_and_operations",
        labels: &[],
    },
    Note {
        group: "",
        member: "perspective_of_manager_extra",
        says: "its answers are stored as those of perspective_of_manager, too",
        labels: &[],
    },
];

pub(super) const RULES: &[MemberRule] = &[
    ("business_and_operations", "coffee_sale_period", Rule::OneOf(SALE_PERIOD)),
    ("business_and_operations", "primary_buyer_additional_services_yn", Rule::ManyOf(BUYER_SERVICES)),
    ("banking", "significant_challenges_accessing_loans", Rule::OneOf(LOAN_CHALLENGES)),
    ("technology", "information_captured", Rule::ManyOf(INFORMATION)),
    ("operations", "biggest_problems", Rule::Removed),
];

const DOCUMENTS: Labels = &[
    ("1", "Registration license"),
    ("2", "Tax number"),
    ("3", "Production or operational license for current year"),
    ("4", "Export license/number"),
    ("0", "None"),
];

const DOCUMENTS_KE: Labels = &[
    ("1", "Tax number"),
    ("2", "Cooperative registration with the ministry of cooperatives"),
    ("3", "Wet mill operation permit from the county"),
    ("4", "County business permit"),
    ("0", "None"),
];

const SALE_PERIOD: Labels = &[
    ("1", "Before the season, in order to access working capital"),
    ("2", "Late in the harvest season, as coffee accumulates in the warehouse"),
    ("3", "After the harvest season"),
];

const BUYER_SERVICES: Labels = &[
    ("1", "Working capital to purchase coffee"),
    ("2", "Agronomic support"),
    ("3", "Processing training/quality support"),
    ("0", "No additional services offered"),
];

const LOAN_CHALLENGES: Labels = &[
    ("1", "No significant challenges accessing loans"),
    ("2", "Lack of physical assets for bank collateral"),
    ("3", "High interest rates"),
    ("4", "Need for existing purchase order from coffee buyer"),
    ("5", "Poor performance of coffee washing station"),
    ("6", "Lack of financial statements and information needed for financial institutions"),
];

const INFORMATION: Labels = &[
    ("1", "Farmer names (e.g., Excel list of farmers)"),
    ("2", "Coffee volumes delivered to the coffee washing station"),
    ("3", "Accounting (e.g., regular entries and reconciliation in Excel or other tool)"),
    ("4", "Traceability (e.g., tracking daily batches and coffee washing station operations)"),
    ("5", "Farmer payments (e.g., digital record of farmer payments)"),
    ("6", "Do not use any digital tool"),
];

/// Labels the documents by country, moves the distribution of revenues one level up, and merges the
/// supplement of the manager's perspective into that perspective. The supplement itself is stored, too.
pub(super) fn transform(survey: &mut Group) {
    let documents = match survey.context.survey_type {
        "Wet Mill Visit - ET" | "Wet Mill Visit - BU" => DOCUMENTS,
        "Wet Mill Visit - KE" => DOCUMENTS_KE,
        _ => &[],
    };
    if let Some(mut business) = survey.within("business_and_operations") {
        business.apply("documents", Rule::ManyOf(documents));
        if business.get("distribution_of_revenues").is_some_and(Value::is_object) {
            let moved = business.take_group("distribution_of_revenues");
            business.members.extend(moved.into_iter().filter(|(name, _)| !name.ends_with("_label")));
        }
    }
    let mut perspective = survey.take_group("perspective_of_manager");
    if let Some(Value::Object(extra)) = survey.get("perspective_of_manager_extra") {
        perspective.extend(extra.clone());
    }
    perspective.remove("coffee_station_issues");
    survey.set("perspective_of_manager", perspective);
}
