//! Editions of one submission: which is the older, and whether two are the same (`docs/service.md`, section 2).

use std::borrow::Cow;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::hex;
use crate::submission::commcare_time;

/// The members of a payload that tell which one it is, and which edition.
pub(super) const MEMBERS: [&str; 3] = ["id", "server_modified_on", "edited_on"];

/// Whether `arrived` is an older edition of a form than `stored`: by `server_modified_on` where
/// both have it, else by `edited_on` (a form without one precedes its edits), else by arrival.
pub(super) fn is_older_edition(arrived: &Value, stored: &Value) -> bool {
    let modified = |payload| commcare_time(payload, "server_modified_on");
    if let (Some(arrived), Some(stored)) = (modified(arrived), modified(stored)) {
        return arrived < stored;
    }
    commcare_time(arrived, "edited_on") < commcare_time(stored, "edited_on")
}

/// Members that CommCare stamps by the way it sends a form: no part of its content.
const NOT_CONTENT: [&str; 2] = ["indexed_on", "resource_uri"];

/// Members that say how CommCare HQ keeps and handles a form, or that repeat what is in `form`. One unchanged form has
/// different ones when it is forwarded and when it is listed (`docs/senders/commcare-hq.md`, "The same content").
const HANDLING: [&str; 8] = [
    "attachments",
    "edited_by_user_id",
    "initial_processing_complete",
    "is_phone_submission",
    "metadata",
    "problem",
    "received_on",
    "server_modified_on",
];

/// Members of which having none says something too. A form without the first two is as it was sent: nobody archived or
/// edited it since. The project space is part of the address of a photo.
const TELLING: [&str; 3] = ["archived", "edited_on", "domain"];

/// Members of `form.meta` that CommCare HQ works out of the others.
const WORKED_OUT: [&str; 3] = ["app_build_version", "commcare_version", "geo_point"];

/// Whether two payloads of one id are the same form, which CommCare has sent in two ways: forwarded and listed, or by two
/// versions of itself. A member that only one of the two has is no difference, since CommCare HQ has added some over the
/// years; the exceptions are [`TELLING`] and what is in `form`.
pub(super) fn is_same_form(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return false };
    let (Some(answers), Some(other_answers)) = (answers(one), answers(other)) else { return false };
    let is_other = |name: &str| {
        name != FORM && ![&NOT_CONTENT[..], &HANDLING, &TELLING].iter().any(|known| known.contains(&name))
    };
    let agrees = |(name, value): (&String, &Value)| {
        let given = other.get(name).filter(|other| !value.is_null() && !other.is_null());
        given.is_none_or(|other| is_same(value, other))
    };
    TELLING.iter().all(|name| is_same_where_set(set(one, name), set(other, name)))
        && one.iter().filter(|(name, _)| is_other(name)).all(agrees)
        && is_same(&answers, &other_answers)
}

/// The member with the answers.
const FORM: &str = "form";

/// The answers, without what CommCare HQ works out of them.
fn answers(payload: &Map<String, Value>) -> Option<Cow<'_, Value>> {
    let form = payload.get(FORM).filter(|form| form.is_object())?;
    let meta = form.get("meta").and_then(Value::as_object);
    if meta.is_none_or(|meta| !WORKED_OUT.iter().any(|name| meta.contains_key(*name))) {
        return Some(Cow::Borrowed(form));
    }
    let mut form = form.clone();
    if let Some(meta) = form.get_mut("meta").and_then(Value::as_object_mut) {
        meta.retain(|name, _| !WORKED_OUT.contains(&name.as_str()));
    }
    Some(Cow::Owned(form))
}

/// The value of a member that is neither null nor false.
fn set<'p>(payload: &'p Map<String, Value>, name: &str) -> Option<&'p Value> {
    payload.get(name).filter(|value| !matches!(value, Value::Null | Value::Bool(false)))
}

fn is_same_where_set(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    let digest = |value| {
        let mut hasher = Sha256::new();
        hash_value(&mut hasher, value);
        hasher.finalize()
    };
    digest(one) == digest(other)
}

