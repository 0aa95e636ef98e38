//! What must be true of the queue, once the troubles are over.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use commcare_sf_integration::jobs;
use commcare_sf_integration::queue::Queue;
use commcare_sf_integration::submission::{
    Attempt, AttemptOutcome, Destination, NextRetry, Origin, Record, Status,
};

use super::load::Mail;
use super::trouble::{Journal, Vendor};

/// The queue's records by document id, as they are now.
pub(super) struct Books(BTreeMap<(&'static str, String), (Mail, Record)>);

impl Books {
    /// The record of every acknowledged payload: there is exactly one, and it holds that payload.
    pub(super) async fn open(queue: &Queue, acknowledged: &[Mail]) -> Self {
        let mut books = BTreeMap::new();
        for mail in acknowledged {
            let mut found = queue.find(mail.origin, mail.id()).await.unwrap();
            assert_eq!(found.records.len(), 1, "{}: {} records", mail.id(), found.records.len());
            let record = found.records.remove(0).1;
            assert_eq!(*record.data, mail.payload, "{}: not the last edition", mail.id());
            books.insert((mail.origin.collection(), mail.id().to_owned()), (mail.clone(), record));
        }
        Self(books)
    }

    /// The payloads in the order in which they arrived.
    pub(super) fn by_arrival(&self) -> Vec<Mail> {
        let mut records: Vec<&(Mail, Record)> = self.0.values().collect();
        records.sort_by_key(|(_, record)| record.arrived());
        records.into_iter().map(|(mail, _)| mail.clone()).collect()
    }

    /// What has not completed.
    pub(super) fn left(&self) -> Vec<(&Mail, &Record)> {
        let all = self.0.values().map(|(mail, record)| (mail, record));
        all.filter(|(_, record)| record.status != Status::Completed).collect()
    }

    /// The stories of the families that a text speaks of.
    pub(super) fn told_of(&self, text: &str) -> String {
        let all = self.0.values();
        let told = all.filter(|(mail, _)| text.contains(family(mail)));
        told.map(|(mail, record)| brief(mail, record)).collect()
    }

    /// The same, in words.
    pub(super) fn left_briefly(&self) -> String {
        self.left().into_iter().map(|(mail, record)| brief(mail, record)).collect()
    }

    /// Holds every error, of now and of before, counted or not, against what really went wrong.
    pub(super) fn assert_truthful(&self, journal: &Journal, kills: usize) {
        for (mail, record) in self.0.values().filter(|(mail, _)| !mail.is_poison()) {
            let failed = record.status == Status::Failed;
            let story = || brief(mail, record);
            assert_ne!(record.status, Status::Processing, "in nobody's hands: {}", story());
            assert_eq!(
                (failed, failed),
                (record.error.is_some(), record.error_kind.is_some()),
                "{}",
                story()
            );
            let lost = |attempt: &Attempt| attempt.outcome == Some(AttemptOutcome::Abandoned);
            assert!(kills > 0 || !record.attempts.iter().any(lost), "no worker was lost: {}", story());
            for attempt in &record.attempts {
                if let Some((error, finished)) = attempt.error.as_deref().zip(attempt.finished) {
                    let untruth = self.untruth(mail, error, (attempt.started, finished), journal);
                    assert_eq!(untruth, None, "{error}\n{}{journal}", story());
                }
            }
        }
    }

    /// Everything that nobody has poisoned goes on by itself: no trouble of a vendor, and no death of a worker, has used
    /// up a record.
    pub(super) fn assert_nobody_is_needed(&self) {
        for (mail, record) in self.left().into_iter().filter(|(mail, _)| !mail.is_poison()) {
            let goes_on = record.status != Status::Failed || matches!(record.next_retry_at, NextRetry::At(_));
            assert!(goes_on, "it waits for a person: {}", brief(mail, record));
        }
    }

    fn untruth(
        &self,
        mail: &Mail,
        error: &str,
        time: (DateTime<Utc>, DateTime<Utc>),
        journal: &Journal,
    ) -> Option<String> {
        let awaits = ["Foreign key external ID", "no mill is registered", "InvalidCaseIndex"];
        if awaits.iter().any(|words| error.contains(words)) {
            return self.was_there_already(mail, time.0, error);
        }
        journal.untruth(vendor(mail), error, time)
    }

    /// Says that what a payload is said to have waited for had been there before it was tried.
    fn was_there_already(&self, mail: &Mail, tried: DateTime<Utc>, error: &str) -> Option<String> {
        let (prefix, origin) = match vendor(mail) {
            Vendor::Salesforce => ("reg", Origin::CommCare),
            Vendor::Postgis => ("mill", Origin::CommCare),
            Vendor::CommCare | Vendor::Firestore | Vendor::Disk => ("group", Origin::Salesforce),
        };
        let awaited = format!("{prefix}-{}", family(mail));
        if !error.contains(&awaited) {
            return Some(format!("{awaited} is what it waits for"));
        }
        // It may not have been sent when the time was over.
        let (_, record) = self.0.get(&(origin.collection(), awaited.clone()))?;
        let completed =
            record.attempts.iter().find(|attempt| attempt.outcome == Some(AttemptOutcome::Completed));
        let there = completed.and_then(|attempt| attempt.finished).filter(|there| *there < tried)?;
        Some(format!("{awaited} was there at {there}, before {tried}"))
    }
}

/// A record's story, to be read by a person.
pub(super) fn brief(mail: &Mail, record: &Record) -> String {
    let Record { status, error_kind, error, next_retry_at, run_retries, .. } = record;
    let mut story = format!(
        "{} {} arrived {}: {status:?} {error_kind:?} {error:?}, {run_retries} retries, next {next_retry_at:?}\n",
        mail.id(),
        record.job_name,
        record.arrived(),
    );
    for Attempt { started, finished, worker, trigger, outcome, error, .. } in &record.attempts {
        let finished = finished.map(|finished| finished.format("%T%.3f").to_string());
        // Writing to a text cannot fail.
        let _ = writeln!(
            story,
            "    {} – {} {trigger:?} by {worker}: {outcome:?} {}",
            started.format("%T%.3f"),
            finished.unwrap_or_default(),
            error.as_deref().unwrap_or_default(),
        );
    }
    story
}

/// What the ids of a family have in common.
fn family(mail: &Mail) -> &str {
    mail.id().split_once('-').unwrap().1
}

/// Where a payload goes.
fn vendor(mail: &Mail) -> Vendor {
    let name = jobs::job_name(mail.origin, &mail.payload).unwrap();
    match jobs::find(mail.origin, name).unwrap().destination {
        Destination::Salesforce => Vendor::Salesforce,
        Destination::CommCare => Vendor::CommCare,
        Destination::Postgis => Vendor::Postgis,
    }
}
