//! `preview`: the effects of a payload from a file.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use super::pretty;
use crate::app;
use crate::clock;
use crate::config::Config;
use crate::jobs::{self, Job};
use crate::payload;
use crate::plan::{Plan, list_errors, table};
use crate::submission::Origin;
use crate::worker;

/// What is printed, and why the command fails all the same.
pub(super) struct Preview {
    pub(super) text: String,
    /// The errors of records that would fail.
    pub(super) failure: Option<String>,
}

/// The preview of the payload in `file`, as the service with these settings would make it. Without an origin
/// the payload's own looks decide.
pub(super) fn of(
    config: &Config,
    file: &Path,
    origin: Option<Origin>,
    json: bool,
) -> anyhow::Result<Preview> {
    let payload = read(file)?;
    let origin = origin.or_else(|| jobs::origin_of(&payload)).unwrap_or(Origin::CommCare);
    let no_name = match origin {
        Origin::CommCare => "form.@name: missing",
        Origin::Salesforce => "jobType: missing",
    };
    let name = jobs::job_name(origin, &payload).context(no_name)?;
    let Some(job) = jobs::find(origin, name) else {
        let text =
            if json { pretty(&jobs::preview_of_unhandled(origin, name)) } else { unhandled(origin, name) };
        return Ok(Preview { text, failure: None });
    };
    // A form's id is part of the records that it writes. Documents for CommCare are shown with an empty id.
    if origin == Origin::CommCare && jobs::job_id(&payload).is_none() {
        bail!("id: missing");
    }
    // As the service would: the sandbox leaves registrations' attendance out.
    let facts = app::facts(config);
    let (_, plan) =
        worker::plan(job, &payload, &facts.of(clock::now(), 1)).map_err(|error| anyhow!(error))?;
    if let Some(refusal) = plan.refusal() {
        bail!(refusal);
    }
    let errors = plan.refused.iter().map(|refused| refused.error.as_str());
    let errors = errors.chain(plan.warnings.iter().map(|warning| warning.warning.as_str()));
    let failure = Some(list_errors(errors)).filter(|errors| !errors.is_empty());
    Ok(Preview { text: if json { pretty(&job.preview(&plan)) } else { for_people(job, &plan) }, failure })
}

fn unhandled(origin: Origin, name: &str) -> String {
    let text = format!("no form type is named {name:?}: the service would store and send nothing\n");
    match jobs::meant(origin, name) {
        Some(job) => format!("{text}did you mean {:?}?\n", job.name),
        None => text,
    }
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let shown = || file.display().to_string();
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.with_context(shown)?;
    payload::parse(&bytes).with_context(shown)
}

fn for_people(job: &Job, plan: &Plan) -> String {
    // Writing to a String cannot fail.
    let mut text = String::new();
    let _ = writeln!(text, "{} → {}", job.name, job.destination.as_str());
    match &plan.note {
        Some(note) => {
            let _ = writeln!(text, "  nothing is sent: {note}");
        }
        None => text += &table::effects(&plan.to_json()),
    }
    for refused in &plan.refused {
        let _ = writeln!(text, "  not sent: {}", refused.error);
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "  warning: {}", warning.warning);
    }
    for answer in &plan.unmapped {
        let _ = writeln!(text, "  unmapped: {} has the unknown code {:?}", answer.path, answer.code);
    }
    text
}
