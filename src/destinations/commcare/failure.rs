//! What an answer of the form receiver means (`docs/mappings/salesforce-to-commcare.md`, section 4;
//! `docs/service.md`, guarantee 6 and section 5): the one table.

use std::fmt;

use reqwest::StatusCode;

use super::answer::OpenRosaAnswer;
use super::response::Response;
use super::{SUBMISSION, page, quoted};
use crate::destinations::delivery::{DeliveryError, Failure};
use crate::destinations::mask::Mask;
use crate::destinations::trouble::{Blame, Trouble};
use crate::plan::Document;
use crate::text::shorten;

/// Says that the form was processed, or that it is a repeat of a form that was.
const SUCCESS: &str = "submit_success";
/// CommCare's page on the Form Submission API: with "Bandwidth Limit Exceeded" HQ says that the domain's
/// submissions are blocked.
const BLOCKED: u16 = 509;

/// HQ's name of the error that a parent is not there, in the lower case of [`Mask::unquoted`].
const MISSING_PARENT: &str = "invalidcaseindex";

/// Characters of a message that are kept: a record's error has room for many such messages.
const MESSAGE_KEPT: usize = 300;

/// Why a submission failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubmissionError {
    pub(super) trouble: Trouble,
    /// Whether it says that the sender is too fast.
    pub(super) slows: bool,
}

impl SubmissionError {
    /// No answer, or not a whole one.
    pub(super) fn no_answer(why: &str) -> Self {
        let trouble = Trouble::outage(SUBMISSION, format!("An error occurred: {why}"));
        Self { trouble, slows: false }
    }
}

impl fmt::Display for SubmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trouble.fmt(f)
    }
}

/// Whether the document was taken.
pub(super) fn judge(response: &Response, document: &Document) -> Result<(), SubmissionError> {
    let Response { status, body, retry_after, .. } = response;
    let answer = OpenRosaAnswer::from_body(body);
    let nature = answer.nature.as_deref().unwrap_or_default();
    if *status == StatusCode::CREATED && nature == SUCCESS {
        return Ok(());
    }
    let mask = quoted::mask(document);
    let words = mask.unquoted(&answer.message, [MISSING_PARENT].into_iter());
    let (failure, blame) = of_answer(*status, nature, &words);
    let message = shorten(&mask.apply(&answer.message), MESSAGE_KEPT);
    let mut text = format!("HTTP Status: {}, message: '{message}'", status.as_u16());
    if let Some(more) = explained(response, nature, &mask) {
        text.push_str("; ");
        text.push_str(&more);
    }
    let trouble = Trouble::new(DeliveryError::new(failure, SUBMISSION, text), blame);
    Err(SubmissionError {
        trouble: Trouble { retry_after: *retry_after, ..trouble },
        slows: matches!(
            *status,
            StatusCode::LOCKED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ),
    })
}

/// The table: what an answer other than success means. "Page" is CommCare's page on the Form Submission API, "wiki" its
/// page on client requests, "source" dimagi/commcare-hq's receiver; all three as
/// `docs/mappings/salesforce-to-commcare.md`, section 4, gives them. "Inferred" marks what none of them says.
fn of_answer(status: StatusCode, nature: &str, message: &str) -> (Failure, Blame) {
    // Source: the parent case does not exist yet. The same bytes succeed once it does.
    let missing_parent = message.contains(MISSING_PARENT);
    let refused = if missing_parent { Failure::Dependency } else { Failure::Permanent };
    match (status.as_u16(), nature) {
        // Page, wiki: the key, its user's rights, blocked submissions.
        (401 | 403 | BLOCKED, _) => (Failure::Unavailable, Blame::Refusal),
        // Inferred: the address is the same for every document.
        (300..=399 | 404 | 405 | 410, _) => (Failure::Unclear, Blame::Down),
        // Page. Without the version header a refused form answers 201 (source).
        (201, "submit_error") | (422, "processing_failure") => (refused, Blame::Record),
        // Page: the form was processed, work after it was not. Source: another submission of the same form is in progress.
        (422, "post_processing_failure") | (423, _) => (Failure::Transient, Blame::Record),
        // Load (429, 503: wiki), trouble inside (500: page), a proxy's page, anything that is not HQ's own answer.
        _ => (Failure::Unclear, Blame::Outage),
    }
}

