//! The daily calls, as Salesforce counts them.
//!
//! Every REST answer says how many of the org's daily calls are used, so watching them costs none.

use std::sync::{Mutex, PoisonError};

use reqwest::header::HeaderMap;

/// Calls used and allowed in the running 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiUsage {
    /// Calls used.
    pub used: u64,
    /// Calls allowed.
    pub limit: u64,
}

/// The last usage that was seen.
#[derive(Default)]
pub(super) struct Quota(Mutex<Option<ApiUsage>>);

impl Quota {
    /// Keeps what an answer's headers say.
    pub(super) fn note(&self, headers: &HeaderMap) {
        let header = headers.get("Sforce-Limit-Info").and_then(|value| value.to_str().ok());
        if let Some(usage) = header.and_then(parse) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
        }
    }

    /// What the last answer said.
    pub(super) fn usage(&self) -> Option<ApiUsage> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `api-usage=18/5000; per-app-api-usage=17/250(appName=sample)` (REST API guide, Limit Info
/// Header): the org's pair counts, in whichever place it stands.
fn parse(header: &str) -> Option<ApiUsage> {
    let pair = header.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, limit) = pair.split_once('/')?;
    Some(ApiUsage { used: used.trim().parse().ok()?, limit: limit.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orgs_usage_is_read_beside_an_apps() {
        let usage = Some(ApiUsage { used: 18, limit: 5_000 });
        assert_eq!(parse("api-usage=18/5000"), usage);
        assert_eq!(parse("api-usage=18/5000; per-app-api-usage=17/250(appName=sample)"), usage);
        assert_eq!(parse("per-app-api-usage=17/250(appName=sample); api-usage=18/5000"), usage);
        for broken in ["", "api-usage=", "api-usage=x/5", "per-app-api-usage=17/250"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
