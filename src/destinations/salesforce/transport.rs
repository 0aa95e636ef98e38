//! What every call to Salesforce has in common when it goes wrong.

use crate::bounded::ReadError;
use crate::destinations::transport::broken;
use crate::destinations::trouble::Trouble;

/// A call that got no whole answer.
pub(super) fn error(step: &str, call: &str, error: ReadError) -> Trouble {
    Trouble::outage(step, format!("{call} of Salesforce failed: {}", broken(error)))
}

/// An error code as it came over the wire, or nothing where the text is not one: codes are shown as they are, so
/// nothing else may pass for a code.
pub(super) fn code(text: &str) -> &str {
    let is_code = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_code { text } else { "" }
}
