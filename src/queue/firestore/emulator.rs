//! Reaching an emulator: plain HTTP, and the token that emulators take from server code.
//!
//! The client finds an emulator by itself only through the process's environment; ours is a
//! setting like any other.

use gcloud_sdk::HeaderMap;
use gcloud_sdk::google_cloud_auth::credentials::{
    CacheableResource, Credentials, CredentialsProvider, EntityTag,
};
use gcloud_sdk::google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderValue};

/// The address of `host`, which is `host:port` or already an address.
pub(super) fn url(host: &str) -> String {
    if host.contains("://") { host.to_owned() } else { format!("http://{host}") }
}

/// Credentials that an emulator takes for the owner's, past its security rules.
pub(super) fn credentials() -> Credentials {
    Credentials::from(Owner(EntityTag::new()))
}

#[derive(Debug)]
struct Owner(EntityTag);

impl CredentialsProvider for Owner {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        if extensions.get::<EntityTag>() == Some(&self.0) {
            return Ok(CacheableResource::NotModified);
        }
        let owner = (AUTHORIZATION, HeaderValue::from_static("Bearer owner"));
        Ok(CacheableResource::New { entity_tag: self.0.clone(), data: HeaderMap::from_iter([owner]) })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
