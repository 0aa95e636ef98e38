//! Browsers name in `Sec-Fetch-Site`, `Origin` or `Referer` the site that makes them call. Another site may change
//! nothing, and nobody keeps an answer.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::forms::registration;

const CHANGES: [(&str, &str); 10] = [
    ("POST", "/process-data-cc"),
    ("POST", "/process-data-sf"),
    ("POST", "/process-firestore-to-sf"),
    ("POST", "/auto-retry-firestore-to-sf"),
    ("POST", "/retry/sf/f-1"),
    ("GET", "/retry/sf/f-1"),
    ("HEAD", "/retry/sf/f-1/"),
    ("GET", "//retry/sf/f-1"),
    ("GET", "/check-destinations"),
    ("HEAD", "/check-destinations/"),
];

#[tokio::test]
async fn another_site_may_not_change_anything() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    for (method, path) in CHANGES {
        for site in ["cross-site", "same-site", "", "anything"] {
            let answer = app.call(method, path, &[("sec-fetch-site", site)]).await;
            assert_eq!(answer.status, 403, "{method} {path} from {site:?}");
            if method != "HEAD" {
                let refused = json!({ "error": "A page of another site may not change anything here" });
                assert_eq!(answer.json(), refused);
            }
        }
    }
    assert_eq!(app.record("f-1").await["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_services_own_pages_and_typed_addresses_may() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    for site in ["same-origin", "none"] {
        for method in ["GET", "POST"] {
            let answer = app.call(method, "/retry/sf/f-1", &[("sec-fetch-site", site)]).await;
            assert_eq!(answer.expect(200)["results"][0]["status"], "completed");
        }
    }
}

#[tokio::test]
async fn reading_is_not_changing() {
    let app = TestApp::start().await;
    for path in ["/health", "/ready", "/status-count/commcare_collection", "/failed/sf"] {
        app.call("GET", path, &[("sec-fetch-site", "cross-site")]).await.expect(200);
    }
}

#[tokio::test]
async fn a_browser_that_names_only_the_page_changes_nothing_for_another_site() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    let host = ("host", "forms.example.org");
    for (method, path) in CHANGES {
        for page in [
            ("origin", "https://elsewhere.example"),
            ("origin", "null"),
            ("referer", "https://elsewhere.example/a"),
        ] {
            assert_eq!(
                app.call(method, path, &[host, page]).await.status,
                403,
                "{method} {path} from {page:?}"
            );
        }
    }
    assert_eq!(app.record("f-1").await["attempts"].as_array().unwrap().len(), 1);
    for page in [("origin", "https://forms.example.org"), ("referer", "https://forms.example.org/dashboard")]
    {
        app.call("GET", "/retry/sf/f-1", &[host, page]).await.expect(200);
    }
    // A program names no page.
    app.call("POST", "/retry/sf/f-1", &[host]).await.expect(200);
    app.call("GET", "/failed/sf", &[host, ("origin", "https://elsewhere.example")]).await.expect(200);
}

#[tokio::test]
async fn nobody_keeps_an_answer_or_guesses_what_it_is() {
    let app = TestApp::start().await;
    app.process(&registration("f-1")).await;
    for path in [
        "/record/commcare_collection/f-1",
        "/record/commcare_collection/nobody",
        "/failed/sf",
        "/retry/sf/f-1",
        "/dashboard/record/commcare_collection/f-1",
        "/metrics",
        "/nothing",
    ] {
        let headers = app.get(path).await.headers;
        assert_eq!(
            (&headers["cache-control"], &headers["x-content-type-options"]),
            (&"no-store".parse().unwrap(), &"nosniff".parse().unwrap()),
            "{path}"
        );
    }
    let preview = app.post("/preview/cc", registration("f-2").to_string()).await;
    assert_eq!(preview.headers["cache-control"], "no-store");
}
