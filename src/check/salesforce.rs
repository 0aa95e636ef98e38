//! The org held against the mappings, object by object and field by field. Pure: descriptions in, findings out.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Finding;
use crate::destinations::salesforce::{FieldDescription, ObjectDescription, RecordTypeInfo};
use crate::jobs::{Entry, Gives};

/// Objects by API name; `None` for one that the org does not show.
pub(super) type Org = BTreeMap<String, Option<ObjectDescription>>;

/// What the mappings do with an object.
#[derive(Default)]
pub(super) struct WrittenObject<'e> {
    /// The fields by which its records are found.
    keys: BTreeMap<&'static str, Jobs>,
    /// Its fields; a name with a dot is a relationship.
    fields: BTreeMap<&'e str, Written>,
    jobs: Jobs,
}

type Jobs = BTreeSet<&'static str>;

/// What the mappings write into a field.
#[derive(Default)]
struct Written {
    jobs: Jobs,
    gives: Vec<Gives>,
    /// Texts with the form types that send them.
    texts: BTreeMap<&'static str, Jobs>,
}

/// The objects that the mappings write, with their fields.
pub(super) fn written<'e>(entries: impl Iterator<Item = &'e Entry>) -> BTreeMap<&'e str, WrittenObject<'e>> {
    let mut objects: BTreeMap<&str, WrittenObject> = BTreeMap::new();
    for entry in entries {
        let object = objects.entry(&entry.object).or_default();
        object.jobs.insert(entry.job_name);
        object.keys.entry(entry.external_id_field).or_default().insert(entry.job_name);
        if entry.field == entry.external_id_field {
            continue;
        }
        let field = object.fields.entry(&entry.field).or_default();
        field.jobs.insert(entry.job_name);
        if !field.gives.contains(&entry.gives) {
            field.gives.push(entry.gives);
        }
        for text in &entry.texts {
            field.texts.entry(text).or_default().insert(entry.job_name);
        }
    }
    objects
}

/// The objects to which lookups of `objects` refer by relationships that the mappings use.
pub(super) fn referred(objects: &BTreeMap<&str, WrittenObject>, org: &Org) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, object) in objects {
        let Some(Some(description)) = org.get(*name) else { continue };
        for (relationship, _) in object.fields.keys().filter_map(|field| field.split_once('.')) {
            found.extend(
                lookup(description, relationship).into_iter().flat_map(|field| field.reference_to.clone()),
            );
        }
    }
    found.retain(|name| !org.contains_key(name));
    found
}

/// Everything that would fail. `longest_url` is the length of the longest address of a photo.
pub(super) fn compare(
    objects: &BTreeMap<&str, WrittenObject>,
    org: &Org,
    longest_url: usize,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, object) in objects {
        let mut at = At { name, findings: &mut findings };
        match org.get(*name) {
            Some(Some(description)) => of_object(&mut at, object, description, org, longest_url),
            _ => at.find("", "the object does not exist, or the user may not see it", &object.jobs),
        }
    }
    findings
}

/// The object that is looked at.
struct At<'a> {
    name: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl At<'_> {
    fn find(&mut self, field: &str, problem: impl Into<String>, jobs: &Jobs) {
        let place = if field.is_empty() { self.name.to_owned() } else { format!("{}.{field}", self.name) };
        self.findings.push(Finding {
            destination: "salesforce".to_owned(),
            field: place,
            problem: problem.into(),
            job_names: jobs.iter().map(|job| (*job).to_owned()).collect(),
        });
    }
}

fn of_object(
    at: &mut At,
    object: &WrittenObject,
    description: &ObjectDescription,
    org: &Org,
    longest_url: usize,
) {
    // A record that is found by `Id` is only changed.
    let creates = object.keys.keys().any(|key| *key != "Id");
    if description.createable == Some(false) && creates {
        at.find("", "the user may not create records of this object", &object.jobs);
    }
    if description.updateable == Some(false) {
        at.find("", "the user may not change records of this object", &object.jobs);
    }
    for (key, jobs) in object.keys.iter().filter(|(key, _)| **key != "Id") {
        match field(description, key) {
            None => at.find(key, MISSING, jobs),
            Some(field) => {
                if let Some(problem) = key_problem(field) {
                    at.find(key, problem, jobs);
                }
                if field.createable == Some(false) {
                    at.find(key, "the user may not set this external id in a new record", jobs);
                }
            }
        }
    }
    for (name, written) in &object.fields {
        match name.split_once('.') {
            Some((relationship, key)) => {
                of_relationship(at, name, written, lookup(description, relationship), key, org);
            }
            None => match field(description, name) {
                None => at.find(name, MISSING, &written.jobs),
                Some(field) => of_field(at, name, written, field, description, longest_url),
            },
        }
    }
    if creates {
        of_required(at, object, description);
    }
}

