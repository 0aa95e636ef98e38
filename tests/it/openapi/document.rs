//! The document, held against what the router answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use serde_json::Value;

use crate::support::app::TestApp;

async fn document(app: &TestApp) -> Value {
    app.get("/openapi.json").await.expect(200)
}

fn calls(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, call)| (path.as_str(), method.as_str(), call))
        })
        .collect()
}

#[tokio::test]
async fn each_path_takes_the_methods_that_are_described_and_no_other() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let described: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|key| key.to_uppercase()).collect();
        let url = path
            .replace("{dest}", "sf")
            .replace("{collection}", "commcare_collection")
            .replace("{id}", "nobody");
        let refused = app.call("PATCH", &url, &[]).await;
        refused.expect(405);
        let allowed = refused.headers["allow"].to_str().unwrap().split(',');
        // HEAD is GET without the body, and needs no description.
        let allowed: BTreeSet<String> =
            allowed.filter(|method| *method != "HEAD").map(str::to_owned).collect();
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test]
async fn every_call_says_who_may_make_it_and_has_an_id_of_its_own() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let mut ids = BTreeSet::new();
    for (path, method, call) in calls(&document) {
        assert!(ids.insert(call["operationId"].as_str().unwrap()), "{method} {path}");
        assert!(!call["summary"].as_str().unwrap().is_empty(), "{method} {path}");
        let open = ["/health", "/ready"].contains(&path);
        let schemes: Vec<&Value> = call["security"].as_array().unwrap().iter().collect();
        assert_eq!(
            schemes.iter().any(|scheme| scheme.as_object().unwrap().is_empty()),
            open,
            "{method} {path}"
        );
        assert_eq!(call["responses"].get("401").is_some(), !open, "{method} {path}");
    }
}

/// One of every form type and job type: `src/samples/`.
fn samples() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/samples");
    let read = |file: io::Result<fs::DirEntry>| fs::read_to_string(file.unwrap().path()).unwrap();
    fs::read_dir(folder).unwrap().map(|file| serde_json::from_str(&read(file)).unwrap()).collect()
}

#[tokio::test]
async fn every_form_and_job_type_is_an_example_of_its_webhook() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    for (path, member) in
        [("/process-data-cc", "form"), ("/process-data-sf", "jobType"), ("/preview/cc", "form")]
    {
        let types = samples().iter().filter(|sample| sample.get(member).is_some()).count();
        let body = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        let examples = body["examples"].as_object().unwrap();
        assert_eq!(examples.len(), types, "{path}");
        for reference in examples.values() {
            let place = reference["$ref"].as_str().unwrap().trim_start_matches('#');
            app.post(path, document.pointer(place).unwrap()["value"].to_string()).await.expect(200);
        }
    }
}
