//! Every reader of what Salesforce answers, for the fuzz targets (`tests/fuzz`).

use reqwest::StatusCode;
use serde_json::json;

use super::calls::{self, Call};
use super::response::Response;
use super::{answer, login, query, quota};
use crate::destinations::mask::Mask;
use crate::plan::Upsert;

/// A value that no error may quote.
const NAME: &str = "Zawditu Wolde";
const PASSWORD: &str = "p<a>ss\"w'ord";

/// Reads an answer in every way in which one is read; whether one of them makes a success of it.
///
/// # Panics
/// Where a reader panics, takes for a success what is none, or quotes what was sent.
pub(crate) fn read(status: u16, body: &[u8]) -> bool {
    let Ok(status) = StatusCode::from_u16(status) else { return false };
    let mut taken = false;
    let upserts = upserts();
    let mask = Mask::from_upserts(&upserts);
    let rows: Vec<&Upsert> = upserts.iter().collect();
    for call in calls::calls(&rows, |_| 200) {
        for call in std::iter::once(&call).chain(&call.alone()) {
            taken |= read_call(call, status, body, &mask);
        }
    }
    let text = String::from_utf8_lossy(body);
    for read in [login::read_token(status, &text, PASSWORD), login::read_soap(status, &text, PASSWORD)] {
        match read {
            Ok(grant) => {
                assert!(grant.server.has_host(), "a session without a server");
                taken = true;
            }
            Err(trouble) => assert!(!trouble.error.message.contains(PASSWORD), "{}", trouble.error.message),
        }
    }
    let usage = quota::of_limits(body);
    assert!(usage.is_none_or(|usage| usage.used <= usage.limit), "{usage:?}");
    taken || usage.is_some() || query::records(body).is_ok()
}

fn read_call(call: &Call<'_>, status: StatusCode, body: &[u8], mask: &Mask<'_>) -> bool {
    let response = Response { status, body: body.to_vec(), retry_after: None, usage: None };
    match answer::read(call, &response, mask) {
        Ok(()) => {
            let text = String::from_utf8_lossy(body);
            let says_so = match call {
                Call::Composite(_) => status == StatusCode::OK && text.contains("compositeResponse"),
                Call::Alone(_) => status == StatusCode::NO_CONTENT || text.contains("success"),
            };
            assert!(status.is_success() && says_so, "no success: {text}");
            true
        }
        Err(not_done) => {
            let message = not_done.trouble.error.message;
            assert!(!message.contains(NAME), "{message}");
            false
        }
    }
}

/// A single row, a collection and an update by `Id`: every shape that a subrequest has.
fn upserts() -> Vec<Upsert> {
    let household = Upsert::new("Household__c", "Household_ID__c", "household-1");
    let farmer = |id: &str| Upsert::new("Participant__c", "CommCare_Case_Id__c", id).set("Name", json!(NAME));
    let role = Upsert::new("Training_Session__c", "Id", "a0XsnCaWzDfSrUJMYP");
    vec![household, farmer("farmer-1"), farmer("farmer-2"), role]
}
