//! What a call leaves of its request's body is read and thrown away (`docs/service.md`, section 2, "Rules of every
//! call"). Many clients write the whole body before they read: with bytes left unread, the connection would be reset,
//! and the answer with it.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use futures::future::{Either, select};
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Bytes of a body that are read though nobody wants them.
pub(super) const DISCARDED: usize = 64 * 1024 * 1024;

/// How long an answer that is ready waits for the rest of the body.
const ANSWER_WAITS: Duration = Duration::from_secs(10);

/// Reads what the call leaves of the body: as soon as it leaves it, for its answer may take minutes.
pub(super) async fn discard(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (to, left) = oneshot::channel();
    let answering = pin!(next.run(request.map(|body| Body::new(Leaving { body, to: Some(to) }))));
    let discarding = pin!(async {
        if let Ok(rest) = left.await {
            read(rest).await;
        }
    });
    match select(answering, discarding).await {
        Either::Right(((), answering)) => answering.await,
        Either::Left((answer, discarding)) => {
            // A body that came too slowly has had its time.
            if answer.status() != StatusCode::REQUEST_TIMEOUT {
                let _: Result<(), _> = timeout(ANSWER_WAITS, discarding).await;
            }
            answer
        }
    }
}

async fn read(rest: Body) {
    let mut pieces = rest.into_data_stream();
    let mut discarded = 0_usize;
    while let Some(Ok(piece)) = pieces.next().await {
        discarded = discarded.saturating_add(piece.len());
        if discarded > DISCARDED {
            break;
        }
    }
}

/// A body that is handed on where it is dropped before its end.
struct Leaving {
    body: Body,
    /// Who reads the rest; `None` once there is none.
    to: Option<oneshot::Sender<Body>>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            // Where nobody waits for it, its connection has ended.
            drop(to.send(std::mem::take(&mut self.body)));
        }
    }
}

impl http_body::Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.to = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
