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
    InvalidPayload,
    #[error("Invalid payload")]
    UnreadablePayload { details: String },
    #[error("{}", xml_advice(*.0))]
    XmlPayload(Origin),
    #[error("Content-Encoding {0} is not read here; send the body as it is, or with gzip")]
    Encoding(String),
    #[error("Job name not provided in payload")]
    NoJobName,
    #[error("Job name not provided in payload")]
    OtherDirection { details: &'static str },
    #[error("Payload has no id")]
    NoId,
    #[error("The payload is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("The submission is too large for the queue: {size} bytes, and a document holds {limit}")]
    SubmissionTooLarge { size: usize, limit: usize },
    #[error("The members beside the records have {size} bytes, and may have {limit}")]
    HeadTooLarge { size: usize, limit: usize },
    #[error("The payload has more values than are read at a time")]
    TooManyValues,
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
    #[error("Authentication required")]
    Unauthenticated,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("Not found")]
    NoSuchPath,
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
    UnreadableDocument { doc_id: String, error: String },
    #[error("The service could not reach its queue for {seconds} seconds; send this again in a moment")]
    UnavailableFor { seconds: u64 },
}

impl HttpError {
    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidPayload | Self::UnreadablePayload { .. } => StatusCode::BAD_REQUEST,
            Self::XmlPayload(_) | Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoJobName
            | Self::OtherDirection { .. }
            | Self::NoId
            | Self::Parameter { .. }
            | Self::UnknownParameter { .. }
            | Self::Unmappable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BodyTooLarge { .. }
            | Self::SubmissionTooLarge { .. }
            | Self::HeadTooLarge { .. }
            | Self::TooManyValues => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NoSuchPath | Self::NoSuchAnswer | Self::NoRecords { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::KeysUnavailable
            | Self::Busy
            | Self::Unavailable
            | Self::UnreadableDocument { .. }
            | Self::UnavailableFor { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

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
pub(super) struct ErrorWords(pub(super) String);

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let status = self.status();
        let is_packed = matches!(self, Self::Encoding(_));
        let words = self.to_string();
        let for_pages = ErrorWords(words.clone());
        let body = match self {
            Self::NoRecords { id, .. } => RefusalBody::NothingFound(NothingFound { message: words, id }),
            Self::UnreadablePayload { details } => {
                RefusalBody::Error(ErrorBody { error: words, details: Some(details) })
            }
            Self::OtherDirection { details } => {
                RefusalBody::Error(ErrorBody { error: words, details: Some(details.to_owned()) })
            }
            _ => RefusalBody::Error(ErrorBody { error: words, details: None }),
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

impl From<&Unreadable> for HttpError {
    fn from(Unreadable { doc_id, error, .. }: &Unreadable) -> Self {
        Self::UnreadableDocument { doc_id: doc_id.clone(), error: error.clone() }
    }
}

impl From<QueueError> for HttpError {
    /// Any trouble of ours is a 503. CommCare sends a form again after a 503, and gives the form up for good
    /// after most other statuses.
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::TooLarge { size, limit } => Self::SubmissionTooLarge { size, limit },
            QueueError::Unreadable(ref unreadable) => {
                error!(error = &error as &dyn std::error::Error, "queue failed");
                Self::from(unreadable)
            }
            QueueError::Unavailable { .. } | QueueError::Contended { .. } => {
                error!(error = &error as &dyn std::error::Error, "queue failed");
                Self::Unavailable
            }
        }
    }
}
