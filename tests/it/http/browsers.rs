//! Browsers name in `Sec-Fetch-Site` the site that makes them call. Another site may change nothing.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::forms::registration;

const CHANGES: [(&str, &str); 8] = [
    ("POST", "/process-data-cc"),
    ("POST", "/process-data-sf"),
    ("POST", "/process-firestore-to-sf"),
    ("POST", "/auto-retry-firestore-to-sf"),
    ("POST", "/retry/sf/f-1"),
    ("GET", "/retry/sf/f-1"),
    ("HEAD", "/retry/sf/f-1/"),
    ("GET", "//retry/sf/f-1"),
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
