//! Reading an answer: HTTP 200 says nothing, each row says whether it was written.
//!
//! An answer that is not exactly what was asked for (a row missing, a subrequest too many, half a body) counts as
//! no answer: never a success, and safe to ask for again, because upserts can be repeated.

use std::fmt;

use reqwest::StatusCode;
use serde_json::Value;

use super::calls::Call;
use super::composite::{self, Request};
use super::failure;
use super::response::Response;
use super::step::Step;
use super::transport;
use crate::destinations::delivery::{DeliveryError, Failure};
use crate::destinations::mask::Mask;
use crate::destinations::trouble::Trouble;
use crate::plan::Upsert;

/// The code of a session that Salesforce no longer takes, or that another server has (REST API guide, Status Codes).
const SESSION: &str = "INVALID_SESSION_ID";

/// Why a call did not do what it was for.
#[derive(Debug)]
pub(super) struct NotDone {
    pub(super) trouble: Box<Trouble>,
    /// What may let the same rows through.
    pub(super) remedy: Option<Remedy>,
}

/// Another way to send the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The rows of a collection were too many for the org's triggers.
    SmallerCollections {
        object: &'static str,
        /// How many there were.
        rows: usize,
    },
    /// Composite took a text for a reference.
    WithoutComposite,
}

/// Why a row was not written.
struct Refusal<'p> {
    upsert: &'p Upsert,
    /// Rows of the step that the row is of.
    rows: usize,
    status: StatusCode,
    code: String,
    message: String,
}

/// A body that isn't a whole answer to the call, and how.
struct Malformed(&'static str);

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trouble.fmt(f)
    }
}

impl From<Trouble> for NotDone {
    fn from(trouble: Trouble) -> Self {
        Self { trouble: Box::new(trouble), remedy: None }
    }
}

/// Whether every row of `call` was written.
pub(super) fn read(call: &Call<'_>, response: &Response, mask: &Mask<'_>) -> Result<(), NotDone> {
    let found = match call {
        Call::Composite(request) if response.status == StatusCode::OK => {
            first_refusal(request, &response.body)
        }
        Call::Composite(_) => return Err(refused_whole(call, response, mask)),
        Call::Alone(step) => match refusal_of_lone_step(step, response) {
            Some(found) => found,
            None => return Err(refused_whole(call, response, mask)),
        },
    };
    match found {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) => Err(refusal.into_not_done(call, mask)),
        Err(Malformed(how)) => {
            let why = format!("Salesforce's answer is not a whole one: {how}");
            Err(Trouble::outage(composite::RESOURCE, why).into())
        }
    }
}

/// The refusal of a whole call. It names no step: what is too much is the largest collection.
fn refused_whole(call: &Call<'_>, response: &Response, mask: &Mask<'_>) -> NotDone {
    let (code, message) = code_of_request(&response.body);
    let words = mask.unquoted(&message, failure::phrases());
    let largest = call.steps().iter().max_by_key(|step| step.rows().len());
    let remedy =
        largest.and_then(|step| remedy(call, step.rows()[0].object, step.rows().len(), &code, &words));
    NotDone { remedy, ..refused(response, mask, failure::of_request).into() }
}

/// What may let the rows through that were refused with this code and these words.
fn remedy(call: &Call<'_>, object: &'static str, rows: usize, code: &str, words: &str) -> Option<Remedy> {
    if matches!(call, Call::Composite(_)) && failure::is_unknown_reference(code, words) {
        Some(Remedy::WithoutComposite)
    } else if failure::is_too_much_at_once(words) && rows > 1 {
        Some(Remedy::SmallerCollections { object, rows })
    } else {
        None
    }
}

/// The refusal of a whole request. `meaning` says what status, code and message mean.
pub(super) fn refused(
    response: &Response,
    mask: &Mask<'_>,
    meaning: fn(StatusCode, &str, &str) -> Failure,
) -> Trouble {
    let status = response.status;
    let (code, message) = code_of_request(&response.body);
    let failure = meaning(status, &code, &mask.unquoted(&message, failure::phrases()));
    let mut text = format!("Salesforce refused the request: HTTP {}", status.as_u16());
    for part in [&code, &mask.apply(&message)].into_iter().filter(|part| !part.is_empty()) {
        text.push_str(": ");
        text.push_str(part);
    }
    let error = DeliveryError::new(failure, composite::RESOURCE, text);
    let blame = failure::blame(failure, status, &code);
    Trouble { retry_after: response.retry_after, ..Trouble::new(error, blame) }
}

/// Whether Salesforce no longer takes the session: it may say so of the whole request or, inside a Composite answer
/// with HTTP 200, of a subrequest.
pub(super) fn refuses_session(response: &Response) -> bool {
    const UNAUTHORIZED: &str = "401";
    let holds = |word: &str| response.body.windows(word.len()).any(|part| part == word.as_bytes());
    // A text of the payload may hold the word: only an error's code and a subrequest's status count.
    let says_so = |body: &Value| has_code(body, SESSION) || has_unauthorized(body);
    response.status == StatusCode::UNAUTHORIZED
        || ((holds(SESSION) || holds(UNAUTHORIZED))
            && serde_json::from_slice(&response.body).is_ok_and(|body| says_so(&body)))
}

fn has_unauthorized(body: &Value) -> bool {
    let answers = body.get("compositeResponse").and_then(Value::as_array);
    let status = |answer: &Value| answer.get("httpStatusCode").and_then(Value::as_u64);
    answers
        .into_iter()
        .flatten()
        .any(|answer| status(answer) == Some(u64::from(StatusCode::UNAUTHORIZED.as_u16())))
}

