//! `POST /services/data/vNN.0/composite`: limits, order, roll-back and the shapes of the answers.

use std::collections::{HashMap, HashSet, VecDeque};

use axum::http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::store::{Store, Written, is_object, refusal};
use super::{Bearable, Refusal};

/// What one write may meet.
pub(super) struct Org<'o> {
    pub(super) store: &'o mut Store,
    /// By external id in lower case.
    pub(super) refusals: &'o mut HashMap<String, VecDeque<Refusal>>,
    /// By object.
    pub(super) bearable: &'o HashMap<String, Bearable>,
}

/// Runs a request as one transaction.
pub(super) fn run(org: &mut Org<'_>, body: &[u8]) -> (StatusCode, Value) {
    let subrequests = match check(body) {
        Ok(subrequests) => subrequests,
        Err(Refusal { code, message, .. }) => {
            return (StatusCode::BAD_REQUEST, json!([{ "errorCode": code, "message": message }]));
        }
    };
    org.store.begin();
    let mut answers: Vec<(u16, Value)> = Vec::new();
    let mut failed = false;
    for subrequest in &subrequests {
        let earlier = subrequests.iter().zip(&answers);
        let known =
            earlier.map(|(subrequest, (_, body))| (subrequest["referenceId"].as_str().unwrap(), body));
        let (status, body) = match resolved(subrequest, &known.collect()) {
            Ok(subrequest) => perform(org, &subrequest),
            Err(refusal) => errors(&refusal),
        };
        failed = status >= 300 || is_refused_collection(&body);
        answers.push((status, body));
        if failed {
            break;
        }
    }
    if failed {
        org.store.roll_back();
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

/// Runs a subrequest that is a call of its own.
pub(super) fn run_alone(org: &mut Org<'_>, url: &str, body: &[u8]) -> (StatusCode, Value) {
    org.store.begin();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let (status, body) = perform(org, &json!({ "method": "PATCH", "url": url, "body": body }));
    if status >= 300 || is_refused_collection(&body) {
        org.store.roll_back();
    }
    (StatusCode::from_u16(status).unwrap(), body)
}

/// A subrequest with its references resolved. From API version 52 on a reference without a value fails, and nothing
/// escapes one.
fn resolved(value: &Value, known: &HashMap<&str, &Value>) -> Result<Value, Refusal> {
    Ok(match value {
        Value::String(text) => Value::String(resolved_text(text, known)?),
        Value::Array(items) => items.iter().map(|item| resolved(item, known)).collect::<Result<_, _>>()?,
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| Ok((name.clone(), resolved(value, known)?)));
            Value::Object(members.collect::<Result<_, Refusal>>()?)
        }
        other => other.clone(),
    })
}

fn resolved_text(text: &str, known: &HashMap<&str, &Value>) -> Result<String, Refusal> {
    let Some((before, rest)) = text.split_once("@{") else { return Ok(text.to_owned()) };
    let (reference, after) = match rest.split_once('}') {
        Some((reference, after)) if !reference.is_empty() => (reference, after),
        _ => return Ok(format!("{before}@{{{}", resolved_text(rest, known)?)),
    };
    let (id, path) = reference.split_once('.').unwrap_or((reference, ""));
    let found = known.get(id).and_then(|body| body.get(path)).and_then(Value::as_str);
    let Some(found) = found else {
        let message = format!("Invalid reference specified. No value for {reference} found in {id}");
        return Err(refusal(400, "PROCESSING_HALTED", message));
    };
    Ok(format!("{before}{found}{}", resolved_text(after, known)?))
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
fn perform(org: &mut Org<'_>, subrequest: &Value) -> (u16, Value) {
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
            single(org, (object, field, &external_id), body)
        }
        ["composite", "sobjects", object, field] if is_object(object) && field != "Id" => {
            collection(org, (object, field), body)
        }
        _ => errors(&refusal(404, "NOT_FOUND", "The requested resource does not exist")),
    }
}

fn single(
    org: &mut Org<'_>,
    (object, field, external_id): (&str, &str, &str),
    body: &Map<String, Value>,
) -> (u16, Value) {
    if body.contains_key(field) || body.contains_key("Id") || body.contains_key("attributes") {
        let message = format!("The {field} field should not be specified in the sobject data.");
        return errors(&refusal(400, "INVALID_FIELD", message));
    }
    let written = match org.refused(external_id) {
        Some(refusal) => Err(refusal),
        None => org.store.upsert(object, field, external_id, body),
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

fn collection(org: &mut Org<'_>, (object, field): (&str, &str), body: &Map<String, Value>) -> (u16, Value) {
    let records = body.get("records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if body.get("allOrNone") != Some(&true.into()) || records.is_empty() || records.len() > 200 {
        return errors(&refusal(400, "INVALID_INPUT", "1 to 200 records, all or none"));
    }
    if let Some(Bearable { message, .. }) =
        org.bearable.get(object).filter(|bearable| bearable.rows < records.len())
    {
        let refused = refusal(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message);
        return (200, records.iter().map(|_| row_result(&Err(refused.clone()), true)).collect());
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
            let refused = org.refused(external_id);
            refused.map_or_else(|| org.store.upsert(object, field, external_id, &fields), Err)
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

impl Org<'_> {
    fn refused(&mut self, external_id: &str) -> Option<Refusal> {
        self.refusals.get_mut(&external_id.to_lowercase())?.pop_front()
    }
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
