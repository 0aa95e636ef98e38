//! What an object of the org is like: the `sObject` Describe resource (REST API guide, "Get Field and Other Metadata for
//! an Object"; the members as in the SOAP API guide, `DescribeSObjectResult`).
//!
//! A member that an answer lacks is unknown, and nothing is concluded from it.

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;

use super::answer;
use super::failure;
use super::{RESOURCE_NOT_FOUND, Salesforce};
use crate::destinations::Suspicion;
use crate::destinations::delivery::DeliveryError;
use crate::destinations::mask::Mask;
use crate::destinations::trouble::Trouble;

/// An object, as the user in force may use it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectDescription {
    /// API name.
    pub name: String,
    /// Whether the user may create records.
    pub createable: Option<bool>,
    /// Whether the user may change records.
    pub updateable: Option<bool>,
    /// The fields that the user may see.
    pub fields: Vec<FieldDescription>,
    /// The record types.
    pub record_type_infos: Vec<RecordTypeInfo>,
}

/// A field.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the members of Salesforce's answer")]
pub struct FieldDescription {
    /// API name.
    pub name: String,
    /// The type, e.g. `string`, `picklist`, `double`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Characters that it holds; 0 where the type has no length.
    pub length: u64,
    /// Whether it may be empty.
    pub nillable: Option<bool>,
    /// Whether it is a formula.
    pub calculated: bool,
    /// Whether Salesforce numbers the records by it.
    pub auto_number: bool,
    /// Whether the user may set it in a new record.
    pub createable: Option<bool>,
    /// Whether the user may change it.
    pub updateable: Option<bool>,
    /// Whether a new record gets a value by itself.
    pub defaulted_on_create: bool,
    /// Whether it is an external id.
    pub external_id: bool,
    /// Whether no two records may have the same value.
    pub unique: Option<bool>,
    /// Whether a record may be upserted by it.
    pub id_lookup: bool,
    /// The name by which records refer through it, e.g. `Household__r`.
    pub relationship_name: Option<String>,
    /// The objects that it refers to.
    pub reference_to: Vec<String>,
    /// Whether it takes the values of its picklist and no others.
    pub restricted_picklist: bool,
    /// The values of its picklist.
    #[serde(deserialize_with = "or_none")]
    pub picklist_values: Vec<PicklistValue>,
}

/// A value of a picklist.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PicklistValue {
    /// The value that the API takes.
    pub value: String,
    /// Whether new records may have it.
    pub active: bool,
}

/// A record type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RecordTypeInfo {
    /// Its id.
    pub record_type_id: String,
    /// Whether it is active.
    pub active: Option<bool>,
    /// Whether the user may use it.
    pub available: Option<bool>,
}

fn or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<PicklistValue>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Salesforce {
    /// The description of an object; `None` where it does not exist, or the user may not see it. Asked once.
    pub async fn describe(&self, object: &str) -> Result<Option<ObjectDescription>, DeliveryError> {
        if let Some(reason) = self.gate.quota.pause() {
            return Err(DeliveryError::paused(reason));
        }
        let pass = self.gate.enter(Instant::now(), Suspicion::None)?;
        let asked = match self.wire.describe(&pass, object).await {
            Ok(response) if response.status.is_success() => description(&response.body).map(Some),
            Ok(response) if response.status == StatusCode::NOT_FOUND && is_unknown(&response.body) => {
                Ok(None)
            }
            Ok(response) => Err(answer::refused(&response, &Mask::default(), failure::of_query)),
            Err(trouble) => Err(trouble),
        };
        match asked {
            Ok(description) => {
                pass.worked();
                Ok(description)
            }
            Err(trouble) => {
                pass.failed(Instant::now(), &trouble);
                Err(trouble.error)
            }
        }
    }
}

/// Whether a 404 is Salesforce's own, and not that of another server.
fn is_unknown(body: &[u8]) -> bool {
    answer::code_of_request(body).0 == RESOURCE_NOT_FOUND
}

fn description(body: &[u8]) -> Result<ObjectDescription, Trouble> {
    serde_json::from_slice(body).map_err(|error| {
        let why = format!("Salesforce's answer is not a whole one: {error}");
        Trouble::outage("describe", why)
    })
}
