//! The only conversion from errors to responses: `{"error": …}` with the right status.
//!
//! Nothing internal leaves the service. The details that an operator needs go to the log.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::queue::{QueueError, Unreadable};
use crate::submission::Origin;

/// Seconds after which a sender should try again. CommCare has its own, longer, schedule.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("30");

/// The body of an error.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What is wrong, and with which parameter or member.
    error: String,
    /// Where, or what to do, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
}

/// The body of an answer about an id that no record has.
#[derive(Serialize, ToSchema)]
pub(super) struct NothingFound {
    message: String,
    id: String,
}

/// The body of a refusal: an error, or no record of that id.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum RefusalBody {
    Error(ErrorBody),
    NothingFound(NothingFound),
}

/// Why a call is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("Invalid payload")]
    InvalidPayload { details: String },
    #[error("{}", xml_advice(*.0))]
    XmlPayload(Origin),
    #[error("Content-Encoding {0} is not read here; send the body as it is, or with gzip")]
    Encoding(String),
    #[error("Job name not provided in payload")]
    NoJobName(Origin),
    #[error("Job name not provided in payload")]
    OtherDirection { details: &'static str },
    #[error("Payload has no id")]
    NoId,
    #[error("The payload is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("The submission is too large for the queue: {size} bytes, and a document holds {limit}")]
    SubmissionTooLarge { size: usize, limit: usize },
    #[error("The members beside the records have {size} bytes, and may have {limit}")]
    HeadTooLarge { size: usize, limit: usize, details: String },
    #[error("The payload has more values than are read at a time")]
    TooManyValues { memory: usize, limit: usize },
    #[error("The body came too slowly; send it again")]
    TooSlow,
    #[error("Too many large bodies are under way; send this again in a moment")]
    Busy,
    #[error("{name}: {rule}")]
    Parameter { name: &'static str, rule: String },
    #[error("{}", unknown_parameter(name, known))]
    UnknownParameter { name: String, known: Vec<String> },
    #[error("{0}")]
    Unmappable(String),
    #[error("The credential is missing or wrong")]
    Unauthenticated,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("Not found")]
    NoSuchPath,
    #[error("Not found")]
    NoSuchWord { details: &'static str },
    #[error("No record has had this answer")]
    NoSuchAnswer,
    #[error("No records found in {collection}")]
    NoRecords { collection: &'static str, id: String },
    #[error("Method not allowed")]
    WrongMethod,
    #[error("The service cannot check this identity token right now; try again in a moment")]
    KeysUnavailable,
    #[error("The service cannot reach its queue right now; send this again in a moment")]
    Unavailable,
    #[error(
        "The document {doc_id}, which the queue has for this id, cannot be read ({error}); mend or remove it, then send \
         this again"
    )]
    Unreadable { doc_id: String, error: String },
    #[error("The service could not reach its queue for {seconds} seconds; send this again in a moment")]
    UnavailableFor { seconds: u64 },
    #[error("Document {doc_id} is being changed by others all the time; send this again in a moment")]
    Contended { doc_id: String },
    #[error("This call broke down in the service; send it again")]
    BrokeDown,
}