/// What an operator needs beside HQ's message, where that says nothing.
fn explained(response: &Response, nature: &str, mask: &Mask<'_>) -> Option<String> {
    const ADDRESS: &str = "are CC_BASE_URL and CC_DOMAIN right?";
    if response.status == StatusCode::TOO_MANY_REQUESTS {
        return Some("CommCare asks to slow down".to_owned());
    }
    if !nature.is_empty() {
        return None;
    }
    let words = mask.apply(&page::words(&response.body));
    let says = (!words.is_empty()).then(|| format!("CommCare says: {words}"));
    let location = response.location.as_ref().map(|location| mask.apply(location));
    let elsewhere = location.map(|location| format!("CommCare sends on to {location}"));
    let is_address = of_answer(response.status, nature, "").1 == Blame::Down;
    let parts: Vec<String> =
        elsewhere.into_iter().chain(says).chain(is_address.then(|| ADDRESS.to_owned())).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let xml = "<data><Name>Uwimana &amp; Sons</Name><Case_Id>case-1</Case_Id><case><create>\
                   <case_type>demo_participant</case_type></create></case><meta><username>api</username>\
                   </meta></data>";
        let parent_id = Some("group-1".to_owned());
        Document { position: 7, case_id: "case-1".to_owned(), parent_id, xml: xml.to_owned() }
    }

    fn response(status: u16, body: impl Into<Vec<u8>>) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, body: body.into(), retry_after: None, location: None }
    }

    fn refused(status: u16, nature: &str, message: &str) -> SubmissionError {
        let body = if nature.is_empty() {
            message.to_owned()
        } else {
            let message = quick_xml::escape::escape(message);
            format!(r#"<r><message nature="{nature}">{message}</message></r>"#)
        };
        judge(&response(status, body), &document()).unwrap_err()
    }

    #[test]
    fn answers_mean_what_the_contract_says() {
        use Failure::{Dependency, Permanent, Transient, Unavailable, Unclear};
        for (status, nature, message, failure, blame, slows) in [
            (201, "submit_error", "bad", Permanent, Blame::Record, false),
            (201, "submit_error", "InvalidCaseIndex: x", Dependency, Blame::Record, false),
            (201, "unknown", "", Unclear, Blame::Outage, false),
            (200, SUCCESS, "√", Unclear, Blame::Outage, false),
            (200, "", "<html>Log in</html>", Unclear, Blame::Outage, false),
            (400, "", "<html>Bad</html>", Unclear, Blame::Outage, false),
            (422, "processing_failure", "CaseValueError: x", Permanent, Blame::Record, false),
            (422, "processing_failure", "Problem: InvalidCaseIndex: x", Dependency, Blame::Record, false),
            (422, "post_processing_failure", "InvalidCaseIndex", Transient, Blame::Record, false),
            (401, "", "", Unavailable, Blame::Refusal, false),
            (403, "", "", Unavailable, Blame::Refusal, false),
            (509, "submit_error", "", Unavailable, Blame::Refusal, false),
            (302, "", "", Unclear, Blame::Down, false),
            (404, "", "", Unclear, Blame::Down, false),
            (405, "", "", Unclear, Blame::Down, false),
            (404, "post_processing_failure", "", Unclear, Blame::Down, false),
            (423, "", "", Transient, Blame::Record, true),
            (429, "", "", Unclear, Blame::Outage, true),
            (503, "submit_error", "", Unclear, Blame::Outage, true),
            (500, "submit_error", "", Unclear, Blame::Outage, false),
            (502, "", "", Unclear, Blame::Outage, false),
            (413, "", "", Unclear, Blame::Outage, false),
        ] {
            let SubmissionError { trouble, slows: found_slows } = refused(status, nature, message);
            let found = (trouble.error.failure, trouble.blame, found_slows);
            assert_eq!(found, (failure, blame, slows), "{status} {nature} {message}");
        }
        let success = response(201, r#"<r><message nature="submit_success"/></r>"#);
        assert_eq!(judge(&success, &document()), Ok(()));
    }

    #[test]
    fn an_answer_that_is_not_hqs_own_is_told_in_its_words() {
        let text = |status, body: &str| refused(status, "", body).to_string();
        assert_eq!(
            text(429, ""),
            "HTTP Status: 429, message: 'Invalid XML response'; CommCare asks to slow down"
        );
        assert_eq!(
            text(
                404,
                "<html><title>Page Not Found</title><br><p>No domain for Uwimana &amp; Sons</p></html>"
            ),
            "HTTP Status: 404, message: 'Invalid XML response'; CommCare says: Page Not Found No domain for \
             [masked]; are CC_BASE_URL and CC_DOMAIN right?"
        );
        let location = Some("https://www.commcarehq.org/accounts/login/".to_owned());
        let moved = Response { location, ..response(302, "") };
        assert_eq!(
            judge(&moved, &document()).unwrap_err().to_string(),
            "HTTP Status: 302, message: 'Invalid XML response'; CommCare sends on to \
             https://www.commcarehq.org/accounts/login/; are CC_BASE_URL and CC_DOMAIN right?"
        );
        assert_eq!(
            text(500, "<h1>Server error</h1>"),
            "HTTP Status: 500, message: 'No <message> element found'; CommCare says: Server error"
        );
    }

    #[test]
    fn values_are_masked_and_ids_stay() {
        let quoted =
            "InvalidCaseIndex: Case 'case-1' references 'group-1', UWIMANA & SONS of demo_participant";
        assert_eq!(
            refused(422, "processing_failure", quoted).to_string(),
            "HTTP Status: 422, message: 'InvalidCaseIndex: Case 'case-1' references 'group-1', [masked] of \
             demo_participant'"
        );
    }
}
