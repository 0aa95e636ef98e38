//! The `sObject` Describe resource, from a small file: an object for each object of the org, with a member for each field.
//! A field's members are those of the answer; what they leave out is usual. `values` and `inactive` are a picklist's
//! values, `recordTypes` the object's record types; `createable` and `updateable` may stand beside the fields.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{SalesforceStandIn, Shared, arrive, error, no_session};

/// The org that the mappings imply.
const ORG: &str = include_str!("org.json");
/// What is wrong with another one: a fault of each kind, to be merged into the first (RFC 7396).
const FAULTS: &str = include_str!("faults.json");

/// The org, with everything that the mappings need.
pub(super) fn org() -> Value {
    serde_json::from_str(ORG).expect("org.json is JSON")
}

impl SalesforceStandIn {
    /// From now on the org lacks what `faults.json` says.
    pub(crate) fn break_org(&self) {
        self.patch_org(&serde_json::from_str(FAULTS).expect("faults.json is JSON"));
    }

    /// From now on the org is like this: a patch as of RFC 7396.
    pub(crate) fn patch_org(&self, patch: &Value) {
        merge(&mut self.inner().org, patch);
    }

    /// The objects that were asked for, in order.
    pub(crate) fn described(&self) -> Vec<String> {
        self.inner().described.clone()
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Map::new().into();
    }
    let members = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

pub(super) async fn describe_call(
    State(state): State<Shared>,
    headers: HeaderMap,
    Path((_, object)): Path<(String, String)>,
) -> Response {
    if let Some(fault) = arrive(&state, &headers).await {
        return fault.instead().await;
    }
    let mut inner = state.lock().unwrap();
    if !inner.knows_session(&headers) {
        return no_session();
    }
    inner.used += 1;
    inner.described.push(object.clone());
    let response = match inner.org.get(&object) {
        Some(fields) => description(&object, fields).to_string().into_response(),
        None => error(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist"),
    };
    inner.finish(response)
}

fn description(object: &str, members: &Value) -> Value {
    const BESIDE: [&str; 3] = ["recordTypes", "createable", "updateable"];
    let members = members.as_object().unwrap();
    let flag = |name: &str| members.get(name).cloned().unwrap_or(true.into());
    let mut fields = vec![
        field(
            "Id",
            &json!({ "type": "id", "length": 18, "createable": false, "updateable": false, "nillable": false, "idLookup": true, "defaultedOnCreate": true }),
        ),
        field(
            "OwnerId",
            &json!({ "type": "reference", "length": 18, "nillable": false, "defaultedOnCreate": true, "relationshipName": "Owner", "referenceTo": ["Group", "User"] }),
        ),
        field(
            "CreatedDate",
            &json!({ "type": "datetime", "createable": false, "updateable": false, "nillable": false, "defaultedOnCreate": true }),
        ),
    ];
    fields.extend(
        members
            .iter()
            .filter(|(name, _)| !BESIDE.contains(&name.as_str()))
            .map(|(name, own)| field(name, own)),
    );
    let types = members.get("recordTypes").and_then(Value::as_array).cloned().unwrap_or_default();
    let types: Vec<Value> =
        types.iter().map(|id| json!({ "recordTypeId": id, "active": true, "available": true })).collect();
    json!({
        "name": object, "createable": flag("createable"), "updateable": flag("updateable"), "fields": fields,
        "recordTypeInfos": types, "childRelationships": [],
    })
}

fn field(name: &str, own: &Value) -> Value {
    let mut field = json!({
        "name": name, "length": 0, "nillable": true, "calculated": false, "autoNumber": false, "createable": true,
        "updateable": true, "defaultedOnCreate": false, "externalId": false, "unique": false, "idLookup": false,
        "relationshipName": null, "referenceTo": [], "restrictedPicklist": false, "picklistValues": [],
    });
    merge(&mut field, own);
    let members = field.as_object_mut().unwrap();
    let mut values = Vec::new();
    for (list, active) in [("values", true), ("inactive", false)] {
        let listed = members.remove(list).unwrap_or_default();
        let listed = listed.as_array().cloned().unwrap_or_default();
        values.extend(
            listed.iter().map(
                |value| json!({ "value": value, "label": value, "active": active, "defaultValue": false }),
            ),
        );
    }
    members.insert("picklistValues".to_owned(), values.into());
    members.entry("relationshipName").or_insert(Value::Null);
    field
}
