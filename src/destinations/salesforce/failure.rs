//! What each Salesforce error means for the record: the one table.
//!
//! For operators: find the code that a record's `error` names. The row says whether the record is retried by
//! itself, waits for another record, needs a person, was put back because the trouble is Salesforce's, or counts
//! only once Salesforce has taken another record (`docs/service.md`, guarantees 6 and 7). Where a code has no row,
//! the HTTP status decides.

use reqwest::StatusCode;

use crate::destinations::delivery::Failure::{self, Dependency, Permanent, Transient, Unavailable, Unclear};
use crate::destinations::trouble::Blame;
use crate::plan::Upsert;

/// Codes that only say that another row or subrequest failed; never the cause, except with the words of
/// [`UNKNOWN_REFERENCE`].
///
/// `PROCESSING_HALTED`: REST API guide, Composite. `ALL_OR_NONE_OPERATION_ROLLED_BACK`: SOAP API
/// guide, `StatusCode`.
const NEVER_THE_CAUSE: [&str; 2] = ["PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK"];

/// Composite took a text for a reference to an earlier subrequest. It stands at the subrequest with that text, with
/// the code `PROCESSING_HALTED` (`CumulusCI`'s tests of its Composite task quote such an answer).
const UNKNOWN_REFERENCE: &str = "Invalid reference specified";

/// What Apex says when the triggers of one collection did more than a transaction may (Apex Developer Guide,
/// "Execution Governors and Limits"). A managed package puts its namespace between prefix and limit, and an error of a
/// flow or of another trigger quotes the limit alone (NPSP issue 1560), so that each counts for itself.
#[rustfmt::skip]
const TOO_MUCH_AT_ONCE: [&str; 14] = [
    "System.LimitException",                      // NPSP issues 2095 and 6757
    "CPU time limit exceeded",                    // Conga's page on governor limits; comes from flows too
    "heap size too large",                        // the same page
    "Too many DML",                               // NPSP issue 2095; statements and rows
    "Too many SOQL queries",                      // NPSP issue 6757
    "Too many query rows",                        // NPSP issue 1560
    "Too many future calls",                      // EloquentSalesForce issue 70
    "Too many queueable jobs",                    // Acrobat Sign's release notes for Salesforce
    "Number of iterations exceeded",              // Salesforce Help 000382258: a flow's elements
    "more than 10 chunks in a single operation",  // EDA issue 429
    "Too many SOSL queries",                      // inferred from the limit's name
    "Too many query locator rows",                // inferred from the limit's name
    "Too many callouts",                          // inferred from the limit's name
    "Too many Email Invocations",                 // inferred from the limit's name
];
/// What begins the message of [`of_duplicate`].
const DUPLICATE: &str = "duplicate value found:";

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
/// "Airbyte" what its Salesforce source retries (`rate_limiting.py`), "jsforce" its `request.ts`, "DLRS" the issues of
/// SFDO-Community/declarative-lookup-rollup-summaries. Where only a name or a likeness speaks for a row, the row
/// says "inferred".
#[rustfmt::skip]
const RULES: &[Rule] = &[
    // The referenced record isn't there yet.
    rule("INVALID_FIELD", "Foreign key external ID", Dependency),      // REST, relationship by external id
    rule("INVALID_CROSS_REFERENCE_KEY", "", Dependency),               // SOAP

    // Locks: they pass.
    rule("UNABLE_TO_LOCK_ROW", "", Transient),                         // SOAP; Salto; jsforce issue 1018
    rule("", "UNABLE_TO_LOCK_ROW", Transient),                         // the same, quoted by a trigger's error
    rule("", "unable to obtain exclusive access to this record", Transient), // the words of that code; alone in DLRS 1021
    rule("", "Record Currently Unavailable", Transient),               // DLRS 1021: the same for people
    rule("", "currently being modified by another user", Transient),   // DLRS 1021: the rest of that sentence
    rule("DUPLICATE_VALUE", "Duplicate external id specified", Permanent), // SOAP: twice in one collection

    // Load and internal trouble: Salesforce's, or that of this record alone.
    rule("API_TEMPORARILY_UNAVAILABLE", "", Unclear),                  // inferred from the name; in no list
    rule("SERVER_UNAVAILABLE", "", Unclear),                           // SOAP; REST, 503; Salto
    rule("QUERY_TIMEOUT", "", Unclear),                                // SOAP
    rule("REQUEST_RUNNING_TOO_LONG", "", Unclear),                     // SOAP
    rule("UNKNOWN_EXCEPTION", "", Unclear),                            // SOAP; REST, 500
    rule("UNSPECIFIED_ERROR", "", Unclear),                            // inferred from the name; in no list
    rule("TXN_SECURITY_METERING_ERROR", "", Unclear),                  // SOAP; Salto: policies took too long
    rule("", "retry your request", Unclear),                           // Salto: comes with `unknown_error`
    rule("PLATFORM_EVENT_PUBLISHING_UNAVAILABLE", "", Unclear),        // SOAP
    rule("REQUEST_LIMIT_EXCEEDED", "Concurrent", Unclear),             // REST, 403: long calls at once, not in a day
    rule("STORAGE_LIMIT_EXCEEDED", "", Unclear),                       // SOAP: the org is full; updates work on

    // The destination's trouble: no record of ours can go through.
    rule("REQUEST_LIMIT_EXCEEDED", "", Unavailable),                   // REST, 403: the daily calls are used up
    rule("INVALID_SESSION_ID", "", Unavailable),                       // REST, 401, after the renewal
    rule("URL_NOT_RESET", "", Unavailable),                            // amazon-connect-salesforce-lambda issue 12: another server has the org
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

    // The body itself, in an answer to the whole request: no other record sends the same.
    rule("JSON_PARSER_ERROR", "", Permanent),                          // REST, 400
];