const MISSING: &str = "the field does not exist, or the user may not see it";

fn field<'d>(description: &'d ObjectDescription, name: &str) -> Option<&'d FieldDescription> {
    description.fields.iter().find(|field| field.name == name)
}

fn lookup<'d>(description: &'d ObjectDescription, relationship: &str) -> Option<&'d FieldDescription> {
    description.fields.iter().find(|field| field.relationship_name.as_deref() == Some(relationship))
}

/// Why no record can be upserted by a field. An external id has to be unique: with two records of one id Salesforce
/// refuses the upsert (HTTP 300).
fn key_problem(field: &FieldDescription) -> Option<&'static str> {
    if field.external_id {
        (field.unique == Some(false)).then_some("the external id is not unique: two records may share it")
    } else {
        (!field.id_lookup).then_some("the field is no external id: no record can be found by it")
    }
}

fn of_relationship(
    at: &mut At,
    name: &str,
    written: &Written,
    lookup: Option<&FieldDescription>,
    key: &str,
    org: &Org,
) {
    let Some(lookup) = lookup else {
        at.find(name, "no lookup has this relationship name, or the user may not see it", &written.jobs);
        return;
    };
    may_be_written(at, name, written, lookup);
    // Of several objects that it may refer to, one with that external id is enough.
    let problem_of = |target: &String| match org.get(target) {
        Some(Some(description)) => match field(description, key) {
            None => Some(format!("{target} has no field {key}, or the user may not see it")),
            Some(field) => key_problem(field).map(|problem| format!("{target}.{key}: {problem}")),
        },
        _ => Some(format!("it refers to {target}, which does not exist, or the user may not see it")),
    };
    let problems: Vec<Option<String>> = lookup.reference_to.iter().map(problem_of).collect();
    if problems.iter().all(Option::is_some) {
        let problem = problems.into_iter().flatten().next();
        at.find(name, problem.unwrap_or_else(|| "the lookup refers to no object".to_owned()), &written.jobs);
    }
}

fn may_be_written(at: &mut At, name: &str, written: &Written, field: &FieldDescription) {
    if field.calculated {
        at.find(name, "the field is a formula: nothing can be written to it", &written.jobs);
    } else if field.createable == Some(false) {
        at.find(name, "the user may not set the field in a new record", &written.jobs);
    } else if field.updateable == Some(false) {
        at.find(name, "the user may not change the field", &written.jobs);
    }
}

fn of_field(
    at: &mut At,
    name: &str,
    written: &Written,
    field: &FieldDescription,
    description: &ObjectDescription,
    longest_url: usize,
) {
    may_be_written(at, name, written, field);
    for gives in &written.gives {
        if let Some(what) = unfit(*gives, &field.kind) {
            at.find(
                name,
                format!("the field is of the type {}, which takes no {what}", field.kind),
                &written.jobs,
            );
        }
    }
    if name == "RecordTypeId" {
        record_types(at, name, written, description);
        return;
    }
    for (text, jobs) in &written.texts {
        if let Some(problem) = text_problem(field, text) {
            at.find(name, problem, jobs);
        }
    }
    let sends_url = written.gives.contains(&Gives::Url);
    if sends_url && is_text(&field.kind) && field.length > 0 && length(field) < longest_url {
        let problem = format!(
            "the field holds {} characters, and the address of a photo has up to {longest_url}",
            field.length
        );
        at.find(name, problem, &written.jobs);
    }
}

fn length(field: &FieldDescription) -> usize {
    usize::try_from(field.length).unwrap_or(usize::MAX)
}

