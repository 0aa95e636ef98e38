//! `deploy/compare-previews` against the service, and a server that answers like Salesforce.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{TOKEN, workplace};
use crate::queue::backend::Backend;
use crate::support::forms::{registration, unmappable};
use crate::support::page::{Ran, run};
use crate::support::process::{Process, queue_variables};

async fn service(backend: &Backend) -> Process {
    let variables = queue_variables(backend);
    let mut variables: Vec<_> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    variables.push(("OPERATOR_TOKEN", TOKEN));
    Process::start(&variables).await.with_bearer(TOKEN)
}

/// Compares these payloads, with Salesforce where it is there.
async fn compare(service: &Process, payloads: &[(&str, String)], salesforce: Option<&str>) -> (TempDir, Ran) {
    let folder = workplace();
    let recorded = folder.path().join("recorded");
    std::fs::create_dir(&recorded).unwrap();
    for (name, payload) in payloads {
        std::fs::write(recorded.join(format!("{name}.json")), payload).unwrap();
    }
    let mut variables = vec![("OPERATOR_TOKEN", TOKEN)];
    variables.extend(salesforce.map(|url| ("SALESFORCE_INSTANCE", url)));
    variables.push(("SALESFORCE_ACCESS_TOKEN", "00D-token"));
    let ran =
        run(&folder, &format!("deploy/compare-previews {} recorded previews", service.url), "", &variables)
            .await;
    (folder, ran)
}

/// What Salesforce holds, by the path of the record below `sobjects/`.
async fn salesforce(held: HashMap<String, Value>) -> String {
    async fn record(
        State(held): State<HashMap<String, Value>>,
        Path((_, path)): Path<(String, String)>,
        headers: HeaderMap,
    ) -> Result<Json<Value>, StatusCode> {
        if headers["authorization"] != "Bearer 00D-token" {
            return Err(StatusCode::UNAUTHORIZED);
        }
        held.get(&path).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router =
        Router::new().route("/services/data/{version}/sobjects/{*path}", get(record)).with_state(held);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// The plan of a payload as Salesforce would hold it, by the path of each record.
async fn planned(service: &Process, payload: &Value) -> HashMap<String, Value> {
    let preview = service.call("/preview/cc", payload).await;
    let path = |upsert: &Value| {
        let text = |name: &str| upsert[name].as_str().unwrap().to_owned();
        format!("{}/{}/{}", text("object"), text("external_id_field"), text("external_id"))
    };
    let upserts = preview["upserts"].as_array().unwrap();
    upserts.iter().map(|upsert| (path(upsert), upsert["fields"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn previews_are_counted_and_nothing_is_compared_without_salesforce() {
    let backend = Backend::sqlite();
    let service = service(&backend).await;
    let payloads = [("one", registration("a").to_string()), ("two", registration("b").to_string())];
    let (folder, ran) = compare(&service, &payloads, None).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    let expected = "one: Farmer Registration → salesforce\ntwo: Farmer Registration → salesforce\n\
                    2 of 2 payloads previewed, 0 refused\nnothing compared with Salesforce: SALESFORCE_INSTANCE is not set\n";
    assert_eq!(ran.output, expected);
    let preview = std::fs::read_to_string(folder.path().join("previews/one.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&preview).unwrap()["job_name"], "Farmer Registration");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_preview_ends_it_with_an_error_once_all_are_asked() {
    let backend = Backend::sqlite();
    let service = service(&backend).await;
    let null = ("a", "null".to_owned());
    let payloads = [null, ("b", unmappable("b").to_string()), ("c", registration("c").to_string())];
    let (_, ran) = compare(&service, &payloads, None).await;
    assert_eq!(ran.code, Some(1), "{}", ran.output);
    assert!(ran.output.contains("a: 400 {\"error\":\"Invalid payload\""), "{}", ran.output);
    assert!(ran.output.contains("b: 422 {\"error\":\"form.subcase_0.case.@case_id"), "{}", ran.output);
    assert!(ran.output.contains("1 of 3 payloads previewed, 2 refused"), "{}", ran.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payload_and_no_service_are_errors() {
    let backend = Backend::sqlite();
    let service = service(&backend).await;
    let (_, ran) = compare(&service, &[], None).await;
    assert_eq!(ran.code, Some(1), "{}", ran.output);
    assert!(ran.output.contains("0 of 0 payloads previewed"), "{}", ran.output);
    service.kill().await;
    let (_, ran) = compare(&service, &[("a", registration("a").to_string())], None).await;
    assert_eq!(ran.code, Some(1), "{}", ran.output);
    assert!(ran.output.contains("a: 000"), "{}", ran.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_salesforce_holds_is_compared_field_by_field() {
    let backend = Backend::sqlite();
    let service = service(&backend).await;
    let form = registration("a");
    let mut records = planned(&service, &form).await;
    let count = records.len();
    let url = salesforce(records.clone()).await;
    let (_, ran) = compare(&service, &[("a", form.to_string())], Some(&url)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    let all =
        format!("{count} of {count} records compared with Salesforce, 0 of them differ, 0 could not be read");
    assert!(ran.output.contains(&all), "{}", ran.output);

    // A difference is shown, and is no error; a number is the same however it is written.
    let household = records.get_mut("Household__c/Household_ID__c/household-a").unwrap();
    household["Number_of_Coffee_Plots__c"] = json!(2.0);
    household["Farm_Size__c"] = json!(480);
    let url = salesforce(records.clone()).await;
    let (_, ran) = compare(&service, &[("a", form.to_string())], Some(&url)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    let difference = "  Household__c Household_ID__c/household-a\n    Farm_Size__c: planned 1250, held 480\n";
    assert!(ran.output.contains(difference), "{}", ran.output);
    assert!(!ran.output.contains("Number_of_Coffee_Plots__c"), "{}", ran.output);
    assert!(ran.output.contains("1 of them differ"), "{}", ran.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_salesforce_does_not_show_is_an_error() {
    let backend = Backend::sqlite();
    let service = service(&backend).await;
    let form = registration("a");
    let mut records = planned(&service, &form).await;
    records.remove("Household__c/Household_ID__c/household-a").unwrap();
    let url = salesforce(records.clone()).await;
    let (_, ran) = compare(&service, &[("a", form.to_string())], Some(&url)).await;
    assert_eq!(ran.code, Some(1), "{}", ran.output);
    assert!(
        ran.output.contains("  Household__c Household_ID__c/household-a: Salesforce answers 404"),
        "{}",
        ran.output
    );
    let counts = format!(
        "{0} of {1} records compared with Salesforce, 0 of them differ, 1 could not be read",
        records.len(),
        records.len() + 1
    );
    assert!(ran.output.contains(&counts), "{}", ran.output);
}