impl HttpError {
    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidPayload { .. } => StatusCode::BAD_REQUEST,
            Self::XmlPayload(_) | Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoJobName(_)
            | Self::OtherDirection { .. }
            | Self::NoId
            | Self::Parameter { .. }
            | Self::UnknownParameter { .. }
            | Self::Unmappable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BodyTooLarge { .. }
            | Self::SubmissionTooLarge { .. }
            | Self::HeadTooLarge { .. }
            | Self::TooManyValues { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NoSuchPath | Self::NoSuchWord { .. } | Self::NoSuchAnswer | Self::NoRecords { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            // CommCare gives a form up after a 500, and sends it again after a 503.
            Self::KeysUnavailable
            | Self::Busy
            | Self::Unavailable
            | Self::UnavailableFor { .. }
            | Self::Unreadable { .. }
            | Self::Contended { .. }
            | Self::BrokeDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Where, or what to do.
    fn details(&self) -> Option<String> {
        match self {
            Self::InvalidPayload { details } | Self::HeadTooLarge { details, .. } => Some(details.clone()),
            Self::OtherDirection { details } | Self::NoSuchWord { details } => Some((*details).to_owned()),
            Self::NoJobName(Origin::CommCare) => Some("form.@name is missing, blank or no text".to_owned()),
            Self::NoJobName(Origin::Salesforce) => Some("jobType is missing, blank or no text".to_owned()),
            Self::NoId => {
                Some("the top-level member id is missing, blank, or neither a text nor a number".to_owned())
            }
            Self::TooManyValues { memory, limit } => Some(format!(
                "read into memory it would take {} MiB, and it may take {} MiB; send its records in several payloads",
                memory.div_ceil(MIB),
                limit / MIB
            )),
            _ => None,
        }
    }

    /// The title of the page that shows it.
    fn title(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "Log in",
            Self::Forbidden(_) => "Not allowed",
            Self::Unavailable | Self::UnavailableFor { .. } => "The queue does not answer",
            Self::Busy => "Too much at a time",
            Self::KeysUnavailable => "The identity token cannot be checked",
            Self::Unreadable { .. } => "A record cannot be read",
            Self::Contended { .. } => "A record is being changed",
            Self::BrokeDown => "The service broke down",
            error if error.status() == StatusCode::NOT_FOUND => "Not found",
            _ => "That did not work",
        }
    }
}

const MIB: usize = 1024 * 1024;

/// Characters of an unknown parameter's name that its error quotes.
const NAME_QUOTED: usize = 100;

fn unknown_parameter(name: &str, known: &[String]) -> String {
    let name: String = name.chars().take(NAME_QUOTED).collect();
    match known {
        [] => format!("{name}: not a parameter of this call, which takes none"),
        known => format!("{name}: not a parameter of this call, which takes {}", known.join(", ")),
    }
}

/// The words for a sender of XML: where to set JSON.
fn xml_advice(origin: Origin) -> &'static str {
    match origin {
        Origin::CommCare => {
            "The payload is XML; set the format of the forwarding to JSON (CommCare HQ, Project Settings, Data \
             Forwarding)"
        }
        Origin::Salesforce => {
            "The payload is XML, as Salesforce's outbound messages are; send JSON instead, with Apex or an HTTP \
             callout of a flow (Content-Type: application/json)"
        }
    }
}

/// The words of an error, beside its response: pages show them.
#[derive(Debug, Clone)]
pub(super) struct ErrorWords {
    pub(super) title: &'static str,
    pub(super) words: String,
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let status = self.status();
        let is_packed = matches!(self, Self::Encoding(_));
        let words = self.to_string();
        let for_pages = ErrorWords { title: self.title(), words: words.clone() };
        let details = self.details();
        let body = match self {
            Self::NoRecords { id, .. } => RefusalBody::NothingFound(NothingFound { message: words, id }),
            _ => RefusalBody::Error(ErrorBody { error: words, details }),
        };
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(for_pages);
        let headers = response.headers_mut();
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            // A browser then asks for the operator's token as a password.
            StatusCode::UNAUTHORIZED => {
                let basic =
                    HeaderValue::from_static("Basic realm=\"commcare-sf-integration\", charset=\"UTF-8\"");
                headers.insert(header::WWW_AUTHENTICATE, basic);
            }
            // RFC 9110, section 15.5.16.
            StatusCode::UNSUPPORTED_MEDIA_TYPE if is_packed => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            }
            _ => {}
        }
        response
    }
}

impl From<QueueError> for HttpError {
    fn from(error: QueueError) -> Self {
        if !matches!(error, QueueError::TooLarge { .. }) {
            error!(error = &error as &dyn std::error::Error, "queue failed");
        }
        Self::of_queue(&error)
    }
}

impl HttpError {
    /// The answer to trouble of the queue's. Any trouble of ours is a 503. The log is the caller's business.
    pub(super) fn of_queue(error: &QueueError) -> Self {
        match error {
            QueueError::TooLarge { size, limit } => Self::SubmissionTooLarge { size: *size, limit: *limit },
            QueueError::Unavailable { .. } => Self::Unavailable,
            QueueError::Unreadable(Unreadable { doc_id, error, .. }) => {
                Self::Unreadable { doc_id: doc_id.clone(), error: error.clone() }
            }
            QueueError::Contended { doc_id } => Self::Contended { doc_id: doc_id.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_503_and_its_page_says_what_it_is() {
        let doc_id = || "f-1".to_owned();
        for (error, title) in [
            (HttpError::Unavailable, "The queue does not answer"),
            (HttpError::UnavailableFor { seconds: 6 }, "The queue does not answer"),
            (HttpError::Busy, "Too much at a time"),
            (HttpError::KeysUnavailable, "The identity token cannot be checked"),
            (HttpError::Unreadable { doc_id: doc_id(), error: String::new() }, "A record cannot be read"),
            (HttpError::Contended { doc_id: doc_id() }, "A record is being changed"),
            (HttpError::BrokeDown, "The service broke down"),
        ] {
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{title}");
            assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_AFTER, "{title}");
            assert_eq!(response.extensions().get::<ErrorWords>().unwrap().title, title);
        }
    }
}