/// Why a field does not take a text.
fn text_problem(field: &FieldDescription, text: &str) -> Option<String> {
    let is_many = field.kind == "multipicklist";
    if field.restricted_picklist && (is_many || field.kind == "picklist") {
        // The API joins the values of a multi-select picklist with semicolons.
        let values: Vec<&str> = if is_many { text.split(';').collect() } else { vec![text] };
        return values.into_iter().map(str::trim).find_map(|value| {
            match field.picklist_values.iter().find(|known| known.value.trim() == value) {
                Some(known) if known.active => None,
                Some(_) => Some(format!("\"{value}\" is an inactive value of the restricted picklist")),
                None => Some(format!("\"{value}\" is no value of the restricted picklist")),
            }
        });
    }
    let takes_text = is_text(&field.kind) || is_many || field.kind == "picklist";
    let count = text.chars().count();
    (takes_text && field.length > 0 && count > length(field))
        .then(|| format!("\"{text}\" has {count} characters, and the field holds {}", field.length))
}

fn is_text(kind: &str) -> bool {
    matches!(kind, "string" | "textarea" | "url" | "encryptedstring" | "combobox" | "phone" | "email")
}

/// What a type does not take of what the mapping sends. A type that is not known here takes everything.
fn unfit(gives: Gives, kind: &str) -> Option<&'static str> {
    const NUMBERS: &[&str] = &["int", "long", "double", "currency", "percent"];
    const TIMES: &[&str] = &["date", "datetime", "time"];
    const PARTS: &[&str] = &["address", "location", "base64", "complexvalue"];
    let is = |kinds: &[&str]| kinds.contains(&kind);
    let choice = matches!(kind, "picklist" | "multipicklist");
    match gives {
        Gives::Answer => is(PARTS).then_some("single answer"),
        Gives::Texts => (kind == "boolean" || is(NUMBERS) || is(TIMES) || is(PARTS)).then_some("label"),
        Gives::Url => (kind == "boolean"
            || is(NUMBERS)
            || is(TIMES)
            || is(PARTS)
            || choice
            || matches!(kind, "reference" | "id" | "phone" | "email"))
        .then_some("address of a photo"),
        Gives::Flag => {
            (is_text(kind) || is(NUMBERS) || is(TIMES) || is(PARTS) || choice || kind == "reference")
                .then_some("true or false")
        }
        Gives::Number => {
            (kind == "boolean" || is_text(kind) || is(TIMES) || is(PARTS) || kind == "reference")
                .then_some("number")
        }
        Gives::Coordinate => {
            (kind == "boolean" || is(TIMES) || is(PARTS) || kind == "reference").then_some("coordinate")
        }
        Gives::Id => (kind == "boolean" || is(TIMES) || is(PARTS)).then_some("id"),
    }
}

/// Fixed record types have to be there, and the user has to be allowed to use them.
fn record_types(at: &mut At, name: &str, written: &Written, description: &ObjectDescription) {
    if description.record_type_infos.is_empty() {
        return;
    }
    for (id, jobs) in &written.texts {
        // An id has 15 characters, and three more that say which of them are capitals.
        let same = |known: &&RecordTypeInfo| known.record_type_id.get(..15) == id.get(..15);
        match description.record_type_infos.iter().find(same) {
            None => at.find(name, format!("the object has no record type {id}"), jobs),
            Some(known) if known.active == Some(false) => {
                at.find(name, format!("the record type {id} is not active"), jobs);
            }
            Some(known) if known.available == Some(false) => {
                at.find(name, format!("the user may not use the record type {id}"), jobs);
            }
            Some(_) => {}
        }
    }
}

/// Fields that a new record needs and that no mapping sends.
fn of_required(at: &mut At, object: &WrittenObject, description: &ObjectDescription) {
    let sends = |field: &FieldDescription| {
        object.fields.contains_key(field.name.as_str())
            || object.keys.contains_key(field.name.as_str())
            || field.relationship_name.as_ref().is_some_and(|name| {
                object.fields.keys().any(|sent| sent.split_once('.').is_some_and(|(known, _)| known == name))
            })
    };
    for field in &description.fields {
        let needed = field.nillable == Some(false)
            && field.createable == Some(true)
            && !field.defaulted_on_create
            && !field.calculated
            && !field.auto_number
            && field.kind != "boolean";
        if needed && !sends(field) {
            at.find(&field.name, "the field is required, and no mapping sends it", &object.jobs);
        }
    }
}
