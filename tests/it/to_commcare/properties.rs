//! What holds for any JSON in place of any value of a payload.

use chrono::{DateTime, Utc};
use commcare_sf_integration::jobs::{Facts, JOBS, Job};
use commcare_sf_integration::submission::Origin;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::mappings::samples::sample;
use crate::support::xml;

fn jobs() -> Vec<&'static Job> {
    JOBS.iter().filter(|job| job.origin == Origin::Salesforce).collect()
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[-+]?[0-9._]{0,12}([eE][-+]?[0-9]{0,4})?".prop_map(Value::from),
        prop::sample::select(vec![
            "1e999",
            "-1e999",
            "0e0",
            "1E+16",
            "-0",
            "-0.0",
            "1e-400",
            "123456789012345678901234567890"
        ])
        .prop_map(|number| serde_json::from_str(number).unwrap()),
        prop::collection::vec(any::<char>(), 0..12)
            .prop_map(|chars| Value::from(chars.into_iter().collect::<String>())),
        "[\\x00-\\x20<>&'\"\\]\u{85}\u{a0}\u{fffe}\u{ffff}a]{0,8}".prop_map(Value::from),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{0,8}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_payload_gives_sound_documents_or_an_error(
        job in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), json()), 0..6),
        outer in prop::collection::vec((any::<prop::sample::Index>(), json()), 0..2),
        millis in 0_i64..4_102_444_800_000,
        first in 1_u32..100_000,
    ) {
        let job = *job.get(&jobs());
        let list = job.records.unwrap();
        let mut payload = sample(job.name);
        let record = payload[list][0].as_object_mut().unwrap();
        let keys: Vec<String> = record.keys().cloned().collect();
        for (key, value) in changes {
            record.insert(key.get(&keys).clone(), value);
        }
        let kept = payload[list].clone();
        let outer_keys = ["id", "uniqueProjectKey", list, "other"];
        for (key, value) in outer {
            payload[*key.get(&outer_keys)] = value;
        }
        let arrived: DateTime<Utc> = DateTime::from_timestamp_millis(millis).unwrap();
        let facts = Facts::new(true).of(arrived, first);
        let mapping = job.mapping;
        let plan = mapping(&payload, &facts);
        prop_assert_eq!(&plan, &mapping(&payload, &facts));
        let Ok(plan) = plan else { return Ok(()) };
        let count = payload.get(list).map_or(0, |records| records.as_array().unwrap().len());
        prop_assert_eq!(plan.documents().len() + plan.refused.len(), count);
        prop_assert!(payload[list] == kept || payload[list].is_array());
        for document in plan.documents() {
            let tree = xml::parse(&document.xml).map_err(TestCaseError::fail)?;
            prop_assert_eq!(&tree.find("case").unwrap().attributes["case_id"], &document.case_id);
            prop_assert!(!document.case_id.trim().is_empty());
            prop_assert!(tree.find("owner_id").is_none_or(|owner| !owner.text.trim().is_empty()));
            prop_assert!(document.position >= first);
            prop_assert_eq!(tree.children.last().unwrap().local(), "meta");
        }
    }

    #[test]
    fn a_text_comes_back_as_it_was_but_for_what_xml_forbids(text in "\\PC{0,20}|[\\x00-\\x7f]{0,20}") {
        let mut payload = sample("Wetmill");
        payload["wetmills"][0]["comments"] = text.clone().into();
        let job = jobs().into_iter().find(|job| job.name == "Wetmill").unwrap();
        let plan = (job.mapping)(&payload, &Facts::new(true)).unwrap();
        let tree = xml::parse(&plan.documents()[0].xml).map_err(TestCaseError::fail)?;
        let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        let kept: String = text.chars().filter(allowed).collect();
        let expected = kept.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(&tree.find("comments").unwrap().text, &expected);
    }
}

/// Decision X13: HQ takes an existing case from its owner where `create/owner_id` is empty.
#[test]
fn a_blank_owner_is_left_out() {
    for job in jobs() {
        let owner = |value: Value| {
            let mut payload = sample(job.name);
            let records = payload.as_object_mut().unwrap().values_mut().find(|value| value.is_array());
            records.unwrap()[0]["ccMobileWorkerGroupId"] = value;
            let plan = (job.mapping)(&payload, &Facts::new(true)).unwrap();
            let tree = xml::parse(&plan.documents()[0].xml).unwrap();
            tree.find("owner_id").map(|owner| owner.text.clone())
        };
        for blank in [json!(null), json!(""), json!(" \u{2003}"), json!("\u{1}"), json!(0), json!(false)] {
            assert_eq!(owner(blank.clone()), None, "{}: {blank}", job.name);
        }
        assert_eq!(owner(json!(" g-1 ")), Some(" g-1 ".to_owned()), "{}", job.name);
    }
}

#[test]
fn every_sample_gives_documents_and_no_error() {
    for job in jobs() {
        let payload = sample(job.name);
        assert_eq!(payload["jobType"], json!(job.name));
        let plan = (job.mapping)(&payload, &Facts::new(true)).unwrap();
        assert!(!plan.documents().is_empty() && plan.refused.is_empty(), "{}", job.name);
    }
}
