//! Reads a posted payload and tells what it is: the checks of `docs/service.md`, section 2, in order.

mod budget;
mod large;
mod packing;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::error;

use super::error::HttpError;
use super::slow::TooSlow;
use super::unread::DISCARDED;
use crate::jobs::{self, Job};
use crate::payload::{self, PayloadError};
use crate::queue::ID_LIMIT;
use crate::submission::Origin;
pub(super) use budget::Bodies;
use budget::Held;
pub(super) use large::LargePayload;
use packing::Unpacking;

/// Bytes from which on a body is parsed off the threads that answer calls: it takes a millisecond and more.
const OFF_THE_CALLS: usize = 64 * 1024;

/// A payload that names a job.
pub(super) struct NamedPayload {
    /// The name that routes it.
    pub(super) job_name: String,
    /// The job; `None` where the form type isn't handled.
    pub(super) job: Option<&'static Job>,
    /// The payload.
    pub(super) data: Value,
}

impl NamedPayload {
    /// The payload with the job of `origin` that it names.
    pub(super) fn new(origin: Origin, data: Value) -> Result<Self, HttpError> {
        let job_name = jobs::job_name(origin, &data).ok_or(HttpError::NoJobName(origin))?.to_owned();
        Ok(Self { job: jobs::find(origin, &job_name), job_name, data })
    }

    /// The payload's `id` as text.
    pub(super) fn id(&self) -> Result<String, HttpError> {
        let id = jobs::job_id(&self.data).ok_or(HttpError::NoId)?;
        let rule = || format!("must have at most {ID_LIMIT} bytes");
        if id.len() > ID_LIMIT { Err(HttpError::Parameter { name: "id", rule: rule() }) } else { Ok(id) }
    }
}

/// A payload that was posted.
pub(super) struct Posted {
    /// The payload, or the head of a large one.
    pub(super) data: Value,
    /// The same payload, where it is large.
    pub(super) large: Option<LargePayload>,
    /// Its share of the memory for bodies.
    pub(super) held: Held,
}

/// Reads a payload of `origin`, an object with members, as the webhook takes it: of a large one from Salesforce the
/// records stay text.
pub(super) async fn read(bodies: &Bodies, origin: Origin, request: Request) -> Result<Posted, HttpError> {
    let (bytes, mut held) = receive(bodies, origin, request).await?;
    if origin == Origin::Salesforce && bytes.len() > large::LARGE {
        bodies.hold_values(&mut held, large::MEMORY).await?;
        let large = off_the_calls(move || LargePayload::read(&bytes)).await?;
        let data = object(large.head())?;
        return Ok(Posted { data, large: Some(large), held });
    }
    let data = values(bodies, origin, bytes, &mut held).await?;
    Ok(Posted { data, large: None, held })
}

/// Reads a payload of `origin`, an object with members, whole.
pub(super) async fn read_whole(
    bodies: &Bodies,
    origin: Origin,
    request: Request,
) -> Result<(Value, Held), HttpError> {
    let (bytes, mut held) = receive(bodies, origin, request).await?;
    Ok((values(bodies, origin, bytes, &mut held).await?, held))
}

/// Reads the JSON that an operator's call sends.
pub(super) async fn read_json(bodies: &Bodies, request: Request) -> Result<Value, HttpError> {
    let (parts, body) = request.into_parts();
    let (bytes, mut held) = collect(bodies, &parts.headers, body, bodies.limit_of_calls()).await?;
    bodies.hold_values(&mut held, budget::memory(&bytes)).await?;
    off_the_calls(move || parse(&bytes)).await
}

/// The job and the data of a body that the webhook of `origin` would store, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn taken(origin: Origin, body: &[u8]) -> Option<(&'static Job, Value)> {
    let data = Some(body).filter(|body| !is_xml(&HeaderMap::new(), body))?;
    let named = NamedPayload::new(origin, object(parse(data).ok()?).ok()?).ok()?;
    let (job, _) = named.job.zip(named.id().ok())?;
    Some((job, named.data))
}

