//! What a connection is doing, and how long it may.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Time for a request's head, and for the first one of a connection to begin (`docs/service.md`, section 2, "Rules of
/// every call").
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may be idle between calls. nginx has the same. reqwest and Python's HTTP client open another
/// connection where this one is closed.
const IDLE: Duration = Duration::from_secs(75);

/// How often a connection's time is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its client has not begun the next call.
    Idle,
    /// The head of a call is on its way.
    Head,
    /// A call is being answered. Its body has times of its own.
    Answering,
}

/// One connection, as all who deal with it know it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its place in the order of arrival.
    pub(super) number: u64,
    state: Mutex<State>,
    close: CancellationToken,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// When the phase has taken too long.
    deadline: Option<Instant>,
}

impl Connection {
    pub(super) fn new(number: u64) -> Self {
        let now = Instant::now();
        let state = State { phase: Phase::Idle, since: now, deadline: Some(now + HEAD) };
        Self { number, state: Mutex::new(state), close: CancellationToken::new() }
    }

    pub(super) fn phase(&self) -> Phase {
        self.locked().phase
    }

    /// Since when the service waits for its client; `None` where the client waits for the service.
    pub(super) fn waited_for_since(&self) -> Option<Instant> {
        let state = self.locked();
        (state.phase != Phase::Answering && !self.close.is_cancelled()).then_some(state.since)
    }

    /// Waits until its client has taken too long.
    pub(super) async fn overdue(&self) {
        loop {
            let deadline = self.locked().deadline;
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            // The phase may change meanwhile, and with it the deadline.
            let look = now + LOOK_EVERY;
            sleep_until(deadline.map_or(look, |deadline| deadline.min(look))).await;
        }
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head, Some(HEAD));
        }
    }

    /// Asks it to give way.
    pub(super) fn close(&self) {
        self.close.cancel();
    }

    /// Waits until it is asked to give way.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    fn enter(&self, phase: Phase, time: Option<Duration>) {
        let since = Instant::now();
        *self.locked() = State { phase, since, deadline: time.map(|time| since + time) };
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is being answered; its connection is idle again once this is dropped.
pub(super) struct Answering(Arc<Connection>);

impl Answering {
    pub(super) fn begin(connection: &Arc<Connection>) -> Self {
        connection.enter(Phase::Answering, None);
        Self(Arc::clone(connection))
    }

    /// The body of its answer, with which it ends.
    pub(super) fn until_sent(self, body: Body) -> Sending {
        Sending { body, _answering: self }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle, Some(IDLE));
    }
}

/// The body of an answer.
pub(super) struct Sending {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
