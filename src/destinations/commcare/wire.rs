//! The submissions themselves: one client whose connections are kept, the request, the answer.

use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use secrecy::ExposeSecret;
use tracing::{Span, field, instrument};

use super::failure::{self, SubmissionError};
use super::response::Response;
use crate::bounded::ReadError;
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
    pub(super) client: Client,
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
        let response = async {
            let response = request.send().await?;
            let status = response.status();
            let retry_after = retry_after(response.headers(), clock::now());
            let location = location(&response);
            Ok(Response { status, retry_after, location, body: read(response).await? })
        }
        .await
        .map_err(|error| SubmissionError::no_answer(&broken(error)))?;
        Span::current().record("http.status", response.status.as_u16());
        failure::judge(&response, document)
    }
}

/// Where a redirect leads, without query: the query may hold what was sent.
fn location(response: &reqwest::Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let mut location = response.url().join(location).ok()?;
    location.set_query(None);
    location.set_fragment(None);
    Some(location.into())
}

/// The body, as far as it is of any use.
async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            break;
        }
    }
    Ok(body)
}
