//! Where HQ cannot be asked, the answer says so in its words, and nothing is changed.

use serde_json::{Value, json};

use super::{counts, form, hours_ago, reconcile, service};
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::queue::unreadable::{set, spoil};
use crate::support::app::TestApp;
use crate::support::forms_api::{HqForms, Trouble};

on_both_back_ends!(a_refused_key_changes_nothing, a_form_whose_document_is_unreadable_stops_no_other);

/// A service that does not wait long, with one form; and one that it lacks.
async fn start(backend: &Backend, hq: &HqForms, variables: &[(&str, &str)]) -> TestApp {
    let app = service(backend, hq, &[&[("DRAIN_BUDGET_SECONDS", "2")], variables].concat()).await;
    app.accept(&form("f-0", 48)).await;
    hq.has(&form("f-1", 20));
    app
}

async fn reason(app: &TestApp) -> String {
    let answer = reconcile(app, "").await;
    assert_eq!((&answer["accepted"], &answer["finished"]), (&json!(0), &json!(false)), "{answer}");
    assert_eq!(answer["stopped"]["destination"], "commcare", "{answer}");
    answer["stopped"]["reason"].as_str().unwrap().to_owned()
}

async fn a_refused_key_changes_nothing(backend: Backend) {
    let hq = HqForms::start().await;
    let app = start(&backend, &hq, &[("CC_API_KEY", "wrong")]).await;
    let before = app.record("f-0").await;
    assert_eq!(
        reason(&app).await,
        "CommCare HQ answers HTTP 401: not authorized; are CC_USERNAME and CC_API_KEY right, and may the domain use the API?"
    );
    assert_eq!(hq.asked().len(), 1, "it is not asked again");
    assert_eq!((app.record("f-0").await, &app.counts().await["new"]), (before, &json!(1)));
    let page = app.get("/dashboard").await.text;
    assert!(page.contains("The last reconciliation stopped: CommCare HQ answers HTTP 401"), "{page}");
    // With the right key it goes on.
    drop(app);
    let app = service(&backend, &hq, &[]).await;
    assert_eq!(reconcile(&app, "").await["accepted"], 1);
}

async fn a_form_whose_document_is_unreadable_stops_no_other(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    for form in [form("f-0", 48), form("spoilt", 30)] {
        app.accept(&form).await;
        hq.has(&form);
    }
    hq.has(&form("f-1", 20));
    spoil(&backend, "spoilt").await;
    for query in ["?dry_run=true", ""] {
        let answer = reconcile(&app, query).await;
        assert_eq!(counts(&answer), [3, 1, 0, 1, 0, 0, 0, 1], "{answer}");
        assert_eq!(answer["finished"], true, "{answer}");
        let error = "document spoilt cannot be read: attempts: not what this field holds";
        assert_eq!(answer["refused_forms"], json!([{ "id": "spoilt", "error": error }]), "{answer}");
    }
    assert_eq!(app.record("f-1").await["status"], "new");
}

/// Whatever stands where a text is looked for.
#[tokio::test]
async fn a_payload_of_another_shape_stops_no_reconciliation_and_no_page() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = service(&backend, &hq, &[]).await;
    for (id, what) in [
        ("number", "data = json_set(data, '$.received_on', 5)"),
        ("list", "data = json_set(data, '$.received_on', json('[1]'))"),
        ("history", "status = 'failed', state = json_set(state, '$.attempts', 5, '$.status', 'failed')"),
        ("job", "state = json_set(state, '$.job_name', 5, '$.job_id', 7)"),
        ("state", "state = '['"),
    ] {
        let form = form(id, 20);
        app.accept(&form).await;
        hq.has(&form);
        set(&backend, id, what).await;
    }
    hq.has(&form("f-1", 10));
    let answer = reconcile(&app, "").await;
    assert_eq!((&answer["accepted"], &answer["finished"]), (&json!(1), &json!(true)), "{answer}");
    for page in ["/dashboard", "/dashboard/summary"] {
        assert_eq!(app.get(page).await.status, 200, "{page}");
    }
}

