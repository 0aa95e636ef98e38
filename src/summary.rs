//! The summary for a programme officer: what arrived in a time, by form type and day, and what became of it
//! (`docs/service.md`, section 9).

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use crate::csv;
use crate::queue::{ArrivalFate, Queue, QueueError, Sighting};
use crate::reconcile::Kept;
use crate::submission::Origin;

/// Days that a summary has by default, today included.
const DAYS: u64 = 7;
/// The columns of the table.
const COLUMNS: [&str; 7] = ["day", "job_name", "received", "written", "waiting", "failed", "without_effect"];

/// What arrived in a time.
#[derive(Debug)]
pub(crate) struct Summary {
    /// Its beginning.
    pub(crate) since: DateTime<Utc>,
    /// By day and form type, oldest first.
    pub(crate) lines: Vec<(NaiveDate, String, Sums)>,
    /// Forms that CommCare could not deliver and that reconciliations have fetched in this time, by form type.
    pub(crate) found: BTreeMap<String, u64>,
    /// Answers whose code no label table knows, seen first in this time.
    pub(crate) answers: Vec<Sighting>,
    /// Whether there were more records than are looked at: the oldest are left out.
    pub(crate) cut: bool,
}

/// Records by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Those that arrived.
    pub(crate) received: u64,
    /// Those whose effect is done.
    pub(crate) written: u64,
    /// Those that wait, or are in work.
    pub(crate) waiting: u64,
    /// Those whose last run failed.
    pub(crate) failed: u64,
    /// Those that completed with nothing written: no rule matched, or a dry run.
    pub(crate) without_effect: u64,
}

impl Sums {
    fn add(&mut self, fate: ArrivalFate, count: u64) {
        self.received += count;
        match fate {
            ArrivalFate::Written => self.written += count,
            ArrivalFate::Waiting => self.waiting += count,
            ArrivalFate::Failed => self.failed += count,
            ArrivalFate::WithoutEffect => self.without_effect += count,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            written: self.written + other.written,
            waiting: self.waiting + other.waiting,
            failed: self.failed + other.failed,
            without_effect: self.without_effect + other.without_effect,
        }
    }

    /// In the order of the columns.
    pub(crate) fn cells(self) -> [u64; 5] {
        [self.received, self.written, self.waiting, self.failed, self.without_effect]
    }
}

impl Summary {
    /// What arrived since a time; without one, in the last week.
    pub(crate) async fn of(queue: &Queue, since: Option<DateTime<Utc>>) -> Result<Self, QueueError> {
        let now = queue.now();
        let first_day = now.date_naive().checked_sub_days(Days::new(DAYS - 1)).unwrap_or_default();
        let since = since.unwrap_or_else(|| first_day.and_time(NaiveTime::MIN).and_utc());
        let (mut sums, mut cut) = (BTreeMap::<(NaiveDate, String), Sums>::new(), false);
        for origin in Origin::ALL {
            let tally = queue.arrivals(origin, since, now).await?;
            cut |= tally.cut;
            for (arrivals, count) in tally.records {
                sums.entry((arrivals.day, arrivals.job_name)).or_default().add(arrivals.fate, count);
            }
        }
        let answers = queue.unmapped().await?.into_iter().filter(|seen| seen.first_seen >= since).collect();
        let found = Kept::missing_since(queue, since).await?;
        let lines = sums.into_iter().map(|((day, job_name), sums)| (day, job_name, sums)).collect();
        Ok(Self { since, lines, found, answers, cut })
    }

    /// The sums of each form type, over all days.
    pub(crate) fn by_job(&self) -> BTreeMap<&str, Sums> {
        let mut by_job = BTreeMap::<&str, Sums>::new();
        for (_, job_name, sums) in &self.lines {
            let total = by_job.entry(job_name).or_default();
            *total = total.plus(*sums);
        }
        by_job
    }

    /// The sums of everything.
    pub(crate) fn total(&self) -> Sums {
        self.lines.iter().fold(Sums::default(), |total, (_, _, sums)| total.plus(*sums))
    }

    /// A row for each day and form type.
    pub(crate) fn csv(&self) -> String {
        let row = |(day, job_name, sums): &(NaiveDate, String, Sums)| {
            let cells = [day.to_string(), job_name.clone()];
            csv::line(cells.into_iter().chain(sums.cells().map(|cell| cell.to_string())))
        };
        csv::line(COLUMNS) + &self.lines.iter().map(row).collect::<String>()
    }

    /// The same for people, with the sums and the new answers.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("Arrived since {}\n\n", csv::time(self.since));
        let mut line = |day: &str, job_name: &str, cells: [String; 5]| {
            let [received, written, waiting, failed, without_effect] = cells;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{day:<10}  {job_name:<34} {received:>8} {written:>8} {waiting:>8} {failed:>8} {without_effect:>14}"
            );
        };
        line(
            "day",
            "form type",
            ["received", "written", "waiting", "failed", "without effect"].map(str::to_owned),
        );
        for (day, job_name, sums) in &self.lines {
            line(&day.to_string(), job_name, sums.cells().map(|cell| cell.to_string()));
        }
        line("total", "", self.total().cells().map(|cell| cell.to_string()));
        if self.cut {
            text.push_str("\nThere were more records than are looked at: the oldest are left out.\n");
        }
        let _ = writeln!(text, "\nMissing forms found: {}", self.found.values().sum::<u64>());
        for (job_name, count) in &self.found {
            let _ = writeln!(text, "  {job_name}: {count}");
        }
        if !self.answers.is_empty() {
            text.push_str("\nNew answers without label\n");
        }
        for Sighting { job_name, answer, records, .. } in &self.answers {
            let _ = writeln!(text, "  {job_name}: {} = {} ({records} records)", answer.path, answer.code);
        }
        text
    }
}
