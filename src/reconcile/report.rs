//! What a reconciliation found.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::Asked;
use crate::submission::Destination;

/// Ids, or refused forms, that a report names; the rest is counted.
pub(super) const LISTED: usize = 100;

/// What became of the forms that were listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// All that HQ listed.
    pub checked: u64,
    /// Forms that are new here.
    pub accepted: u64,
    /// Newer editions of known forms.
    pub replaced: u64,
    /// Forms whose content is here.
    pub already_there: u64,
    /// Forms of which a newer edition is here.
    pub newer_there: u64,
    /// Forms of types that aren't handled.
    pub unhandled: u64,
    /// Forms that CommCare received outside the time that is asked for.
    pub outside: u64,
    /// Forms that cannot be taken.
    pub refused: u64,
    /// The accepted and replaced ones, by form type and day; those of no day are of `None`.
    missing: BTreeMap<String, BTreeMap<String, [u64; 2]>>,
    refused_forms: Vec<RefusedForm>,
    archived: Vec<String>,
}

impl Tally {
    /// Adds what another one counts.
    pub(super) fn add(&mut self, more: &Self) {
        self.checked += more.checked;
        self.accepted += more.accepted;
        self.replaced += more.replaced;
        self.already_there += more.already_there;
        self.newer_there += more.newer_there;
        self.unhandled += more.unhandled;
        self.outside += more.outside;
        self.refused += more.refused;
        for (job_name, days) in &more.missing {
            let of_job = self.missing.entry(job_name.clone()).or_default();
            for (day, [accepted, replaced]) in days {
                let counts = of_job.entry(day.clone()).or_default();
                counts[0] += accepted;
                counts[1] += replaced;
            }
        }
        let room = LISTED.saturating_sub(self.refused_forms.len());
        self.refused_forms.extend(more.refused_forms.iter().take(room).cloned());
        let room = LISTED.saturating_sub(self.archived.len());
        self.archived.extend(more.archived.iter().take(room).cloned());
    }

    /// Counts a form that was missing.
    pub(super) fn add_missing(&mut self, job_name: &str, day: Option<NaiveDate>, is_new: bool) {
        let day = day.map_or_else(String::new, |day| day.to_string());
        let counts = self.missing.entry(job_name.to_owned()).or_default().entry(day).or_default();
        if is_new {
            self.accepted += 1;
            counts[0] += 1;
        } else {
            self.replaced += 1;
            counts[1] += 1;
        }
    }

    /// Counts a form that cannot be taken.
    pub(super) fn refuse(&mut self, id: Option<String>, error: String) {
        self.refused += 1;
        if self.refused_forms.len() < LISTED {
            self.refused_forms.push(RefusedForm { id, error });
        }
    }

    /// Notes a form that was archived in CommCare since it came here.
    pub(super) fn add_archived(&mut self, id: String) {
        if self.archived.len() < LISTED {
            self.archived.push(id);
        }
    }

    /// Forms that were missing, by form type.
    pub fn missing_by_job(&self) -> impl Iterator<Item = (&str, u64)> {
        self.missing.iter().map(|(job_name, days)| (job_name.as_str(), days.values().flatten().sum()))
    }

    fn missing(&self) -> Vec<Missing> {
        let of_job = |(job_name, days): (&String, &BTreeMap<String, [u64; 2]>)| {
            let of_day = |(day, [accepted, replaced]): (&String, &[u64; 2])| Missing {
                job_name: job_name.clone(),
                day: day.parse().ok(),
                accepted: *accepted,
                replaced: *replaced,
            };
            days.iter().map(of_day).collect::<Vec<_>>()
        };
        self.missing.iter().flat_map(of_job).collect()
    }
}

/// Forms of one type and day that were missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Missing {
    /// The form type.
    pub job_name: String,
    /// The day on which CommCare received them, in UTC.
    pub day: Option<NaiveDate>,
    /// Forms that are new here.
    pub accepted: u64,
    /// Newer editions of known forms.
    pub replaced: u64,
}

/// A form that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedForm {
    /// Its id, where it has one that can be.
    pub id: Option<String>,
    /// Why.
    pub error: String,
}

/// Forms that are here and that HQ does not list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotInCommCare {
    /// How many.
    pub count: u64,
    /// The first hundred of their ids.
    pub ids: Vec<String>,
}

impl NotInCommCare {
    pub(super) fn add(&mut self, id: String) {
        self.count += 1;
        if self.ids.len() < LISTED {
            self.ids.push(id);
        }
    }
}

/// Why HQ could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoppedAt {
    /// `commcare`.
    pub destination: &'static str,
    /// In HQ's words.
    pub reason: String,
}

/// What one call did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Reconciliation)]
pub struct Report {
    /// `Reconciliation completed`.
    pub status: &'static str,
    /// Whether forms were only counted; absent where not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// All that HQ listed in this call.
    pub checked: u64,
    /// Forms that are new here.
    pub accepted: u64,
    /// Newer editions of known forms.
    pub replaced: u64,
    /// Forms whose content is here.
    pub already_there: u64,
    /// Forms of which a newer edition is here.
    pub newer_there: u64,
    /// Forms of types that aren't handled.
    pub unhandled: u64,
    /// Forms that CommCare received outside the time that is asked for.
    pub outside: u64,
    /// Forms that cannot be taken.
    pub refused: u64,
    /// Up to when HQ has been asked; null before the first page.
    pub up_to: Option<DateTime<Utc>>,
    /// Whether the list was read to its end. Where not, the next call goes on.
    pub finished: bool,
    /// The accepted and replaced forms by form type and day.
    pub missing: Vec<Missing>,
    /// The first hundred forms that cannot be taken.
    pub refused_forms: Vec<RefusedForm>,
    /// The first hundred ids of forms that somebody archived in CommCare since they came here.
    pub archived: Vec<String>,
    /// Forms of this time that are here and that HQ does not list; null where the list was not read from its beginning to
    /// its end in one call.
    pub not_in_commcare: Option<NotInCommCare>,
    /// Why nothing was asked for; absent where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    /// Why HQ could not be asked; absent where it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StoppedAt>,
}

impl Report {
    pub(super) fn new(
        asked: &Asked,
        tally: Tally,
        up_to: Option<DateTime<Utc>>,
        finished: bool,
        not_in_commcare: Option<NotInCommCare>,
        stopped: Option<String>,
    ) -> Self {
        let missing = tally.missing();
        let Tally {
            checked,
            accepted,
            replaced,
            already_there,
            newer_there,
            unhandled,
            outside,
            refused,
            ..
        } = tally;
        let destination = Destination::CommCare.as_str();
        Self {
            status: "Reconciliation completed",
            dry_run: asked.dry_run,
            checked,
            accepted,
            replaced,
            already_there,
            newer_there,
            unhandled,
            outside,
            refused,
            up_to,
            finished,
            missing,
            refused_forms: tally.refused_forms,
            archived: tally.archived,
            not_in_commcare,
            note: None,
            stopped: stopped.map(|reason| StoppedAt { destination, reason }),
        }
    }

    /// HQ could not even be asked.
    pub(super) fn stopped(asked: &Asked, reason: &str) -> Self {
        Self::new(asked, Tally::default(), None, false, None, Some(reason.to_owned()))
    }

    /// There was nothing to ask for.
    pub(super) fn nothing(asked: &Asked, note: &'static str) -> Self {
        Self { note: Some(note), ..Self::new(asked, Tally::default(), None, true, None, None) }
    }
}
