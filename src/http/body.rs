//! Reads a posted payload and tells what it is: the checks of `docs/service.md`, section 2, in order.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use serde_json::Value;

use super::error::HttpError;
use crate::jobs::{self, Job};
use crate::queue::ID_LIMIT;
use crate::submission::Origin;

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
    /// The payload's `id` as text.
    pub(super) fn id(&self) -> Result<String, HttpError> {
        let id = jobs::job_id(&self.data).ok_or(HttpError::NoId)?;
        let rule = || format!("must have at most {ID_LIMIT} bytes");
        if id.len() > ID_LIMIT { Err(HttpError::Parameter { name: "id", rule: rule() }) } else { Ok(id) }
    }
}

/// Reads a payload of `origin`.
pub(super) async fn read(origin: Origin, request: Request, limit: usize) -> Result<NamedPayload, HttpError> {
    let (parts, body) = request.into_parts();
    let bytes = collect(body, limit).await?;
    if is_xml(&parts.headers, &bytes) {
        return Err(HttpError::XmlPayload);
    }
    let data: Value = serde_json::from_slice(without_mark(&bytes)).map_err(|_| HttpError::InvalidPayload)?;
    // Freed before the payload is kept: the text is as large as the payload.
    drop(bytes);
    if data.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(HttpError::InvalidPayload);
    }
    let job_name = jobs::job_name(origin, &data).ok_or(HttpError::NoJobName)?.to_owned();
    Ok(NamedPayload { job: jobs::find(origin, &job_name), job_name, data })
}

/// Reads the JSON that an operator's call sends.
pub(super) async fn read_json(request: Request, limit: usize) -> Result<Value, HttpError> {
    let bytes = collect(request.into_body(), limit).await?;
    serde_json::from_slice(without_mark(&bytes)).map_err(|_| HttpError::InvalidPayload)
}

/// The job and the data of a body that the webhook of `origin` would store, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn taken(origin: Origin, body: &[u8]) -> Option<(&'static Job, Value)> {
    use futures::FutureExt;

    let request = Request::new(Body::from(body.to_vec()));
    // The whole body is there, so that the future never waits.
    let named = read(origin, request, body.len()).now_or_never()?.ok()?;
    let (job, _) = named.job.zip(named.id().ok())?;
    Some((job, named.data))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, HttpError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut received = 0_usize;
    while let Some(chunk) = stream.next().await {
        // The sender hung up, or broke the protocol.
        let chunk = chunk.map_err(|_| HttpError::InvalidPayload)?;
        received = received.saturating_add(chunk.len());
        if received <= limit {
            bytes.extend_from_slice(&chunk);
        } else if received <= limit.saturating_add(DISCARDED) {
            bytes = Vec::new();
        } else {
            break;
        }
    }
    if received > limit { Err(HttpError::BodyTooLarge { limit }) } else { Ok(bytes) }
}

fn is_xml(headers: &HeaderMap, bytes: &[u8]) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let says_so = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("xml"));
    says_so || without_mark(bytes).trim_ascii_start().first() == Some(&b'<')
}

/// The text behind a byte order mark, which some senders put before it (RFC 8259, section 8.1).
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
