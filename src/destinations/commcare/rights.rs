//! Whether CommCare HQ lets this service work, asked without submitting anything.
//!
//! Submitting with an API key and reading forms take the same two permissions, Edit Data and API access
//! (dimagi/commcare-hq, `_secure_post_api_key` in `receiverwrapper/views.py`, and its page "List Forms"). So the answer of
//! the List Forms API speaks for both. The receiver itself refuses every method but POST
//! before it looks at the credential: its 405 says that the address is right.

use reqwest::header::AUTHORIZATION;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::CommCare;
use crate::bounded::ReadError;
use crate::destinations::readiness::{Fault, NotAsked};
use crate::destinations::transport::broken;

impl CommCare {
    /// What is wrong with the domain, the credential or the user's rights.
    pub async fn faults(&self) -> Result<Vec<Fault>, NotAsked> {
        let mut forms = self.wire.settings.forms.clone();
        forms.query_pairs_mut().append_pair("limit", "1");
        let (reading, receiving) =
            futures::try_join!(self.status(&forms), self.status(&self.wire.settings.receiver))?;
        Ok(reading_fault(reading)?.into_iter().chain(receiver_fault(receiving)?).collect())
    }

    async fn status(&self, url: &Url) -> Result<StatusCode, NotAsked> {
        let settings = &self.wire.settings;
        let key = format!("ApiKey {}:{}", settings.username, settings.api_key.expose_secret());
        let asked =
            self.wire.client.request(Method::GET, url.clone()).header(AUTHORIZATION, key).send().await;
        asked.map(|response| response.status()).map_err(|error| {
            NotAsked(format!("CommCare HQ does not answer: {}", broken(ReadError::from(error))))
        })
    }
}

fn reading_fault(status: StatusCode) -> Result<Option<Fault>, NotAsked> {
    match status {
        StatusCode::OK => Ok(None),
        StatusCode::UNAUTHORIZED => {
            let problem = "CommCare HQ refuses the credential (401): CC_USERNAME, CC_API_KEY; no form may be submitted or read";
            Ok(Some(Fault::new("credential", problem)))
        }
        StatusCode::FORBIDDEN => {
            let problem = "the user may neither submit nor read forms (403): the role in CC_DOMAIN needs Edit Data and API access";
            Ok(Some(Fault::new("rights", problem)))
        }
        StatusCode::NOT_FOUND => {
            let problem = "CommCare HQ has no list of forms there (404): CC_DOMAIN, CC_BASE_URL";
            Ok(Some(Fault::new("domain", problem)))
        }
        status if status.is_redirection() => {
            let problem =
                format!("CommCare HQ leads elsewhere ({}): CC_BASE_URL, CC_DOMAIN", status.as_u16());
            Ok(Some(Fault::new("address", problem)))
        }
        status => Err(NotAsked(format!("CommCare HQ answers {} to its list of forms", status.as_u16()))),
    }
}

fn receiver_fault(status: StatusCode) -> Result<Option<Fault>, NotAsked> {
    match status {
        StatusCode::NOT_FOUND => {
            let problem = "CommCare HQ has no form receiver there (404): CC_BASE_URL, CC_DOMAIN";
            Ok(Some(Fault::new("receiver", problem)))
        }
        StatusCode::FORBIDDEN => Ok(Some(Fault::new("receiver", "the user may not submit forms (403)"))),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(NotAsked(format!("CommCare HQ's form receiver answers {}", status.as_u16())))
        }
        // 405 is what HQ answers to everything but a submission.
        _ => Ok(None),
    }
}
