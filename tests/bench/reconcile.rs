//! A reconciliation of forms that all arrived: how long it takes, and what it asks of CommCare HQ and of the queue.

use std::time::Instant;

use chrono::TimeDelta;
use commcare_sf_integration::clock;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::service::Service;
use crate::support::firestore::Firestore;
use crate::support::forms_api::{HqForms, forwarded};
use crate::{REGISTRATION, Table};

/// Forms that all arrived.
const FORMS: i32 = 10_000;
/// Forms that are posted at a time.
const AT_A_TIME: usize = 32;

/// Measures on SQLite, and on Firestore where its emulator runs.
pub(crate) async fn measure(lines: &mut Table) {
    reconcile(lines, "SQLite", &[], None).await;
    if std::env::var_os("FIRESTORE_EMULATOR_HOST").is_some() {
        let firestore = Firestore::start();
        let variables = [&firestore.variables()[..], &[("FLASK_DOCUMENTS", "false")]].concat();
        reconcile(lines, "Firestore", &variables, Some(&firestore)).await;
    }
}

async fn reconcile(
    lines: &mut Table,
    back_end: &str,
    variables: &[(&str, &str)],
    firestore: Option<&Firestore>,
) {
    let hq = HqForms::start().await;
    let service = Service::start(&[&hq.variables()[..], variables].concat()).await;
    let sample: Value = serde_json::from_str(REGISTRATION).unwrap();
    let forms = (0..FORMS).map(|number| {
        let mut form = sample.clone();
        form["id"] = uuid::Uuid::new_v4().to_string().into();
        let form = forwarded(form, clock::now() - TimeDelta::days(3) + TimeDelta::seconds(number.into()));
        hq.has(&form);
        service.post("/process-data-cc", form.to_string())
    });
    futures::stream::iter(forms).buffer_unordered(AT_A_TIME).for_each(async |_| {}).await;
    let (rest, before) = (service.memory("VmHWM"), firestore.map(Firestore::bill));
    let began = Instant::now();
    let answer = service.post("/reconcile-cc", String::new()).await;
    let took = began.elapsed().as_secs_f64();
    assert_eq!(
        (&answer["already_there"], &answer["finished"], &answer["not_in_commcare"]["count"]),
        (&json!(FORMS), &json!(true), &json!(0)),
        "{answer}"
    );
    let what = format!("reconciliation of {FORMS} known forms, {back_end}");
    lines.add(&what, format!("{took:.1} s"), &format!("{} requests to CommCare HQ", hq.asked().len()), "");
    if let (Some(firestore), Some(before)) = (firestore, before) {
        let bill = firestore.bill() - before;
        lines.add("  the queue's bill", format!("reads {}, writes {}", bill.reads, bill.writes), "", "");
    }
    let peaks = format!("{rest:.0} MB, {:.0} MB", service.memory("VmHWM"));
    lines.add("  peak resident memory, before and after", peaks, "", "");
}
