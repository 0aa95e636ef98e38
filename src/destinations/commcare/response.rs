//! An answer of HQ as it came, whatever it says.

use std::time::Duration;

use reqwest::StatusCode;

/// Status, body, and the headers that matter.
pub(super) struct Response {
    pub(super) status: StatusCode,
    /// As far as it is of any use.
    pub(super) body: Vec<u8>,
    /// How long HQ asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Where HQ sends the caller instead, without query.
    pub(super) location: Option<String>,
}