/// The bytes of a payload that is not XML.
async fn receive(bodies: &Bodies, origin: Origin, request: Request) -> Result<(Bytes, Held), HttpError> {
    let (parts, body) = request.into_parts();
    let (bytes, held) = collect(bodies, &parts.headers, body, bodies.limit(origin)).await?;
    if is_xml(&parts.headers, &bytes) { Err(HttpError::XmlPayload(origin)) } else { Ok((bytes, held)) }
}

/// A payload as values, once there is memory for them.
async fn values(bodies: &Bodies, origin: Origin, bytes: Bytes, held: &mut Held) -> Result<Value, HttpError> {
    let memory = budget::memory(&bytes);
    if origin == Origin::CommCare {
        budget::check_form(memory)?;
    }
    bodies.hold_values(held, memory).await?;
    let parsed =
        if bytes.len() > OFF_THE_CALLS { off_the_calls(move || parse(&bytes)).await } else { parse(&bytes) };
    object(parsed?)
}

fn object(data: Value) -> Result<Value, HttpError> {
    let details = match &data {
        Value::Object(members) if members.is_empty() => "is an empty object",
        Value::Object(_) => return Ok(data),
        Value::Array(_) => "must be an object, but is a list",
        Value::String(_) => "must be an object, but is a text",
        Value::Number(_) => "must be an object, but is a number",
        Value::Bool(_) => "must be an object, but is true or false",
        Value::Null => "must be an object, but is null",
    };
    Err(invalid(details))
}

fn invalid(details: impl Into<String>) -> HttpError {
    HttpError::InvalidPayload { details: details.into() }
}

/// Does what takes long on a thread of its own.
async fn off_the_calls<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HttpError> + Send + 'static,
) -> Result<T, HttpError> {
    spawn_blocking(work).await.unwrap_or_else(|_panic| {
        // The panic hook has logged the place. The panic's message may quote a payload.
        error!("reading a body broke down");
        Err(HttpError::BrokeDown)
    })
}

fn parse(bytes: &[u8]) -> Result<Value, HttpError> {
    payload::parse(bytes).map_err(HttpError::from)
}

impl From<PayloadError> for HttpError {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::NotUnicode(details) => invalid(details),
            PayloadError::NotJson(error) => not_json(&error),
        }
    }
}

/// The place of a fault of JSON. The parser's own words may quote the payload.
fn not_json(error: &serde_json::Error) -> HttpError {
    let (line, column) = (error.line(), error.column());
    let fault = if error.is_eof() {
        "the JSON ends too early,"
    } else if error.to_string().starts_with("recursion limit exceeded") {
        "nested too deeply"
    } else {
        "not JSON"
    };
    invalid(format!("{fault} at line {line}, column {column}"))
}

/// The whole body, unpacked. The limit holds before and after unpacking.
async fn collect(
    bodies: &Bodies,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Bytes, Held), HttpError> {
    let mut unpacking = Unpacking::new(headers, bodies.begin(), limit);
    let mut stream = body.into_data_stream();
    let mut received = 0_usize;
    while let Some(piece) = stream.next().await {
        // What is not too slow has hung up, or broke the protocol.
        let trouble = |error: axum::Error| {
            if error.into_inner().is::<TooSlow>() {
                HttpError::TooSlow
            } else {
                invalid("the body broke off")
            }
        };
        let piece = piece.map_err(trouble)?;
        received = received.saturating_add(piece.len());
        if received > limit.saturating_add(DISCARDED) {
            break;
        }
        unpacking = match unpacking {
            Ok(_) if received > limit => Err(HttpError::BodyTooLarge { limit }),
            Ok(body) => body.with(&piece),
            trouble => trouble,
        };
    }
    unpacking?.finish()
}

fn is_xml(headers: &HeaderMap, bytes: &[u8]) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let says_so = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("xml"));
    says_so || payload::without_mark(bytes).trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reading_that_breaks_down_is_no_trouble_of_the_queue() {
        let answer = off_the_calls::<()>(|| panic!("a bug")).await;
        assert!(matches!(answer, Err(HttpError::BrokeDown)), "{answer:?}");
    }
}
