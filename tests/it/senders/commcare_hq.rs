//! `docs/senders/commcare-hq.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::{BASIC, Service, row};
use crate::support::forms::registration;
use crate::support::page::blocks;

const PAGE: &str = include_str!("../../../docs/senders/commcare-hq.md");

/// Statuses after which HQ sends a form again (`docs/service.md`, section 2.1).
const SENT_AGAIN: [u16; 7] = [408, 423, 425, 429, 502, 503, 504];

/// What HQ sends with the page's connection settings: Basic authentication by Python's `requests`.
struct Hq {
    url: String,
    authorization: String,
}

impl Hq {
    fn new(service: &Service, credential: &str) -> Self {
        assert_eq!(row(PAGE, "Authentication Type")[1], "HTTP Basic");
        let url = row(PAGE, "URL")[1].trim_matches('`');
        let path = url.strip_prefix("https://your-service.run.app").expect("the page's address");
        Self { url: service.url(path), authorization: format!("Basic {}", STANDARD.encode(credential)) }
    }

    /// The *Test connection* button: `test_connection_settings` in HQ's `corehq/motech/views.py`.
    async fn test_connection(&self) -> Response {
        let get = Client::new().get(&self.url).header("authorization", &self.authorization);
        get.header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate")
            .send()
            .await
            .unwrap()
    }

    /// `FormRepeater` with the payload format JSON.
    async fn forward(&self, form: &Value) -> Response {
        let post = Client::new().post(format!("{}?app_id=e53bdd6a5c744bfbb4caeb1645fc9448", self.url));
        let post =
            post.header("authorization", &self.authorization).header("content-type", "application/json");
        post.header("received-on", "2026-03-01T10:00:00.000000Z").body(form.to_string()).send().await.unwrap()
    }
}

#[tokio::test]
async fn the_pages_commands_test_the_credential_and_store_a_form() {
    let service = Service::start().await;
    let [block] = &blocks(PAGE, "bash")[..] else { panic!("the page has one block of commands") };
    let answers = service.follow(block, &[("WEBHOOK_BASIC_AUTH", BASIC)]).await;
    assert_eq!(answers[0], json!({ "status": "ready" }));
    assert_eq!((&answers[1]["duplicate"], answers.len()), (&json!(false), 2));
    let id = answers[1]["request_id"].as_str().unwrap();
    assert_eq!(service.record("commcare_collection", id).await["status"], "new");
}

#[tokio::test]
async fn a_connection_as_the_page_sets_it_up_is_tested_and_forwards() {
    let service = Service::start().await;
    let hq = Hq::new(&service, BASIC);
    let tested = hq.test_connection().await;
    assert_eq!(tested.status(), 200);
    assert_eq!(tested.text().await.unwrap(), r#"{"status":"ready"}"#);
    assert_eq!(hq.forward(&registration("f-1")).await.status(), 200);
    assert_eq!(service.record("commcare_collection", "f-1").await["status"], "new");
    let again: Value = hq.forward(&registration("f-1")).await.json().await.unwrap();
    assert_eq!(again["duplicate"], true, "a form that is resent");
    let wrong = Hq::new(&service, "commcare:wrong");
    assert_eq!(wrong.test_connection().await.status(), 401);
    assert_eq!(wrong.forward(&registration("f-2")).await.status(), 401);
}

#[tokio::test]
async fn every_answer_that_gives_a_form_up_is_on_the_page() {
    let service = Service::start().await;
    let hq = Hq::new(&service, BASIC);
    for (form, status) in [(json!([]), 400), (json!({ "form": {} }), 422)] {
        assert_eq!(hq.forward(&form).await.status().as_u16(), status);
        assert!(PAGE.contains("| 400, 413, 415, 422 |") && !SENT_AGAIN.contains(&status));
    }
    let xml = Client::new().post(&hq.url).header("authorization", &hq.authorization).body("<data/>");
    let refused = xml.header("content-type", "text/xml").send().await.unwrap();
    assert_eq!(refused.status(), 415);
    assert!(refused.text().await.unwrap().contains("set the format of the forwarding to JSON"));
    let list = SENT_AGAIN.map(|status| status.to_string()).join(", ");
    assert!(PAGE.contains(&format!("| {list}; ")), "{list}");
}
