//! Reads a posted payload and tells what it is: the checks of `docs/service.md`, section 2, in order.

mod packing;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use serde_json::Value;

use super::error::HttpError;
use crate::jobs::{self, Job};
use crate::payload::{self, PayloadError};
use crate::queue::ID_LIMIT;
use crate::submission::Origin;
use packing::Unpacking;

/// Bytes of a body that are still read once it is too large. A sender that writes the whole body before it
/// reads then gets the answer instead of a cut connection.
const DISCARDED: usize = 64 * 1024 * 1024;

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
        let job_name = jobs::job_name(origin, &data).ok_or(HttpError::NoJobName)?.to_owned();
        Ok(Self { job: jobs::find(origin, &job_name), job_name, data })
    }

    /// The payload's `id` as text.
    pub(super) fn id(&self) -> Result<String, HttpError> {
        let id = jobs::job_id(&self.data).ok_or(HttpError::NoId)?;
        let rule = || format!("must have at most {ID_LIMIT} bytes");
        if id.len() > ID_LIMIT { Err(HttpError::Parameter { name: "id", rule: rule() }) } else { Ok(id) }
    }
}

/// Reads a payload of `origin`: an object with members.
pub(super) async fn read(origin: Origin, request: Request, limit: usize) -> Result<Value, HttpError> {
    let (parts, body) = request.into_parts();
    let bytes = collect(&parts.headers, body, limit).await?;
    if is_xml(&parts.headers, &bytes) {
        return Err(HttpError::XmlPayload(origin));
    }
    let data = parse(&bytes)?;
    if data.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(HttpError::InvalidPayload);
    }
    Ok(data)
}

/// Reads the JSON that an operator's call sends.
pub(super) async fn read_json(request: Request, limit: usize) -> Result<Value, HttpError> {
    let (parts, body) = request.into_parts();
    parse(&collect(&parts.headers, body, limit).await?)
}

/// The job and the data of a body that the webhook of `origin` would store, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn taken(origin: Origin, body: &[u8]) -> Option<(&'static Job, Value)> {
    use futures::FutureExt;

    let request = Request::new(Body::from(body.to_vec()));
    // The whole body is there, so that the future never waits.
    let data = read(origin, request, body.len()).now_or_never()?.ok()?;
    let named = NamedPayload::new(origin, data).ok()?;
    let (job, _) = named.job.zip(named.id().ok())?;
    Some((job, named.data))
}

fn parse(bytes: &[u8]) -> Result<Value, HttpError> {
    payload::parse(bytes).map_err(|error| match error {
        PayloadError::NotUnicode(details) => HttpError::UnreadablePayload { details },
        PayloadError::NotJson(_) => HttpError::InvalidPayload,
    })
}

/// The whole body, unpacked. The limit holds before and after unpacking.
async fn collect(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, HttpError> {
    let mut unpacking = Unpacking::new(headers, limit);
    let mut stream = body.into_data_stream();
    let mut received = 0_usize;
    while let Some(piece) = stream.next().await {
        // The sender hung up, or broke the protocol.
        let piece = piece.map_err(|_| HttpError::InvalidPayload)?;
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
