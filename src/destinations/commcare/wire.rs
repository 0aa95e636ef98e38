//! The submissions themselves: one client whose connections are kept, the request, the answer.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use secrecy::ExposeSecret;
use tracing::{Span, field, instrument};

use super::answer::OpenRosaAnswer;
use super::failure::{self, SubmissionError};
use crate::clock;
use crate::config::commcare::CommCareSettings;
use crate::destinations::transport::{broken, client, retry_after};
use crate::plan::Document;

/// Without it HQ answers 201 whatever became of the form (`docs/mappings/salesforce-to-commcare.md`, section 7).
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-openrosa-version"), HeaderValue::from_static("3.0"));
/// Bytes of an answer that are read: HQ's answers have a few hundred.
const ANSWER_LIMIT: usize = 256 * 1024;

/// The client.
pub(super) struct Wire {
    pub(super) settings: CommCareSettings,
    client: Client,
}

impl Wire {
    pub(super) fn new(settings: CommCareSettings) -> Result<Self, reqwest::Error> {
        let client = client(settings.request_timeout)
            .default_headers(HeaderMap::from_iter([VERSION]))
            .pool_max_idle_per_host(settings.concurrency)
            .build()?;
        Ok(Self { settings, client })
    }

    /// Submits a document.
    #[instrument(
        name = "commcare.submission",
        skip_all,
        fields(position = document.position, http.status = field::Empty)
    )]
    pub(super) async fn submit(&self, document: &Document) -> Result<(), SubmissionError> {
        let key = format!("ApiKey {}:{}", self.settings.username, self.settings.api_key.expose_secret());
        let request = self
            .client
            .post(self.settings.receiver.clone())
            .header(AUTHORIZATION, key)
            .header(CONTENT_TYPE, "text/xml")
            .body(document.xml.clone());
        let (status, retry_after, body) = async {
            let response = request.send().await?;
            let retry_after = retry_after(response.headers(), clock::now());
            let status: StatusCode = response.status();
            Ok((status, retry_after, read(response).await?))
        }
        .await
        .map_err(|error| SubmissionError::no_answer(&broken(error)))?;
        Span::current().record("http.status", status.as_u16());
        failure::judge(status, &OpenRosaAnswer::from_body(&body), retry_after, document)
    }
}

/// The body, as far as it is of any use.
async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            break;
        }
    }
    Ok(body)
}
