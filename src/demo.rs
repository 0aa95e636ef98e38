//! `demo`: what the service does, on this machine alone.
//!
//! Runs the real server on a queue of its own, without destinations. One invented sample of every form type that has
//! a mapping is posted over HTTP and drained; then its plan is printed.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::config::Config;
use crate::plan::table;
use crate::samples;
use crate::server::Server;
use crate::submission::Origin;
use crate::telemetry;

/// The variables that the demo takes from the environment: where it listens and what it logs. It takes no other
/// one, so that it touches no queue and no destination that is configured.
const TAKEN: [&str; 4] = ["HOST", "PORT", "RUST_LOG", "LOG_FORMAT"];

/// Runs the demo until it is interrupted.
pub(crate) async fn run(environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let queue = format!("sqlite://{}", folder.0.join("queue.db").display());
    let config = Config::load(&|name| match name {
        "QUEUE_URL" => Some(queue.clone()),
        // Shows production's effects: the sandbox leaves registrations' attendance out.
        "SF_SANDBOX_ATTENDANCE" => Some("true".to_owned()),
        // Every line of the log would come between the tables.
        "RUST_LOG" => environment(name).or_else(|| Some("warn,commcare_sf_integration=error".to_owned())),
        name if TAKEN.contains(&name) => environment(name),
        _ => None,
    })?;
    telemetry::start(&config).context("RUST_LOG")?;
    let server = Server::start(&config).await?;
    let address = format!("http://{}", server.address()?);
    let show = async {
        for origin in Origin::ALL {
            show(&address, origin).await?;
        }
        let mut out = std::io::stdout().lock();
        let posted: usize = Origin::ALL.map(|origin| samples::of(origin).len()).iter().sum();
        writeln!(out, "{posted} submissions posted, queued, drained: dry run, nothing left this machine.")?;
        writeln!(out, "Serving on {address} with the queue in {}; Ctrl-C stops.", folder.0.display())?;
        writeln!(out, "  {address}/dashboard in a browser, {address}/docs for the calls, or")?;
        for origin in Origin::ALL {
            writeln!(out, "  curl {address}/status-count/{}", origin.collection())?;
        }
        drop(out);
        std::future::pending().await
    };
    tokio::select! {
        ended = server.run() => ended,
        failed = show => failed,
    }
}

/// Posts the samples, drains, and prints what each record became.
async fn show(address: &str, origin: Origin) -> anyhow::Result<()> {
    let (webhook, drain) = match origin {
        Origin::CommCare => ("process-data-cc", "process-firestore-to-sf"),
        Origin::Salesforce => ("process-data-sf", "process-firestore-to-cc"),
    };
    let client = reqwest::Client::new();
    let mut ids = Vec::new();
    for sample in samples::of(origin) {
        let answer: Value = client
            .post(format!("{address}/{webhook}"))
            .header("content-type", "application/json")
            .body(*sample)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        ids.push(answer["request_id"].as_str().context("the webhook's answer has no request_id")?.to_owned());
    }
    let drain = client.post(format!("{address}/{drain}?drain=true")).send().await?;
    let report: Value = drain.error_for_status()?.json().await?;
    ensure!(
        report["failed_records"] == Value::Array(Vec::new()),
        "samples failed: {}",
        report["failed_records"]
    );
    for id in &ids {
        let url = format!("{address}/record/{}/{id}", origin.collection());
        let found: Value = client.get(url).send().await?.error_for_status()?.json().await?;
        print(&found[0]["data"])?;
    }
    Ok(())
}

fn print(record: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let word = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let (job_name, status) = (word("job_name"), word("status"));
    writeln!(out, "{job_name} ({status}): {}", table::count(&record["plan"]))?;
    writeln!(out, "{}", table::effects(&record["plan"]))?;
    Ok(())
}

/// The demo's own folder, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("commcare-sf-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A temporary folder: the machine removes it in the end.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