/// Whether an error only says that something else failed.
pub(super) fn is_consequence(code: &str, message: &str) -> bool {
    NEVER_THE_CAUSE.contains(&code) && !is_unknown_reference(code, message)
}

/// Whether Composite took a text for a reference.
pub(super) fn is_unknown_reference(code: &str, message: &str) -> bool {
    NEVER_THE_CAUSE.contains(&code) && says(message, UNKNOWN_REFERENCE)
}

/// Whether the rows of a collection were too many for the org's own triggers and flows.
pub(super) fn is_too_much_at_once(message: &str) -> bool {
    TOO_MUCH_AT_ONCE.iter().any(|words| says(message, words))
}

/// The phrases by which this table tells errors apart. In a payload they mean nothing: who asks the table takes quoted
/// values out of the message first ([`Mask::unquoted`](crate::destinations::mask::Mask)).
pub(super) fn phrases() -> impl Iterator<Item = &'static str> {
    let of_rules = RULES.iter().map(|rule| rule.says).filter(|phrase| !phrase.is_empty());
    of_rules.chain(TOO_MUCH_AT_ONCE).chain([UNKNOWN_REFERENCE, DUPLICATE])
}

/// Whether a message holds a phrase, in whatever case.
fn says(message: &str, phrase: &str) -> bool {
    message.to_lowercase().contains(&phrase.to_lowercase())
}

/// What an error of one record means.
pub(super) fn of_record(upsert: &Upsert, status: StatusCode, code: &str, message: &str) -> Failure {
    match known(code, message) {
        // The row alone is too much, whatever code that comes with.
        None | Some(Unclear) if is_too_much_at_once(message) => Permanent,
        Some(failure) => failure,
        None if code == "DUPLICATE_VALUE" => of_duplicate(upsert, message),
        // REST: the session is refused although it was renewed.
        None if status == StatusCode::UNAUTHORIZED => Unavailable,
        None => by_status(status).unwrap_or(Permanent),
    }
}

/// "duplicate value found: {field} duplicates value on record with id: {id}" (Gravity-Forms-Salesforce issue 163). On the
/// field upserted by, two forms created one record at the same time: the repeat updates it. On another unique field a
/// person has to say which of the two records is right. Salesforce may also name no field (`<unknown>`:
/// sfdx-mass-action-scheduler issue 138; nothing at all: `QuotaEdit` issue 82): then a race is likely (inferred), and a
/// repeat tells. A field of a managed package has its namespace before it (DLRS issue 1039).
fn of_duplicate(upsert: &Upsert, message: &str) -> Failure {
    let message = message.to_lowercase();
    let field = message.split_once(DUPLICATE).and_then(|(_, rest)| rest.split_once("duplicates value"));
    let field =
        field.map(|(field, _)| field.trim()).filter(|field| !field.is_empty() && !field.starts_with('<'));
    let own = upsert.external_id_field.to_lowercase();
    let is_own = |field: &str| {
        let namespace = field.strip_suffix(&own).and_then(|before| before.strip_suffix("__"));
        field == own || namespace.is_some_and(|name| !name.is_empty() && !name.contains("__"))
    };
    if field.is_none_or(is_own) { Transient } else { Permanent }
}

/// What the refusal of a whole request means. Such a refusal may be Salesforce's trouble whatever it is, except where
/// the table knows better.
pub(super) fn of_request(status: StatusCode, code: &str, message: &str) -> Failure {
    known(code, message).unwrap_or(match status {
        // REST: the session is refused although it was renewed.
        StatusCode::UNAUTHORIZED => Unavailable,
        _ => Unclear,
    })
}

