//! `docs/senders/salesforce.md`.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use regex::Regex;
use reqwest::{Client, RequestBuilder};
use serde_json::{Map, Value, json};

use super::{KEY, Service, row};
use crate::support::page::blocks;

const PAGE: &str = include_str!("../../../docs/senders/salesforce.md");

/// The request that the page's Apex makes.
struct Apex {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    is_compressed: bool,
    /// The members of the map that is the body, by the expression of their value.
    body: BTreeMap<String, String>,
}

impl Apex {
    /// Reads the calls of `HttpRequest`, and fails on one that is not known here.
    fn read(code: &str) -> Self {
        let mut apex = Self {
            method: String::new(),
            path: String::new(),
            headers: BTreeMap::new(),
            is_compressed: false,
            body: BTreeMap::new(),
        };
        let calls = Regex::new(r"(?s)request\.(set\w+)\((.*?)\);\n").unwrap();
        let texts = Regex::new("'([^']*)'").unwrap();
        let members = Regex::new(r"'(\w+)' => ('[^']*'|\w+)").unwrap();
        for call in calls.captures_iter(code) {
            let argument = &call[2];
            let texts: Vec<&str> =
                texts.captures_iter(argument).map(|text| text.get(1).unwrap().as_str()).collect();
            match (&call[1], &texts[..]) {
                ("setEndpoint", [endpoint]) => {
                    endpoint.strip_prefix("callout:commcare_sf").unwrap().clone_into(&mut apex.path);
                }
                ("setMethod", [method]) => (*method).clone_into(&mut apex.method),
                ("setHeader", [name, value]) => {
                    apex.headers.insert((*name).to_owned(), (*value).to_owned());
                }
                ("setTimeout", []) => assert!(argument.parse::<u32>().unwrap() > 10_000),
                ("setCompressed", []) => apex.is_compressed = argument == "true",
                ("setBody", _) => {
                    let members = members.captures_iter(argument);
                    apex.body = members.map(|member| (member[1].to_owned(), member[2].to_owned())).collect();
                }
                (other, _) => panic!("Apex calls {other}"),
            }
        }
        apex
    }

    /// The body with values for its variables.
    fn payload(&self, values: &BTreeMap<&str, Value>) -> Value {
        let value = |expression: &String| match expression.strip_prefix('\'') {
            Some(text) => json!(text.trim_end_matches('\'')),
            None => values[expression.as_str()].clone(),
        };
        Value::from(
            self.body
                .iter()
                .map(|(name, expression)| (name.clone(), value(expression)))
                .collect::<Map<String, Value>>(),
        )
    }

    /// The request, with the header that the page's external credential adds.
    fn request(&self, service: &Service, payload: &Value) -> RequestBuilder {
        let cells = row(PAGE, "Custom Headers → New");
        assert_eq!(cells[1], "name `X-API-Key`, value `{!$Credential.commcare_sf.key}`");
        let mut request = Client::new().request(self.method.parse().unwrap(), service.url(&self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request = request.header("X-API-Key", KEY);
        if !self.is_compressed {
            return request.body(payload.to_string());
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(payload.to_string().as_bytes()).unwrap();
        request.header("content-encoding", "gzip").body(packed.finish().unwrap())
    }
}

#[tokio::test]
async fn the_pages_apex_stores_a_payload_once() {
    let service = Service::start().await;
    let [code] = &blocks(PAGE, "apex")[..] else { panic!("the page has one block of Apex") };
    let apex = Apex::read(code);
    assert!(apex.is_compressed, "as the page says");
    let records = json!([{ "commCareCaseId": "c-1", "trainingGroupName": "Kiriga FFG", "tnsId": "KE-1" }]);
    let values = BTreeMap::from([
        ("jobId", json!("a0J5g000001Demo")),
        ("projectKey", json!("Coffee_KE_2024AC")),
        ("records", records),
    ]);
    let payload = apex.payload(&values);
    for duplicate in [false, true] {
        let answer = apex.request(&service, &payload).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json::<Value>().await.unwrap()["duplicate"], duplicate);
    }
    let record = service.record("salesforce_collection", "a0J5g000001Demo").await;
    assert_eq!(record["data"], payload);

    // It is a payload that CommCare gets: one document, and no warning.
    let preview = Client::new().post(service.url("/preview/sf")).bearer_auth(super::OPERATOR);
    let preview = preview.body(payload.to_string()).send().await.unwrap().error_for_status().unwrap();
    let preview: Value = preview.json().await.unwrap();
    assert_eq!(preview["documents"].as_array().unwrap().len(), 1, "{preview}");
    assert!(preview.get("errors").is_none() && preview.get("warnings").is_none(), "{preview}");
}

#[tokio::test]
async fn the_pages_commands_test_the_key_and_store_a_packed_payload() {
    let service = Service::start().await;
    let [block] = &blocks(PAGE, "bash")[..] else { panic!("the page has one block of commands") };
    let answers = service.follow(block, &[("WEBHOOK_API_KEY", KEY)]).await;
    assert_eq!(answers[0], json!({ "status": "ready" }));
    assert_eq!((&answers[1]["job_name"], answers.len()), (&json!("Training Group"), 2));
}
