//! Browsers: the pages of other sites change nothing here, and nothing of an answer is kept or guessed at
//! (`docs/service.md`, section 2, "Rules of every call", and section 7).

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::HttpError;

const REFUSED: HttpError = HttpError::Forbidden("A page of another site may not change anything here");

/// Refuses a call that changes state where a page of another site makes a browser send it. Most browsers name the site
/// in `Sec-Fetch-Site`, the others the page's `Origin`, or its address as `Referer`. No page can change these headers.
pub(super) async fn refuse_cross_site(request: Request, next: Next) -> Result<Response, HttpError> {
    if reads_only(&request) || is_own(request.headers(), request.uri()) {
        Ok(next.run(request).await)
    } else {
        Err(REFUSED)
    }
}

/// Calls that change something although their method says otherwise: retries, as the original's, and the check of the
/// destinations, which logs in to them and keeps its report.
const CHANGING: [&str; 2] = ["/retry/", "/check-destinations"];

/// Whether a call changes nothing, by method and path.
pub(super) fn reads_only(request: &Request) -> bool {
    let path = request.uri().path();
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && !CHANGING.iter().any(|changing| path.starts_with(changing))
}

/// Whether no other site has a part in a call. Programs send none of these headers.
fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let page = headers.get(header::ORIGIN).or_else(|| headers.get(header::REFERER));
    page.is_none_or(|page| host_of(page).is_some_and(|host| Some(host) == own_host(headers, uri)))
}

/// Host and port of the page that an `Origin` or `Referer` names; `None` for `null` and what is no address.
fn host_of(page: &HeaderValue) -> Option<String> {
    let page = url::Url::parse(page.to_str().ok()?).ok()?;
    let port = page.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}{port}", page.host_str()?))
}

/// Host and port by which the caller knows this service. A port that is the scheme's own counts as none: before this
/// service TLS may have ended, so that its scheme is not known.
fn own_host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(Authority::as_str))?.to_ascii_lowercase();
    let bare = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80"));
    Some(bare.map(str::to_owned).unwrap_or(host))
}

/// Answers may hold personal data: nobody keeps them, and a browser takes them for what they are.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    const PROTECTION: [(HeaderName, HeaderValue); 2] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut response = next.run(request).await;
    response.headers_mut().extend(PROTECTION);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(headers: &[(&'static str, &'static str)]) -> bool {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        is_own(&headers.iter().map(pair).collect(), &Uri::from_static("/retry/sf/f-1"))
    }

    #[test]
    fn a_page_is_compared_by_host_and_port() {
        let host = ("host", "Forms.example.org");
        for page in
            ["https://forms.example.org", "http://forms.example.org:80", "https://forms.example.org:443/a?b"]
        {
            assert!(own(&[host, ("origin", page)]) && own(&[host, ("referer", page)]), "{page}");
        }
        for page in [
            "https://example.org",
            "https://forms.example.org:8443",
            "https://forms.example.org.evil.example",
            "https://evil.example/https://forms.example.org",
            "https://forms.example.org@evil.example/",
            "null",
            "",
            "forms.example.org",
            "file:///home",
        ] {
            assert!(!own(&[host, ("origin", page)]) && !own(&[host, ("referer", page)]), "{page}");
        }
        assert!(own(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")]));
        assert!(!own(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:3000")]));
        assert!(own(&[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")]));
        assert!(!own(&[("origin", "https://forms.example.org")]), "a browser names the host that it calls");
    }

    #[test]
    fn the_header_that_says_most_decides() {
        let host = ("host", "here");
        assert!(own(&[host]));
        assert!(own(&[host, ("sec-fetch-site", "same-origin"), ("referer", "https://elsewhere")]));
        assert!(!own(&[host, ("sec-fetch-site", "cross-site"), ("origin", "https://here")]));
        assert!(own(&[host, ("origin", "https://here"), ("referer", "https://elsewhere")]));
        assert!(!own(&[host, ("origin", "https://elsewhere"), ("referer", "https://here")]));
    }
}
