//! Where a call shows its credential.

use axum::http::{HeaderMap, header};

/// The header of a webhook's key.
pub(super) const API_KEY: &str = "x-api-key";

/// Whether a call shows a credential, right or wrong. A stranger who knocks shows none.
pub(super) fn is_shown(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key(API_KEY)
}
