//! Path and query parameters: each is read by name, and a bad one is answered in this service's words.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::error::HttpError;

/// The `{dest}` of a path.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the schema of a segment that is read as text: another one is a 404")]
pub(super) enum Dest {
    /// Forms, which go to Salesforce or PostGIS.
    Sf,
    /// Payloads from Salesforce, which go to CommCare.
    Cc,
}

/// The `{collection}` of a path.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of a segment that is read as text: another one is a 404")]
pub(super) enum Collection {
    /// Forms.
    CommcareCollection,
    /// Payloads from Salesforce.
    SalesforceCollection,
}

/// The variable segments of a call's path. Segments that cannot be read are a 404.
pub(super) struct Segments<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Self(segments)).map_err(|_| HttpError::NoSuchPath)
    }
}

/// The parameters of a call.
pub(super) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let unreadable = |_| HttpError::Parameter { name: "query", rule: "cannot be read".to_owned() };
        Query::try_from_uri(&parts.uri).map(|Query(params)| Self(params)).map_err(unreadable)
    }
}

impl From<HashMap<String, String>> for Params {
    /// The fields of a posted form.
    fn from(fields: HashMap<String, String>) -> Self {
        Self(fields)
    }
}

impl Params {
    /// A whole number within bounds; `None` where it isn't given.
    pub(super) fn number<T>(&self, name: &'static str, least: T, most: T) -> Result<Option<T>, HttpError>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.0.get(name) else { return Ok(None) };
        match text.parse::<T>() {
            Ok(number) if number >= least && number <= most => Ok(Some(number)),
            _ => Err(HttpError::Parameter {
                name,
                rule: format!("must be a whole number from {least} to {most}"),
            }),
        }
    }

    /// `true` or `false`; `false` where it isn't given.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, HttpError> {
        match self.0.get(name).map(String::as_str) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(HttpError::Parameter { name, rule: "must be true or false".to_owned() }),
        }
    }

    /// The text of a parameter; `None` where that is empty: forms send empty fields.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// The text of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
