//! The document of the mappings is complete: it has every object and field that a golden case writes, with a path that
//! the case really has.

use std::collections::BTreeSet;
use std::fs;

use commcare_sf_integration::jobs::{self, Entry, JOBS};
use commcare_sf_integration::mappings;
use commcare_sf_integration::plan::fields::FieldValue;
use commcare_sf_integration::submission::Origin;
use serde_json::Value;

use super::map;
use crate::support::xml;

/// The payloads of a folder's golden cases, with the names of their form types.
fn payloads(folder: &str) -> Vec<(String, Value)> {
    let folder = format!("{}/tests/vectors/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let cases: Vec<Value> = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        for case in cases {
            let steps = case["steps"].as_array().cloned().unwrap_or_else(|| vec![case.clone()]);
            for step in steps {
                let name = step["job_name"].as_str().expect("a case names its form type").to_owned();
                found.push((name, step["payload"].clone()));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Whether a payload has an answer at a path of the document; a name in braces stands for any, and a repeat counts as
/// its items.
fn has(value: &Value, path: &str) -> bool {
    let path = path.strip_prefix("payload.").unwrap_or(path);
    if let Value::Array(items) = value {
        return items.iter().any(|item| has(item, path));
    }
    let Some(members) = value.as_object() else { return false };
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let fits = |name: &str| match key.split_once('{') {
        Some((start, _)) => name.starts_with(start),
        None => name == key,
    };
    if key.starts_with('{') && rest.is_none() {
        return true;
    }
    members.iter().filter(|(name, value)| fits(name) && !value.is_null()).any(|(_, value)| match rest {
        Some(rest) => has(value, rest),
        None => true,
    })
}

/// What is wrong with the lines about a field that `payload` gave this value. A value without an answer has to stand in
/// the words of its line.
fn problem(entries: &[&Entry], object: &str, field: &str, value: &Value, payload: &Value) -> Option<String> {
    let is_of = |entry: &&&Entry| (entry.object.as_str(), entry.field.as_str()) == (object, field);
    let lines: Vec<&&Entry> = entries.iter().filter(is_of).collect();
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let says = |entry: &Entry| entry.source.split([' ', ';', ',', '"']).any(|word| word == text);
    let explained = |entry: &&&Entry| {
        entry.paths.is_empty() || entry.paths.iter().any(|path| has(payload, path)) || says(entry)
    };
    if lines.is_empty() {
        Some(format!("{object}.{field} is in no line"))
    } else if !text.chars().any(char::is_alphanumeric) || lines.iter().any(explained) {
        None
    } else {
        let paths: Vec<&String> = lines.iter().flat_map(|entry| &entry.paths).collect();
        Some(format!("the case has none of the paths of {object}.{field} = {value}: {paths:?}"))
    }
}

/// Values that are written where an answer is missing.
fn is_blank(value: &Value) -> bool {
    value.is_null() || value == "" || value == false
}

fn none(problems: &BTreeSet<String>) {
    let shown: Vec<&str> = problems.iter().map(String::as_str).collect();
    assert!(problems.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn every_salesforce_field_of_a_golden_case_is_in_it() {
    let (mut problems, mut seen) = (BTreeSet::new(), 0);
    for (name, payload) in payloads("commcare-to-salesforce") {
        let Ok(plan) = map(&payload) else { continue };
        let entries = mappings::of(Some(&name)).unwrap();
        for upsert in plan.upserts() {
            let id = Value::String(upsert.external_id.clone());
            let key = (upsert.external_id_field.to_owned(), &id);
            let fields = upsert.fields.iter().map(|(field, value)| match value {
                FieldValue::Related { key, id } => (format!("{field}.{key}"), id),
                FieldValue::Plain(value) => (field.to_owned(), value),
            });
            for (field, value) in fields.chain([key]) {
                seen += 1;
                let value = if is_blank(value) { &Value::Null } else { value };
                problems.extend(problem(&entries, upsert.object, &field, value, &payload));
            }
        }
    }
    assert!(seen > 10_000, "{seen}");
    none(&problems);
}

#[test]
fn every_column_of_a_golden_case_is_in_it() {
    let (mut problems, mut seen) = (BTreeSet::new(), 0);
    for (name, payload) in payloads("commcare-to-postgis") {
        let Ok(plan) = map(&payload) else { continue };
        let entries = mappings::of(Some(&name)).unwrap();
        let plan = plan.to_json();
        for (table, rows) in plan["rows"].as_object().unwrap() {
            for (column, value) in rows.as_array().unwrap().iter().flat_map(|row| row.as_object().unwrap()) {
                seen += 1;
                // The plan names the project role whose user the column gets.
                let column = if column == "project_role" { "user_id" } else { column };
                let value = if is_blank(value) { &Value::Null } else { value };
                problems.extend(problem(&entries, table, column, value, &payload));
            }
        }
    }
    assert!(seen > 1_000, "{seen}");
    none(&problems);
}

#[test]
fn every_element_of_a_golden_case_is_in_it() {
    let (mut problems, mut seen) = (BTreeSet::new(), 0);
    for (name, payload) in payloads("salesforce-to-commcare") {
        let job = jobs::find(Origin::Salesforce, &name).unwrap();
        let Ok(plan) = job.plan(&payload, &super::PRODUCTION) else { continue };
        let entries = mappings::of(Some(&name)).unwrap();
        for document in plan.documents() {
            let root = xml::parse(&document.xml).unwrap();
            let mut leaves = Vec::new();
            for child in &root.children {
                collect(child, "", &mut leaves);
            }
            // The sender's own part and a case block without content say nothing of the record.
            leaves.retain(|(path, _)| !path.starts_with("meta") && path != "case");
            for (field, text) in leaves {
                seen += 1;
                let object = &entries[0].object;
                problems.extend(problem(&entries, object, &field, &text.into(), &payload));
            }
        }
    }
    assert!(seen > 1_000, "{seen}");
    none(&problems);
}

fn collect(element: &xml::Element, above: &str, into: &mut Vec<(String, String)>) {
    let path =
        if above.is_empty() { element.local().to_owned() } else { format!("{above}/{}", element.local()) };
    if element.children.is_empty() {
        into.push((path.clone(), element.text.clone()));
    }
    for child in &element.children {
        collect(child, &path, into);
    }
}

#[test]
fn every_form_type_has_lines_and_every_line_says_how() {
    for job in JOBS {
        let entries = mappings::of(Some(job.name)).unwrap();
        assert!(!entries.is_empty(), "{}", job.name);
        for entry in entries {
            assert!(
                !entry.source.is_empty() && !entry.table.is_empty() && !entry.direction.is_empty(),
                "{entry:?}"
            );
            let file = entry.table.rsplit(' ').next().unwrap();
            assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file(), "{}", entry.table);
        }
    }
}

#[test]
fn every_answer_that_a_golden_case_reports_as_unmapped_has_its_line() {
    let mut seen = 0;
    let forms = ["commcare-to-salesforce", "commcare-to-postgis"].into_iter().flat_map(payloads);
    for (name, payload) in forms {
        let Ok(plan) = map(&payload) else { continue };
        for answer in &plan.unmapped {
            seen += 1;
            let line = mappings::question(&name, &answer.path);
            assert!(line.is_some_and(|entry| !entry.labels.is_empty()), "{name}: {}", answer.path);
        }
    }
    assert!(seen > 10, "{seen}");
}
