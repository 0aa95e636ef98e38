//! The twelve surveys, and the transformation of each before the answers are stored
//! (`docs/mappings/commcare-to-postgis.md`, section 7). A member without a rule stays unchanged.

mod gender;
mod manager_needs;
mod numbers;
mod operations;
mod training;

use super::group::{Group, Rule};
use crate::jobs::MapError;

/// A group's name, one of its members and the rule for that member. The survey itself has an empty name.
type MemberRule = (&'static str, &'static str, Rule);

/// The part of a transformation that no table of rules can express.
enum More {
    Nothing,
    Change(fn(&mut Group)),
    /// A change that fails on an unfit answer.
    Check(fn(&mut Group) -> Result<(), MapError>),
}

/// The transformation of one survey.
pub(super) struct Transformation {
    /// The survey's name in `form.surveys`.
    pub(super) name: &'static str,
    rules: &'static [MemberRule],
    /// Done after the rules.
    then: More,
}

impl Transformation {
    /// Transforms the answers of a survey.
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

/// The transformations of all surveys that are stored.
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
