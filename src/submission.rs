//! The words that every part of the service shares: a submission's [`Record`] and its states.
//!
//! The field names are those of `docs/service.md`, section 3, which are those of the original
//! service's Firestore documents plus what the guarantees need; a record serialises to exactly
//! that document. No I/O here.

mod attempt;
mod awaits;
mod cause;
mod lenient;
mod record;
mod turn;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

pub use attempt::{Attempt, AttemptOutcome, Caller, Role, Trigger};
pub use awaits::Awaits;
pub use cause::Cause;
pub use record::{FETCHED, Record, Refusal};
pub(crate) use turn::sent;
pub use turn::{Turn, commcare_time};

/// Attempts that a record keeps (`docs/service.md`, section 3).
pub const ATTEMPTS_KEPT: usize = 20;

/// Errors of a payload's records that one text lists; the rest is counted.
pub const ERRORS_LISTED: usize = 20;

/// Where a submission came from; decides its queue collection and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A form, on its way to Salesforce or PostGIS.
    CommCare,
    /// A payload of records, on its way to CommCare.
    Salesforce,
}

impl Origin {
    /// Both origins, in the order in which operators see them.
    pub const ALL: [Self; 2] = [Self::CommCare, Self::Salesforce];

    /// The queue collection, as the original service named it.
    pub fn collection(self) -> &'static str {
        match self {
            Self::CommCare => "commcare_collection",
            Self::Salesforce => "salesforce_collection",
        }
    }

    /// The origin whose records `collection` holds.
    pub fn from_collection(collection: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.collection() == collection)
    }

    /// The origin whose records go to `dest`, the `{dest}` of the URLs: `sf` or `cc`.
    pub fn from_destination(dest: &str) -> Option<Self> {
        match dest {
            "sf" => Some(Self::CommCare),
            "cc" => Some(Self::Salesforce),
            _ => None,
        }
    }
}

/// Where a job's plan is performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Salesforce REST.
    Salesforce,
    /// CommCare's submission API.
    CommCare,
    /// PostgreSQL with PostGIS.
    Postgis,
}

impl Destination {
    /// The word of the HTTP API (`docs/service.md`, section 2).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::CommCare => "commcare",
            Self::Postgis => "postgis",
        }
    }
}

/// Who CommCare documents say that they come from (`docs/mappings/salesforce-to-commcare.md`, decision X6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// `CC_USER_ID`: the API user.
    pub user_id: Cow<'static, str>,
    /// `CC_META_USERNAME`.
    pub username: Cow<'static, str>,
    /// `CC_DEVICE_ID`.
    pub device_id: Cow<'static, str>,
}

impl Sender {
    /// The original's.
    pub const DEFAULT: Self = Self {
        user_id: Cow::Borrowed("e926526fc13b126fffdb6d001f25b269"),
        username: Cow::Borrowed("api"),
        device_id: Cow::Borrowed("ID-10_t"),
    };
}

/// Where a record is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting to be processed.
    New,
    /// Claimed by a worker until its lease runs out.
    Processing,
    /// Its effect is done, or there was none to have.
    Completed,
    /// Its last attempt failed; `error_kind` and `next_retry_at` say what happens next.
    Failed,
}

impl Status {
    /// All four, in the order in which operators see them.
    pub const ALL: [Self; 4] = [Self::New, Self::Processing, Self::Completed, Self::Failed];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// What kind of failure a record's last error was (`docs/service.md`, guarantee 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// Trouble that passes: network, 5xx, locks.
    Transient,
    /// Something that this record refers to isn't there yet.
    Dependency,
    /// Trying again changes nothing.
    Permanent,
}

impl ErrorKind {
    /// All three, from the one that passes by itself to the one that does not.
    pub const ALL: [Self; 3] = [Self::Transient, Self::Dependency, Self::Permanent];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Dependency => "dependency",
            Self::Permanent => "permanent",
        }
    }
}

/// When auto-retry may take a failed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NextRetry {
    /// The field is absent, as in the original service's documents: due.
    #[default]
    Unset,
    /// Null: never by itself.
    Never,
    /// Not before this time.
    At(DateTime<Utc>),
}

impl NextRetry {
    /// Whether auto-retry may take the record at `now`.
    pub fn is_due(self, now: DateTime<Utc>) -> bool {
        match self {
            Self::Unset => true,
            Self::Never => false,
            Self::At(time) => time <= now,
        }
    }

    fn is_unset(&self) -> bool {
        *self == Self::Unset
    }
}

impl Serialize for NextRetry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(time) => time.serialize(serializer),
            Self::Unset | Self::Never => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for NextRetry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match lenient::TimeField::deserialize(deserializer)? {
            lenient::TimeField::Null => Self::Never,
            lenient::TimeField::Blank => Self::Unset,
            lenient::TimeField::At(time) => Self::At(time),
        })
    }
}

/// An answer whose code no label table knows (`docs/service.md`, section 3): the field app gained an
/// option that the mapping lacks. Codes only, never free text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unmapped {
    /// Form path of the answer.
    pub path: String,
    /// The code as sent.
    pub code: String,
}

/// An id as text: a number counts as its text, and nothing else is an id.
pub(crate) fn id_text(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// What has become of the records of a payload for CommCare, by position in the payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Those that CommCare has taken.
    pub delivered: BTreeSet<u32>,
    /// Those that it has refused for good, and why.
    pub refused: BTreeMap<u32, String>,
}

impl Progress {
    /// Whether nothing has become of any.
    pub fn is_empty(&self) -> bool {
        self.delivered.is_empty() && self.refused.is_empty()
    }
}
