//! The twelve surveys, and the transformation of each before the answers are stored
//! (`docs/mappings/commcare-to-postgis.md`, section 7). A member without a rule stays unchanged.

mod gender;
mod manager_needs;
mod numbers;
mod operations;
mod training;

use super::group::{Group, Rule};
use crate::jobs::MapError;
use crate::jobs::form::Labels;

/// A group's name, one of its members and the rule for that member. The survey itself has an empty name.
type MemberRule = (&'static str, &'static str, Rule);

/// The part of a transformation that no table of rules can express.
enum More {
    Nothing,
    Change(fn(&mut Group)),
    /// A change that fails on an unfit answer.
    Check(fn(&mut Group) -> Result<(), MapError>),
}

/// What a change in code does with a member, in words: its group, its name, the rule and the labels.
pub(super) struct Note {
    pub(super) group: &'static str,
    pub(super) member: &'static str,
    pub(super) says: &'static str,
    pub(super) labels: &'static [Labels],
}

/// The transformation of one survey.
pub(super) struct Transformation {
    /// The survey's name in `form.surveys`.
    pub(super) name: &'static str,
    pub(super) rules: &'static [MemberRule],
    /// Done after the rules.
    then: More,
    /// What that does.
    pub(super) notes: &'static [Note],
    /// The file of its tables.
    pub(super) file: &'static str,
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
    Transformation {
        rules: training::TRAINING,
        then: More::Change(training::training),
        notes: training::TRAINING_NOTES,
        ..named("wet_mill_training", training::FILE)
    },
    Transformation {
        then: More::Change(training::routine_visit),
        notes: training::ROUTINE_VISIT_NOTES,
        ..named("routine_visit", training::FILE)
    },
    Transformation {
        rules: manager_needs::RULES,
        then: More::Change(manager_needs::transform),
        notes: manager_needs::NOTES,
        ..named("manager_needs_assessment", manager_needs::FILE)
    },
    Transformation {
        rules: operations::INFRASTRUCTURE,
        then: More::Change(operations::infrastructure),
        notes: operations::INFRASTRUCTURE_NOTES,
        ..named("infrastructure", operations::FILE)
    },
    Transformation { rules: operations::WASTE_WATER, ..named("waste_water_management", operations::FILE) },
    Transformation { rules: operations::CPQI, ..named("cpqi", operations::FILE) },
    Transformation {
        then: More::Check(numbers::cherry_weekly_price),
        notes: numbers::CHERRY_NOTES,
        ..named("cherry_weekly_price", numbers::FILE)
    },
    Transformation { rules: numbers::KPIS, ..named("kpis", numbers::FILE) },
    Transformation {
        rules: operations::WATER_AND_ENERGY,
        then: More::Change(operations::water_and_energy),
        notes: operations::WATER_NOTES,
        ..named("water_and_energy_use", operations::FILE)
    },
    Transformation { then: More::Change(numbers::financials), ..named("financials", numbers::FILE) },
    Transformation {
        rules: numbers::EMPLOYEES,
        then: More::Change(numbers::employees),
        notes: numbers::EMPLOYEES_NOTES,
        ..named("employees", numbers::FILE)
    },
    Transformation {
        then: More::Change(gender::transform),
        notes: gender::NOTES,
        ..named("gender_equitable_business_practices", gender::FILE)
    },
];

/// A transformation that changes nothing.
const fn named(name: &'static str, file: &'static str) -> Transformation {
    Transformation { name, rules: &[], then: More::Nothing, notes: &[], file }
}
