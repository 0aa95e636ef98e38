//! What every HTTP call has in common when it goes wrong before Salesforce has said anything.

use std::error::Error;

use super::trouble::Trouble;

/// A call that got no whole answer. The URL is left out: it adds nothing, and texts of errors stay
/// free of anything that was sent.
pub(super) fn error(step: &str, call: &str, error: reqwest::Error) -> Trouble {
    let error = error.without_url();
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the answer broke off"
    };
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Trouble::outage(step, format!("{call} of Salesforce failed: {what} ({cause})"))
}

/// An error code as it came over the wire, or nothing where it isn't one: codes are shown as they
/// are, so nothing else may pass for one.
pub(super) fn code(text: &str) -> &str {
    let is_code = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_code { text } else { "" }
}
