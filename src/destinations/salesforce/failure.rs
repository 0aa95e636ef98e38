//! What each Salesforce error means for the record: the one table.
//!
//! For operators: find the code that a record's `error` names. The row says whether the record is retried by
//! itself, waits for another record, needs a person, or was put back because the trouble is Salesforce's. Where a
//! code has no row, the HTTP status decides: permanent below 500, transient from 500 on and for 429
//! (`docs/service.md`, guarantee 6).

use reqwest::StatusCode;

use crate::destinations::delivery::Failure::{self, Dependency, Permanent, Transient, Unavailable};
use crate::destinations::trouble::Blame;

/// Codes that only say that another row or subrequest failed; never the cause.
///
/// `PROCESSING_HALTED`: REST API guide, Composite. `ALL_OR_NONE_OPERATION_ROLLED_BACK`: SOAP API
/// guide, `StatusCode`.
const NEVER_THE_CAUSE: [&str; 2] = ["PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK"];

/// One row of the table.
struct Rule {
    code: &'static str,
    /// The message must contain this; empty: any message.
    says: &'static str,
    failure: Failure,
}

const fn rule(code: &'static str, says: &'static str, failure: Failure) -> Rule {
    Rule { code, says, failure }
}

/// The first row that fits decides.
///
/// "REST" is the REST API guide's Status Codes and Error Responses, "SOAP" the SOAP API guide's
/// `ExceptionCode` and `StatusCode` lists, "OAuth" Salesforce Help's OAuth 2.0 Authorization Errors.
/// "Salto" is the list that Salto's Salesforce adapter retries (`client.ts`, `errorMessagesToRetry`),
/// "Airbyte" what its Salesforce source retries (`rate_limiting.py`), "jsforce" its `request.ts`.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    // The referenced record isn't there yet.
    rule("INVALID_FIELD", "Foreign key external ID", Dependency),      // REST, relationship by external id
    rule("INVALID_CROSS_REFERENCE_KEY", "", Dependency),               // SOAP

    // Locks, load and internal trouble: they pass.
    rule("UNABLE_TO_LOCK_ROW", "", Transient),                         // SOAP; Salto; jsforce issue 1018
    rule("", "UNABLE_TO_LOCK_ROW", Transient),                         // the same, quoted by a trigger's error
    rule("DUPLICATE_VALUE", "Duplicate external id specified", Permanent), // SOAP: twice in one collection
    rule("DUPLICATE_VALUE", "", Transient),                            // SOAP: two forms created one record at once
    rule("API_TEMPORARILY_UNAVAILABLE", "", Transient),                // by its name; in no list
    rule("SERVER_UNAVAILABLE", "", Transient),                         // SOAP; REST, 503; Salto
    rule("QUERY_TIMEOUT", "", Transient),                              // SOAP
    rule("REQUEST_RUNNING_TOO_LONG", "", Transient),                   // SOAP
    rule("UNKNOWN_EXCEPTION", "", Transient),                          // SOAP; REST, 500
    rule("UNSPECIFIED_ERROR", "", Transient),                          // by its name; in no list
    rule("TXN_SECURITY_METERING_ERROR", "", Transient),                // SOAP; Salto: policies took too long
    rule("", "retry your request", Transient),                         // Salto: comes with `unknown_error`
    rule("PLATFORM_EVENT_PUBLISHING_UNAVAILABLE", "", Transient),      // SOAP
    rule("REQUEST_LIMIT_EXCEEDED", "Concurrent", Transient),           // REST, 403: long calls at once, not in a day
    rule("STORAGE_LIMIT_EXCEEDED", "", Transient),                     // SOAP: updates work on, so the drain goes on

    // The destination's trouble: no record of ours can go through.
    rule("REQUEST_LIMIT_EXCEEDED", "", Unavailable),                   // REST, 403: the daily calls are used up
    rule("INVALID_SESSION_ID", "", Unavailable),                       // REST, 401, after the renewal
    rule("INVALID_AUTH_HEADER", "", Unavailable),                      // REST, 401
    rule("INVALID_LOGIN", "", Unavailable),                            // SOAP: wrong name, password or token; locked
    rule("PASSWORD_LOCKOUT", "", Unavailable),                         // SOAP
    rule("LOGIN_MUST_USE_SECURITY_TOKEN", "", Unavailable),            // SOAP
    rule("LOGIN_DURING_RESTRICTED_DOMAIN", "", Unavailable),           // SOAP
    rule("LOGIN_DURING_RESTRICTED_TIME", "", Unavailable),             // SOAP
    rule("LOGIN_RATE_EXCEEDED", "", Unavailable),                      // SOAP
    rule("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "", Unavailable),  // SOAP
    rule("API_DISABLED_FOR_ORG", "", Unavailable),                     // REST, 403: the user lacks "API Enabled"
    rule("API_CURRENTLY_DISABLED", "", Unavailable),                   // SOAP
    rule("FUNCTIONALITY_NOT_ENABLED", "API", Unavailable),             // SOAP
    rule("ORG_LOCKED", "", Unavailable),                               // SOAP: maintenance
    rule("TRIAL_EXPIRED", "", Unavailable),                            // SOAP
    rule("UNSUPPORTED_API_VERSION", "", Unavailable),                  // SOAP: `SALESFORCE_API_VERSION`

    // Several records share the external id: a person must merge them.
    rule("MULTIPLE_CHOICES", "", Permanent),                           // REST, 300
];

