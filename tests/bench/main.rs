//! How fast the service is, beside the limit that this machine sets in the same run.
//!
//! `cargo bench` prints a table of ratios; absolute numbers are this machine's alone. The service is
//! the real binary, called over loopback; the embedded queue is on the disk of the target folder.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that can't go on has failed")]
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "prints figures")]

mod client;
mod commcare;
mod firestore;
mod hostile;
mod limit;
mod operators;
mod postgis;
mod reconcile;
mod salesforce;
mod service;
#[path = "../it/support"]
mod support {
    #[expect(dead_code, reason = "the tests make troubles, too")]
    pub(crate) mod firestore;
    #[expect(dead_code, reason = "the tests make troubles, too")]
    pub(crate) mod forms_api;
}

use std::time::{Duration, Instant};

use commcare_sf_integration::jobs::{self, Facts};
use commcare_sf_integration::submission::Origin;
use limit::Inserts;
use serde_json::Value;
use service::Service;

const REGISTRATION: &str = include_str!("../../src/samples/farmer_registration.json");
const ATTENDANCE: &str = include_str!("../../src/samples/attendance_full_current_module.json");
/// One form of each type.
const SAMPLES: &[&str] = &[
    REGISTRATION,
    include_str!("../../src/samples/edit_farmer_details.json"),
    include_str!("../../src/samples/field_day_farmer_registration.json"),
    ATTENDANCE,
    include_str!("../../src/samples/attendance_light_current_module.json"),
    include_str!("../../src/samples/field_day_attendance_full.json"),
    include_str!("../../src/samples/training_observation.json"),
    include_str!("../../src/samples/demo_plot_observation.json"),
    include_str!("../../src/samples/farm_visit_full.json"),
    include_str!("../../src/samples/farm_visit_aa.json"),
];

const PARTICIPANT: &str = include_str!("../../src/samples/participant.json");

/// Forms that each load posts.
const POSTED: usize = 20_000;
/// Forms that are drained, and what one Salesforce call takes.
const DRAINED: usize = 100;
const CALL: Duration = Duration::from_millis(100);
/// `SF_CONCURRENCY`'s default.
const CONCURRENCY: usize = 8;

#[tokio::main]
async fn main() {
    let mut lines = Table::default();
    let asks_for = |part: &str| std::env::args().any(|argument| argument == part);
    if asks_for("postgis") {
        postgis::measure(&mut lines).await;
    }
    if asks_for("firestore") {
        firestore::measure(&mut lines).await;
    }
    if asks_for("reconcile") {
        reconcile::measure(&mut lines).await;
    }
    if ["postgis", "firestore", "reconcile"].into_iter().any(asks_for) {
        lines.print();
        return;
    }
    if std::env::args().any(|argument| argument == "hostile") {
        large_form(&mut lines).await;
        large_payload(&mut lines).await;
        hostile::measure(&mut lines).await;
        lines.print();
        return;
    }
    let limits = [limit::inserts(POSTED, 1).await, limit::inserts(POSTED, 128).await];
    for (Inserts { per_second, cpu }, rows) in limits.iter().zip([1, 128]) {
        let what = format!("bare inserts, 512 a commit, {rows} a statement");
        lines.add(&what, format!("{per_second:.0}/s, {cpu:.0} µs CPU"), "the limit", "");
    }
    start(&mut lines).await;
    for connections in [32, 200] {
        webhooks(&mut lines, connections, &limits).await;
    }
    let rounds = DRAINED.div_ceil(CONCURRENCY);
    drain(&mut lines, "independent", rounds, |number| form(number, number)).await;
    drain(&mut lines, "chained", DRAINED, |number| form(number, 0)).await;
    postgis::measure(&mut lines).await;
    operators::measure(&mut lines).await;
    firestore::measure(&mut lines).await;
    reconcile::measure(&mut lines).await;
    mapping(&mut lines);
    large_form(&mut lines).await;
    submissions(&mut lines).await;
    large_payload(&mut lines).await;
    documents(&mut lines);
    hostile::measure(&mut lines).await;
    lines.print();
}

/// Time from start to the first answer, and memory at rest.
async fn start(lines: &mut Table) {
    let mut first = Vec::new();
    let mut idle = 0.0;
    for _ in 0..5 {
        let service = Service::start(&[]).await;
        first.push(service.first_answer.as_secs_f64() * 1e3);
        idle = service.memory("VmRSS");
    }
    first.sort_by(f64::total_cmp);
    lines.add("start to the first 200, median of 5", format!("{:.0} ms", first[2]), "", "150 ms");
    lines.add("resident memory at rest", format!("{idle:.1} MB"), "", "40 MB");
}

