//! `POST /services/data/vNN.0/composite`: limits, order, roll-back and the shapes of the answers.

use std::collections::{HashMap, HashSet, VecDeque};

use axum::http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::Refusal;
use super::store::{Store, Written, is_object, refusal};

type Refusals = HashMap<String, VecDeque<Refusal>>;

/// Runs a request as one transaction.
pub(super) fn run(store: &mut Store, refusals: &mut Refusals, body: &[u8]) -> (StatusCode, Value) {
    let subrequests = match check(body) {
        Ok(subrequests) => subrequests,
        Err(Refusal { code, message, .. }) => {
            return (StatusCode::BAD_REQUEST, json!([{ "errorCode": code, "message": message }]));
        }
    };
    store.begin();
    let mut answers = Vec::new();
    let mut failed = false;
    for subrequest in &subrequests {
        let (status, body) = perform(store, refusals, subrequest);
        failed = status >= 300 || is_refused_collection(&body);
        answers.push((status, body));
        if failed {
            break;
        }
    }
    if failed {
        store.roll_back();
        let cause = answers.len() - 1;
        let halted = (400, halted());
        answers[..cause].fill(halted.clone());
        answers.resize(subrequests.len(), halted);
    }
    let answers = subrequests.iter().zip(answers).map(|(subrequest, (status, body))| {
        json!({ "body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": subrequest["referenceId"] })
    });
    (StatusCode::OK, json!({ "compositeResponse": answers.collect::<Vec<_>>() }))
}

/// The subrequests of a well-formed request within the limits.
fn check(body: &[u8]) -> Result<Vec<Value>, Refusal> {
    let invalid = |message: &str| refusal(400, "INVALID_INPUT", message);
    let body: Value =
        serde_json::from_slice(body).map_err(|_| refusal(400, "JSON_PARSER_ERROR", "not JSON"))?;
    if body["allOrNone"] != true || body["collateSubrequests"] != false {
        return Err(invalid("this service needs allOrNone, and no collation"));
    }
    let subrequests =
        body["compositeRequest"].as_array().ok_or_else(|| invalid("compositeRequest is required"))?;
    if subrequests.is_empty() || subrequests.len() > 25 {
        return Err(invalid("a composite request has 1 to 25 subrequests"));
    }
    let collections = subrequests
        .iter()
        .filter(|s| s["url"].as_str().is_some_and(|url| url.contains("/composite/sobjects")));
    if collections.count() > 5 {
        return Err(invalid("at most 5 subrequests may be collections or queries"));
    }
    let mut references = HashSet::new();
    for subrequest in subrequests {
        let reference = subrequest["referenceId"].as_str().unwrap_or_default();
        let is_valid = reference.starts_with(|c: char| c.is_ascii_alphabetic())
            && reference.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_valid || !references.insert(reference) {
            return Err(invalid("referenceId must be unique, of letters, digits and underscores"));
        }
    }
    Ok(subrequests.clone())
}

/// One subrequest: its status and body.
fn perform(store: &mut Store, refusals: &mut Refusals, subrequest: &Value) -> (u16, Value) {
    let url = subrequest["url"].as_str().unwrap_or_default();
    let resource = url.strip_prefix("/services/data/v66.0/").unwrap_or_default();
    if subrequest["method"] != "PATCH" {
        return errors(&refusal(
            405,
            "METHOD_NOT_ALLOWED",
            "HTTP Method not allowed. Allowed are HEAD,GET,PATCH,DELETE",
        ));
    }
    let Some(body) = subrequest["body"].as_object() else {
        return errors(&refusal(400, "JSON_PARSER_ERROR", "a body is required"));
    };
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["sobjects", object, field, external_id] if is_object(object) && is_segment(external_id) => {
            let external_id = percent_decode_str(external_id).decode_utf8().unwrap();
            single(store, refusals, (object, field, &external_id), body)
        }
        ["composite", "sobjects", object, field] if is_object(object) && field != "Id" => {
            collection(store, refusals, (object, field), body)
        }
        _ => errors(&refusal(404, "NOT_FOUND", "The requested resource does not exist")),
    }
}

