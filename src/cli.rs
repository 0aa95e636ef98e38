//! The command line (`docs/service.md`, section 9). Exit codes: 0 success, 1 failure, 2 wrong usage; `check-destinations`
//! has 2 for a destination that could not be asked, too.
//!
//! A command's answer goes to standard output, for people or, with `--json`, for programs. Errors go to standard
//! error, in words.

mod help;
mod preview;
mod reconcile;

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::builder::PossibleValue;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::app;
use crate::check::{self, Report};
use crate::config::{Config, QueueSettings};
use crate::demo;
use crate::destinations::postgis;
use crate::http::openapi;
use crate::mappings;
use crate::queue::Queue;
use crate::server::{self, Server};
use crate::submission::Origin;
use crate::summary::Summary;
use crate::telemetry;
use crate::time::{self, Edge};

/// Joins CommCare, Salesforce and PostGIS: every form takes effect once, and none is lost.
///
/// Settings come from the environment and from a file `.env` in the working folder; `.env.example`
/// explains each.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, after_help = help::GENERAL)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default).
    ///
    /// Without settings it listens on 127.0.0.1:8080, keeps its queue in data/queue.db and records plans
    /// instead of sending them.
    #[command(verbatim_doc_comment, after_help = help::SERVE)]
    Serve,
    /// Show what the service does, on this machine alone.
    ///
    /// Runs the service on a queue of its own with nothing to send to, posts one sample of every form
    /// type to it, drains, prints what each would write, and keeps serving.
    #[command(verbatim_doc_comment, after_help = help::DEMO)]
    Demo,
    /// Print what a payload would write or send, without doing it.
    ///
    /// Nothing is stored and nobody is asked: only the file and the settings are read.
    #[command(verbatim_doc_comment, after_help = help::PREVIEW)]
    Preview {
        /// A file with the payload's JSON, as it is posted to the webhook; `-` for standard input.
        file: PathBuf,
        /// Who sends such a payload; by default its member `form` or `jobType` tells.
        #[arg(long, value_enum)]
        origin: Option<Origin>,
        /// Print the answer that `POST /preview/{cc|sf}` gives.
        #[arg(long)]
        json: bool,
    },
    /// Bring the PostGIS database to the schema that the service needs.
    ///
    /// Runs the migrations that the database lacks, and none twice. Where several run at once, one works and
    /// the others wait.
    #[command(verbatim_doc_comment, after_help = help::MIGRATE)]
    Migrate {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the settings and print those in force, secrets masked.
    ///
    /// Nothing is called: a credential may still be refused.
    #[command(verbatim_doc_comment, after_help = help::CHECK_CONFIG)]
    CheckConfig {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print what arrived, by form type and day, and what became of it.
    ///
    /// Reads the queue, and nothing else: it may be called beside the running service.
    #[command(verbatim_doc_comment, after_help = help::SUMMARY)]
    Summary {
        /// A date or date-time, such as 2026-11-24; UTC where it has no zone. By default six days ago.
        #[arg(long, value_parser = since)]
        since: Option<DateTime<Utc>>,
        /// How it is printed.
        #[arg(long, value_enum, default_value = "table")]
        format: SummaryFormat,
    },
    /// Hold the destinations against the mappings.
    ///
    /// Logs in everywhere with the settings in force, and compares objects, fields, labels and rights with what
    /// the mappings write. Nothing is written.
    #[command(verbatim_doc_comment, after_help = help::CHECK_DESTINATIONS)]
    CheckDestinations {
        /// Print JSON, as `GET /check-destinations` answers.
        #[arg(long)]
        json: bool,
    },
    /// Print what each form type writes, and from which answers.
    ///
    /// The lines come from the tables by which the service maps forms. Nothing is called.
    #[command(verbatim_doc_comment, after_help = help::MAPPINGS)]
    Mappings {
        /// Only this form type, e.g. "Farm Visit Full".
        job: Option<String>,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// The same as --format json.
        #[arg(long, conflicts_with = "format")]
        json: bool,
        /// The same as --format csv.
        #[arg(long, conflicts_with_all = ["format", "json"])]
        csv: bool,
    },
    /// Fetch the forms that CommCare could not deliver.
    ///
    /// Asks CommCare HQ for the forms of the last days and accepts those that the queue does not hold, as
    /// POST /reconcile-cc does, but to the end of the list. The running service then processes them.
    #[command(verbatim_doc_comment, after_help = help::RECONCILE)]
    Reconcile {
        /// Bring in the forms that CommCare received from this date, or date and time, on.
        #[arg(long)]
        since: Option<String>,
        /// And up to this one; a date alone includes its day.
        #[arg(long)]
        until: Option<String>,
        /// Only count what is missing.
        #[arg(long)]
        dry_run: bool,
        /// Print the answer that `POST /reconcile-cc` gives.
        #[arg(long)]
        json: bool,
    },
    /// Print the OpenAPI document of the HTTP calls, as JSON.
    ///
    /// The running service gives the same at /openapi.json, and shows it at /docs.
    #[command(verbatim_doc_comment, after_help = help::OPENAPI)]
    Openapi,
}

/// How a summary is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SummaryFormat {
    /// For people.
    Table,
    /// For spreadsheets.
    Csv,
}

