//! Bodies that come too slowly (`docs/service.md`, section 2, "Rules of every call").

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// The longest that a body may take.
const LONGEST: Duration = Duration::from_mins(1);
/// The time in which the rate does not count: a short stall is allowed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes a second, on average.
const RATE: u64 = 1024;

/// Bounds the time of a request's body.
pub(super) async fn time_body(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(TimedBody::new(body)))).await
}

/// Why a body is read no further.
#[derive(Debug)]
pub(super) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body came too slowly")
    }
}

impl std::error::Error for TooSlow {}

/// A body that fails once it has come too slowly.
struct TimedBody {
    body: Body,
    begun: Instant,
    received: u64,
    /// Made when the body is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    fn new(body: Body) -> Self {
        Self { body, begun: Instant::now(), received: 0, timer: None }
    }

    /// When what has come so far is too little.
    fn deadline(&self) -> Instant {
        let allowed = Duration::from_secs(self.received / RATE).clamp(PATIENCE, LONGEST);
        self.begun + allowed
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if let Some(Ok(frame)) = &frame {
                self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = self.deadline();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).map(|()| Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
