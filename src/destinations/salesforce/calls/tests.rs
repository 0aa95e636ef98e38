//! The arithmetic of Salesforce's limits.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use serde_json::{Value, json};

use super::*;
use crate::config::salesforce::ApiVersion;
use crate::plan::fields::FieldValue;

fn upsert(object: &'static str, id: impl Into<String>) -> Upsert {
    Upsert::new(object, "Key__c", id).set("A__c", "a")
}

fn rows(object: &'static str, count: usize) -> Vec<Upsert> {
    (0..count).map(|n| upsert(object, format!("{object}-{n}"))).collect()
}

/// The calls of a plan whose collections have at most `most` rows.
fn calls_of(upserts: &[Upsert], most: usize) -> Vec<Call<'_>> {
    calls(&upserts.iter().collect::<Vec<_>>(), |_| most)
}

/// Rows per step, call by call.
fn shape_of(calls: &[Call<'_>]) -> Vec<Vec<usize>> {
    calls.iter().map(|call| call.steps().iter().map(|step| step.rows().len()).collect()).collect()
}

fn shape(upserts: &[Upsert]) -> Vec<Vec<usize>> {
    shape_of(&calls_of(upserts, 200))
}

fn body(upserts: &[Upsert]) -> Value {
    let Call::Composite(request) = &calls_of(upserts, 200)[0] else { panic!("not a Composite request") };
    request.body(ApiVersion::default())
}

#[test]
fn a_single_upsert_and_a_collection_have_the_documented_bodies() {
    let plan = [
        Upsert::new("Session__c", "Case__c", "s-1").set("Name", "x").set("Case__c", "s-1"),
        Upsert::new("Attendance__c", "Key__c", "a").relate("Session__r", "Case__c", "s-1"),
        Upsert::new("Attendance__c", "Key__c", "b").set("Key__c", "b"),
    ];
    assert_eq!(
        body(&plan),
        json!({
            "allOrNone": true,
            "collateSubrequests": false,
            "compositeRequest": [
                {
                    "method": "PATCH",
                    "url": "/services/data/v66.0/sobjects/Session__c/Case__c/s-1",
                    "referenceId": "step_0",
                    "body": {"Name": "x"},
                },
                {
                    "method": "PATCH",
                    "url": "/services/data/v66.0/composite/sobjects/Attendance__c/Key__c",
                    "referenceId": "step_1",
                    "body": {"allOrNone": true, "records": [
                        {"attributes": {"type": "Attendance__c"}, "Key__c": "a", "Session__r": {"Case__c": "s-1"}},
                        {"attributes": {"type": "Attendance__c"}, "Key__c": "b"},
                    ]},
                },
            ],
        })
    );
}

#[test]
fn rows_are_grouped_only_while_they_are_consecutive() {
    let plan = [upsert("A", "1"), upsert("A", "2"), upsert("B", "1"), upsert("A", "3"), upsert("A", "4")];
    assert_eq!(shape(&plan), [[2, 1, 2]]);
}

#[test]
fn a_group_is_split_at_two_hundred_rows() {
    assert_eq!(shape(&rows("A", 200)), [[200]]);
    assert_eq!(shape(&rows("A", 201)), [[200, 1]]);
    assert_eq!(shape(&rows("A", 450)), [[200, 200, 50]]);
    assert_eq!(shape(&rows("A", 1_001)), [vec![200, 200, 200, 200, 200, 1]]);
    assert_eq!(shape(&rows("A", 1_050)), [vec![200; 5], vec![50]]);
}

#[test]
fn a_request_holds_twenty_five_subrequests() {
    let plan: Vec<_> = (0..51).map(|n| upsert(if n % 2 == 0 { "A" } else { "B" }, n.to_string())).collect();
    assert_eq!(shape(&plan), [vec![1; 25], vec![1; 25], vec![1]]);
}

#[test]
fn small_groups_travel_singly_where_that_keeps_one_transaction() {
    let pairs: Vec<_> =
        ["A", "B", "C", "D", "E", "F", "G"].iter().flat_map(|object| rows(object, 2)).collect();
    assert_eq!(shape(&pairs), [vec![2, 2, 2, 2, 2, 1, 1, 1, 1]]);
    let mixed: Vec<_> = [("A", 2), ("B", 9), ("C", 9), ("D", 3), ("E", 9), ("F", 9), ("G", 9)]
        .iter()
        .flat_map(|(o, n)| rows(o, *n))
        .collect();
    assert_eq!(shape(&mixed), [vec![1, 1, 9, 9, 1, 1, 1, 9, 9, 9]]);
    let large: Vec<_> = ["A", "B", "C", "D", "E", "F"].iter().flat_map(|object| rows(object, 30)).collect();
    assert_eq!(shape(&large), [vec![30; 5], vec![30]]);
}

#[test]
fn the_last_of_two_equal_ids_takes_the_first_ones_place() {
    let plan = [upsert("A", "x"), upsert("A", "y"), upsert("A", "x").set("A__c", "new")];
    let records = body(&plan)["compositeRequest"][0]["body"]["records"].clone();
    assert_eq!(records[0]["Key__c"], "x");
    assert_eq!(records[0]["A__c"], "new");
    assert_eq!(records.as_array().unwrap().len(), 2);
    assert_eq!(shape(&[upsert("A", "x"), upsert("A", "x")]), [[1]], "nothing left to group");
}

#[test]
fn two_spellings_of_one_id_never_share_a_collection() {
    assert_eq!(shape(&[upsert("A", "x"), upsert("A", "y"), upsert("A", "X"), upsert("A", "z")]), [[2, 2]]);
}

#[test]
fn an_update_by_id_stands_alone() {
    let by_id = |id: &str| Upsert::new("A", "Id", id).set("A__c", "a");
    assert_eq!(shape(&[by_id("1"), by_id("2"), by_id("2")]), [[1, 1, 1]]);
    assert_eq!(
        body(&[by_id("a0X1")])["compositeRequest"][0]["url"],
        "/services/data/v66.0/sobjects/A/Id/a0X1"
    );
}

#[test]
fn external_ids_are_percent_encoded() {
    let url = |id: &str| body(&[upsert("A", id)])["compositeRequest"][0]["url"].clone();
    let encoded = url("a b/c+d%e?f#g&h=i@j.k-l_m~né");
    assert_eq!(
        encoded,
        "/services/data/v66.0/sobjects/A/Key__c/a%20b%2Fc%2Bd%25e%3Ff%23g%26h%3Di%40j.k-l_m~n%C3%A9"
    );
}

#[test]
fn smaller_collections_stay_in_one_request_while_they_fit() {
    let shape = |rows: &[Upsert], most| shape_of(&calls_of(rows, most));
    assert_eq!(shape(&rows("A", 200), 100), [[100, 100]]);
    assert_eq!(shape(&rows("A", 200), 50), [[50; 4]]);
    assert_eq!(shape(&rows("A", 200), 25), [vec![25; 5], vec![25; 3]]);
    assert_eq!(shape(&rows("A", 30), 1), [vec![1; 25], vec![1; 5]]);
}

#[test]
fn a_step_with_a_text_like_a_reference_is_a_call_of_its_own() {
    let odd = upsert("B", "odd").set("Comment__c", "see @{home}");
    let plan = [&rows("A", 2)[..], &[upsert("C", "1"), odd], &rows("D", 3)].concat();
    let calls = calls_of(&plan, 200);
    assert_eq!(shape_of(&calls), [vec![2, 1], vec![1], vec![3]]);
    assert!(matches!(calls[..], [Call::Composite(_), Call::Alone(_), Call::Composite(_)]));
    let Call::Alone(step) = &calls[1] else { unreachable!() };
    let version = ApiVersion::default();
    assert_eq!(step.url_alone(version), "/services/data/v66.0/composite/sobjects/B/Key__c");
    let record = json!({
        "attributes": {"type": "B"}, "Key__c": "odd", "A__c": "a", "Comment__c": "see @{home}",
    });
    assert_eq!(step.body_alone(), json!({"allOrNone": true, "records": [record]}));
    let by_id = [Upsert::new("A", "Id", "a0X1").set("Comment__c", "@{x}")];
    let Call::Alone(step) = &calls_of(&by_id, 200)[0] else { panic!("not alone") };
    assert_eq!(step.url_alone(version), "/services/data/v66.0/sobjects/A/Id/a0X1");
    assert_eq!(step.body_alone(), json!({"Comment__c": "@{x}"}));
}

#[test]
fn nothing_to_write_makes_no_request() {
    assert!(shape(&[]).is_empty());
}

/// What is there after these upserts, where an upsert replaces what an earlier one wrote.
fn written<'p>(
    upserts: impl IntoIterator<Item = &'p Upsert>,
) -> BTreeMap<(&'p str, &'p str, &'p str), &'p FieldValue> {
    let entries = upserts.into_iter().map(|upsert| {
        let key = (upsert.object, upsert.external_id_field, upsert.external_id.as_str());
        (key, upsert.fields.get("Value__c").unwrap())
    });
    entries.collect()
}

prop_compose! {
    fn any_plan()(steps in prop::collection::vec((0..3_usize, prop::sample::select(vec![0_usize, 0, 0, 1]), 0..30_u8, 1..40_u8), 0..40)) -> Vec<Upsert> {
        let rows = steps.into_iter().flat_map(|(object, field, id, count)| {
            (id..id + count).map(move |id| (object, field, id))
        });
        rows.enumerate().map(|(at, (object, field, id))| {
            let id = if at % 7 == 0 { format!("KEY-{id}") } else { format!("key-{id}") };
            let text = if at % 31 == 0 { "see @{home}" } else { "@{}" };
            let key = ["Key__c", "Id"][field];
            Upsert::new(["A", "B", "C"][object], key, id).set("Value__c", at).set("Text__c", text)
        }).collect()
    }
}

proptest! {
    #[test]
    fn any_plan_keeps_the_limits_and_ends_as_if_sent_one_by_one(plan in any_plan(), most in 1..=200_usize) {
        let calls = calls_of(&plan, most);
        for call in &calls {
            let steps = call.steps();
            let collections: Vec<_> = steps.iter().filter(|step| step.is_collection()).collect();
            prop_assert!((1..=25).contains(&steps.len()) && collections.len() <= 5);
            for step in collections {
                let ids: HashSet<_> = step.rows().iter().map(|row| comparable(&row.external_id)).collect();
                prop_assert!(ids.len() == step.rows().len() && ids.len() <= most);
                prop_assert!(step.rows().iter().all(|row| row.object == step.rows()[0].object));
                prop_assert!(step.rows().iter().all(|row| row.external_id_field == "Key__c"));
            }
            let has_reference = steps.iter().any(Step::looks_like_reference);
            prop_assert_eq!(matches!(call, Call::Alone(_)), has_reference);
        }
        let sent = calls.iter().flat_map(Call::upserts);
        prop_assert_eq!(written(sent), written(&plan));
    }
}