fn single(
    store: &mut Store,
    refusals: &mut Refusals,
    (object, field, external_id): (&str, &str, &str),
    body: &Map<String, Value>,
) -> (u16, Value) {
    if body.contains_key(field) || body.contains_key("Id") || body.contains_key("attributes") {
        let message = format!("The {field} field should not be specified in the sobject data.");
        return errors(&refusal(400, "INVALID_FIELD", message));
    }
    let written = match refused(refusals, external_id) {
        Some(refusal) => Err(refusal),
        None => store.upsert(object, field, external_id, body),
    };
    match written {
        Ok(_) if field == "Id" => (204, Value::Null),
        Ok(Written { id, created }) => {
            let status = if created { 201 } else { 200 };
            (status, json!({ "id": id, "success": true, "errors": [], "created": created }))
        }
        Err(refusal) => errors(&refusal),
    }
}

fn collection(
    store: &mut Store,
    refusals: &mut Refusals,
    (object, field): (&str, &str),
    body: &Map<String, Value>,
) -> (u16, Value) {
    let records = body.get("records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if body.get("allOrNone") != Some(&true.into()) || records.is_empty() || records.len() > 200 {
        return errors(&refusal(400, "INVALID_INPUT", "1 to 200 records, all or none"));
    }
    let mut seen = HashSet::new();
    let rows: Vec<_> = records
        .iter()
        .map(|record| {
            let external_id = record[field].as_str().unwrap_or_default();
            if record["attributes"]["type"] != *object {
                return Err(refusal(400, "INVALID_TYPE", "attributes.type must be the type of the URL"));
            }
            if external_id.is_empty() || record.get("Id").is_some() {
                return Err(refusal(400, "MISSING_ARGUMENT", format!("{field} not specified")));
            }
            if !seen.insert(external_id.trim().to_lowercase()) {
                let message = format!("Duplicate external id specified: {external_id}");
                return Err(refusal(400, "DUPLICATE_VALUE", message));
            }
            let mut fields = record.as_object().unwrap().clone();
            fields.remove("attributes");
            fields.remove(field);
            refused(refusals, external_id)
                .map_or_else(|| store.upsert(object, field, external_id, &fields), Err)
        })
        .collect();
    let fails = rows.iter().any(Result::is_err);
    (200, rows.iter().map(|row| row_result(row, fails)).collect())
}

fn row_result(row: &Result<Written, Refusal>, fails: bool) -> Value {
    let (code, message) = match row {
        Ok(Written { id, created }) if !fails => {
            return json!({ "id": id, "success": true, "errors": [], "created": created });
        }
        Ok(_) => (
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "Record rolled back because not all records were valid and the request was using AllOrNone header",
        ),
        Err(Refusal { code, message, .. }) => (code.as_str(), message.as_str()),
    };
    json!({ "success": false, "errors": [{ "statusCode": code, "message": message, "fields": [] }] })
}

fn refused(refusals: &mut Refusals, external_id: &str) -> Option<Refusal> {
    refusals.get_mut(&external_id.to_lowercase())?.pop_front()
}

fn is_refused_collection(body: &Value) -> bool {
    body.as_array().is_some_and(|rows| rows.iter().any(|row| row["success"] == false))
}

/// Whether a URL segment holds nothing that should have been percent-encoded.
fn is_segment(segment: &str) -> bool {
    segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b))
}

fn errors(refusal: &Refusal) -> (u16, Value) {
    let Refusal { status, code, message } = refusal;
    if *status == 300 {
        return (300, json!(["/services/data/v66.0/sobjects/X/a01", "/services/data/v66.0/sobjects/X/a02"]));
    }
    (*status, json!([{ "message": message, "errorCode": code }]))
}

fn halted() -> Value {
    let message = "The transaction was rolled back since another operation in the same transaction failed.";
    json!([{ "errorCode": "PROCESSING_HALTED", "message": message }])
}
