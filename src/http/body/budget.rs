//! Memory for bodies: how large one may be, and how much all that are under way may take together.
//!
//! Budgets hold over the whole process. One counts the bytes of bodies as they arrive; a body that finds it used up is
//! refused at once. The others count, before it is parsed, the memory that a body takes as values: up to twenty times
//! its bytes. Those wait for one another, for a while. Small bodies have a budget of their own: forms are small, and do
//! not wait behind a large payload or preview.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::HttpError;
use crate::submission::Origin;

/// Bytes of a form, as text (`docs/service.md`, section 2, "Rules of every call"). The queue holds no more than a
/// quarter of them.
const FORM_BYTES: usize = 4 * 1024 * 1024;

/// Memory that a form may take as values. A form of 1 MiB whose questions have names of one letter takes 25 MiB.
const FORM_MEMORY: usize = 32 * 1024 * 1024;

/// Memory for the values of all large bodies that are worked on.
const LARGE: usize = 160 * 1024 * 1024;

/// Memory for the values of small bodies. They take of the large ones' where that is free.
const SMALL: usize = 32 * 1024 * 1024;

/// Memory up to which a body is small. Most forms take less than 1 MiB.
const SMALL_BODY: usize = 4 * 1024 * 1024;

/// How long a body waits for it.
const PATIENCE: Duration = Duration::from_secs(6);

/// Both budgets count in units of so many bytes.
const UNIT: usize = 1024;

/// What bodies may take; clones share it.
#[derive(Debug, Clone)]
pub(in crate::http) struct Bodies {
    /// `MAX_BODY_BYTES`.
    most: usize,
    bytes: Arc<Semaphore>,
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

impl Bodies {
    /// Budgets by `MAX_BODY_BYTES`: all bodies together have twice of it.
    pub(in crate::http) fn new(most: usize) -> Self {
        let units = (most / UNIT).saturating_mul(2).clamp(1, Semaphore::MAX_PERMITS);
        let budget = |units| Arc::new(Semaphore::new(units));
        Self { most, bytes: budget(units), large: budget(LARGE / UNIT), small: budget(SMALL / UNIT) }
    }

    /// Bytes of a payload.
    pub(super) fn limit(&self, origin: Origin) -> usize {
        match origin {
            Origin::CommCare => self.most.min(FORM_BYTES),
            Origin::Salesforce => self.most,
        }
    }

    /// Bytes of an operator's call.
    pub(super) fn limit_of_calls(&self) -> usize {
        self.most
    }

    /// A body without bytes yet.
    pub(super) fn begin(&self) -> Held {
        Held { budget: Arc::clone(&self.bytes), bytes: None, values: None }
    }

    /// Waits until there is room for so much memory.
    pub(super) async fn hold_values(&self, held: &mut Held, memory: usize) -> Result<(), HttpError> {
        if memory > LARGE {
            return Err(HttpError::TooManyValues { memory, limit: LARGE });
        }
        let units = u32::try_from(memory.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let at_once = |budget: &Arc<Semaphore>| Arc::clone(budget).try_acquire_many_owned(units).ok();
        let own = if memory > SMALL_BODY {
            &self.large
        } else if let Some(room) = at_once(&self.small).or_else(|| at_once(&self.large)) {
            held.values = Some(room);
            return Ok(());
        } else {
            &self.small
        };
        let room = timeout(PATIENCE, Arc::clone(own).acquire_many_owned(units)).await;
        // The semaphores are never closed.
        held.values = Some(room.ok().and_then(Result::ok).ok_or(HttpError::Busy)?);
        Ok(())
    }
}

/// Refuses a form that takes so much memory.
pub(super) fn check_form(memory: usize) -> Result<(), HttpError> {
    if memory > FORM_MEMORY {
        return Err(HttpError::TooManyValues { memory, limit: FORM_MEMORY });
    }
    Ok(())
}

/// The share that one body has; given back when dropped.
#[derive(Debug)]
pub(in crate::http) struct Held {
    budget: Arc<Semaphore>,
    bytes: Option<OwnedSemaphorePermit>,
    values: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Takes what is missing for a body of so many bytes. `false` where the budget is used up.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let has = self.bytes.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(UNIT).saturating_sub(has);
        if missing == 0 {
            return true;
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.budget).try_acquire_many_owned(missing) else { return false };
        match &mut self.bytes {
            Some(bytes) => bytes.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// Gives all of it back.
    pub(super) fn release(&mut self) {
        (self.bytes, self.values) = (None, None);
    }
}

/// Memory that a JSON text takes as values, at most, by its punctuation.
pub(super) fn memory(text: &[u8]) -> usize {
    let (mut in_text, mut escaped) = (false, false);
    let mut memory = 2 * text.len();
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            // A value; a list, which begins with room for four; a group, which begins with room for eleven members; a
            // member, of which half have no neighbour in their place.
            b',' => memory += 64,
            b'[' => memory += 160,
            b'{' => memory += 700,
            b':' => memory += 110,
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn memory_is_counted_by_the_values_outside_of_texts() {
        assert_eq!(memory(br#""[1,2,{\"a\":[""#), 2 * 15);
        assert_eq!(memory(br"[1,1]"), 2 * 5 + 160 + 64);
        assert!(memory(br#"{"a":"x","b":[]}"#) > 700 + 2 * 110);
    }

    #[test]
    fn a_budget_that_is_used_up_refuses_until_some_is_given_back() {
        let bodies = Bodies::new(10 * UNIT);
        let (mut one, mut other) = (bodies.begin(), bodies.begin());
        assert!(one.grow(15 * UNIT) && other.grow(5 * UNIT) && other.grow(4 * UNIT));
        assert!(!other.grow(5 * UNIT + 1));
        one.release();
        assert!(other.grow(5 * UNIT + 1));
    }

    #[tokio::test]
    async fn small_bodies_do_not_wait_behind_large_ones() {
        let bodies = Bodies::new(10 * UNIT);
        let (mut one, mut other) = (bodies.begin(), bodies.begin());
        bodies.hold_values(&mut one, LARGE / 2 + UNIT).await.unwrap();
        let mut waits = std::pin::pin!(bodies.hold_values(&mut other, LARGE));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        let mut small = Vec::new();
        for _ in 0..SMALL / SMALL_BODY {
            let mut held = bodies.begin();
            assert!(
                bodies.hold_values(&mut held, SMALL_BODY).now_or_never().is_some_and(|held| held.is_ok())
            );
            small.push(held);
        }
        let mut late = bodies.begin();
        let mut too_many = std::pin::pin!(bodies.hold_values(&mut late, SMALL_BODY));
        assert!(futures::poll!(too_many.as_mut()).is_pending(), "the total is bounded");
        small.pop();
        too_many.await.unwrap();
        drop(one);
        waits.await.unwrap();
    }

    #[tokio::test]
    async fn small_bodies_take_of_the_large_ones_what_is_free() {
        let bodies = Bodies::new(10 * UNIT);
        let mut held = Vec::new();
        for _ in 0..(SMALL + LARGE) / SMALL_BODY {
            let mut body = bodies.begin();
            assert!(
                bodies.hold_values(&mut body, SMALL_BODY).now_or_never().is_some_and(|held| held.is_ok())
            );
            held.push(body);
        }
        assert!(bodies.hold_values(&mut bodies.begin(), SMALL_BODY).now_or_never().is_none());
        let refused = bodies.hold_values(&mut bodies.begin(), LARGE + 1).await;
        assert!(matches!(refused, Err(HttpError::TooManyValues { .. })));
    }
}