/// What the refusal of a query means. A query that is wrong, or too long (REST, 414 and 431), is so whatever
/// Salesforce's state is.
pub(super) fn of_query(status: StatusCode, code: &str, message: &str) -> Failure {
    let is_too_long =
        matches!(status, StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let is_wrong = is_too_long || (status == StatusCode::BAD_REQUEST && !code.is_empty());
    known(code, message)
        .unwrap_or_else(|| if is_wrong { Permanent } else { of_request(status, code, message) })
}

/// Whether an answer says that the org is not, or no longer, at this address: Salesforce sends an org that has moved,
/// or is being moved, elsewhere (REST, 3xx and 410), and a wrong login URL or API version finds no Composite.
fn is_elsewhere(status: StatusCode) -> bool {
    (status.is_redirection() && status != StatusCode::MULTIPLE_CHOICES)
        || matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE)
}

/// What the refusal of a login means: the destination's trouble, unless it passes by itself.
pub(super) fn of_login(status: StatusCode, code: &str, message: &str) -> Failure {
    match code {
        // OAuth: Salesforce's word for internal trouble, sent with 400.
        "unknown_error" | "server_error" | "temporarily_unavailable" => Unclear,
        _ => known(code, message).unwrap_or_else(|| match by_status(status) {
            // SOAP faults come with 500 whatever their code: a code means that it was understood.
            Some(Unclear) if code.is_empty() => Unclear,
            _ => Unavailable,
        }),
    }
}

/// Whose trouble an answer is that means `failure`.
pub(super) fn blame(failure: Failure, status: StatusCode, code: &str) -> Blame {
    match failure {
        Unavailable if code == "REQUEST_LIMIT_EXCEEDED" => Blame::Quota,
        Unavailable | Unclear if code == "URL_NOT_RESET" || is_elsewhere(status) => Blame::Down,
        Unavailable => Blame::Refusal,
        Unclear => Blame::Outage,
        Transient | Dependency | Permanent => Blame::Record,
    }
}

fn known(code: &str, message: &str) -> Option<Failure> {
    let fits = |rule: &&Rule| (rule.code.is_empty() || rule.code == code) && says(message, rule.says);
    RULES.iter().find(fits).map(|rule| rule.failure)
}

