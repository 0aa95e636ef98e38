//! `preview`: the effects of a payload from a file.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use super::pretty;
use crate::clock;
use crate::config::Config;
use crate::jobs::{self, Facts, Job};
use crate::plan::{Plan, table};
use crate::submission::Origin;
use crate::worker;

/// The preview of the payload in `file`, as the service with these settings would make it.
pub(super) fn of(config: &Config, file: &Path, origin: Origin, json: bool) -> anyhow::Result<String> {
    let payload = read(file)?;
    let no_name = match origin {
        Origin::CommCare => "form.@name: missing",
        Origin::Salesforce => "jobType: missing",
    };
    let name = jobs::job_name(origin, &payload).context(no_name)?;
    let Some(job) = jobs::find(origin, name) else {
        return Ok(if json {
            pretty(&jobs::preview_of_unhandled(name))
        } else {
            format!("no form type is named {name:?}: the service would store and send nothing\n")
        });
    };
    // A form's id is part of what it writes; documents are shown with an empty one.
    if origin == Origin::CommCare && jobs::job_id(&payload).is_none() {
        bail!("id: missing");
    }
    // As the service would: the sandbox leaves registrations' attendance out.
    let facts = Facts { sender: config.sender.clone(), ..Facts::new(config.registration_attendance) };
    let (_, plan) =
        worker::plan(job, &payload, &facts.of(clock::now(), 1)).map_err(|error| anyhow!(error))?;
    if let Some(refusal) = plan.refusal() {
        bail!(refusal);
    }
    Ok(if json { pretty(&job.preview(&plan)) } else { for_people(job, &plan) })
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
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
    for answer in &plan.unmapped {
        let _ = writeln!(text, "  unmapped: {} has the unknown code {:?}", answer.path, answer.code);
    }
    text
}
