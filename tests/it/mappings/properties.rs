//! Properties of the mappings that hold for any JSON in place of any answer or group.

use std::collections::HashSet;

use commcare_sf_integration::jobs::{Facts, JOBS};
use commcare_sf_integration::plan::Effects;
use commcare_sf_integration::plan::rows::Rows;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::samples::{mapped, sample};

/// Answers that the mappings treat specially, and answers that nobody should send.
fn answer() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            " ",
            "  ",
            "0",
            "1",
            "2",
            "3",
            "99",
            "1 2",
            " 1  2 ",
            "yes",
            "Yes",
            "2.9",
            "1e3",
            "-1",
            "New Farmer New Household",
            "New Farmer Existing Household",
            "Existing Farmer Change in FFG",
            "Participant Update",
            "Field Day Attendance Full",
            "second_session",
            "Farm Visit Full - PR",
            "Farm Visit Full - ET",
            "Farm Visit Full - BU",
            "a\u{0}b",
            "\n",
            "\u{a0}",
            "id\t",
            "1\n2",
            "é",
        ])
        .prop_map(Value::from),
        ".*".prop_map(Value::from),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    answer().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("(case|item|@case_id|@name|#text|[a-z_]{0,8})", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Replaces the value at one place of `payload`; `choice` picks the place.
fn replace(payload: &mut Value, choice: usize, with: Value) {
    let mut places = 0;
    count(payload, &mut places);
    let mut left = choice % places;
    put(payload, &mut left, with);
}

fn count(value: &Value, places: &mut usize) {
    *places += 1;
    match value {
        Value::Array(items) => items.iter().for_each(|item| count(item, places)),
        Value::Object(members) => members.values().for_each(|member| count(member, places)),
        _ => {}
    }
}

/// The value back, where its place is not inside `value`.
fn put(value: &mut Value, left: &mut usize, mut with: Value) -> Option<Value> {
    if *left == 0 {
        *value = with;
        return None;
    }
    *left -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        with = put(child, left, with)?;
    }
    Some(with)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_gives_a_sound_plan_or_an_error(
        job in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<usize>(), json()), 1..4),
        registration_attendance in any::<bool>(),
    ) {
        let names: Vec<_> = mapped().collect();
        let name = *job.get(&names);
        let mapping = JOBS.iter().find(|job| job.name == name).unwrap().mapping;
        let mut payload = sample(name);
        for (choice, value) in changes {
            replace(&mut payload, choice, value);
        }
        let facts = Facts::new(registration_attendance);
        let plan = mapping(&payload, &facts);
        prop_assert_eq!(&plan, &mapping(&payload, &facts));
        if let Ok(plan) = plan {
            prop_assert_eq!(plan.writes().is_empty(), plan.note.is_some());
            prop_assert!(plan.writes().iter().all(|(_, id)| !id.is_empty()));
            // A recorded plan can be shown.
            prop_assert!(plan.to_json().is_object());
            if let Effects::Rows(Rows::Visit(visit)) = &plan.effects {
                let answers = visit.surveys.iter().flat_map(|survey| &survey.answers);
                let ids: Vec<_> = answers.map(|answer| &answer.submission_id).collect();
                prop_assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
            }
            for upsert in plan.upserts() {
                prop_assert!(!upsert.external_id.trim().is_empty());
                prop_assert!(!upsert.external_id.contains(char::is_control));
                prop_assert!(!upsert.fields.to_json().keys().any(|name| name.contains('.')));
            }
            for found in plan.unmapped {
                prop_assert!(found.code.len() <= 256 && !found.code.contains(char::is_whitespace));
            }
        }
    }
}