/// What a status says by itself. 429 is not in Salesforce's list, but jsforce and Airbyte retry it; 408 is HTTP's own.
fn by_status(status: StatusCode) -> Option<Failure> {
    let is_load = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    (is_load || status.is_server_error()).then_some(Unclear)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: StatusCode = StatusCode::BAD_REQUEST;

    fn record(status: u16, code: &str, message: &str) -> Failure {
        let upsert = Upsert::new("Household__c", "Household_ID__c", "hh-1");
        of_record(&upsert, StatusCode::from_u16(status).unwrap(), code, message)
    }

    fn request(status: u16, code: &str, message: &str) -> Failure {
        of_request(StatusCode::from_u16(status).unwrap(), code, message)
    }

    #[test]
    fn a_missing_reference_is_a_dependency_and_a_misspelt_field_is_not() {
        let message = "Foreign key external ID: x not found for field Key__c in entity A__c";
        assert_eq!(record(400, "INVALID_FIELD", message), Dependency);
        assert_eq!(record(400, "INVALID_FIELD", "No such column 'B__c' on sobject"), Permanent);
        assert_eq!(record(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"), Dependency);
    }

    #[test]
    fn a_lock_is_a_lock_in_whatever_words() {
        for (code, message) in [
            ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: 001XX"),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                "execution of AfterUpdate caused by: UNABLE_TO_LOCK_ROW",
            ),
            (
                "CANNOT_EXECUTE_FLOW_TRIGGER",
                "We can't save this record because the \u{201c}Totals\u{201d} process failed. unable to obtain exclusive \
                 access to this record or 1 records: a0X5g",
            ),
            (
                "APEX_ERROR",
                "Record Currently Unavailable: The record you are attempting to edit, or one of its related \
                 records, is currently being modified by another user. Please try again.",
            ),
        ] {
            assert_eq!(record(400, code, message), Transient, "{code}: {message}");
        }
        assert_eq!(
            record(400, "X", "Unable To Obtain Exclusive Access to this record or 200 records"),
            Transient
        );
        assert_eq!(record(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "caused by: null"), Permanent);
    }

    #[test]
    fn a_duplicate_is_a_race_on_the_field_upserted_by_alone() {
        let duplicate = |field: &str| {
            let message =
                format!("duplicate value found: {field} duplicates value on record with id: a0X5g00000");
            record(400, "DUPLICATE_VALUE", &message)
        };
        for field in
            ["TNS_Id__c", "ns__TNS_Id__c", "Other_Household_ID__c", "a__b__Household_ID__c", "National Id"]
        {
            assert_eq!(duplicate(field), Permanent, "{field}");
        }
        for field in ["Household_ID__c", "household_id__c", "ns__Household_ID__c", "<unknown>", ""] {
            assert_eq!(duplicate(field), Transient, "{field}");
        }
        assert_eq!(record(400, "DUPLICATE_VALUE", "Duplicate external id specified: hh-1"), Permanent);
    }

    #[test]
    fn the_daily_limit_stops_the_drain_and_the_concurrent_one_may_pass() {
        assert_eq!(request(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), Unavailable);
        let concurrent = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
        assert_eq!(request(403, "REQUEST_LIMIT_EXCEEDED", concurrent), Unclear);
    }

    #[test]
    fn an_unknown_code_of_a_record_follows_the_status() {
        assert_eq!(record(400, "BRAND_NEW_CODE", ""), Permanent);
        assert_eq!(record(404, "NOT_FOUND", ""), Permanent);
        assert_eq!(record(500, "BRAND_NEW_CODE", ""), Unclear);
        assert_eq!(record(401, "", ""), Unavailable);
    }

    #[test]
    fn one_row_that_is_too_much_is_the_records_whatever_the_code() {
        for message in [
            "Household: execution of BeforeInsert caused by: System.LimitException: npsp:Too many SOQL queries: 101",
            "The flow failed to access the value: apex cpu time limit exceeded",
            "TypeException: Cannot have more than 10 chunks in a single operation. Please rearrange the data",
        ] {
            assert!(is_too_much_at_once(message), "{message}");
            for (status, code) in [(400, "CANNOT_EXECUTE_FLOW_TRIGGER"), (500, "UNKNOWN_EXCEPTION")] {
                assert_eq!(record(status, code, message), Permanent, "{code}: {message}");
            }
        }
        assert_eq!(record(400, "X", "System.LimitException after UNABLE_TO_LOCK_ROW"), Transient);
    }

    #[test]
    fn an_unknown_refusal_of_a_whole_request_may_be_salesforces() {
        let statuses =
            [300, 301, 302, 307, 400, 403, 404, 405, 406, 407, 410, 420, 429, 431, 451, 500, 502, 503];
        for status in statuses {
            assert_eq!(request(status, "", ""), Unclear, "{status}");
            assert_eq!(request(status, "BRAND_NEW_CODE", ""), Unclear, "{status}");
        }
        assert_eq!(request(401, "BRAND_NEW_CODE", ""), Unavailable);
        assert_eq!(request(400, "JSON_PARSER_ERROR", ""), Permanent);
    }

    #[test]
    fn a_refused_login_is_the_destinations_trouble() {
        assert_eq!(of_login(BAD, "invalid_client", ""), Unavailable);
        assert_eq!(of_login(StatusCode::INTERNAL_SERVER_ERROR, "INVALID_LOGIN", ""), Unavailable);
        assert_eq!(of_login(StatusCode::INTERNAL_SERVER_ERROR, "SERVER_UNAVAILABLE", ""), Unclear);
        assert_eq!(of_login(StatusCode::BAD_GATEWAY, "", ""), Unclear);
        assert_eq!(of_login(BAD, "unknown_error", "retry your request"), Unclear);
        assert_eq!(of_login(StatusCode::FOUND, "", ""), Unavailable);
    }

    #[test]
    fn the_blame_follows_the_failure() {
        for (failure, status, code, expected) in [
            (Unclear, 503, "SERVER_UNAVAILABLE", Blame::Outage),
            (Unclear, 429, "", Blame::Outage),
            (Unclear, 200, "UNKNOWN_EXCEPTION", Blame::Outage),
            (Transient, 400, "UNABLE_TO_LOCK_ROW", Blame::Record),
            (Dependency, 400, "INVALID_FIELD", Blame::Record),
            (Permanent, 400, "", Blame::Record),
            (Unavailable, 403, "REQUEST_LIMIT_EXCEEDED", Blame::Quota),
            (Unavailable, 401, "INVALID_SESSION_ID", Blame::Refusal),
            (Unclear, 404, "", Blame::Down),
            (Unclear, 307, "", Blame::Down),
            (Unavailable, 302, "", Blame::Down),
            (Unavailable, 400, "URL_NOT_RESET", Blame::Down),
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
