//! What an answer of the form receiver means (`docs/mappings/salesforce-to-commcare.md`, section 4;
//! `docs/service.md`, guarantee 6 and section 5): the one table.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use super::SUBMISSION;
use super::answer::OpenRosaAnswer;
use super::quoted;
use crate::destinations::delivery::{DeliveryError, Failure};
use crate::destinations::trouble::{Blame, Trouble};
use crate::plan::Document;
use crate::text::shorten;

/// Says that the form was processed, or that it is a repeat of a form that was.
const SUCCESS: &str = "submit_success";
/// CommCare's page on the Form Submission API: with "Bandwidth Limit Exceeded" HQ says that the domain's
/// submissions are blocked.
const BLOCKED: u16 = 509;

/// Characters of a message that are kept: a record's error has room for many such messages.
const MESSAGE_KEPT: usize = 300;

/// Why a submission failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubmissionError {
    pub(super) trouble: Trouble,
    /// Whether another try within the call makes sense.
    may_pass: bool,
    /// Whether it says that the sender is too fast.
    pub(super) slows: bool,
}

impl SubmissionError {
    /// No answer, or not a whole one.
    pub(super) fn no_answer(why: &str) -> Self {
        let trouble = Trouble::outage(SUBMISSION, format!("An error occurred: {why}"));
        Self { trouble, may_pass: true, slows: false }
    }

    /// Whether another try may go better, and how long to wait at least.
    pub(super) fn may_pass(&self) -> Option<Duration> {
        self.trouble.may_pass().filter(|_| self.may_pass)
    }
}

impl fmt::Display for SubmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trouble.fmt(f)
    }
}

/// Whether the document was taken.
pub(super) fn judge(
    status: StatusCode,
    answer: &OpenRosaAnswer,
    retry_after: Option<Duration>,
    document: &Document,
) -> Result<(), SubmissionError> {
    let nature = answer.nature.as_deref().unwrap_or_default();
    if status == StatusCode::CREATED && nature == SUCCESS {
        return Ok(());
    }
    let (failure, blame) = of_answer(status, nature, &answer.message);
    let message = shorten(&quoted::mask(document).apply(&answer.message), MESSAGE_KEPT);
    let text = format!("HTTP Status: {}, message: '{message}'", status.as_u16());
    let trouble = Trouble::new(DeliveryError::new(failure, SUBMISSION, text), blame);
    Err(SubmissionError {
        trouble: Trouble { retry_after, ..trouble },
        may_pass: is_worth_a_retry(status),
        slows: matches!(
            status,
            StatusCode::LOCKED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ),
    })
}

/// The table.
fn of_answer(status: StatusCode, nature: &str, message: &str) -> (Failure, Blame) {
    // The parent case does not exist yet: the same bytes succeed once it does.
    let missing_parent = message.contains("InvalidCaseIndex");
    let refused = if missing_parent { Failure::Dependency } else { Failure::Permanent };
    match (status.as_u16(), nature) {
        (401 | 403 | BLOCKED, _) => (Failure::Unavailable, Blame::Refusal),
        // Without the version header a refused form answers 201.
        (201, "submit_error") | (422, "processing_failure") => (refused, Blame::Record),
        // HQ's own errors come with a nature. An error without one comes from what stands before HQ.
        (429 | 503, _) | (500.., "") => (Failure::Transient, Blame::Outage),
        _ => (Failure::Transient, Blame::Record),
    }
}

/// Locks, load, and trouble inside HQ pass; so does saving that went on failing after the form was processed (422).
/// A wrong address or a redirect does not pass within seconds.
fn is_worth_a_retry(status: StatusCode) -> bool {
    status.is_success() || status.is_server_error() || matches!(status.as_u16(), 408 | 422 | 423 | 425 | 429)
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

    fn refused(status: u16, nature: &str, message: &str) -> SubmissionError {
        let answer = OpenRosaAnswer { nature: Some(nature.to_owned()), message: message.to_owned() };
        judge(StatusCode::from_u16(status).unwrap(), &answer, None, &document()).unwrap_err()
    }

    #[test]
    fn answers_mean_what_the_contract_says() {
        use Failure::{Dependency, Permanent, Transient, Unavailable};
        for (status, nature, message, failure, blame, slows) in [
            (201, "submit_error", "bad", Permanent, Blame::Record, false),
            (201, "submit_error", "InvalidCaseIndex: x", Dependency, Blame::Record, false),
            (201, "unknown", "", Transient, Blame::Record, false),
            (200, SUCCESS, "√", Transient, Blame::Record, false),
            (422, "processing_failure", "CaseValueError: x", Permanent, Blame::Record, false),
            (422, "processing_failure", "Problem: InvalidCaseIndex: x", Dependency, Blame::Record, false),
            (422, "post_processing_failure", "InvalidCaseIndex", Transient, Blame::Record, false),
            (401, "", "", Unavailable, Blame::Refusal, false),
            (403, "", "", Unavailable, Blame::Refusal, false),
            (509, "submit_error", "", Unavailable, Blame::Refusal, false),
            (423, "", "", Transient, Blame::Record, true),
            (429, "", "", Transient, Blame::Outage, true),
            (503, "submit_error", "", Transient, Blame::Outage, true),
            (500, "submit_error", "", Transient, Blame::Record, false),
            (502, "", "", Transient, Blame::Outage, false),
            (404, "", "", Transient, Blame::Record, false),
        ] {
            let SubmissionError { trouble, slows: found_slows, .. } = refused(status, nature, message);
            let found = (trouble.error.failure, trouble.blame, found_slows);
            assert_eq!(found, (failure, blame, slows), "{status} {nature} {message}");
        }
        let success = OpenRosaAnswer { nature: Some(SUCCESS.to_owned()), message: String::new() };
        assert_eq!(judge(StatusCode::CREATED, &success, None, &document()), Ok(()));
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
