//! Dates and date-times of parameters.

use chrono::{DateTime, Utc};

use super::error::HttpError;
use super::params::Params;
use crate::time::{Edge, RULE, read};

/// A time of a parameter; `None` where it isn't given.
pub(super) fn parameter(
    params: &Params,
    name: &'static str,
    edge: Edge,
) -> Result<Option<DateTime<Utc>>, HttpError> {
    let Some(text) = params.filled(name) else { return Ok(None) };
    read(text, edge).map(Some).ok_or_else(|| HttpError::Parameter { name, rule: RULE.to_owned() })
}
