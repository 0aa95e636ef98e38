//! Prices, indicators, finances and staff.

use chrono::Datelike;
use serde_json::{Map, Number, Value};

use super::{MemberRule, Note};
use crate::jobs::MapError;
use crate::jobs::wetmill::{calendar_date, error};
use crate::jobs::wetmill_visit::answer::plain_number;
use crate::jobs::wetmill_visit::group::{Group, Rule};

/// Who extends the tables looks here.
pub(super) const FILE: &str = file!();

pub(super) const CHERRY_NOTES: &[Note] = &[Note {
    group: "",
    member: "cherry_week",
    says: "the number of the week of this day (ISO 8601); the day itself is stored as date",
    labels: &[],
}];

pub(super) const EMPLOYEES_NOTES: &[Note] = &[Note {
    group: "",
    member: "general_feedback",
    says: "a text that reads as a number becomes a number; so does every other answer of this survey",
    labels: &[],
}];

pub(super) const KPIS: &[MemberRule] = &[
    ("", "photo_of_cherry_receipts", Rule::PhotoIfAny),
    ("", "farmer_payment_method", Rule::OneOf(&[("1", "Direct payment"), ("2", "Broker")])),
];

pub(super) const EMPLOYEES: &[MemberRule] = &[
    ("", "accountant", Rule::YesNo),
    ("", "sustainability_officer", Rule::YesNo),
    ("", "community_manager", Rule::YesNo),
    ("", "certification_officer", Rule::YesNo),
    ("", "machine_operator", Rule::YesNo),
];

/// Only four members remain. The week is an ISO 8601 week number; week 1 is a number, too (decision P10).
pub(super) fn cherry_weekly_price(survey: &mut Group) -> Result<(), MapError> {
    let sent = survey.take("cherry_week");
    let week = match &sent {
        Value::Null => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        sent => {
            let day = sent.as_str().and_then(calendar_date);
            let day = day.ok_or_else(|| error(survey.path("cherry_week"), "must be a date (YYYY-MM-DD)"))?;
            day.iso_week().week().into()
        }
    };
    let (price, feedback) = (survey.take("cherry_price"), survey.take("general_feedback"));
    survey.members.clear();
    survey.set("date", sent);
    survey.set("cherry_week", week);
    survey.set("cherry_price", price);
    survey.set("general_feedback", feedback);
    Ok(())
}

/// Labels are left out at every depth, except inside lists.
pub(super) fn financials(survey: &mut Group) {
    without_labels(survey.members);
}

fn without_labels(members: &mut Map<String, Value>) {
    members.retain(|name, _| name != "survey_6___financials" && !name.ends_with("_label"));
    members.values_mut().filter_map(Value::as_object_mut).for_each(without_labels);
}

/// Every text that reads as a number becomes a number, also `0`, `1` and the feedback.
pub(super) fn employees(survey: &mut Group) {
    for value in survey.members.values_mut() {
        let number = match &*value {
            Value::String(text) => plain_number(text.trim()),
            Value::Number(number) => number.as_f64(),
            Value::Bool(boolean) => Some(f64::from(u8::from(*boolean))),
            _ => None,
        };
        if let Some(number) = number.and_then(decimal) {
            *value = number.into();
        }
    }
}

/// The number, spelled with a decimal point and without an exponent.
fn decimal(number: f64) -> Option<Number> {
    let text = number.to_string();
    let text = if text.contains('.') { text } else { format!("{text}.0") };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_at_least_one_decimal() {
        for (number, text) in [(5.0, "5.0"), (12.50, "12.5"), (-0.25, "-0.25"), (1e16, "10000000000000000.0")]
        {
            assert_eq!(decimal(number).unwrap().to_string(), text);
        }
    }
}
