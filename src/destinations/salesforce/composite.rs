//! One Composite request, which is one transaction.

use serde_json::{Value, json};

use super::step::Step;
use crate::config::salesforce::ApiVersion;

/// The resource, and the step that an error names when a request fails as a whole.
pub(super) const RESOURCE: &str = "composite";

/// Subrequests of one Composite request (REST API guide, Composite).
pub(super) const MAX_SUBREQUESTS: usize = 25;
/// How many of them may be sObject Collections or queries (the same page).
pub(super) const MAX_COLLECTIONS: usize = 5;

/// One `POST /services/data/vNN.0/composite`.
pub(super) struct Request<'p> {
    steps: Vec<Step<'p>>,
}

impl<'p> Request<'p> {
    /// A request of this step, with room for more.
    pub(super) fn new(first: Step<'p>) -> Self {
        Self { steps: vec![first] }
    }

    /// Adds a step; gives it back where the limits leave no room.
    pub(super) fn add(&mut self, step: Step<'p>) -> Option<Step<'p>> {
        if self.has_room_for(&step) {
            self.steps.push(step);
            return None;
        }
        Some(step)
    }

    /// The subrequests, in order.
    pub(super) fn steps(&self) -> &[Step<'p>] {
        &self.steps
    }

    /// The reference id of the subrequest at `position`: letters, digits and underscores only
    /// (REST API guide, Composite Subrequest Result).
    pub(super) fn reference_id(position: usize) -> String {
        format!("step_{position}")
    }

    /// The body to post.
    pub(super) fn body(&self, version: ApiVersion) -> Value {
        let subrequests: Vec<_> = self
            .steps
            .iter()
            .enumerate()
            .map(|(position, step)| {
                json!({
                    "method": "PATCH",
                    "url": step.url(version),
                    "referenceId": Self::reference_id(position),
                    "body": step.body(),
                })
            })
            .collect();
        json!({ "allOrNone": true, "collateSubrequests": false, "compositeRequest": subrequests })
    }

    fn has_room_for(&self, step: &Step<'_>) -> bool {
        let collections = self.steps.iter().filter(|step| step.is_collection()).count();
        self.steps.len() < MAX_SUBREQUESTS && (!step.is_collection() || collections < MAX_COLLECTIONS)
    }
}
