//! `reconcile`: what `POST /reconcile-cc` does, to the end of the list.

use serde_json::{Value, json};

use super::{fail, run_with, succeed};
use crate::queue::backend::Backend;
use crate::reconcile::{form, service};
use crate::support::forms_api::HqForms;
use crate::support::process::{borrowed, queue_variables};

#[tokio::test(flavor = "multi_thread")]
async fn the_command_does_the_same_and_says_what_was_missing() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("f-0", 48)).await;
    hq.has(&form("f-0", 48));
    hq.has(&form("f-1", 20));
    let queue = queue_variables(&backend);
    let variables = [&borrowed(&queue), &hq.variables()[..]].concat();
    let text = tokio::task::block_in_place(|| succeed(&["reconcile", "--dry-run"], &variables, ""));
    assert!(text.contains("would be accepted") && text.contains("Farmer Registration"), "{text}");
    let json = tokio::task::block_in_place(|| succeed(&["reconcile", "--json"], &variables, ""));
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&answer["accepted"], &answer["finished"]), (&json!(1), &json!(true)), "{answer}");
    assert_eq!(app.record("f-1").await["attempts"][0]["trigger"], "reconcile");
    let refused = [&variables[..], &[("CC_API_KEY", "wrong")]].concat();
    let output = tokio::task::block_in_place(|| run_with(&["reconcile"], &refused, ""));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("CommCare HQ answers HTTP 401: not authorized"), "{complaint}");
    let complaint =
        tokio::task::block_in_place(|| fail(1, &["reconcile", "--since", "soon"], &variables, ""));
    assert!(complaint.contains("since: must be a date"), "{complaint}");
}