/// Whether `code` only says that something else failed.
pub(super) fn is_consequence(code: &str) -> bool {
    NEVER_THE_CAUSE.contains(&code)
}

/// What an error of one record means.
pub(super) fn of_record(status: StatusCode, code: &str, message: &str) -> Failure {
    known(code, message).unwrap_or_else(|| by_status(status))
}

/// Whose trouble an answer is that means `failure`. A 503, or a 5xx without an error code, is not the org's answer
/// but that of something before it (REST API guide, Status Codes: maintenance or overload).
pub(super) fn blame(failure: Failure, status: StatusCode, code: &str) -> Blame {
    match failure {
        Unavailable if code == "REQUEST_LIMIT_EXCEEDED" => Blame::Quota,
        Unavailable => Blame::Refusal,
        Failure::Unclear => Blame::Outage,
        Transient if status == StatusCode::SERVICE_UNAVAILABLE => Blame::Outage,
        Transient if status.is_server_error() && code.is_empty() => Blame::Outage,
        Transient | Dependency | Permanent => Blame::Record,
    }
}

/// What the refusal of a whole request means. Some statuses can't be a record's fault.
pub(super) fn of_request(status: StatusCode, code: &str, message: &str) -> Failure {
    known(code, message).unwrap_or_else(|| match status {
        // REST: the session is refused although it was renewed.
        StatusCode::UNAUTHORIZED
        // REST: no Composite at this address, as with a wrong login URL or API version.
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE => Unavailable,
        // Salesforce sends an org that has moved, or is being moved, elsewhere.
        _ if status.is_redirection() && status != StatusCode::MULTIPLE_CHOICES => Unavailable,
        // What stands before Salesforce, not the org: Airbyte and Salto retry 406, Airbyte and
        // jsforce 420 (REST: Salesforce Edge does not know where the org is just now).
        _ if code.is_empty() && matches!(status.as_u16(), 406 | 420) => Transient,
        _ => by_status(status),
    })
}

/// What the refusal of a login means: the destination's trouble, unless it passes by itself.
pub(super) fn of_login(status: StatusCode, code: &str, message: &str) -> Failure {
    match code {
        // OAuth: Salesforce's word for internal trouble, sent with 400.
        "unknown_error" | "server_error" | "temporarily_unavailable" => Transient,
        _ => known(code, message).unwrap_or_else(|| match by_status(status) {
            // SOAP faults come with 500 whatever their code: a code means that it was understood.
            Transient if code.is_empty() => Transient,
            _ => Unavailable,
        }),
    }
}

fn known(code: &str, message: &str) -> Option<Failure> {
    let fits = |rule: &&Rule| (rule.code.is_empty() || rule.code == code) && message.contains(rule.says);
    RULES.iter().find(fits).map(|rule| rule.failure)
}

