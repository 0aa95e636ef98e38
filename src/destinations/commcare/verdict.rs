//! What an answer of the form receiver means (`docs/mappings/salesforce-to-commcare.md`, section 4; `docs/service.md`,
//! sections 4 and 5).

use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::Event;
use reqwest::StatusCode;

use super::answer::Answer;
use crate::destinations::Failure;
use crate::destinations::mask::Mask;
use crate::plan::Document;

/// Says that the form was processed, or that it is a repeat of one that was.
const SUCCESS: &str = "submit_success";
/// CommCare's page on the Form Submission API: "Bandwidth Limit Exceeded" is how HQ says that the
/// domain's submissions are blocked.
const BLOCKED: u16 = 509;

/// Characters of a message that are kept: one of many in a record's error.
const MESSAGE_KEPT: usize = 300;

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The record's: CommCare is well.
    Record,
    /// CommCare did not answer, or not as itself, or has too much to do.
    Outage,
    /// CommCare refuses this service, whatever the record.
    Refusal,
}

/// Why a submission failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    pub(super) blame: Blame,
    /// What happened, without payload values.
    pub(super) text: String,
    /// Whether another try within the call makes sense.
    pub(super) may_pass: bool,
    /// Whether it says that the sender is too fast.
    pub(super) slows: bool,
    /// How long CommCare asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Trouble {
    /// No answer, or not a whole one.
    pub(super) fn no_answer(why: &str) -> Self {
        Self {
            failure: Failure::Transient,
            blame: Blame::Outage,
            text: format!("An error occurred: {why}"),
            may_pass: true,
            slows: false,
            retry_after: None,
        }
    }

    /// Its text with the record that it is about.
    pub(super) fn of_record(&self, document: &Document) -> String {
        format!("record {} ({}): {}", document.position, document.case_id, self.text)
    }
}

/// Whether the document was taken.
pub(super) fn judge(
    status: StatusCode,
    answer: &Answer,
    retry_after: Option<Duration>,
    document: &Document,
) -> Result<(), Trouble> {
    let nature = answer.nature.as_deref().unwrap_or_default();
    if status == StatusCode::CREATED && nature == SUCCESS {
        return Ok(());
    }
    let (failure, blame) = classify(status, nature, &answer.message);
    let message = shorten(mask(document).apply(&answer.message));
    Err(Trouble {
        failure,
        blame,
        text: format!("HTTP Status: {}, message: '{message}'", status.as_u16()),
        may_pass: failure == Failure::Transient && is_worth_a_retry(status),
        slows: matches!(
            status,
            StatusCode::LOCKED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ),
        retry_after,
    })
}

fn classify(status: StatusCode, nature: &str, message: &str) -> (Failure, Blame) {
    // The parent case does not exist yet: the same bytes succeed once it does.
    let missing_parent = message.contains("InvalidCaseIndex");
    let refused = if missing_parent { Failure::Dependency } else { Failure::Permanent };
    match (status.as_u16(), nature) {
        (401 | 403 | BLOCKED, _) => (Failure::Unavailable, Blame::Refusal),
        // Without the version header a refused form answers 201.
        (201, "submit_error") | (422, "processing_failure") => (refused, Blame::Record),
        // HQ's own errors come with a nature, those of what stands before it without.
        (429 | 503, _) | (500.., "") => (Failure::Transient, Blame::Outage),
        _ => (Failure::Transient, Blame::Record),
    }
}

/// Saving went on failing after the form was processed (422), locks, load, and trouble inside: they
/// pass. A wrong address or a redirect does not within seconds.
fn is_worth_a_retry(status: StatusCode) -> bool {
    status.is_success() || status.is_server_error() || matches!(status.as_u16(), 408 | 422 | 423 | 425 | 429)
}

fn shorten(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_KEPT) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// The values of the document that a message may quote; its ids stay.
fn mask(document: &Document) -> Mask {
    let mut texts = Vec::new();
    let mut reader = Reader::from_str(&document.xml);
    let mut text = String::new();
    let mut in_meta = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                in_meta |= start.name().0 == "meta";
                text.clear();
            }
            Ok(Event::Text(part)) => text.push_str(&part.xml10_content()),
            Ok(Event::GeneralRef(reference)) => text.push_str(&resolve(&reference)),
            Ok(Event::End(end)) => {
                let is_known = in_meta || matches!(end.name().0, "case_type" | "owner_id");
                let value = std::mem::take(&mut text);
                if !is_known && !value.trim().is_empty() {
                    texts.push(value);
                }
            }
            // The document is ours: it ends before it could break.
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let ids: Vec<&str> =
        std::iter::once(document.case_id.as_str()).chain(document.parent_id.as_deref()).collect();
    Mask::of_texts(&texts, &ids)
}

/// What a reference in a text stands for; as it is where that is unknown.
pub(super) fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> String {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return c.to_string();
    }
    let name = reference.xml10_content();
    quick_xml::escape::resolve_predefined_entity(&name).map_or_else(|| format!("&{name};"), str::to_owned)
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

    fn trouble(status: u16, nature: &str, message: &str) -> Trouble {
        let answer = Answer { nature: Some(nature.to_owned()), message: message.to_owned() };
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
            let found = trouble(status, nature, message);
            let found = (found.failure, found.blame, found.slows);
            assert_eq!(found, (failure, blame, slows), "{status} {nature} {message}");
        }
        let success = Answer { nature: Some(SUCCESS.to_owned()), message: String::new() };
        assert_eq!(judge(StatusCode::CREATED, &success, None, &document()), Ok(()));
    }

    #[test]
    fn values_are_masked_and_ids_stay() {
        let quoted =
            "InvalidCaseIndex: Case 'case-1' references 'group-1', UWIMANA & SONS of demo_participant";
        assert_eq!(
            trouble(422, "processing_failure", quoted).text,
            "HTTP Status: 422, message: 'InvalidCaseIndex: Case 'case-1' references 'group-1', [masked] of \
             demo_participant'"
        );
    }
}