/// Hash of a payload's content: the same for a payload that went through Firestore as the original service stored it,
/// which keeps `1.50` as a double.
pub(super) fn content_hash(data: &Value) -> String {
    let mut hasher = Sha256::new();
    hash_members(&mut hasher, data, |_| true);
    hex(&hasher.finalize())
}

fn hash_members(hasher: &mut Sha256, data: &Value, which: impl Fn(&str) -> bool) {
    for (name, value) in data.as_object().into_iter().flatten() {
        if !NOT_CONTENT.contains(&name.as_str()) && which(name) {
            hash_text(hasher, name);
            hash_value(hasher, value);
        }
    }
}

/// [`content_hash`] of a payload whose list of records comes one by one.
pub(super) struct ContentHash<'p> {
    hasher: Sha256,
    head: &'p Value,
    records: &'p str,
}

impl<'p> ContentHash<'p> {
    /// The hash of `head` with `count` records in its member `records`, whatever the head has there.
    pub(super) fn begin(head: &'p Value, records: &'p str, count: usize) -> Self {
        let mut hasher = Sha256::new();
        // Members are in the order of their names.
        hash_members(&mut hasher, head, |name| name < records);
        hash_text(&mut hasher, records);
        hash_list(&mut hasher, count);
        Self { hasher, head, records }
    }

    pub(super) fn add(&mut self, record: &Value) {
        hash_value(&mut self.hasher, record);
    }

    pub(super) fn end(mut self) -> String {
        hash_members(&mut self.hasher, self.head, |name| name > self.records);
        hex(&self.hasher.finalize())
    }
}

fn hash_list(hasher: &mut Sha256, count: usize) {
    hasher.update("a");
    hasher.update(count.to_be_bytes());
}

fn hash_value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update("n"),
        Value::Bool(value) => hasher.update(if *value { "t" } else { "f" }),
        Value::Number(number) => {
            let double = number.as_f64().filter(|_| !number.is_i64() && !number.is_u64());
            let whole = double.filter(|double| double.fract() == 0.0 && double.abs() < 1e15);
            match (whole, double) {
                // `2.0` is the number that `2` is.
                (Some(whole), _) => hash_text(hasher, &format!("{whole:.0}")),
                (None, Some(double)) => hash_text(hasher, &double.to_string()),
                (None, None) => hash_text(hasher, &number.to_string()),
            }
        }
        Value::String(text) => {
            hasher.update("s");
            hash_text(hasher, text);
        }
        Value::Array(items) => {
            hash_list(hasher, items.len());
            for item in items {
                hash_value(hasher, item);
            }
        }
        Value::Object(fields) => {
            hasher.update("o");
            hasher.update(fields.len().to_be_bytes());
            for (name, value) in fields {
                hash_text(hasher, name);
                hash_value(hasher, value);
            }
        }
    }
}