fn by_status(status: StatusCode) -> Failure {
    match status {
        // Not in Salesforce's list, but jsforce and Airbyte retry 429; 408 is HTTP's own.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Transient,
        _ if status.is_server_error() => Transient,
        _ => Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: StatusCode = StatusCode::BAD_REQUEST;

    #[test]
    fn a_missing_reference_is_a_dependency_and_a_misspelt_field_is_not() {
        let message = "Foreign key external ID: x not found for field Key__c in entity A__c";
        assert_eq!(of_record(BAD, "INVALID_FIELD", message), Dependency);
        assert_eq!(of_record(BAD, "INVALID_FIELD", "No such column 'B__c' on sobject"), Permanent);
        assert_eq!(of_record(BAD, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"), Dependency);
    }

    #[test]
    fn a_lock_inside_a_triggers_error_is_still_a_lock() {
        let message =
            "execution of AfterUpdate caused by: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access";
        assert_eq!(of_record(BAD, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message), Transient);
        assert_eq!(of_record(BAD, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "caused by: null"), Permanent);
    }

    #[test]
    fn the_daily_limit_stops_the_drain_and_the_concurrent_one_passes() {
        let refused = StatusCode::FORBIDDEN;
        assert_eq!(
            of_request(refused, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            Unavailable
        );
        let concurrent = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
        assert_eq!(of_request(refused, "REQUEST_LIMIT_EXCEEDED", concurrent), Transient);
    }

    #[test]
    fn unknown_codes_follow_the_status() {
        assert_eq!(of_record(BAD, "BRAND_NEW_CODE", ""), Permanent);
        assert_eq!(of_record(StatusCode::INTERNAL_SERVER_ERROR, "BRAND_NEW_CODE", ""), Transient);
        assert_eq!(of_request(StatusCode::TOO_MANY_REQUESTS, "", ""), Transient);
        let edge = StatusCode::from_u16(420).unwrap();
        assert_eq!(of_request(edge, "", ""), Transient);
        assert_eq!(of_request(edge, "BRAND_NEW_CODE", ""), Permanent);
        assert_eq!(of_request(StatusCode::FORBIDDEN, "BRAND_NEW_CODE", ""), Permanent);
        assert_eq!(of_request(StatusCode::UNAUTHORIZED, "BRAND_NEW_CODE", ""), Unavailable);
        assert_eq!(of_request(StatusCode::NOT_FOUND, "NOT_FOUND", ""), Unavailable);
        assert_eq!(of_record(StatusCode::NOT_FOUND, "NOT_FOUND", ""), Permanent);
    }

    #[test]
    fn a_refused_login_is_the_destinations_trouble() {
        assert_eq!(of_login(BAD, "invalid_client", ""), Unavailable);
        assert_eq!(of_login(StatusCode::INTERNAL_SERVER_ERROR, "INVALID_LOGIN", ""), Unavailable);
        assert_eq!(of_login(StatusCode::INTERNAL_SERVER_ERROR, "SERVER_UNAVAILABLE", ""), Transient);
        assert_eq!(of_login(StatusCode::BAD_GATEWAY, "", ""), Transient);
        assert_eq!(of_login(BAD, "unknown_error", "retry your request"), Transient);
        assert_eq!(of_login(StatusCode::FOUND, "", ""), Unavailable);
    }

    #[test]
    fn only_what_is_no_answer_of_the_org_counts_as_an_outage() {
        for (failure, status, code, expected) in [
            (Transient, 503, "SERVER_UNAVAILABLE", Blame::Outage),
            (Transient, 503, "", Blame::Outage),
            (Transient, 502, "", Blame::Outage),
            (Transient, 500, "UNKNOWN_EXCEPTION", Blame::Record),
            (Transient, 429, "", Blame::Record),
            (Transient, 400, "UNABLE_TO_LOCK_ROW", Blame::Record),
            (Dependency, 400, "INVALID_FIELD", Blame::Record),
            (Permanent, 400, "", Blame::Record),
            (Unavailable, 403, "REQUEST_LIMIT_EXCEEDED", Blame::Quota),
            (Unavailable, 401, "INVALID_SESSION_ID", Blame::Refusal),
            (Unavailable, 404, "", Blame::Refusal),
        ] {
            let found = blame(failure, StatusCode::from_u16(status).unwrap(), code);
            assert_eq!(found, expected, "{failure:?} {status} {code}");
        }
    }

    #[test]
    fn no_row_is_hidden_by_an_earlier_one() {
        for (at, rule) in RULES.iter().enumerate().filter(|(_, rule)| !rule.code.is_empty()) {
            let first =
                RULES.iter().position(|other| other.code == rule.code && rule.says.contains(other.says));
            assert_eq!(first, Some(at), "{} {:?}", rule.code, rule.says);
        }
    }
}
