//! What is asked of a drain, and what ends it early.

use std::sync::{Arc, Mutex, PoisonError};

use super::Stopped;
use crate::submission::{Caller, Destination, Trigger};

/// What makes a drain's records run.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) trigger: Trigger,
    /// Who asks, where a person does.
    pub(super) caller: Option<Caller>,
    /// Whether to overwrite what later forms have written.
    pub(super) force: bool,
}

impl Order {
    /// What nobody in particular asks for.
    pub(super) fn from_trigger(trigger: Trigger) -> Self {
        Self { trigger, caller: None, force: false }
    }
}

/// The destinations that could not take more, for all runs of a drain to see. The first reason stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Stops(Arc<Mutex<Vec<Stopped>>>);

impl Stops {
    pub(super) fn add(&self, destination: Destination, reason: String) {
        let mut stops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stops.iter().all(|stopped| stopped.destination != destination) {
            stops.push(Stopped { destination, reason });
        }
    }

    /// The destination takes records again.
    pub(super) fn lift(&self, destination: Destination) {
        let mut stops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stops.retain(|stopped| stopped.destination != destination);
    }

    pub(super) fn of(&self, destination: Destination) -> Option<Stopped> {
        let stops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stops.iter().find(|stopped| stopped.destination == destination).cloned()
    }

    pub(super) fn first(&self) -> Option<Stopped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }
}
