//! The destinations held against the mappings (`docs/service.md`, section 10): what would fail is found before the field
//! finds it. Nothing is written.

mod report;
mod salesforce;

use std::collections::BTreeSet;

use futures::future::try_join_all;
use tracing::warn;

use crate::clock;
use crate::config::Config;
use crate::destinations::postgis::Postgis;
use crate::destinations::salesforce::Salesforce;
use crate::destinations::{DeliveryError, Destinations, Fault, NotAsked};
use crate::jobs::{self, Entry, JOBS};
use crate::queue::{Queue, QueueError};
use crate::submission::Destination;
use crate::text::with_causes;
pub use report::{CheckStatus, Checked, Finding, Report};
use salesforce::Org;

/// The document of the queue that keeps the last report.
const LAST: &str = "check-destinations";
/// Objects of Salesforce that are asked for at a time.
const AT_A_TIME: usize = 4;
/// Characters of the longest name that a photo has: a UUID and an ending, as Web Apps gives it. Phones give a time in
/// milliseconds.
const FILE_NAME: usize = 36 + ".jpeg".len();
/// Characters of a form's id.
const INSTANCE_ID: usize = 36;
/// The longest domain that CommCare HQ gives, for a service without `CC_DOMAIN`.
const DOMAIN: usize = 25;

/// The length of the longest address of a photo that the mappings write.
pub fn longest_file_url(config: &Config) -> usize {
    let domain = config.commcare.as_ref().map(|commcare| commcare.domain.len());
    let fixed = "/a//api/form/attachment//".len();
    config.hq.len() + fixed + domain.unwrap_or(DOMAIN) + INSTANCE_ID + FILE_NAME
}

/// Asks every destination. `queue` is asked for its indexes; `None` leaves it alone.
pub async fn run(destinations: &Destinations, queue: Option<&Queue>, longest_url: usize) -> Report {
    let parts = futures::join!(
        of_salesforce(destinations.salesforce.as_ref(), longest_url),
        of_commcare(destinations),
        of_postgis(destinations.postgis.as_ref()),
        of_queue(queue),
    );
    let (mut checked, mut findings) = (Vec::new(), Vec::new());
    for (part, found) in [parts.0, parts.1, parts.2, parts.3] {
        checked.push(part);
        findings.extend(found);
    }
    Report::new(clock::now(), checked, findings)
}

/// Keeps a report, and says in the log what was found.
pub async fn keep(queue: &Queue, report: &Report) -> Result<(), QueueError> {
    for finding in &report.findings {
        let Finding { destination, field, problem, job_names } = finding;
        let stops = job_names.join(", ");
        warn!(destination, field, problem, stops, "destination differs from the mappings");
    }
    queue.set_state(LAST, &serde_json::json!(report)).await
}

/// The last report that was kept; `None` before the first.
pub async fn last(queue: &Queue) -> Result<Option<Report>, QueueError> {
    let kept = queue.state(LAST).await?;
    // A report of another version of the service counts as none.
    Ok(kept.and_then(|kept| serde_json::from_value(kept).ok()))
}

type Part = (Checked, Vec<Finding>);

fn part(name: &str, status: CheckStatus, detail: impl Into<String>) -> Checked {
    Checked { name: name.to_owned(), status, detail: detail.into() }
}

fn without_credentials(name: &str) -> Part {
    (part(name, CheckStatus::NotChecked, "no credentials; plans are recorded and not sent"), Vec::new())
}

/// The lines of the mappings that go to a destination.
fn entries(destination: Destination) -> impl Iterator<Item = &'static Entry> {
    let goes = move |name| JOBS.iter().any(|job| job.name == name && job.destination == destination);
    jobs::mappings().iter().filter(move |entry| goes(entry.job_name))
}

fn job_names(destination: Destination) -> Vec<String> {
    let jobs = JOBS.iter().filter(|job| job.destination == destination);
    jobs.map(|job| job.name.to_owned()).collect()
}