/// How a document is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs, as `GET /mappings` answers.
    Json,
    /// For spreadsheets.
    Csv,
}

/// As `--origin` names them.
impl ValueEnum for Origin {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::CommCare => PossibleValue::new("cc").help("CommCare"),
            Self::Salesforce => PossibleValue::new("sf").help("Salesforce"),
        })
    }
}

/// Runs one command. Gives its exit code, where that tells more than success and failure do.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let config = Config::load(&environment)?;
            telemetry::start(&config).context("RUST_LOG")?;
            Server::start(&config).await?.run().await
        }
        Command::Demo => demo::run(&environment).await,
        Command::Preview { file, origin, json } => {
            let preview = preview::of(&Config::load(&environment)?, &file, origin, json)?;
            print(&preview.text)?;
            preview.failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!(failure)))
        }
        Command::Migrate { json } => print(&migrate(&Config::load(&environment)?, json).await?),
        Command::CheckConfig { json } => print(&check_config(&Config::load(&environment)?, json)),
        Command::Summary { since, format } => {
            let config = Config::load(&environment)?;
            let queue = Queue::open(&config.queue, config.retry).await?;
            let summary = Summary::of(&queue, since).await?;
            print(&match format {
                SummaryFormat::Table => summary.table(),
                SummaryFormat::Csv => summary.csv(),
            })
        }
        Command::Mappings { job, format, json, csv } => {
            let format = if json {
                Format::Json
            } else if csv {
                Format::Csv
            } else {
                format
            };
            print(&mappings(job.as_deref(), format)?)
        }
        Command::Reconcile { since, until, dry_run, json } => {
            let config = Config::load(&environment)?;
            let reconciled =
                reconcile::run(&config, since.as_deref(), until.as_deref(), dry_run, json).await?;
            print(&reconciled.text)?;
            reconciled.failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!(failure)))
        }
        Command::CheckDestinations { json } => {
            let report = check_destinations(&Config::load(&environment)?).await?;
            print(&if json { pretty(&json!(report)) } else { report.as_text() })?;
            return Ok(ExitCode::from(report.exit_code()));
        }
        Command::Openapi => print(&pretty(&json!(openapi::document()))),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Says why a command failed, with its causes.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

fn since(text: &str) -> Result<DateTime<Utc>, &'static str> {
    time::read(text, Edge::From).ok_or(time::RULE)
}

fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the look-up that Config::load reads through")]
    std::env::var(name).ok()
}

/// Prints an answer. A reader that stops early, such as `head`, is no failure.
fn print(answer: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(answer.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output"),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn pretty(answer: &Value) -> String {
    format!("{answer:#}\n")
}

async fn migrate(config: &Config, json: bool) -> anyhow::Result<String> {
    let settings =
        config.postgis.as_ref().context("DATABASE_URL: missing; it says which database to migrate")?;
    postgis::migrate(&settings.database).await?;
    let database = settings.database.to_string();
    Ok(if json {
        pretty(&json!({ "database": database, "status": "up to date" }))
    } else {
        format!("{database} is up to date\n")
    })
}

/// Asks every destination, and Firestore where it is the queue. The embedded queue has no indexes to miss, and its file
/// stays as it is.
async fn check_destinations(config: &Config) -> anyhow::Result<Report> {
    let destinations = app::destinations(config, &app::metrics())?;
    let queue = match &config.queue {
        settings @ QueueSettings::Firestore(_) => Some(Queue::open(settings, config.retry).await?),
        QueueSettings::Sqlite(_) => None,
    };
    Ok(check::run(&destinations, queue.as_ref(), check::longest_file_url(config)).await)
}

fn mappings(job_name: Option<&str>, format: Format) -> anyhow::Result<String> {
    let entries = mappings::of(job_name)?;
    Ok(match format {
        Format::Table => mappings::as_table(&entries),
        Format::Json => pretty(&json!({ "mappings": entries })),
        Format::Csv => mappings::as_csv(&entries),
    })
}

fn check_config(config: &Config, json: bool) -> String {
    let summary = server::summary(config);
    if json {
        let summary: serde_json::Map<_, _> =
            summary.into_iter().map(|(what, state)| (what.to_owned(), state.into())).collect();
        let (warnings, unknown) = (&config.warnings, unknown(config));
        return pretty(&json!({
            "settings": config.settings,
            "summary": summary,
            "warnings": warnings,
            "unknown": unknown,
        }));
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    for setting in &config.settings {
        let origin = if setting.given { "set" } else { "default" };
        let _ = writeln!(text, "{:<32} {origin:<8} {}", setting.name, setting.value);
    }
    text.push('\n');
    for (what, state) in summary {
        let _ = writeln!(text, "{what:<12} {state}");
    }
    for warning in &config.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    for name in unknown(config) {
        let _ = writeln!(text, "\nwarning: {name}: the service has no such variable");
    }
    text
}

/// Variables of the environment, that of `.env` included, which look like one of the service's and are none.
fn unknown(config: &Config) -> Vec<String> {
    let names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    config.unknown(names.iter().map(String::as_str)).into_iter().map(str::to_owned).collect()
}
