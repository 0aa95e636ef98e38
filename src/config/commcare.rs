//! How CommCare HQ is reached, and who documents say that they come from.

use std::borrow::Cow;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::Bounds;
use super::reader::Reader;
use crate::submission::Sender;

/// Everything the CommCare destination needs (`docs/service.md`, section 6).
#[derive(Debug, Clone)]
pub struct CommCareSettings {
    /// `CC_DOMAIN`: the project space.
    pub domain: String,
    /// Where forms are posted, by `CC_BASE_URL` and `CC_DOMAIN`.
    pub receiver: Url,
    /// HQ's list of the forms that it has, by the same two.
    pub forms: Url,
    /// `CC_USERNAME`: the key's user, an e-mail address.
    pub username: String,
    /// `CC_API_KEY`.
    pub api_key: SecretString,
    /// `CC_CONCURRENCY`: submissions under way at a time, over the whole process.
    pub concurrency: usize,
    /// Bound of one HTTP call: `REQUEST_TIMEOUT_SECONDS`.
    pub request_timeout: Duration,
    /// How long one submission may be retried: half of `LEASE_SECONDS`.
    pub retry_budget: Duration,
    /// The wait before the first retry of a submission, and the first pause when CommCare asks to slow down; both
    /// double with each further one.
    pub retry_delay: Duration,
}

impl CommCareSettings {
    /// The [`Self::retry_delay`] of a service.
    pub const RETRY_DELAY: Duration = Duration::from_millis(500);
}

/// Reads `CC_BASE_URL`: another CommCare HQ than the default one, such as that of the EU or India, or one's own server.
pub(super) fn base(reader: &mut Reader<'_>) -> Option<Url> {
    let base = reader.url("CC_BASE_URL", "https://www.commcarehq.org")?;
    if base.query().is_some() || base.fragment().is_some() {
        reader.problem("CC_BASE_URL: must be an address without query and fragment");
        return None;
    }
    Some(base)
}

/// Reads the other CommCare variables. `None` where there are no credentials: documents are recorded then, outside
/// Cloud Run.
pub(super) fn load(reader: &mut Reader<'_>, base: Option<&Url>, bounds: &Bounds) -> Option<CommCareSettings> {
    let domain = reader.text("CC_DOMAIN", "not set");
    let username = reader.text("CC_USERNAME", "not set");
    let api_key = reader.secret("CC_API_KEY");
    let concurrency = reader.number("CC_CONCURRENCY", 50, 1, 500);
    let missing: Vec<&str> = [
        ("CC_DOMAIN", domain.is_none()),
        ("CC_USERNAME", username.is_none()),
        ("CC_API_KEY", api_key.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, is_missing)| is_missing.then_some(name))
    .collect();
    if !missing.is_empty() && (bounds.cloud_run || missing.len() < 3) {
        reader.problem(&format!("{}: missing, and CommCare needs it", missing.join(", ")));
    }
    let (base, domain) = (base?, domain?);
    let receiver = in_domain(base, &domain, &["receiver", "GCP_Forms", ""]);
    let forms = in_domain(base, &domain, &["api", "form", "v1", ""]);
    if receiver.is_none() {
        reader.problem("CC_BASE_URL: must be an address that a path can follow");
    }
    Some(CommCareSettings {
        domain,
        receiver: receiver?,
        forms: forms?,
        username: username?,
        api_key: api_key?,
        concurrency,
        request_timeout: bounds.request_timeout,
        retry_budget: bounds.lease / 2,
        retry_delay: CommCareSettings::RETRY_DELAY,
    })
}

/// An address of a domain: `{base}/a/{domain}/receiver/GCP_Forms/` (`docs/mappings/salesforce-to-commcare.md`, section 4),
/// or `{base}/a/{domain}/api/form/v1/` (`docs/service.md`, guarantee 12).
fn in_domain(base: &Url, domain: &str, path: &[&str]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(["a", domain]).extend(path);
    Some(url)
}

/// Reads who documents come from.
pub(super) fn sender(reader: &mut Reader<'_>) -> Sender {
    let mut or = |name, default: &Cow<'static, str>| {
        reader.text(name, default).map_or_else(|| default.clone(), Cow::Owned)
    };
    Sender {
        user_id: or("CC_USER_ID", &Sender::DEFAULT.user_id),
        username: or("CC_META_USERNAME", &Sender::DEFAULT.username),
        device_id: or("CC_DEVICE_ID", &Sender::DEFAULT.device_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_those_of_the_domain() {
        let receiver = |base, domain| in_domain(&base, domain, &["receiver", "GCP_Forms", ""]);
        for (base, expected) in [
            ("https://www.commcarehq.org", "https://www.commcarehq.org/a/demo/receiver/GCP_Forms/"),
            ("http://127.0.0.1:1/hq/", "http://127.0.0.1:1/hq/a/demo/receiver/GCP_Forms/"),
        ] {
            assert_eq!(receiver(Url::parse(base).unwrap(), "demo").unwrap().as_str(), expected);
        }
        let odd = receiver(Url::parse("https://www.commcarehq.org").unwrap(), "a/b").unwrap();
        assert_eq!(odd.as_str(), "https://www.commcarehq.org/a/a%2Fb/receiver/GCP_Forms/");
    }
}
