//! An answer of Salesforce as it came, whatever it says.

use std::time::Duration;

use reqwest::StatusCode;

use super::quota::ApiUsage;

/// Status, body, and the headers that matter.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    /// How long Salesforce asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The daily calls, as the headers tell them.
    pub(super) usage: Option<ApiUsage>,
}
