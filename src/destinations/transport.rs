//! What every HTTP call has in common when it goes wrong before anybody has answered.

use std::error::Error;

/// Why a call got no whole answer, in words. The URL is left out: it adds nothing, and texts of errors
/// stay free of anything that was sent.
pub(super) fn broken(error: reqwest::Error) -> String {
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
    format!("{what} ({cause})")
}
