//! Holds a webhook call while the queue is away for a moment.
//!
//! A 503 is cheap for CommCare, which sends again by itself, and expensive for the PostgreSQL client, which
//! marks its rows as failed and never sends them again (`docs/senders/postgresql-client.md`). So a hiccup
//! of the queue becomes a slow answer instead of a 503.

use std::time::Duration;

use bytes::Bytes;
use futures::future::select;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use super::super::error::HttpError;
use crate::queue::{Accepted, Arriving, Queue, QueueError, SplitPayload};

/// Time for which a call is held. Apex waits 10 seconds for an answer by default (Apex Developer Guide, "Callout
/// Limits and Limitations"), CommCare HQ 5 minutes (`READ_TIMEOUT` in its `corehq/motech/const.py`).
const PATIENCE: Duration = Duration::from_secs(6);
/// Time after which a second try begins beside one that has no answer yet: a call to Firestore that hangs is longer than
/// the patience of this one. Where both store the form, one finds it there.
const SECOND_TRY: Duration = Duration::from_secs(3);
/// The first pause; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A submission, as the queue takes it.
enum Submission {
    Whole(Arriving),
    Split(Box<SplitPayload>),
}

/// Stores a submission, whose records may be a `list` beside it. While the queue is away, tries again until
/// [`PATIENCE`] is used up.
pub(super) async fn accept(
    queue: &Queue,
    arriving: Arriving,
    list: Option<Bytes>,
) -> Result<Accepted, HttpError> {
    let collection = arriving.origin.collection();
    // Splitting takes its time whether the queue is there or not.
    let submission = match list {
        Some(list) => Submission::Split(Box::new(queue.split(arriving, list).await?)),
        None => Submission::Whole(arriving),
    };
    let mut last_error = None;
    let (error, answer) = match timeout(PATIENCE, persist(queue, submission, &mut last_error)).await {
        Ok(Ok(accepted)) => return Ok(accepted),
        Ok(Err(error @ QueueError::TooLarge { .. })) => return Err(HttpError::of_queue(&error)),
        Ok(Err(error)) => {
            let answer = HttpError::of_queue(&error);
            (Some(error), answer)
        }
        Err(_) => (last_error, HttpError::UnavailableFor { seconds: PATIENCE.as_secs() }),
    };
    if let Some(error) = error {
        error!(collection, error = &error as &dyn std::error::Error, "webhook not stored");
    } else {
        let error = format!("no answer within {} s", PATIENCE.as_secs());
        error!(collection, error, "webhook not stored");
    }
    Err(answer)
}

/// Tries until the queue answers, or fails in a way that does not pass by itself.
async fn persist(
    queue: &Queue,
    mut submission: Submission,
    last_error: &mut Option<QueueError>,
) -> Result<Accepted, QueueError> {
    let (mut pause, mut held) = (FIRST_PAUSE, false);
    loop {
        let tried = match &mut submission {
            Submission::Whole(arriving) => accept_whole(queue, arriving).await,
            // Many parts take their time.
            Submission::Split(payload) => queue.accept_split(payload).await,
        };
        match tried {
            Err(error) if error.may_pass() => *last_error = Some(error),
            accepted => {
                if held && accepted.is_ok() {
                    warn!("webhook held until the queue was back");
                }
                return accepted;
            }
        }
        held = true;
        // Half of the pause is left to chance, so that held calls do not come back all at once.
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause *= 2;
    }
}

/// Stores a submission that is one document. Of two tries the first answer counts.
async fn accept_whole(queue: &Queue, arriving: &Arriving) -> Result<Accepted, QueueError> {
    let mut first = Box::pin(queue.accept(arriving.clone()));
    match timeout(SECOND_TRY, &mut first).await {
        Ok(answer) => answer,
        Err(_) => select(first, Box::pin(queue.accept(arriving.clone()))).await.factor_first().0,
    }
}
