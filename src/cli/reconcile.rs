//! The command `reconcile`: what `POST /reconcile-cc` does, to the end of the list.

use std::fmt::Write as _;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::app::App;
use crate::clock;
use crate::config::Config;
use crate::reconcile::{Asked, Report};
use crate::worker::Shutdown;

/// What the command prints, and why it failed where it did.
pub(super) struct Reconciled {
    pub(super) text: String,
    pub(super) failure: Option<String>,
}

/// Fetches what was not delivered.
pub(super) async fn run(
    config: &Config,
    since: Option<&str>,
    until: Option<&str>,
    dry_run: bool,
    json: bool,
) -> anyhow::Result<Reconciled> {
    let asked = Asked::from_texts(since, until, dry_run, clock::now(), config.retry.retention)?;
    let app = App::start(config, Shutdown::default()).await?;
    let report = app.reconciler.reconcile_all(&asked).await.context("the queue")?;
    let text = if json { super::pretty(&json!(report)) } else { table(&report) };
    Ok(Reconciled { text, failure: report.stopped.map(|stopped| stopped.reason) })
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let up_to = report.up_to.map_or_else(|| "never".to_owned(), time);
    // Writing to a String cannot fail.
    for (what, count) in [
        ("listed by CommCare HQ", report.checked),
        (if report.dry_run { "would be accepted" } else { "accepted" }, report.accepted),
        (if report.dry_run { "would be replaced" } else { "replaced" }, report.replaced),
        ("already there", report.already_there),
        ("newer edition there", report.newer_there),
        ("of types not handled", report.unhandled),
        ("received at another time", report.outside),
        ("refused", report.refused),
    ] {
        let _ = writeln!(text, "{what:<26}{count:>9}");
    }
    let _ = writeln!(text, "{:<26}{up_to:>9}", "asked up to");
    if let Some(note) = report.note {
        let _ = writeln!(text, "\n{note}");
    }
    if !report.missing.is_empty() {
        let _ = writeln!(text, "\n{:<42}{:<12}{:>9}{:>10}", "Missing", "received", "new", "replaced");
    }
    for missing in &report.missing {
        let day = missing.day.map_or_else(|| "–".to_owned(), |day| day.to_string());
        let _ = writeln!(
            text,
            "{:<42}{day:<12}{:>9}{:>10}",
            missing.job_name, missing.accepted, missing.replaced
        );
    }
    for refused in &report.refused_forms {
        let id = refused.id.as_deref().unwrap_or("a form");
        let _ = writeln!(text, "\nrefused: {id}: {}", refused.error);
    }
    list(&mut text, "archived in CommCare HQ since they came here", report.archived.len(), &report.archived);
    if let Some(not_there) = &report.not_in_commcare {
        let count = usize::try_from(not_there.count).unwrap_or(usize::MAX);
        list(&mut text, "here, and not in CommCare HQ", count, &not_there.ids);
    }
    text
}

fn list(text: &mut String, what: &str, count: usize, ids: &[String]) {
    if count > 0 {
        let more = if count > ids.len() { ", …" } else { "" };
        let _ = writeln!(text, "\n{what} ({count}): {}{more}", ids.join(", "));
    }
}