/// Durable webhooks: each connection posts the next form as soon as the last was acknowledged.
async fn webhooks(lines: &mut Table, connections: usize, limits: &[Inserts; 2]) {
    let service = Service::start(&[]).await;
    let cpu = service.cpu();
    let load = client::load(service.address, connections, POSTED, REGISTRATION).await;
    let rate = POSTED as f64 / load.took.as_secs_f64();
    let what = format!("durable webhooks, {connections} connections");
    let cpu = (service.cpu() - cpu) * 1e6 / POSTED as f64;
    let share =
        format!("{:.2} and {:.2} of the limits", rate / limits[0].per_second, rate / limits[1].per_second);
    lines.add(&what, format!("{rate:.0}/s"), &share, "0.5");
    let p99_aim = if connections == 200 { "p99 25 ms" } else { "" };
    let latency = format!("p50 {:.1} ms, p99 {:.1} ms", load.percentile(0.5), load.percentile(0.99));
    lines.add("  their latency", latency, "", p99_aim);
    let times = format!("{:.1} and {:.1} × a bare insert", cpu / limits[0].cpu, cpu / limits[1].cpu);
    lines.add("  processor time of each", format!("{cpu:.0} µs"), &times, "");
    lines.add("  peak resident memory", format!("{:.1} MB", service.memory("VmHWM")), "", "");
}

/// A drain of `DRAINED` forms, each one Salesforce call.
///
/// At best it takes `rounds` calls one after the other.
async fn drain(lines: &mut Table, kind: &str, rounds: usize, form: impl Fn(usize) -> String) {
    let login_url = salesforce::start(CALL).await;
    let service = Service::start(&[
        ("SALESFORCE_LOGIN_URL", login_url.as_str()),
        ("SF_CLIENT_ID", "id"),
        ("SF_CLIENT_SECRET", "secret"),
    ])
    .await;
    for number in 0..DRAINED {
        service.post("/process-data-cc", form(number)).await;
    }
    let began = Instant::now();
    let answer = service.post("/process-firestore-to-sf?drain=true", String::new()).await;
    let took = began.elapsed();
    assert_eq!(answer["processed_records"].as_array().map(Vec::len), Some(DRAINED), "{answer}");
    let limit = CALL * u32::try_from(rounds).unwrap();
    let ratio = format!("{:.2} × {:.1} s", took.as_secs_f64() / limit.as_secs_f64(), limit.as_secs_f64());
    let what = format!("drain of {DRAINED} {kind} forms, {} ms a call", CALL.as_millis());
    lines.add(&what, format!("{:.2} s", took.as_secs_f64()), &ratio, "1.3 ×");
    lines.add("  peak resident memory", format!("{:.1} MB", service.memory("VmHWM")), "", "");
}

/// An attendance that shares its session with those of the same `session`.
fn form(number: usize, session: usize) -> String {
    let mut form: Value = serde_json::from_str(ATTENDANCE).unwrap();
    form["id"] = format!("drained-{number}").into();
    form["form"]["training_session"] = format!("session-{session}").into();
    form["form"]["present_participants"] = format!("participant-{number}").into();
    form.to_string()
}

/// What mappings take, parsing left out.
fn mapping(lines: &mut Table) {
    for sample in SAMPLES {
        let payload: Value = serde_json::from_str(sample).unwrap();
        let (name, seconds) = mapping_of(&payload, 2_000);
        lines.add(&format!("mapping of one {name}"), format!("{:.0} µs", seconds * 1e6), "", "");
    }
    let (_, seconds) = mapping_of(&largest_form(), 20);
    lines.add("mapping of 26,000 attendances", format!("{:.1} ms", seconds * 1e3), "", "");
}

/// A payload's form type, and the seconds that its mapping takes.
fn mapping_of(payload: &Value, times: u32) -> (&'static str, f64) {
    let job = jobs::find(Origin::CommCare, jobs::job_name(Origin::CommCare, payload).unwrap()).unwrap();
    let (mapping, facts) = (job.mapping, Facts::new(true));
    let began = Instant::now();
    for _ in 0..times {
        std::hint::black_box(mapping(std::hint::black_box(payload), &facts).unwrap());
    }
    (job.name, began.elapsed().as_secs_f64() / f64::from(times))
}