/// The length keeps apart what would read the same run together.
fn hash_text(hasher: &mut Sha256, text: &str) {
    hasher.update(text.len().to_be_bytes());
    hasher.update(text);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_firestore_makes_of_a_number_is_the_same_content() {
        let sent: Value =
            serde_json::from_str(r#"{"id":"a","form":{"x":1.50,"y":2.0,"z":7,"t":"1.50"}}"#).unwrap();
        let stored = json!({ "id": "a", "form": { "x": 1.5, "y": 2.0, "z": 7, "t": "1.50" } });
        assert_eq!(content_hash(&sent), content_hash(&stored));
        for other in [json!("1.5"), json!(1.51), json!(null), json!([1.5]), json!({ "x": 1.5 })] {
            let mut changed = stored.clone();
            changed["form"]["x"] = other.clone();
            assert_ne!(content_hash(&changed), content_hash(&stored), "{other}");
        }
        let mut text = stored.clone();
        text["form"]["t"] = json!("1.5");
        assert_ne!(content_hash(&text), content_hash(&stored), "a text is its characters");
    }

    #[test]
    fn what_commcare_stamps_by_the_way_it_sends_is_no_content() {
        let mut form = json!({ "id": "a", "form": { "indexed_on": "an answer" } });
        let hash = content_hash(&form);
        form["indexed_on"] = json!("2026-01-01T00:00:00Z");
        form["resource_uri"] = json!("/a/d/api/form/v1/a/");
        assert_eq!(content_hash(&form), hash);
        form["form"]["indexed_on"] = json!("another");
        assert_ne!(content_hash(&form), hash);
    }

    /// A form as CommCare HQ forwards it.
    fn forwarded() -> Value {
        json!({
            "id": "f-1",
            "domain": "demo",
            "received_on": "2026-02-11T08:41:07.530616Z",
            "server_modified_on": "2026-02-11T08:41:07.700000Z",
            "edited_on": null,
            "archived": false,
            "indexed_on": "2026-02-11T08:41:09.100000",
            "resource_uri": "",
            "attachments": { "form.xml": { "content_type": "text/xml", "length": 7, "url": "https://hq/api/form/attachment/f-1" } },
            "metadata": { "geo_point": { "lat": "6.83", "lon": "38.41" }, "username": "dawit" },
            "form": {
                "@name": "Farmer Registration",
                "Age": "41",
                "meta": { "username": "dawit", "location": "6.83 38.41 0 0", "geo_point": { "lat": "6.83", "lon": "38.41" } },
            },
        })
    }

    /// The same form as it lists it.
    fn listed() -> Value {
        let mut form = forwarded();
        form["indexed_on"] = json!("2026-02-11T09:00:00.000000");
        form["resource_uri"] = json!("/a/demo/api/form/v1/f-1/");
        form["server_modified_on"] = json!("2026-02-11T08:41:08.000000Z");
        form["attachments"]["form.xml"]["url"] =
            json!("https://hq/a/demo/api/form_attachment/v1/f-1/form.xml");
        form["form"]["meta"]["geo_point"] = json!({ "lat": 6.83, "lon": 38.41 });
        form["form"]["meta"]["commcare_version"] = json!("2.55.2");
        form["metadata"]["geo_point"] = json!({ "lat": 6.83, "lon": 38.41 });
        form["is_phone_submission"] = json!(true);
        form["edited_by_user_id"] = Value::Null;
        form["initial_processing_complete"] = json!(true);
        form["problem"] = Value::Null;
        form["submit_ip"] = json!("10.0.0.1");
        form
    }

    #[test]
    fn a_form_that_is_forwarded_and_listed_is_the_same() {
        assert!(is_same_form(&forwarded(), &listed()) && is_same_form(&listed(), &forwarded()));
        // A payload of the original service, with fewer members.
        let original = json!({ "id": "f-1", "domain": forwarded()["domain"], "form": forwarded()["form"] });
        assert!(is_same_form(&original, &listed()) && is_same_form(&listed(), &original));
    }

    #[test]
    fn a_form_that_lost_its_domain_is_another_one() {
        let mut lost = forwarded();
        lost.as_object_mut().unwrap().remove("domain");
        assert!(!is_same_form(&lost, &listed()) && !is_same_form(&forwarded(), &lost));
    }

    #[test]
    fn what_people_did_to_a_form_is_a_difference_whoever_sends_it() {
        for (member, value) in [
            ("/form/Age", json!("42")),
            ("/form/meta/username", json!("another")),
            ("/edited_on", json!("2026-02-12T00:00:00Z")),
            ("/archived", json!(true)),
            ("/domain", json!("another")),
        ] {
            let mut changed = listed();
            *changed.pointer_mut(member).unwrap() = value;
            assert!(!is_same_form(&forwarded(), &changed), "{member}");
            assert!(!is_same_form(&changed, &forwarded()), "{member}");
        }
        let mut more = listed();
        more["form"]["Gender"] = json!("f");
        assert!(!is_same_form(&forwarded(), &more) && !is_same_form(&more, &forwarded()));
        let original = json!({ "id": "f-1", "form": forwarded()["form"] });
        let mut archived = listed();
        archived["archived"] = json!(true);
        assert!(!is_same_form(&original, &archived), "it was archived since");
    }

    #[test]
    fn payloads_of_salesforce_are_no_forms() {
        let payload = json!({ "id": "p-1", "jobType": "Participant" });
        assert!(!is_same_form(&payload, &payload));
    }
}
