//! The list is read page by page, to its end, however often it is cut.

use serde_json::{Value, json};

use super::{counts, form, hours_ago, reconcile, service};
use crate::queue::backend::{Backend, on_both_back_ends};
use crate::support::app::TestApp;
use crate::support::forms_api::{HqForms, Trouble};

on_both_back_ends!(a_cut_run_goes_on_after_a_restart, two_calls_at_once_do_no_harm);

/// A form of a type that goes over the door's sill only: it is counted, and no more.
fn small(id: &str, hours: i64) -> Value {
    json!({
        "id": id,
        "received_on": hours_ago(hours).to_rfc3339(),
        "form": { "@name": "Farmer Registration", "First_Name": id },
    })
}

/// So many forms, of which one page's worth and more was indexed in one millisecond.
fn fill(hq: &HqForms, count: usize) {
    let at_once = hours_ago(20);
    for n in 0..count {
        let indexed = match n % 4 {
            0 | 1 => at_once,
            2 => at_once - chrono::TimeDelta::milliseconds(i64::try_from(n / 40).unwrap()),
            _ => at_once + chrono::TimeDelta::milliseconds(i64::try_from(n / 40).unwrap()),
        };
        hq.has_indexed(&small(&format!("f-{n}"), 22), indexed);
    }
}

#[tokio::test]
async fn no_form_is_lost_or_given_twice_at_the_edge_of_a_page() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("f-first", 48)).await;
    fill(&hq, 2_600);
    let answer = reconcile(&app, "?dry_run=true").await;
    assert_eq!(counts(&answer)[..2], [2_600, 2_600], "{answer}");
    let asked = hq.asked();
    assert!(asked.len() <= 6, "{asked:?}");
    for query in &asked {
        assert_eq!((query["limit"].as_str(), query["order_by"].as_str()), ("1000", "indexed_on"));
        assert!(query["offset"].parse::<usize>().unwrap() <= 1_300, "no more than share one time: {query:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_asked_for_in_smaller_ones() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("f-first", 48)).await;
    for n in 0..40 {
        let mut large = small(&format!("f-{n}"), 22);
        large["form"]["notes"] = json!("x".repeat(500_000));
        hq.has_indexed(&large, hours_ago(20) + chrono::TimeDelta::milliseconds(n));
    }
    let answer = reconcile(&app, "?dry_run=true").await;
    assert_eq!(counts(&answer)[..2], [40, 40], "{answer}");
    let limits: Vec<String> = hq.asked().iter().map(|query| query["limit"].clone()).collect();
    assert_eq!(limits[..6], ["1000", "500", "250", "125", "62", "31"], "{limits:?}");
}

async fn a_cut_run_goes_on_after_a_restart(backend: Backend) {
    let hq = HqForms::start().await;
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("f-first", 48)).await;
    // Two pages of forms that are not handled, and a missing one on the third.
    for n in 0..2_000 {
        let other = json!({ "id": format!("o-{n}"), "form": { "@name": "Other" } });
        hq.has_indexed(&other, hours_ago(20) + chrono::TimeDelta::milliseconds(n));
    }
    hq.has(&form("f-1", 2));
    hq.fail_next([None, None, Some(Trouble::Answer(400, "no".to_owned()))]);
    let cut = reconcile(&app, "").await;
    assert_eq!((&cut["accepted"], &cut["finished"]), (&json!(0), &json!(false)), "{cut}");
    let up_to = cut["up_to"].as_str().unwrap().to_owned();
    let asked = hq.asked().len();
    drop(app);

    let app: TestApp = service(&backend, &hq, &[]).await;
    let rest = reconcile(&app, "").await;
    assert_eq!((&rest["accepted"], &rest["finished"]), (&json!(1), &json!(true)), "{rest}");
    assert_eq!(rest["not_in_commcare"], Value::Null, "only a whole reading tells");
    let first = &hq.asked()[asked]["indexed_on_start"];
    assert!(up_to.starts_with(first.trim_end_matches('0').trim_end_matches('.')), "{first} of {up_to}");
    let page = app.get("/dashboard").await.text;
    assert!(page.contains("found <b>1</b> form that had not arrived"), "{page}");
    // The next one begins anew.
    assert_eq!(reconcile(&app, "").await["checked"], 2_001);
}

async fn two_calls_at_once_do_no_harm(backend: Backend) {
    let hq = HqForms::start().await;
    let (one, other) = (service(&backend, &hq, &[]).await, service(&backend, &hq, &[]).await);
    one.accept(&form("f-first", 48)).await;
    for n in 0..60 {
        hq.has(&form(&format!("f-{n}"), 20));
    }
    let (first, second) = futures::join!(reconcile(&one, ""), reconcile(&other, ""));
    for answer in [&first, &second] {
        assert_eq!((&answer["checked"], &answer["finished"]), (&json!(60), &json!(true)), "{answer}");
    }
    let accepted = |answer: &Value| answer["accepted"].as_u64().unwrap();
    assert_eq!(accepted(&first) + accepted(&second), 60, "{first} {second}");
    assert_eq!(one.counts().await["new"], 61);
}

#[tokio::test]
async fn a_service_that_stops_leaves_the_rest_to_the_next_call() {
    let hq = HqForms::start().await;
    let backend = Backend::sqlite();
    let app = service(&backend, &hq, &[]).await;
    app.accept(&form("f-first", 48)).await;
    hq.has(&form("f-1", 20));
    hq.set_down(Some(Trouble::Hang));
    let stopping = async {
        while hq.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        app.shutdown.begin();
    };
    let (answer, ()) = futures::join!(reconcile(&app, ""), stopping);
    assert_eq!((&answer["finished"], answer.get("stopped")), (&json!(false), None), "{answer}");
}