/// A form about as large as the queue takes: a session with 26,000 participants, a million bytes.
fn largest_form() -> Value {
    let mut form: Value = serde_json::from_str(ATTENDANCE).unwrap();
    let participants: Vec<String> = (0..26_000).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    form["form"]["present_participants"] = participants.join(" ").into();
    form
}

/// What a form as large as the queue takes adds to the service's memory, from its webhook to the
/// end of its drain.
async fn large_form(lines: &mut Table) {
    let service = Service::start(&[]).await;
    let rest = service.memory("VmRSS");
    let form = largest_form().to_string();
    let size = form.len() as f64 / 1024.0 / 1024.0;
    service.post("/process-data-cc", form).await;
    let report = service.post("/process-firestore-to-sf", String::new()).await;
    assert_eq!(report["processed_records"].as_array().map(Vec::len), Some(1), "{report}");
    let peak = service.memory("VmHWM") - rest;
    lines.add(
        &format!("peak memory, {size:.2} MiB of 26,000 attendances"),
        format!("{peak:.0} MB"),
        "",
        "120 MB",
    );
}

/// One payload's submissions, `CC_CONCURRENCY` (50) at a time.
async fn submissions(lines: &mut Table) {
    const RECORDS: u32 = 500;
    let url = commcare::start(CALL).await;
    let service = Service::start(&commcare::variables(&url)).await;
    let payload = commcare::participants("bench", RECORDS as usize, 0);
    service.post("/process-data-sf", payload.to_string()).await;
    let began = Instant::now();
    let answer = service.post("/process-firestore-to-cc", String::new()).await;
    let took = began.elapsed().as_secs_f64();
    assert_eq!(answer["processed_records"].as_array().map(Vec::len), Some(1), "{answer}");
    let limit = (CALL * RECORDS.div_ceil(50)).as_secs_f64();
    let what = format!("{RECORDS} records to CommCare, {} ms a call", CALL.as_millis());
    lines.add(&what, format!("{took:.2} s"), &format!("{:.2} × {limit:.1} s", took / limit), "1.2 ×");
}

/// A payload of 10,000 records, from the webhook to CommCare, and the memory that it takes.
async fn large_payload(lines: &mut Table) {
    const RECORDS: usize = 10_000;
    let url = commcare::start(Duration::ZERO).await;
    let service = Service::start(&commcare::variables(&url)).await;
    let payload = commcare::participants("bench", RECORDS, 650).to_string();
    let megabytes = payload.len() as f64 / 1e6;
    let began = Instant::now();
    service.post("/process-data-sf", payload).await;
    let accepted = began.elapsed().as_secs_f64();
    let after_webhook = service.memory("VmHWM");
    let answer = service.post("/process-firestore-to-cc?drain=true", String::new()).await;
    let took = began.elapsed().as_secs_f64();
    assert_eq!(answer["failed_records"].as_array().map(Vec::len), Some(0), "{answer}");
    let what = format!("{RECORDS} records, {megabytes:.0} MB, to CommCare");
    lines.add(&what, format!("{took:.2} s"), &format!("{accepted:.2} s of it to accept"), "");
    let peaks = format!("{after_webhook:.0} MB, {:.0} MB", service.memory("VmHWM"));
    lines.add("  peak resident memory, accepted and sent", peaks, "", "");
}

/// Documents built a second, on one core.
fn documents(lines: &mut Table) {
    const RECORDS: usize = 1_000;
    const TIMES: usize = 20;
    let payload = commcare::participants("bench", RECORDS, 0);
    let mapping = jobs::find(Origin::Salesforce, "Participant").unwrap().mapping;
    let facts = Facts::new(true);
    let began = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(mapping(std::hint::black_box(&payload), &facts).unwrap());
    }
    let rate = (RECORDS * TIMES) as f64 / began.elapsed().as_secs_f64();
    lines.add("participant documents built, one core", format!("{rate:.0}/s"), "", "");
}

/// What was measured, beside the limit and the aim.
#[derive(Default)]
struct Table(Vec<[String; 4]>);

impl Table {
    fn add(&mut self, what: &str, measured: String, ratio: &str, aim: &str) {
        self.0.push([what.to_owned(), measured, ratio.to_owned(), aim.to_owned()]);
    }

    fn print(&self) {
        let head = ["", "measured", "beside the limit", "aim"].map(str::to_owned);
        for [what, measured, ratio, aim] in std::iter::once(&head).chain(&self.0) {
            let line = format!("{what:<48} {measured:<24} {ratio:<28} {aim}");
            println!("{}", line.trim_end());
        }
    }
}
