//! A form that arrived is the form that HQ lists, whatever its two serialisations stamp.

use serde_json::{Value, json};

use super::{counts, form, hours_ago, reconcile, service};
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::forms::{attendance, registration, unmappable};
use crate::support::forms_api::{HqForms, forwarded};

on_both_back_ends!(
    forms_that_all_arrived_change_nothing,
    a_webhook_that_comes_after_all_is_a_duplicate,
    an_edition_that_hq_stamped_anew_without_a_change_is_the_same,
);

async fn forms_that_all_arrived_change_nothing(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    let forms = [
        forwarded(registration("f-1"), hours_ago(30)),
        forwarded(unmappable("f-2"), hours_ago(20)),
        forwarded(attendance("f-3", 3), hours_ago(10)),
        forwarded(registration("f-4"), hours_ago(2)),
    ];
    for form in &forms {
        hq.has(form);
        app.accept(form).await;
    }
    app.post("/process-firestore-to-sf?limit=3", "").await.expect(200);
    let before = records(&app).await;
    for _ in 0..2 {
        let answer = reconcile(&app, "").await;
        assert_eq!(counts(&answer), [4, 0, 0, 4, 0, 0, 0, 0], "{answer}");
        assert_eq!((&answer["missing"], &answer["finished"]), (&json!([]), &json!(true)), "{answer}");
        assert_eq!(answer["not_in_commcare"], json!({ "count": 0, "ids": [] }));
    }
    assert_eq!(records(&app).await, before, "not even a hash");
}

async fn records(app: &crate::support::app::TestApp) -> Vec<Value> {
    let mut records = Vec::new();
    for id in ["f-1", "f-2", "f-3", "f-4"] {
        records.push(app.record(id).await);
    }
    records
}

async fn a_webhook_that_comes_after_all_is_a_duplicate(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("f-0", 48)).await;
    let late = form("f-1", 24);
    hq.has(&late);
    assert_eq!(reconcile(&app, "").await["accepted"], 1);
    let fetched = app.record("f-1").await;
    assert_eq!(app.accept(&late).await["duplicate"], true);
    assert_eq!(app.record("f-1").await, fetched);
}

async fn an_edition_that_hq_stamped_anew_without_a_change_is_the_same(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    let mut form = form("f-1", 24);
    app.accept(&form).await;
    form["server_modified_on"] = json!(hours_ago(1).to_rfc3339());
    form["problem"] = json!("Restored on 2026-02-11");
    hq.has_indexed(&form, hours_ago(1));
    let before = app.record("f-1").await;
    assert_eq!(counts(&reconcile(&app, "").await), [1, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(app.record("f-1").await, before);
}

mod firestore_documents {
    use super::*;

    /// What the original service really leaves behind.
    const DOCUMENTS: &str = include_str!("../../vectors/original/documents.json");

    #[tokio::test]
    async fn documents_of_the_original_service_are_known() {
        let backend = Backend::firestore();
        let hq = HqForms::start().await;
        let app = service(&backend, &hq, &[]).await;
        let documents: Vec<Value> = serde_json::from_str(DOCUMENTS).unwrap();
        let mut forms = 0;
        for document in &documents {
            let (collection, fields) = (document["collection"].as_str().unwrap(), &document["fields"]);
            let doc_id = document["document_id"].as_str().unwrap();
            backend.firestore.as_ref().unwrap().put(collection, doc_id, fields).await;
            let data = &fields["data"];
            if collection == "commcare_collection"
                && data["received_on"].is_string()
                && data["form"].is_object()
            {
                let received = data["received_on"].as_str().unwrap().parse().unwrap();
                let mut listed = forwarded(data.clone(), received);
                for member in ["domain", "type"] {
                    listed[member] = data[member].clone();
                }
                listed["form"]["meta"] = data["form"]["meta"].clone();
                hq.has(&listed);
                forms += 1;
            }
        }
        assert!(forms > 0);
        let before = app.counts().await;
        let answer = reconcile(&app, "?since=2020-01-01").await;
        assert_eq!((&answer["accepted"], &answer["replaced"]), (&json!(0), &json!(0)), "{answer}");
        assert!(answer["already_there"].as_u64().unwrap() > 0, "{answer}");
        assert_eq!(app.counts().await, before);
    }
}
