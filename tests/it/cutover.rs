//! `deploy/CUTOVER.md`, followed to the letter: its shell commands, on what the Flask service leaves behind.

mod comparison;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::queue::backend::Backend;
use crate::support::firestore::Firestore;
use crate::support::page::{self, blocks, filled_in, run};
use crate::support::process::{Process, borrowed, queue_variables};

const PAGE: &str = include_str!("../../deploy/CUTOVER.md");
const DOCUMENTS: &str = include_str!("../vectors/original/documents.json");
const TOKEN: &str = "operator-token-of-the-cutover";

/// A folder to work in, as a clone of the repository with gcloud is one.
fn workplace() -> TempDir {
    let gcloud = "#!/bin/sh\n[ \"$*\" = 'auth print-access-token' ] && echo owner\n";
    page::workplace(&["deploy"], &[("gcloud", gcloud)])
}

/// The collections that the Flask service has left.
async fn leave_documents(firestore: &Firestore) -> Vec<Value> {
    let documents: Vec<Value> = serde_json::from_str(DOCUMENTS).unwrap();
    for document in &documents {
        let text = |name: &str| document[name].as_str().unwrap();
        firestore.put(text("collection"), text("document_id"), &document["fields"]).await;
    }
    documents
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_followed_to_the_letter_on_firestore() {
    let backend = Backend::firestore();
    let firestore = backend.firestore.as_ref().unwrap();
    let left = leave_documents(firestore).await;
    let variables = queue_variables(&backend);
    let mut variables = borrowed(&variables);
    variables.push(("OPERATOR_TOKEN", TOKEN));
    let service = Process::start(&variables).await;
    let folder = workplace();

    let mut script = blocks(PAGE, "bash");
    assert_eq!(script.len(), 8, "the page's blocks of commands");
    let emulator = format!("http://{}", firestore.emulator);
    let values = [("URL", &*service.url), ("PROJECT", &firestore.project), ("FIRESTORE", &emulator)];
    script[0] = filled_in(&script[0], &values);
    let script: Vec<_> =
        script.iter().enumerate().map(|(index, block)| format!("echo '== {index}'\n{block}")).collect();
    let ran = run(&folder, &script.join("\n"), TOKEN, &[]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    let said: Vec<_> = ran.output.split("== ").skip(1).map(|part| part.split_once('\n').unwrap().1).collect();

    // Step 3 and 4 of "Before": the payload that the Flask service has processed, and its preview.
    let processed = left.iter().find(|document| document["fields"]["status"] == "completed").unwrap();
    let name = format!("{}.json", processed["document_id"].as_str().unwrap());
    let read = |of: &str| -> Value {
        let file = folder.path().join(of).join(&name);
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    };
    assert_eq!(read("recorded"), processed["fields"]["data"]);
    assert_eq!(read("previews")["destination"], "salesforce");
    assert!(said[2].contains("1 of 1 payloads previewed, 0 refused"), "{}", said[2]);
    assert!(said[2].contains("nothing compared with Salesforce"), "{}", said[2]);

    // Step 6: all that waits and all that has failed is there.
    for (status, count) in [("new", 4), ("processing", 1), ("completed", 1), ("failed", 3)] {
        assert!(said[3].contains(&format!("\"{status}\": {count}")), "{status}: {}", said[3]);
    }
    for text in ["timed out", "boom", "Invalid XML response"] {
        assert!(said[3].contains(text), "{text}: {}", said[3]);
    }

    // The switch: every record that waits is processed by itself, except what had used up its retries.
    assert_eq!(said[4].matches("Qz").count(), 9, "{}", said[4]);
    assert!(!said[4].contains("\"error\""), "{}", said[4]);

    // Back again: nothing is in work, and the Flask service could read everything.
    assert!(said[5].contains("\"processed_records\": []"), "{}", said[5]);
    assert_eq!(said[6], "");

    // Each of them has a random id.
    assert!(said[7].contains("9 documents with a random id in commcare_collection"), "{}", said[7]);
    assert!(said[7].contains("2 documents with a random id in salesforce_collection"), "{}", said[7]);
}

#[test]
fn documents_that_the_flask_service_would_write_half_empty_are_found() {
    // The page's own filter, on an answer with such a document.
    let block = blocks(PAGE, "bash").into_iter().find(|block| block.contains("data_json")).unwrap();
    let filter = block.split("jq -r '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    let answer = json!([
        { "document": { "name": "a", "fields": { "data_json": { "stringValue": "{}" } } } },
        { "document": { "name": "b" } },
        { "readTime": "2026-03-02T08:15:30Z" },
    ]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), answer.to_string()).unwrap();
    let found = std::process::Command::new("jq").args(["-r", filter]).arg(file.path()).output().unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "half-empty for the Flask service: a\n");
}