fn has_code(body: &Value, code: &str) -> bool {
    match body {
        Value::Array(items) => items.iter().any(|item| has_code(item, code)),
        Value::Object(members) => {
            code_and_message(body).0 == code || members.values().any(|member| has_code(member, code))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The error code and message of a refused request. Both are empty where the body holds no code, as a proxy's page
/// does not.
pub(super) fn code_of_request(body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let first = body.get(0).unwrap_or(&body);
    let (code, message) = code_and_message(first);
    if code.is_empty() { Default::default() } else { (code.to_owned(), message.to_owned()) }
}

/// Whether a step that was a call of its own was refused; `None` where the answer is none to its rows. A refusal of
/// the rows as a whole (400, or 404 for an object or a record that is not there) is the first row's.
fn refusal_of_lone_step<'p>(
    step: &Step<'p>,
    response: &Response,
) -> Option<Result<Option<Refusal<'p>>, Malformed>> {
    let status = response.status;
    if status == StatusCode::OK && step.is_collection_alone() {
        let body: Option<Value> = serde_json::from_slice(&response.body).ok();
        let rows = body.as_ref().and_then(Value::as_array);
        return Some(
            rows.ok_or(Malformed("it is no list of results"))
                .and_then(|rows| refusal_of_rows(step, status, rows)),
        );
    }
    if status.is_success() && !step.is_collection_alone() {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let is_done = status == StatusCode::NO_CONTENT || body.get("success") == Some(&Value::Bool(true));
        return Some(if is_done {
            Ok(None)
        } else {
            Err(Malformed("it does not say whether the row was written"))
        });
    }
    let (code, message) = code_of_request(&response.body);
    let is_of_rows = matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) && !code.is_empty();
    is_of_rows.then(|| Ok(Some(Refusal::new(step, step.rows()[0], status, code, message))))
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
        return Ok(Some(Refusal::new(step, first, status, "MULTIPLE_CHOICES".to_owned(), message)));
    }
    let rows = body.as_array().filter(|rows| rows.iter().any(|row| row.get("success").is_some()));
    if let Some(rows) = rows.filter(|_| step.is_collection()) {
        return refusal_of_rows(step, status, rows);
    }
    let refused = body.get("success").and_then(Value::as_bool) == Some(false);
    if !status.is_success() || refused {
        let errors = if refused { body.get("errors") } else { Some(body) };
        return cause(step, first, status, errors);
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
            Some(false) => match cause(step, upsert, row_status, row.get("errors")) {
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
    step: &Step<'p>,
    upsert: &'p Upsert,
    status: StatusCode,
    errors: Option<&Value>,
) -> Result<Option<Refusal<'p>>, Malformed> {
    let errors = errors.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut errors_told = errors.iter().map(code_and_message);
    if let Some((code, message)) = errors_told.find(|(code, message)| !failure::is_consequence(code, message))
    {
        return Ok(Some(Refusal::new(step, upsert, status, code.to_owned(), message.to_owned())));
    }
    if errors.is_empty() && !status.is_success() {
        return Ok(Some(Refusal::new(step, upsert, status, String::new(), String::new())));
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

impl<'p> Refusal<'p> {
    fn new(step: &Step<'_>, upsert: &'p Upsert, status: StatusCode, code: String, message: String) -> Self {
        Self { upsert, rows: step.rows().len(), status, code, message }
    }

    fn into_not_done(self, call: &Call<'_>, mask: &Mask<'_>) -> NotDone {
        let Upsert { object, external_id_field, external_id, .. } = self.upsert;
        let code = if self.code.is_empty() { "no code" } else { &self.code };
        let mut text = format!(
            "{object} with {external_id_field} {external_id} was refused: {code} (HTTP {}): {}",
            self.status.as_u16(),
            mask.apply(&self.message)
        );
        if self.status == StatusCode::NOT_FOUND
            && let Some(ending) = file_ending(external_id)
        {
            let hint = " as a file's name does, and Salesforce may look for a file at such an address";
            text.extend(["; the id ends in ", ending, hint]);
        }
        let words = mask.unquoted(&self.message, failure::phrases());
        let failure = failure::of_record(self.upsert, self.status, &self.code, &words);
        // Salesforce took the request and answered, whatever the row's status is.
        let blame = failure::blame(failure, StatusCode::OK, &self.code);
        let remedy = remedy(call, object, self.rows, &self.code, &words);
        let error = DeliveryError::new(failure, object, text);
        let missing = missing_reference(&self.message).filter(|_| failure == Failure::Dependency);
        let error = match missing {
            Some((entity, id)) => error.missing(entity, id),
            None => error,
        };
        NotDone { trouble: Box::new(Trouble::new(error, blame)), remedy }
    }
}

/// The object and the external id of the record that Salesforce does not have: "Foreign key external ID: x not found for
/// field F in entity E" (REST API guide, relationships by external id).
fn missing_reference(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("Foreign key external ID: ")?;
    // The id may hold any words.
    let (rest, entity) = rest.rsplit_once(" in entity ")?;
    let (id, _) = rest.rsplit_once(" not found for field ")?;
    let end = entity.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(entity.len());
    (!entity[..end].is_empty()).then_some((&entity[..end], id))
}

/// The ending of an id that looks like a file's name: a dot and one to four letters or digits, a letter among them.
fn file_ending(id: &str) -> Option<&str> {
    let ending = &id[id.rfind('.')?..];
    let letters = ending.strip_prefix('.')?;
    let looks_like_it = (1..=4).contains(&letters.len())
        && letters.bytes().all(|b| b.is_ascii_alphanumeric())
        && letters.bytes().any(|b| b.is_ascii_alphabetic());
    looks_like_it.then_some(ending)
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
