//! What a check has found.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// When it was made.
    pub checked_at: DateTime<Utc>,
    /// What became of each destination.
    pub destinations: Vec<Checked>,
    /// Everything that would fail.
    pub findings: Vec<Finding>,
    /// The result in one line.
    pub summary: String,
}

/// What became of one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// `salesforce`, `commcare`, `postgis` or `firestore`.
    pub name: String,
    /// Whether it was asked.
    pub status: CheckStatus,
    /// What was asked, or why not.
    pub detail: String,
}

/// Whether a destination was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It was asked.
    Checked,
    /// It has no credentials, or there is nothing to ask.
    NotChecked,
    /// It is configured, and could not be reached or asked.
    Unreachable,
}

/// Something that would fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Where.
    pub destination: String,
    /// `object.field`, an object or table, or the right that is meant.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// The form types that it stops.
    pub job_names: Vec<String>,
}

impl Report {
    /// A report of these parts.
    pub(super) fn new(checked_at: DateTime<Utc>, destinations: Vec<Checked>, findings: Vec<Finding>) -> Self {
        let summary = summary(&destinations, &findings);
        Self { checked_at, destinations, findings, summary }
    }

    /// The exit code of the command (`docs/service.md`, section 10).
    pub fn exit_code(&self) -> u8 {
        if !self.findings.is_empty() {
            1
        } else if self.destinations.iter().any(|checked| checked.status == CheckStatus::Unreachable) {
            2
        } else {
            0
        }
    }

    /// The report for people: a line for each finding, one for each destination, and the summary.
    pub fn as_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for finding in &self.findings {
            let _ = writeln!(text, "{finding}");
        }
        if !self.findings.is_empty() {
            text.push('\n');
        }
        for Checked { name, status, detail } in &self.destinations {
            let status = match status {
                CheckStatus::Checked => "checked",
                CheckStatus::NotChecked => "not checked",
                CheckStatus::Unreachable => "not reached",
            };
            let _ = writeln!(text, "{name:<11} {status}: {detail}");
        }
        let _ = writeln!(text, "\n{}", self.summary);
        text
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { destination, field, problem, job_names } = self;
        write!(f, "{destination}  {field}: {problem}; stops {}", job_names.join(", "))
    }
}

fn summary(destinations: &[Checked], findings: &[Finding]) -> String {
    let of = |wanted| -> Vec<&str> {
        let found = destinations.iter().filter(|checked| checked.status == wanted);
        found.map(|checked| checked.name.as_str()).collect()
    };
    let mut text = match findings.len() {
        0 => "nothing found that would fail".to_owned(),
        1 => "1 finding: it would fail".to_owned(),
        count => format!("{count} findings: these would fail"),
    };
    let parts = [
        ("checked", of(CheckStatus::Checked)),
        ("not reached", of(CheckStatus::Unreachable)),
        ("not checked", of(CheckStatus::NotChecked)),
    ];
    for (what, names) in parts {
        if !names.is_empty() {
            let _ = write!(text, "; {what}: {}", names.join(", "));
        }
    }
    text
}
