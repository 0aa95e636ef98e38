//! What the queue costs in Firestore: document reads and writes, as Google bills them, and the calls that a form waits for.
//!
//! Needs Google's emulator: `FIRESTORE_EMULATOR_HOST`. What a call takes there says nothing of production,
//! what it reads and writes is the same. So the calls are made long, and times are told in calls.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::service::Service;
use crate::support::firestore::{Bill, Firestore};
use crate::{ATTENDANCE, Table, form, salesforce};

/// Forms of each measurement.
const FORMS: usize = 100;
/// Failed records of which operators read.
const FAILED: usize = 10;

/// What a call to Firestore takes where times are told in calls.
const CALL: Duration = Duration::from_millis(10);

/// The methods that the queue calls (<https://firebase.google.com/docs/firestore/reference/rpc/google.firestore.v1>).
const METHODS: [&str; 5] = ["BatchGetDocuments", "Commit", "GetDocument", "RunAggregationQuery", "RunQuery"];

/// Measures, or says that it cannot.
pub(crate) async fn measure(lines: &mut Table) {
    if std::env::var_os("FIRESTORE_EMULATOR_HOST").is_none() {
        lines.add("Firestore's bill", "left out".to_owned(), "FIRESTORE_EMULATOR_HOST is not set", "");
        return;
    }
    independent(lines).await;
    hot(lines).await;
    operators(lines).await;
    latency(lines, "FLASK_DOCUMENTS=false", &[("FLASK_DOCUMENTS", "false")], "1").await;
    latency(lines, "FLASK_DOCUMENTS=true", &[], "").await;
}

/// A service on a Firestore of its own.
struct Stage {
    firestore: Firestore,
    service: Service,
}

impl Stage {
    async fn set(more: &[(&str, &str)]) -> Self {
        let firestore = Firestore::start();
        let login_url = salesforce::start(Duration::ZERO).await;
        let salesforce = [
            ("SALESFORCE_LOGIN_URL", login_url.as_str()),
            ("SF_CLIENT_ID", "id"),
            ("SF_CLIENT_SECRET", "secret"),
        ];
        let service = Service::start(&[&firestore.variables(), &salesforce[..], more].concat()).await;
        Self { firestore, service }
    }

    /// Adds a line with the bill of what is done, for each of `forms`.
    async fn bill(&self, lines: &mut Table, what: &str, forms: usize, aim: &str, done: impl Future) {
        let before = self.firestore.bill();
        done.await;
        let Bill { reads, writes } = self.firestore.bill() - before;
        let each = |count: usize| {
            let each = format!("{:.2}", count as f64 / forms as f64);
            each.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        lines.add(
            &format!("Firestore: {what}"),
            format!("reads {}, writes {}", each(reads), each(writes)),
            "",
            aim,
        );
    }

    /// Calls to Firestore so far.
    fn calls(&self) -> usize {
        METHODS.iter().map(|method| self.firestore.requests(method)).sum()
    }

    async fn accept(&self, form: impl Fn(usize) -> String) {
        for number in 0..FORMS {
            self.service.post("/process-data-cc", form(number)).await;
        }
    }

    async fn drain(&self) {
        let report = self.service.post("/process-firestore-to-sf?drain=true", String::new()).await;
        assert_eq!(report["processed_records"].as_array().map(Vec::len), Some(FORMS), "{report}");
    }
}

async fn independent(lines: &mut Table) {
    let ours = Stage::set(&[("FLASK_DOCUMENTS", "false")]).await;
    let forms = || ours.accept(|number| form(number, number));
    ours.bill(lines, "accept a form, FLASK_DOCUMENTS=false", FORMS, "reads 0, writes 1", forms()).await;
    let stage = Stage::set(&[]).await;
    let forms = || stage.accept(|number| form(number, number));
    stage.bill(lines, "accept a form", FORMS, "", forms()).await;
    stage.bill(lines, "accept it again", FORMS, "", forms()).await;
    let drain = stage.drain();
    stage.bill(lines, "drain a form", FORMS, "reads 2, writes 2", drain).await;
    let retry = async {
        for number in 0..FORMS {
            let report = stage.service.get(&format!("/retry/sf/drained-{number}")).await;
            assert!(report.contains("completed"), "{report}");
        }
    };
    stage.bill(lines, "retry a form by hand", FORMS, "", retry).await;
    for (what, path) in [
        ("drain with nothing to do", "/process-firestore-to-sf?drain=true"),
        ("auto-retry with nothing due", "/auto-retry-firestore-to-sf?drain=true"),
    ] {
        stage.bill(lines, what, 1, "", stage.service.post(path, String::new())).await;
    }
}

/// Forms that all write one training session.
async fn hot(lines: &mut Table) {
    let stage = Stage::set(&[]).await;
    stage.accept(|number| form(number, 0)).await;
    stage.bill(lines, "drain a form on a hot record", FORMS, "reads 6", stage.drain()).await;
}

/// What operators look at, beside completed records and a few that have failed.
async fn operators(lines: &mut Table) {
    let stage = Stage::set(&[]).await;
    stage.accept(|number| form(number, number)).await;
    stage.drain().await;
    let mut broken: Value = serde_json::from_str(ATTENDANCE).unwrap();
    broken["form"]["training_session"] = Value::Null;
    for number in 0..FAILED {
        broken["id"] = format!("failed-{number}").into();
        stage.service.post("/process-data-cc", broken.to_string()).await;
    }
    let report = stage.service.post("/process-firestore-to-sf?drain=true", String::new()).await;
    assert_eq!(report["failed_records"].as_array().map(Vec::len), Some(FAILED), "{report}");
    for (what, path) in [
        ("GET /status-count", "/status-count/commcare_collection"),
        ("GET /failed", "/failed/sf"),
        ("GET /dashboard", "/dashboard"),
        ("GET /metrics", "/metrics"),
    ] {
        let what = format!("{what}, {FAILED} failed");
        stage.bill(lines, &what, 1, "", stage.service.get(path)).await;
    }
}

/// What a form waits for where each call to Firestore takes [`CALL`], in such calls.
async fn latency(lines: &mut Table, which: &str, variables: &[(&str, &str)], aim: &str) {
    let stage = Stage::set(variables).await;
    stage.firestore.delay(CALL);
    let in_calls = |took: Duration| took.as_secs_f64() / CALL.as_secs_f64() / FORMS as f64;
    let (calls, began) = (stage.calls(), Instant::now());
    stage.accept(|number| form(number, number)).await;
    let (waited, calls) = (in_calls(began.elapsed()), stage.calls() - calls);
    let made = |calls: usize| format!("{:.2} calls made", calls as f64 / FORMS as f64);
    lines.add(&format!("Firestore: webhook, {which}"), format!("{waited:.2} calls"), &made(calls), aim);
    let (calls, began) = (stage.calls(), Instant::now());
    stage.drain().await;
    let (waited, calls) = (in_calls(began.elapsed()), stage.calls() - calls);
    lines.add(&format!("Firestore: drain a form, {which}"), format!("{waited:.2} calls"), &made(calls), "");
    lines.add("  peak resident memory", format!("{:.1} MB", stage.service.memory("VmHWM")), "", "");
}
