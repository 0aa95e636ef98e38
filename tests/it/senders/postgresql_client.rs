//! `docs/senders/postgresql-client.md`, and the client's payloads as `tests/vectors` holds them.

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::{KEY, OPERATOR, Service};
use crate::support::page::blocks;
use crate::to_commcare::vectors::cases;

const PAGE: &str = include_str!("../../../docs/senders/postgresql-client.md");

/// A call of the client: it has one credential, and sends it as Bearer.
fn post(service: &Service, token: &str, payload: &Value) -> RequestBuilder {
    let post = Client::new().post(service.url("/process-data-sf")).bearer_auth(token);
    post.header("content-type", "application/json").body(payload.to_string())
}

async fn send(service: &Service, token: &str, payload: &Value) -> Response {
    post(service, token, payload).send().await.unwrap()
}

#[tokio::test]
async fn the_pages_commands_test_the_token() {
    let service = Service::start().await;
    let [block] = &blocks(PAGE, "bash")[..] else { panic!("the page has one block of commands") };
    assert_eq!(service.follow(block, &[("GCP_AUTH_TOKEN", KEY)]).await, [json!({ "status": "ready" })]);
}

#[tokio::test]
async fn every_payload_of_the_client_is_taken_and_becomes_its_documents() {
    let service = Service::start().await;
    let payloads: Vec<_> = cases().into_iter().filter(|case| case.name.contains("client")).collect();
    assert!(payloads.len() >= 6, "{} payloads of the client", payloads.len());
    let mut job_types = std::collections::BTreeSet::new();
    for case in &payloads {
        let answer = send(&service, KEY, &case.payload).await;
        assert_eq!(answer.status(), 200, "{}", case.name);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["job_name"], &answer["duplicate"]), (&json!(case.job_name), &json!(false)));
        let record = service.record("salesforce_collection", answer["doc_id"].as_str().unwrap()).await;
        assert_eq!(record["data"], case.payload, "{}", case.name);
        job_types.insert(case.job_name.clone());
    }
    let drain = Client::new().post(service.url("/process-firestore-to-cc?drain=true")).bearer_auth(OPERATOR);
    let report: Value = drain.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let refused = payloads.iter().filter(|case| !case.expect.errors.is_empty()).count();
    assert_eq!(report["failed_records"].as_array().unwrap().len(), refused, "{report}");
    assert_eq!(report["processed_records"].as_array().unwrap().len(), payloads.len() - refused);
    assert!(job_types.len() >= 5, "{job_types:?}");
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_the_log_line_of_the_page_says_so() {
    let service = Service::start().await;
    let case = cases().into_iter().find(|case| case.name.contains("client")).unwrap();
    assert_eq!(send(&service, "a-google-token", &case.payload).await.status(), 401);
    // Lists let the key be rotated: the page's step works for a service with several keys.
    let several = Service::with(&[("WEBHOOK_API_KEY", "older-key-1234567, newer-key-1234567")]).await;
    assert_eq!(send(&several, "newer-key-1234567", &case.payload).await.status(), 200);
    let log = service.process.log.lines();
    assert!(PAGE.contains("`\"webhook refused\"`"));
    assert!(log.iter().any(|line| line.contains(r#""message":"webhook refused""#)), "{log:#?}");
}
