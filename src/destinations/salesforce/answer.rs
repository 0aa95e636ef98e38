//! Reading a Composite answer: HTTP 200 says nothing, each row says whether it was written.
//!
//! An answer that is not exactly what was asked for (a row missing, a subrequest too many, half a body) counts as
//! no answer: never a success, and safe to ask for again, because upserts can be repeated.

use reqwest::StatusCode;
use serde_json::Value;

use super::composite::{self, Request, Step};
use super::failure;
use super::response::Response;
use super::transport;
use crate::destinations::delivery::{DeliveryError, Failure};
use crate::destinations::mask::Mask;
use crate::destinations::trouble::Trouble;
use crate::plan::Upsert;

/// Why a row was not written.
struct Refusal<'p> {
    upsert: &'p Upsert,
    status: StatusCode,
    code: String,
    message: String,
}

/// A body that isn't a whole answer to the request, and how.
struct Malformed(&'static str);

/// Whether every row of `request` was written.
pub(super) fn read(request: &Request<'_>, response: &Response, mask: &Mask) -> Result<(), Trouble> {
    if response.status != StatusCode::OK {
        return Err(refused(response, mask));
    }
    match first_refusal(request, &response.body) {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) => Err(refusal.into_trouble(mask)),
        Err(Malformed(how)) => {
            let why = format!("Salesforce's answer is not a whole one: {how}");
            Err(Trouble::outage(composite::RESOURCE, why))
        }
    }
}

/// The refusal of a whole request.
pub(super) fn refused(response: &Response, mask: &Mask) -> Trouble {
    let status = response.status;
    let (code, message) = code_of_request(&response.body);
    let failure = failure::of_request(status, &code, &message);
    let mut text = format!("Salesforce refused the request: HTTP {}", status.as_u16());
    for part in [&code, &mask.apply(&message)].into_iter().filter(|part| !part.is_empty()) {
        text.push_str(": ");
        text.push_str(part);
    }
    let error = DeliveryError::new(failure, composite::RESOURCE, text);
    let blame = failure::blame(failure, status, &code);
    Trouble { retry_after: response.retry_after, ..Trouble::new(error, blame) }
}

/// The error code and message of a refused request. Both are empty where the body holds no code, as a proxy's
/// page does not.
fn code_of_request(body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let first = body.get(0).unwrap_or(&body);
    let (code, message) = code_and_message(first);
    if code.is_empty() { Default::default() } else { (code.to_owned(), message.to_owned()) }
}

/// The first error that is a cause. A cause counts even where the rest of the answer is malformed. A rolled-back
/// request that names no cause is malformed.
fn first_refusal<'p>(request: &Request<'p>, body: &[u8]) -> Result<Option<Refusal<'p>>, Malformed> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Malformed("it is not JSON"))?;
    let answers = body.get("compositeResponse").and_then(Value::as_array);
    let answers = answers.ok_or(Malformed("it has no compositeResponse"))?;
    let mut malformed = None;
    if answers.len() != request.steps().len() {
        malformed = Some(Malformed("the number of subrequests differs"));
    }
    for (position, (step, answer)) in request.steps().iter().zip(answers).enumerate() {
        if answer.get("referenceId").and_then(Value::as_str) != Some(&Request::reference_id(position)) {
            return Err(Malformed("the subrequests are others"));
        }
        match refusal_of_step(step, answer) {
            Ok(None) => {}
            Ok(refusal) => return Ok(refusal),
            Err(error) => malformed = malformed.or(Some(error)),
        }
    }
    malformed.map_or(Ok(None), Err)
}

fn refusal_of_step<'p>(step: &Step<'p>, answer: &Value) -> Result<Option<Refusal<'p>>, Malformed> {
    let status = answer.get("httpStatusCode").and_then(Value::as_u64);
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let status = status.ok_or(Malformed("a subrequest has no status"))?;
    let body = answer.get("body").unwrap_or(&Value::Null);
    let first = step.rows()[0];
    if status == StatusCode::MULTIPLE_CHOICES {
        // The body lists the records that share the external id, not an error.
        let message = "several records have this external id".to_owned();
        return Ok(Some(Refusal { upsert: first, status, code: "MULTIPLE_CHOICES".to_owned(), message }));
    }
    let rows = body.as_array().filter(|rows| rows.iter().any(|row| row.get("success").is_some()));
    if let Some(rows) = rows.filter(|_| step.is_collection()) {
        return refusal_of_rows(step, status, rows);
    }
    let refused = body.get("success").and_then(Value::as_bool) == Some(false);
    if !status.is_success() || refused {
        let errors = if refused { body.get("errors") } else { Some(body) };
        return cause(first, status, errors);
    }
    if step.is_collection() { Err(Malformed("a collection has no results")) } else { Ok(None) }
}

