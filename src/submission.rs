//! The words that every part of the service shares: a submission's [`Record`] and its states.
//!
//! The field names are those of `docs/service.md`, section 3, which are those of the original
//! service's Firestore documents plus what the guarantees need; a record serialises to exactly
//! that document. No I/O here.

mod attempt;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

pub use attempt::{Attempt, AttemptOutcome, Role, Trigger};

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
        Ok(Option::deserialize(deserializer)?.map_or(Self::Never, Self::At))
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

impl Record {
    /// When the payload now stored arrived; the same whenever it is asked.
    pub fn arrived(&self) -> DateTime<Utc> {
        self.created_at.or(self.timestamp).unwrap_or_default()
    }
}

/// Why CommCare refused a record of a payload for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// The record's position in the payload.
    pub position: u32,
    /// Why; ids only.
    pub error: String,
}

/// One submission in the queue: the document of `docs/service.md`, section 3, without its doc id.
///
/// Absent fields stay absent, so that a document of the original service reads, and is shown,
/// as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// The payload as received. Shared, since it is the bulk of a record and never changed in
    /// place.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub data: Arc<Value>,
    /// Routing name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub job_name: String,
    /// The payload's `id`, as text; the original service wrote a number as it was.
    #[serde(default, deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Where the record is in its life.
    pub status: Status,
    /// Arrival of the payload now stored: the queue's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// The same under its documented name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<DateTime<Utc>>,
    /// Last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
    /// The first arrival, where the payload was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_received_at: Option<DateTime<Utc>>,
    /// Retries so far; the first processing is not one.
    #[serde(default, deserialize_with = "null_as_default")]
    pub run_retries: u32,
    /// When the last retry was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_retried_at: Option<DateTime<Utc>>,
    /// Last failure in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Last failure's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<ErrorKind>,
    /// The step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<String>,
    /// When auto-retry may take it.
    #[serde(default, skip_serializing_if = "NextRetry::is_unset")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub next_retry_at: NextRetry,
    /// Who is processing it: one claim's name, never used twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// Until when; absent in a `processing` document of the original service, which counts as
    /// run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// When a completed record may be removed; absent where it is kept. Firestore removes it by a
    /// policy on this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Content hash of the payload, for duplicates; absent in the original's documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_hash: Option<String>,
    /// Counts replacements of the payload.
    #[serde(default, deserialize_with = "null_as_default")]
    pub revision: u32,
    /// The last attempts, oldest first.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Why nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether the plan was recorded instead of sent.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// The recorded plan of a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Value>,
    /// Answers whose code no label table knows.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<Unmapped>,
    /// The Salesforce records that it wrote and that are not its own, as `object/external id`: what
    /// an older form must not overwrite any more.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<String>,
    /// Of a payload that is stored in parts: the position of the first record that this one holds,
    /// counted from 1 in the payload as it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_position: Option<u32>,
    /// Salesforce → CommCare: positions that CommCare has taken, so that a retry sends the rest alone.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeSet::is_empty")]
    pub delivered: BTreeSet<u32>,
    /// Positions that CommCare has refused for good: a manual retry alone sends them again.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeSet::is_empty")]
    pub refused: BTreeSet<u32>,
    /// Why, for the first of them.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::deserialize(deserializer)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    })
}

/// The original service wrote null where it had nothing to say.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