async fn of_salesforce(salesforce: Option<&Salesforce>, longest_url: usize) -> Part {
    const NAME: &str = "salesforce";
    let Some(salesforce) = salesforce else { return without_credentials(NAME) };
    let objects = salesforce::written(entries(Destination::Salesforce));
    let described = async {
        let names: BTreeSet<String> = objects.keys().map(|name| (*name).to_owned()).collect();
        let mut org = describe(salesforce, names).await?;
        let others = describe(salesforce, salesforce::referred(&objects, &org)).await?;
        org.extend(others);
        Ok::<_, DeliveryError>(org)
    };
    match described.await {
        Ok(org) => {
            let detail = format!("{} objects were described", org.len());
            (part(NAME, CheckStatus::Checked, detail), salesforce::compare(&objects, &org, longest_url))
        }
        Err(error) if error.is_refused_login() => {
            let finding = Finding {
                destination: NAME.to_owned(),
                field: "login".to_owned(),
                problem: error.message,
                job_names: job_names(Destination::Salesforce),
            };
            (part(NAME, CheckStatus::Checked, "the log-in was refused"), vec![finding])
        }
        Err(error) => (part(NAME, CheckStatus::Unreachable, error.message), Vec::new()),
    }
}

async fn describe(salesforce: &Salesforce, names: BTreeSet<String>) -> Result<Org, DeliveryError> {
    let names: Vec<String> = names.into_iter().collect();
    let mut org = Org::new();
    for some in names.chunks(AT_A_TIME) {
        let found = try_join_all(some.iter().map(|name| salesforce.describe(name))).await?;
        org.extend(some.iter().cloned().zip(found));
    }
    Ok(org)
}

async fn of_commcare(destinations: &Destinations) -> Part {
    const NAME: &str = "commcare";
    let Some(commcare) = &destinations.commcare else { return without_credentials(NAME) };
    let detail = "the credential, the receiver and the right to read forms";
    of_faults(NAME, detail, commcare.faults().await, &job_names(Destination::CommCare))
}

async fn of_postgis(postgis: Option<&Postgis>) -> Part {
    const NAME: &str = "postgis";
    let Some(postgis) = postgis else { return without_credentials(NAME) };
    let columns: BTreeSet<(String, String)> = entries(Destination::Postgis)
        .map(|entry| (entry.object.clone(), column(&entry.field).to_owned()))
        .collect();
    let columns: Vec<(String, String)> = columns.into_iter().collect();
    let detail = "extensions, migrations, tables and rights";
    of_faults(NAME, detail, postgis.faults(&columns).await, &job_names(Destination::Postgis))
}

/// The column of a field: rows name their parents by the ids that forms know.
fn column(field: &str) -> &str {
    match field {
        "wetmill" => "wetmill_id",
        "form_visit" => "form_visit_id",
        "survey_response" => "survey_response_id",
        field => field,
    }
}

async fn of_queue(queue: Option<&Queue>) -> Part {
    const NAME: &str = "firestore";
    let Some(queue) = queue else {
        return (part(NAME, CheckStatus::NotChecked, "the queue is no Firestore"), Vec::new());
    };
    let all: Vec<String> = JOBS.iter().map(|job| job.name.to_owned()).collect();
    match queue.missing_indexes().await {
        Ok(None) => (part(NAME, CheckStatus::NotChecked, "the queue is no Firestore"), Vec::new()),
        Ok(Some(missing)) => {
            let fault = |(query, problem): (&'static str, String)| Fault { place: query.to_owned(), problem };
            let missing = missing.into_iter().map(fault).collect();
            of_faults(NAME, "a query of each kind was asked", Ok(missing), &all)
        }
        Err(error) => (part(NAME, CheckStatus::Unreachable, with_causes(&error)), Vec::new()),
    }
}

fn of_faults(name: &str, detail: &str, asked: Result<Vec<Fault>, NotAsked>, jobs: &[String]) -> Part {
    let finding = |fault: Fault| Finding {
        destination: name.to_owned(),
        field: fault.place,
        problem: fault.problem,
        job_names: jobs.to_vec(),
    };
    match asked {
        Ok(faults) => (part(name, CheckStatus::Checked, detail), faults.into_iter().map(finding).collect()),
        Err(NotAsked(why)) => (part(name, CheckStatus::Unreachable, why), Vec::new()),
    }
}
