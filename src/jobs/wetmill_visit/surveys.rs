//! The twelve surveys and what happens to their answers before they are stored
//! (`docs/mappings/commcare-to-postgis.md`, section 7). A member that no rule speaks of passes through unchanged.

mod gender;
mod manager_needs;
mod numbers;
mod operations;
mod training;

use super::group::{Group, Rule};
use crate::jobs::MapError;

/// What happens to a member of a group; the group's name is empty for the survey itself.
type MemberRule = (&'static str, &'static str, Rule);

/// What no table of rules can say.
enum More {
    Nothing,
    Change(fn(&mut Group)),
    /// A change that an answer can make impossible.
    Check(fn(&mut Group) -> Result<(), MapError>),
}

/// One survey.
pub(super) struct Transformation {
    /// Its member of `form.surveys`.
    pub(super) name: &'static str,
    rules: &'static [MemberRule],
    /// Done after the rules.
    then: More,
}

impl Transformation {
    /// Transforms what was answered.
    pub(super) fn apply(&self, survey: &mut Group) -> Result<(), MapError> {
        for (group, member, rule) in self.rules {
            if group.is_empty() {
                survey.apply(member, *rule);
            } else if let Some(mut group) = survey.within(group) {
                group.apply(member, *rule);
            }
        }
        match self.then {
            More::Nothing => Ok(()),
            More::Change(change) => {
                change(survey);
                Ok(())
            }
            More::Check(check) => check(survey),
        }
    }
}

/// Every survey that is stored.
pub(super) const ALL: &[Transformation] = &[
    with_more("wet_mill_training", training::TRAINING, training::training),
    with_more("routine_visit", &[], training::routine_visit),
    with_more("manager_needs_assessment", manager_needs::RULES, manager_needs::transform),
    with_more("infrastructure", operations::INFRASTRUCTURE, operations::infrastructure),
    by_rules("waste_water_management", operations::WASTE_WATER),
    by_rules("cpqi", operations::CPQI),
    Transformation {
        name: "cherry_weekly_price",
        rules: &[],
        then: More::Check(numbers::cherry_weekly_price),
    },
    by_rules("kpis", numbers::KPIS),
    with_more("water_and_energy_use", operations::WATER_AND_ENERGY, operations::water_and_energy),
    with_more("financials", &[], numbers::financials),
    with_more("employees", numbers::EMPLOYEES, numbers::employees),
    with_more("gender_equitable_business_practices", &[], gender::transform),
];

const fn by_rules(name: &'static str, rules: &'static [MemberRule]) -> Transformation {
    Transformation { name, rules, then: More::Nothing }
}

const fn with_more(
    name: &'static str,
    rules: &'static [MemberRule],
    change: fn(&mut Group),
) -> Transformation {
    Transformation { name, rules, then: More::Change(change) }
}