#[tokio::test]
async fn hq_says_what_is_wrong_in_its_own_words() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = start(&backend, &hq, &[]).await;
    for (status, body, expected) in [
        (403, "", "CommCare HQ answers HTTP 403; the key's user needs the permissions"),
        (
            404,
            "<title>No such project</title>",
            "CommCare HQ answers HTTP 404: No such project; are CC_BASE_URL",
        ),
        (302, "", "CommCare HQ answers HTTP 302; are CC_BASE_URL and CC_DOMAIN right?"),
        (400, r#"{"error": "Bad query parameter"}"#, "CommCare HQ answers HTTP 400: Bad query parameter"),
        (200, "<h1>We are down for maintenance</h1>", "CommCare HQ's answer is no list of forms"),
        (
            200,
            r#"{"meta": {"next": null}}"#,
            "CommCare HQ's answer is no list of forms: missing field `objects`",
        ),
    ] {
        hq.fail_next([Some(Trouble::Answer(status, body.to_owned()))]);
        let reason = reason(&app).await;
        assert!(reason.starts_with(expected), "{reason}");
    }
    hq.set_down(Some(Trouble::Answer(502, "<p>Bad Gateway</p>".to_owned())));
    assert_eq!(reason(&app).await, "CommCare HQ answers HTTP 502: Bad Gateway");
    hq.set_down(None);
    assert_eq!(reconcile(&app, "").await["accepted"], 1);
}

#[tokio::test]
async fn an_hq_that_is_not_there_is_said_to_be_so() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = start(&backend, &hq, &[("CC_BASE_URL", "http://127.0.0.1:1")]).await;
    assert!(reason(&app).await.starts_with("CommCare HQ does not answer: no connection"));
}

#[tokio::test]
async fn a_busy_hq_is_left_alone_for_as_long_as_it_asks() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = start(&backend, &hq, &[("DRAIN_BUDGET_SECONDS", "30")]).await;
    hq.fail_next([Some(Trouble::Busy(1))]);
    assert_eq!(reconcile(&app, "").await["accepted"], 1);
    assert_eq!((hq.asked().len(), hq.impatient()), (2, 0));
}

#[tokio::test]
async fn an_hq_that_asks_for_more_time_than_there_is_stops_the_call() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = start(&backend, &hq, &[]).await;
    hq.fail_next([Some(Trouble::Busy(3_600))]);
    assert_eq!(reason(&app).await, "CommCare HQ answers HTTP 429; it asks to be asked less often");
    assert_eq!((hq.asked().len(), hq.impatient()), (1, 0));
}

#[tokio::test]
async fn a_list_in_another_order_is_not_trusted() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = start(&backend, &hq, &[]).await;
    hq.has_indexed(&form("f-0", 48), hours_ago(10));
    hq.has_indexed(&json!({ "id": "other", "form": { "@name": "Other" } }), hours_ago(5));
    hq.fail_next([Some(Trouble::Reversed)]);
    let answer = reconcile(&app, "").await;
    let reason = answer["stopped"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("CommCare HQ does not list its forms in the order of indexed_on"), "{answer}");
}

#[tokio::test]
async fn without_credentials_the_answer_names_them() {
    let app = TestApp::start().await;
    app.accept(&form("f-0", 48)).await;
    let answer = reconcile(&app, "").await;
    assert_eq!(
        answer["stopped"]["reason"],
        "CC_DOMAIN, CC_USERNAME and CC_API_KEY are not set: CommCare HQ cannot be asked"
    );
}

#[tokio::test]
async fn a_parameter_that_cannot_be_meant_is_named() {
    let app = TestApp::start().await;
    for (query, name) in [
        ("?since=yesterday", "since"),
        ("?since=2999-01-01", "since"),
        ("?until=2024-01-01", "until"),
        ("?since=2024-01-02&until=2024-01-01", "until"),
        ("?dry_run=perhaps", "dry_run"),
    ] {
        let answer: Value = app.post(&format!("/reconcile-cc{query}"), "").await.expect(422);
        assert!(answer["error"].as_str().unwrap().starts_with(&format!("{name}: ")), "{answer}");
    }
}
