//! Refuses query parameters that a call does not have: one that is misspelt would otherwise change nothing, and nobody
//! would know.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;
use url::form_urlencoded;

use super::error::HttpError;
use super::openapi;

/// The query parameters of each call, by the method in lower case and the path of the URL table: those of the OpenAPI
/// document.
pub(super) struct KnownParameters(HashMap<(String, String), Vec<String>>);

impl KnownParameters {
    pub(super) fn new() -> Self {
        let document = json!(openapi::document());
        let mut known = HashMap::new();
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            for (method, call) in methods.as_object().into_iter().flatten() {
                let parameters = call["parameters"].as_array().into_iter().flatten();
                let queried = parameters.filter(|parameter| parameter["in"] == "query");
                let names = queried.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned));
                known.insert((method.clone(), path.clone()), names.collect());
            }
        }
        Self(known)
    }

    fn of(&self, request: &Request) -> &[String] {
        // HEAD is answered as GET is.
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let call = (method.as_str().to_ascii_lowercase(), path.to_owned());
        self.0.get(&call).map_or(&[], Vec::as_slice)
    }
}

/// Refuses a call with a parameter that it does not have.
pub(super) async fn refuse_unknown(
    State(known): State<Arc<KnownParameters>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let query = request.uri().query().unwrap_or_default();
    let known = known.of(&request);
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        if !known.iter().any(|known| *known == name) {
            return Err(HttpError::UnknownParameter { name: name.into_owned(), known: known.to_vec() });
        }
    }
    Ok(next.run(request).await)
}
