//! The command line (`service.md`, section 9). Exit codes: 0 success, 1 failure, 2 wrong usage.

pub(crate) mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;

use crate::clock;
use crate::config::Config;
use crate::demo;
use crate::destinations::postgis;
use crate::jobs::{self, Facts};
use crate::server::{self, Server};
use crate::submission::Origin;
use crate::telemetry;

/// Joins CommCare, Salesforce and PostGIS: every form arrives once, in order, and none is lost.
///
/// Settings come from the environment and from a file `.env`; `.env.example` explains each.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default).
    Serve,
    /// Run the service on a queue of its own with nothing to send to, post one sample of every form
    /// type to it, drain, print what each would write, and keep serving.
    Demo,
    /// Print what a payload would write, without writing it.
    Preview {
        /// A file with the payload's JSON, as it is posted to the webhook; `-` for standard input.
        file: PathBuf,
        /// Who sends such a payload.
        #[arg(long, value_enum, default_value = "cc")]
        origin: Sender,
    },
    /// Bring the PostGIS database (`DATABASE_URL`) to the schema that the service needs.
    Migrate,
    /// Check the settings and print those in force, secrets masked.
    CheckConfig,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sender {
    /// CommCare.
    Cc,
    /// Salesforce.
    Sf,
}

impl From<Sender> for Origin {
    fn from(sender: Sender) -> Self {
        match sender {
            Sender::Cc => Self::CommCare,
            Sender::Sf => Self::Salesforce,
        }
    }
}

/// Runs one command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let config = Config::load(&environment)?;
            telemetry::start(&config).context("RUST_LOG")?;
            Server::start(&config).await?.run().await
        }
        Command::Demo => demo::run(&environment).await,
        Command::Preview { file, origin } => preview(&file, origin.into()),
        Command::Migrate => migrate(&Config::load(&environment)?).await,
        Command::CheckConfig => check_config(&Config::load(&environment)?),
    }
}

/// Says why a command failed, with its causes.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

/// What is wrong with `.env`, by variable: its line may hold a secret.
pub fn env_file_error(error: dotenvy::Error) -> anyhow::Error {
    match error {
        dotenvy::Error::LineParse(line, _) => {
            let name = line.split('=').next().unwrap_or_default().trim();
            anyhow::anyhow!(".env: the value of {name} cannot be read; put it in quotes")
        }
        other => anyhow::Error::new(other).context(".env"),
    }
}

fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the look-up that Config::load reads through")]
    std::env::var(name).ok()
}

fn preview(file: &Path, origin: Origin) -> anyhow::Result<()> {
    let json = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let json = json.with_context(|| file.display().to_string())?;
    let payload: Value = serde_json::from_str(&json).with_context(|| file.display().to_string())?;
    let field = match origin {
        Origin::CommCare => "form.@name: missing",
        Origin::Salesforce => "jobType: missing",
    };
    let name = jobs::job_name(origin, &payload).context(field)?;
    let Some(job) = jobs::find(origin, name) else {
        bail!("no form type is named {name:?}: the service would store and send nothing");
    };
    let Some(mapping) = job.mapping else { bail!("this version cannot process {name} yet") };
    // As the service with these settings would: the sandbox leaves registrations' attendance out.
    let config = Config::load(&environment)?;
    let facts = Facts { sender: config.sender, ..Facts::new(config.registration_attendance) };
    let plan = mapping(&payload, &facts.of(clock::now(), 1))?;
    if let Some(refusal) = plan.refusal() {
        bail!(refusal);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name} → {}", job.destination.as_str())?;
    match &plan.note {
        Some(note) => writeln!(out, "  nothing is sent: {note}")?,
        None => write!(out, "{}", table::effects(&plan.to_json()))?,
    }
    for refused in &plan.refused {
        writeln!(out, "  not sent: {}", refused.error)?;
    }
    for answer in &plan.unmapped {
        writeln!(out, "  unmapped: {} has the unknown code {:?}", answer.path, answer.code)?;
    }
    Ok(())
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let settings =
        config.postgis.as_ref().context("DATABASE_URL: missing; it says which database to migrate")?;
    postgis::migrate(&settings.database).await?;
    writeln!(std::io::stdout(), "{} is up to date", settings.database)?;
    Ok(())
}

fn check_config(config: &Config) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for setting in &config.settings {
        let origin = if setting.given { "set" } else { "default" };
        writeln!(out, "{:<32} {origin:<8} {}", setting.name, setting.value)?;
    }
    writeln!(out)?;
    for (what, state) in server::summary(config) {
        writeln!(out, "{what:<12} {state}")?;
    }
    Ok(())
}
