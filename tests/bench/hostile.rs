//! The memory that the worst loads take which a webhook's credential allows, and the time of `/health` meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::service::Service;
use crate::{ATTENDANCE, Table, commcare};

const MIB: usize = 1024 * 1024;

/// Calls at a time: as many as Cloud Run gives an instance (`deploy/deploy`, `CONCURRENCY`).
const CALLS: usize = 40;

/// Bodies, and the calls that they go to.
type Bodies = Vec<(&'static str, Arc<str>)>;

pub(crate) async fn measure(lines: &mut Table) {
    let ones = |bytes: usize| format!("[{}1]", "1,".repeat(bytes / 2 - 2));
    let list = ones(32 * MIB);
    let in_payload =
        |id: usize, list: &str| format!(r#"{{"id":"p-{id}","jobType":"Participant","participants":{list}}}"#);
    let inside = ones(32 * MIB - 100);
    let bare: Bodies = (0..CALLS).map(|_| ("/process-data-sf", Arc::from(list.as_str()))).collect();
    attack(lines, "40 × 32 MiB of [1,1,…]", bare).await;
    let records = (0..4).map(|id| ("/process-data-sf", Arc::from(in_payload(id, &inside)))).collect();
    attack(lines, "4 × 32 MiB of 16 million records", records).await;
    let payload = commcare::participants("large", 24_000, 650).to_string();
    assert!(payload.len() > 30_000_000 && payload.len() < 32 * MIB, "{}", payload.len());
    let payloads = (0..4).map(|id| {
        let own = payload.replacen("\"large\"", &format!("\"large-{id}\""), 1);
        ("/process-data-sf", Arc::from(own))
    });
    attack(lines, "4 × 31 MB of 24,000 participants", payloads.collect()).await;
    attack(lines, "40 forms of 26,000 attendances", (0..CALLS).map(large_form).collect()).await;
    let short = (0..CALLS).map(|id| {
        let names = "ab ".repeat(330_000);
        ("/process-data-cc", attendance(id, &names))
    });
    attack(lines, "40 forms of 330,000 short names", short.collect()).await;
    let dense = (0..CALLS).map(|id| {
        let answers = (0..90_000).map(|n| format!(r#""{n}":0,"#)).collect::<Vec<_>>().concat();
        let form = format!(r#"{{"id":"d-{id}","form":{{{answers}"@name":"Farm Visit Full"}}}}"#);
        ("/process-data-cc", Arc::from(form))
    });
    attack(lines, "40 forms of 90,000 numbers", dense.collect()).await;
    half_heads(lines).await;
}

fn attendance(id: usize, names: &str) -> Arc<str> {
    let mut form: Value = serde_json::from_str(ATTENDANCE).unwrap();
    form["id"] = json!(format!("large-{id}"));
    form["form"]["present_participants"] = names.into();
    form.to_string().into()
}

fn large_form(id: usize) -> (&'static str, Arc<str>) {
    let names: Vec<String> = (0..26_000).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    ("/process-data-cc", attendance(id, &names.join(" ")))
}

/// Posts all bodies at once, and drains meanwhile and afterwards.
async fn attack(lines: &mut Table, what: &str, bodies: Bodies) {
    let service = Service::start(&[]).await;
    let client = reqwest::Client::new();
    let over = Arc::new(AtomicBool::new(false));
    let health = tokio::spawn(health(service.address, Arc::clone(&over)));
    let mut posting = JoinSet::new();
    for (path, body) in bodies {
        let (client, url) = (client.clone(), format!("http://{}{path}", service.address));
        posting.spawn(async move {
            let body = reqwest::Body::from(body.to_string());
            client.post(url).body(body).send().await.map_or(0, |answer| answer.status().as_u16())
        });
    }
    let drains = async {
        for _ in 0..3 {
            for dest in ["sf", "cc"] {
                service.post(&format!("/process-firestore-to-{dest}?drain=true"), String::new()).await;
            }
        }
    };
    let (mut statuses, ()) = tokio::join!(posting.join_all(), drains);
    for dest in ["sf", "cc"] {
        service.post(&format!("/process-firestore-to-{dest}?drain=true"), String::new()).await;
    }
    over.store(true, Ordering::Relaxed);
    let p95 = health.await.unwrap();
    statuses.sort_unstable();
    let counted = statuses.chunk_by(PartialEq::eq).map(|same| format!("{} × {}", same.len(), same[0]));
    let told = format!("{:.0} MB, /health p95 {p95:.0} ms", service.memory("VmHWM"));
    lines.add(what, told, &counted.collect::<Vec<_>>().join(", "), "512 MB, 1 s");
}

/// Asks `/health`, each time on a connection of its own; the 95th percentile in milliseconds.
async fn health(address: SocketAddr, over: Arc<AtomicBool>) -> f64 {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut took = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        client.get(format!("http://{address}/health")).send().await.unwrap().error_for_status().unwrap();
        took.push(asked.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took.sort_by(f64::total_cmp);
    took[(took.len() - 1) * 95 / 100]
}

/// 5,000 connections that send half a head each.
async fn half_heads(lines: &mut Table) {
    let service = Service::start(&[]).await;
    let rest = service.memory("VmRSS");
    let over = Arc::new(AtomicBool::new(false));
    let mut held = Vec::new();
    for _ in 0..5_000 {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        // One that had to give way is closed.
        let _ = stream.write_all(b"POST /process-data-cc HTTP/1.1\r\nhost: be").await;
        held.push(stream);
    }
    let asking = tokio::spawn(health(service.address, Arc::clone(&over)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    over.store(true, Ordering::Relaxed);
    let p95 = asking.await.unwrap();
    let added = service.memory("VmHWM") - rest;
    lines.add("5,000 half-sent heads", format!("{added:.0} MB, /health p95 {p95:.0} ms"), "", "");
}
