//! Every case of `tests/vectors/commcare-to-salesforce/`. Error texts quote no answer.

use std::fs;

use commcare_sf_integration::jobs;
use commcare_sf_integration::submission::Origin;
use serde::Deserialize;
use serde_json::Value;

use super::map;

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    job_name: String,
    payload: Value,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    upserts: Option<Vec<Value>>,
    #[serde(default)]
    error: bool,
}

fn cases() -> Vec<Case> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/commcare-to-salesforce");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| -> Vec<Case> { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() })
        .collect()
}

#[test]
fn every_golden_case_gives_its_upserts() {
    let cases = cases();
    assert!(!cases.is_empty());
    let failures: Vec<String> = cases.iter().filter_map(difference).collect();
    let shown = failures.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {} cases differ:\n{shown}", failures.len(), cases.len());
}

fn difference(case: &Case) -> Option<String> {
    let name = &case.name;
    let routed = jobs::job_name(Origin::CommCare, &case.payload);
    if routed != Some(&case.job_name) {
        return Some(format!("{name}: routed to {routed:?}, not to {}", case.job_name));
    }
    match (map(&case.payload), &case.expect.upserts) {
        (Err(_), None) if case.expect.error => None,
        (Err(error), _) => Some(format!("{name}: unexpected error: {error}")),
        (Ok(_), None) => Some(format!("{name}: expected an error")),
        (Ok(plan), Some(expected)) => {
            if plan.upserts().is_empty() == plan.note.is_none() {
                return Some(format!("{name}: note {:?} for {} upserts", plan.note, plan.upserts().len()));
            }
            let found: Vec<Value> =
                plan.upserts().iter().map(|upsert| serde_json::to_value(upsert).unwrap()).collect();
            first_difference(&found, expected).map(|difference| format!("{name}: {difference}"))
        }
    }
}

fn first_difference(found: &[Value], expected: &[Value]) -> Option<String> {
    let longest = found.len().max(expected.len());
    let at = (0..longest).find(|&at| found.get(at) != expected.get(at))?;
    let lines = |upsert: Option<&Value>| {
        let text = upsert.map_or("(none)".to_owned(), |upsert| serde_json::to_string_pretty(upsert).unwrap());
        text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect::<Vec<_>>()
    };
    let (found, expected) = (lines(found.get(at)), lines(expected.get(at)));
    let only_in = |mark: char, these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("  {mark} {line}")).collect()
    };
    let lines = [only_in('-', &expected, &found), only_in('+', &found, &expected)].concat();
    Some(format!("upsert {at} differs\n{}", lines.join("\n")))
}

#[test]
fn no_error_quotes_the_payload() {
    let mut seen = 0;
    for case in cases() {
        let Err(error) = map(&case.payload) else { continue };
        seen += 1;
        let mut values = Vec::new();
        collect_answers(&case.payload, &mut values);
        for value in values {
            assert!(!error.rule.contains(value), "{}: {error} quotes {value:?}", case.name);
        }
    }
    assert!(seen > 0);
}

/// Every text of the payload that is long enough to be an answer, except `data`, the type of every form.
fn collect_answers<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.len() > 2 && text != "data" => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect_answers(item, into)),
        Value::Object(members) => members.values().for_each(|member| collect_answers(member, into)),
        _ => {}
    }
}
