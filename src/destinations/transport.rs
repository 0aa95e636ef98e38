//! What every HTTP call of a destination has in common.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::bounded::ReadError;

/// A server that does not even take the connection is not worth the whole of a call's time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client whose calls take `timeout` at most. Redirects are not followed: one would carry credentials to
/// another host.
pub(super) fn client(timeout: Duration) -> ClientBuilder {
    Client::builder().timeout(timeout).connect_timeout(CONNECT_TIMEOUT.min(timeout)).redirect(Policy::none())
}

/// Why a call got no whole answer, in words. The URL is left out: it adds nothing, and error texts stay free of
/// anything that was sent.
pub(super) fn broken(error: ReadError) -> String {
    let error = match error {
        ReadError::Broken(error) => error.without_url(),
        ReadError::TooLong(_) => return error.to_string(),
    };
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

/// A longer `Retry-After` is honoured so long: a slip in it must not stop a destination for days.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What `Retry-After` asks for: seconds or an HTTP date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default().min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T10:00:00Z").unwrap().to_utc();
        for (value, expected) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("Sun, 01 Mar 2026 10:00:30 GMT", Some(30)),
            ("Sun, 01 Mar 2026 09:00:00 GMT", Some(0)),
            ("86400", Some(3_600)),
            ("18446744073709551615", Some(3_600)),
            ("Sun, 01 Mar 2099 10:00:30 GMT", Some(3_600)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
