//! Every case of `tests/vectors/salesforce-to-commcare/`, through the pure mapping.

use std::fs;

use chrono::{DateTime, Utc};
use commcare_sf_integration::jobs::{self, Facts, MapError};
use commcare_sf_integration::plan::Plan;
use commcare_sf_integration::submission::Origin;
use serde::Deserialize;
use serde_json::Value;

use crate::support::xml::{self, Element};

#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(rename = "case")]
    pub(crate) name: String,
    pub(crate) job_name: String,
    pub(crate) payload: Value,
    pub(crate) expect: Expect,
}

#[derive(Deserialize)]
pub(crate) struct Expect {
    pub(crate) documents: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) error: bool,
    pub(crate) errors: Vec<Unsent>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Unsent {
    pub(crate) position: Option<u32>,
    pub(crate) field: Option<String>,
}

/// All cases, of all job types.
pub(crate) fn cases() -> Vec<Case> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/salesforce-to-commcare");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 6);
    files
        .iter()
        .flat_map(|file| -> Vec<Case> { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() })
        .collect()
}

/// Routes and maps a payload that arrived at `arrived`.
pub(super) fn map(payload: &Value, arrived: DateTime<Utc>) -> Result<Plan, MapError> {
    let name = jobs::job_name(Origin::Salesforce, payload).expect("the payload names a job");
    let job = jobs::find(Origin::Salesforce, name).expect("the job is in the table");
    (job.mapping)(payload, &Facts::new(true).of(arrived, 1))
}

/// The first difference between a document and the expected one, in which times read `@NOW@`.
pub(super) fn difference(found: &str, expected: &str, is_now: &dyn Fn(&str) -> bool) -> Option<String> {
    let found = match xml::parse(found) {
        Ok(found) => found,
        Err(error) => return Some(format!("not well-formed: {error}")),
    };
    differs(&found, &xml::parse(expected).unwrap(), is_now)
}

fn differs(found: &Element, expected: &Element, is_now: &dyn Fn(&str) -> bool) -> Option<String> {
    let same =
        |found: &str, expected: &str| if expected == "@NOW@" { is_now(found) } else { found == expected };
    let (name, other) = (&expected.name, &found.name);
    if name != other {
        return Some(format!("{other} for {name}"));
    }
    if !same(&found.text, &expected.text) {
        return Some(format!("{name}: text {:?} for {:?}", found.text, expected.text));
    }
    let keys = |element: &Element| element.attributes.keys().cloned().collect::<Vec<_>>();
    if keys(found) != keys(expected) {
        return Some(format!("{name}: attributes {:?} for {:?}", keys(found), keys(expected)));
    }
    for (key, value) in &expected.attributes {
        if !same(&found.attributes[key], value) {
            return Some(format!("{name}: @{key} is {:?} for {value:?}", found.attributes[key]));
        }
    }
    if found.children.len() != expected.children.len() {
        let names =
            |element: &Element| element.children.iter().map(|c| c.local().to_owned()).collect::<Vec<_>>();
        return Some(format!("{name}: children {:?} for {:?}", names(found), names(expected)));
    }
    let mut children = found.children.iter().zip(&expected.children);
    children.find_map(|(found, expected)| differs(found, expected, is_now))
}

fn check(case: &Case) -> Result<(), String> {
    let arrived = DateTime::parse_from_rfc3339("2026-11-24T02:17:36.123456Z").unwrap().to_utc();
    let is_now = |text: &str| text == "2026-11-24T02:17:36.123Z";
    let routed = jobs::job_name(Origin::Salesforce, &case.payload);
    if routed != Some(&case.job_name) {
        return Err(format!("routed to {routed:?}"));
    }
    let plan = match map(&case.payload, arrived) {
        Ok(plan) => plan,
        Err(error) => {
            let [Unsent { position: None, field: Some(field) }] = case.expect.errors.as_slice() else {
                return Err(format!("refused: {error}"));
            };
            let names_it = case.expect.error && error.to_string().contains(field);
            return if names_it { Ok(()) } else { Err(format!("refused: {error}")) };
        }
    };
    if plan.refusal().is_some() != case.expect.error {
        return Err(format!("refusal {:?}", plan.refusal()));
    }
    let refused: Vec<Unsent> = plan
        .refused
        .iter()
        .map(|refused| Unsent { position: Some(refused.position), field: refused.field.map(str::to_owned) })
        .collect();
    if refused != case.expect.errors {
        return Err(format!("errors {refused:?} for {:?}", case.expect.errors));
    }
    for refused in &plan.refused {
        assert!(refused.error.contains(&refused.position.to_string()), "{refused:?}");
        assert!(refused.error.contains(refused.field.unwrap_or_default()), "{refused:?}");
    }
    let expected = case.expect.documents.as_deref().unwrap_or_default();
    if plan.documents().len() != expected.len() {
        return Err(format!("{} documents for {}", plan.documents().len(), expected.len()));
    }
    for (document, expected) in plan.documents().iter().zip(expected) {
        if let Some(difference) = difference(&document.xml, expected, &is_now) {
            return Err(format!("record {}: {difference}", document.position));
        }
    }
    Ok(())
}

#[test]
fn every_case_gives_its_documents_and_errors() {
    let cases = cases();
    assert_eq!(cases.len(), 141);
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case).err().map(|difference| format!("{}: {difference}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