fn refusal_of_rows<'p>(
    step: &Step<'p>,
    status: StatusCode,
    rows: &[Value],
) -> Result<Option<Refusal<'p>>, Malformed> {
    let mut malformed = (rows.len() != step.rows().len()).then_some(Malformed("the number of rows differs"));
    // A row has no status of its own, and the collection's says little: 200 with refused rows.
    let row_status = if status.is_success() { StatusCode::BAD_REQUEST } else { status };
    for (upsert, row) in step.rows().iter().zip(rows) {
        match row.get("success").and_then(Value::as_bool) {
            Some(true) if status.is_success() => {}
            Some(false) => match cause(upsert, row_status, row.get("errors")) {
                Ok(None) => {}
                Ok(refusal) => return Ok(refusal),
                Err(error) => malformed = malformed.or(Some(error)),
            },
            _ => malformed = malformed.or(Some(Malformed("a row does not say whether it was written"))),
        }
    }
    malformed.map_or(Ok(None), Err)
}

/// The first error of a list that is a cause. A list of consequences alone is malformed: the cause must stand at
/// another row, and is reported from there.
fn cause<'p>(
    upsert: &'p Upsert,
    status: StatusCode,
    errors: Option<&Value>,
) -> Result<Option<Refusal<'p>>, Malformed> {
    let errors = errors.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let causes = errors.iter().map(code_and_message).filter(|(code, _)| !failure::is_consequence(code));
    if let Some((code, message)) = causes.into_iter().next() {
        return Ok(Some(Refusal { upsert, status, code: code.to_owned(), message: message.to_owned() }));
    }
    if errors.is_empty() && !status.is_success() {
        return Ok(Some(Refusal { upsert, status, code: String::new(), message: String::new() }));
    }
    Err(Malformed("it was rolled back without a cause"))
}

/// REST errors call it `errorCode`, results of collections `statusCode`.
fn code_and_message(error: &Value) -> (&str, &str) {
    let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let code = [text("errorCode"), text("statusCode")]
        .into_iter()
        .map(transport::code)
        .find(|code| !code.is_empty());
    (code.unwrap_or_default(), text("message"))
}

impl Refusal<'_> {
    fn into_trouble(self, mask: &Mask) -> Trouble {
        let Upsert { object, external_id_field, external_id, .. } = self.upsert;
        let code = if self.code.is_empty() { "no code" } else { &self.code };
        let text = format!(
            "{object} with {external_id_field} {external_id} was refused: {code} (HTTP {}): {}",
            self.status.as_u16(),
            mask.apply(&self.message)
        );
        let failure = failure::of_record(self.status, &self.code, &self.message);
        // Salesforce took the request and answered, whatever the row's status is.
        let blame = failure::blame(failure, StatusCode::OK, &self.code);
        let error = DeliveryError::new(failure, object, text);
        let missing = missing_reference(&self.message).filter(|_| failure == Failure::Dependency);
        let error = match missing {
            Some((entity, id)) => error.missing(entity, id),
            None => error,
        };
        Trouble::new(error, blame)
    }
}

/// The object and the external id of the record that Salesforce does not have: "Foreign key external ID: x not found for
/// field F in entity E" (REST API guide, relationships by external id).
fn missing_reference(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("Foreign key external ID: ")?;
    let (id, rest) = rest.split_once(" not found for field ")?;
    let (_, entity) = rest.split_once(" in entity ")?;
    let end = entity.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(entity.len());
    (!entity[..end].is_empty()).then_some((&entity[..end], id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salesforce_names_what_it_misses() {
        let message = "Foreign key external ID: ts-17 not found for field CommCare_Case_Id__c in entity Training_Session__c";
        assert_eq!(missing_reference(message), Some(("Training_Session__c", "ts-17")));
        let cut = "Foreign key external ID: ts-17 not found for field CommCare_Case_Id__c";
        assert_eq!(missing_reference(cut), None);
        assert_eq!(missing_reference("No such column"), None);
    }
}
