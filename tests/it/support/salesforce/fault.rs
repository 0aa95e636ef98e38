//! The ways in which a call goes wrong on the wire.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::Value;
use tokio::sync::Notify;

use crate::support::bomb::bomb;

/// What the stand-in does to one call instead of answering properly.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers this without looking at the request.
    Answer(u16, String),
    /// The same, with this `Retry-After`.
    Busy(u16, String, String),
    /// Sends the caller elsewhere.
    Redirect(u16, String),
    /// Answers this once the test says so.
    Held(Arc<Notify>, u16, String),
    /// Does the work, and answers with what this makes of the answer.
    Rewrite(fn(Value) -> Value),
    /// Cuts the connection before anything was done.
    CutBefore,
    /// Does the work and cuts the connection: the answer is lost.
    CutAfter,
    /// Does the work, sends half of the answer and cuts the connection.
    HalfAnswer,
    /// Answers 200 with this many bytes of JSON, which are few as long as they are packed.
    Bomb(usize),
    /// Never answers.
    Hang,
}

impl Fault {
    pub(super) fn does_the_work(&self) -> bool {
        matches!(self, Self::Rewrite(_) | Self::CutAfter | Self::HalfAnswer)
    }

    /// The answer of a call that was not worked on.
    pub(super) async fn instead(self) -> Response {
        let status = |status| StatusCode::from_u16(status).unwrap();
        match self {
            Self::Answer(code, body) => (status(code), body).into_response(),
            Self::Busy(code, body, retry_after) => {
                (status(code), [(header::RETRY_AFTER, retry_after)], body).into_response()
            }
            Self::Redirect(code, location) => (status(code), [(header::LOCATION, location)]).into_response(),
            Self::Held(released, code, body) => {
                released.notified().await;
                (status(code), body).into_response()
            }
            Self::Bomb(bytes) => bomb(bytes),
            Self::Hang => std::future::pending().await,
            Self::CutBefore | Self::CutAfter | Self::HalfAnswer | Self::Rewrite(_) => cut(&[], 0),
        }
    }

    /// The answer of a call that was, made of the proper one.
    pub(super) fn after(&self, status: StatusCode, answer: Value) -> Response {
        match self {
            Self::HalfAnswer => {
                let text = answer.to_string();
                cut(&text.as_bytes()[..text.len() / 2], text.len())
            }
            Self::Rewrite(rewrite) => (status, rewrite(answer).to_string()).into_response(),
            _ => cut(&[], 0),
        }
    }
}

/// An answer of `length` bytes whose connection is cut after `sent`.
fn cut(sent: &[u8], length: usize) -> Response {
    let broken = io::Error::other("cut by the test");
    let body = Body::from_stream(stream::iter([Ok(Bytes::copy_from_slice(sent)), Err(broken)]));
    let length = length.max(1).to_string();
    ([(header::CONTENT_LENGTH, length)], body).into_response()
}
