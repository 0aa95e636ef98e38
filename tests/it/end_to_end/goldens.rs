//! The golden cases of `tests/vectors/`, through webhook and drain, as they reach Salesforce.

use std::collections::BTreeMap;
use std::fs;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::start;
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::salesforce::SalesforceStandIn;

on_both_back_ends!(
    registrations,
    attendances,
    training_observations,
    demo_plot_observations,
    farm_visits,
    farm_visits_aa,
);

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    payload: Value,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    upserts: Option<Vec<Upsert>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Upsert {
    object: String,
    external_id_field: String,
    external_id: String,
    fields: Map<String, Value>,
}

async fn registrations(backend: Backend) {
    every_case_of(&backend, "registration").await;
}

async fn attendances(backend: Backend) {
    every_case_of(&backend, "attendance").await;
}

async fn training_observations(backend: Backend) {
    every_case_of(&backend, "training-observation").await;
}

async fn demo_plot_observations(backend: Backend) {
    every_case_of(&backend, "demo-plot-observation").await;
}

async fn farm_visits(backend: Backend) {
    every_case_of(&backend, "farm-visit").await;
}

async fn farm_visits_aa(backend: Backend) {
    every_case_of(&backend, "farm-visit-aa").await;
}

async fn every_case_of(backend: &Backend, file: &str) {
    let path = format!("{}/tests/vectors/commcare-to-salesforce/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let (stand_in, app) = start(backend).await;
    stand_in.create_unknown_references();
    for case in cases {
        run(&app, &stand_in, case).await;
    }
}

async fn run(app: &TestApp, stand_in: &SalesforceStandIn, Case { name, payload, expect }: Case) {
    if payload["id"].as_str().is_none_or(|id| id.trim().is_empty()) {
        let refused = app.post("/process-data-cc", payload.to_string()).await.expect(422);
        assert_eq!(refused["error"], "Payload has no id", "{name}");
        assert!(expect.upserts.is_none(), "{name}");
        return;
    }
    for upsert in expect.upserts.iter().flatten().filter(|upsert| upsert.external_id_field == "Id") {
        // An update of a record that only Salesforce made: it is there.
        let held = stand_in.records(&upsert.object);
        if !held.iter().any(|record| record["Id"] == *upsert.external_id) {
            stand_in.seed(&upsert.object, "Id", &upsert.external_id, json!({}));
        }
    }
    let before = stand_in.requests();
    let record = app.process(&payload).await;
    let bodies = stand_in.bodies().split_off(before);
    let Some(expected) = expect.upserts else {
        let error = record["error"].as_str().unwrap_or_default();
        assert_eq!(
            (&record["status"], &record["error_kind"]),
            (&json!("failed"), &json!("permanent")),
            "{name}"
        );
        assert!(names_a_path(error), "{name}: {error}");
        assert_eq!((&record["last_step"], bodies.len()), (&json!("mapping"), 0), "{name}");
        return;
    };
    assert_eq!(record["status"], "completed", "{name}: {}", record["error"]);
    assert_eq!(record["note"].is_string(), expected.is_empty(), "{name}: {}", record["note"]);
    let expected = without_repeats(expected);
    let sent: Vec<Upsert> = bodies.iter().flat_map(upserts).collect();
    assert_eq!(sent, expected, "{name}");
    assert_eq!(bodies.len(), usize::from(!expected.is_empty()), "{name}: all or nothing");
    assert_held(stand_in, &expected, &name);
}

/// Whether an error begins with its place in the payload.
fn names_a_path(error: &str) -> bool {
    let path = error.split_once(": ").map(|(path, _)| path);
    path.is_some_and(|path| {
        ["form", "payload."].iter().any(|root| path.starts_with(root)) && !path.contains(' ')
    })
}

/// The plan as `docs/service.md`, section 5, sends it: an external id that comes twice in a run of one object is sent
/// once, with its last fields in its first place; the id itself stands in the URL.
fn without_repeats(plan: Vec<Upsert>) -> Vec<Upsert> {
    let mut sent: Vec<Upsert> = Vec::new();
    let mut run_starts = 0;
    for mut upsert in plan {
        upsert.fields.remove(&upsert.external_id_field);
        let kind = |upsert: &Upsert| (upsert.object.clone(), upsert.external_id_field.clone());
        if sent.last().is_some_and(|last| kind(last) != kind(&upsert)) {
            run_starts = sent.len();
        }
        match sent[run_starts..].iter_mut().find(|earlier| earlier.external_id == upsert.external_id) {
            Some(earlier) => *earlier = upsert,
            None => sent.push(upsert),
        }
    }
    sent
}

/// What a Composite body writes, in order.
fn upserts(body: &Value) -> Vec<Upsert> {
    let subrequests = body["compositeRequest"].as_array().unwrap();
    subrequests.iter().flat_map(upserts_of).collect()
}

fn upserts_of(subrequest: &Value) -> Vec<Upsert> {
    let url = subrequest["url"].as_str().unwrap().strip_prefix("/services/data/v66.0/").unwrap();
    let fields = |value: &Value| value.as_object().unwrap().clone();
    let upsert = |object: &str, key: &str, external_id: &str, fields: Map<String, Value>| Upsert {
        object: object.to_owned(),
        external_id_field: key.to_owned(),
        external_id: external_id.to_owned(),
        fields,
    };
    match url.split('/').collect::<Vec<_>>()[..] {
        ["sobjects", object, key, external_id] => {
            let external_id = percent_decode_str(external_id).decode_utf8().unwrap();
            vec![upsert(object, key, &external_id, fields(&subrequest["body"]))]
        }
        ["composite", "sobjects", object, key] => {
            let rows = subrequest["body"]["records"].as_array().unwrap().iter().map(fields);
            rows.map(|mut row| {
                row.remove("attributes");
                let external_id = row.remove(key).unwrap();
                upsert(object, key, external_id.as_str().unwrap(), row)
            })
            .collect()
        }
        _ => panic!("{url}"),
    }
}

/// Fails unless the records hold what was sent, the last value of each field.
fn assert_held(stand_in: &SalesforceStandIn, sent: &[Upsert], name: &str) {
    let mut written: BTreeMap<_, Map<String, Value>> = BTreeMap::new();
    for upsert in sent {
        let key = (&upsert.object, &upsert.external_id_field, upsert.external_id.trim().to_lowercase());
        written.entry(key).or_default().extend(upsert.fields.clone());
    }
    for ((object, key, external_id), fields) in written {
        let is_it = |record: &Map<String, Value>| {
            record.get(key).and_then(Value::as_str).is_some_and(|id| id.trim().to_lowercase() == external_id)
        };
        let record = stand_in.records(object).into_iter().find(is_it);
        let record = record.unwrap_or_else(|| panic!("{name}: no {object} {external_id}"));
        for (field, value) in fields {
            assert_eq!(record.get(&field), Some(&value), "{name}: {field} of {object} {external_id}");
        }
    }
}
