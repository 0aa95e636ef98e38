//! The meaning of a record's state, in words that an operator can act on.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::page::{duration, time};
use crate::jobs;
use crate::submission::{
    Attempt, AttemptOutcome, Awaits, Cause, Destination, ErrorKind, FETCHED, NextRetry, Origin, Record,
    Status, Trigger,
};

/// The state of a record, and the next thing that will happen to it.
pub(super) fn explanation(origin: Origin, record: &Record, max_retries: u32, now: DateTime<Utc>) -> Markup {
    html! {
        @match record.status {
            Status::Failed => { p { (trouble(origin, record)) " " (next(record, max_retries, now)) } }
            Status::New => p {
                "It waits for the next drain" @if record.run_retries > 0 { ", after " (times(record.run_retries)) }
                ". It has waited for " (duration((now - record.arrived()).num_seconds())) "."
                @if record.undecided_since.is_some() {
                    " Its last run failed, and that may be " (destination(origin, record)) "'s trouble: it is not counted."
                }
            }
            Status::Processing => p { (processing(record, now)) }
            Status::Completed => p {
                @match &record.note {
                    _ if record.dry_run => { "Its plan was recorded instead of sent: no credentials are set for " (destination(origin, record)) "." }
                    Some(note) if !record.delivered.is_empty() => { "It has reached CommCare, except what was " (note) "." }
                    Some(note) if note != FETCHED => { "Nothing was written: " (note) "." }
                    _ => { "It has reached " (destination(origin, record)) "." }
                }
            }
        }
    }
}

fn destination(origin: Origin, record: &Record) -> &'static str {
    match (jobs::find(origin, &record.job_name).map(|job| job.destination), origin) {
        (Some(Destination::Postgis), _) => "PostGIS",
        (Some(Destination::CommCare), _) | (None, Origin::Salesforce) => "CommCare",
        (Some(Destination::Salesforce), _) | (None, Origin::CommCare) => "Salesforce",
    }
}

/// The cause of a failure, by its kind.
fn trouble(origin: Origin, record: &Record) -> Markup {
    let destination = destination(origin, record);
    html! {
        @match record.error_kind {
            Some(ErrorKind::Dependency) => {
                @if record.waits_for.is_empty() {
                    (destination) " does not know a record yet that this one refers to."
                } @else {
                    (destination) " does not know "
                    @for (n, key) in record.waits_for.iter().enumerate() {
                        @let (object, id) = words_of(key);
                        @if n > 0 { ", or " }
                        (object) " " b { (id) }
                    }
                    " yet. It usually comes with another form: look for "
                    @for (n, (_, id)) in record.waits_for.iter().map(|key| words_of(key)).enumerate() {
                        @if n > 0 { ", " }
                        a href=(format!("/dashboard/search?{}", super::page::query(&[("id", Some(id))]))) { (id) }
                    }
                    "."
                }
            }
            Some(ErrorKind::Transient) => { (destination) " could not take it just then; such trouble passes by itself." }
            _ if record.cause == Some(Cause::Outage) => {
                (destination) " was in trouble for longer than the service waits, and took nothing that would tell whether the "
                "record is to blame. Retry it once " (destination) " is well."
            }
            Some(ErrorKind::Permanent) if record.cause == Some(Cause::Mapping) => {
                "It cannot be mapped as it is: the form has to be corrected in " (sender(origin)) " and sent again."
            }
            Some(ErrorKind::Permanent) if record.cause == Some(Cause::Superseded) => {
                "A later form has written the same records: nothing newer is overwritten. Retry it with force if it is to win all the same."
            }
            Some(ErrorKind::Permanent) if record.cause == Some(Cause::WorkerLost) => {
                "Its workers disappeared while they processed it: look into the logs before you retry it."
            }
            Some(ErrorKind::Permanent) => {
                (destination) " refuses it: correct the record or the rule that it breaks, then retry it."
            }
            None => { "It failed before this service took over, or its status was set by hand." }
        }
    }
}

fn sender(origin: Origin) -> &'static str {
    match origin {
        Origin::CommCare => "CommCare",
        Origin::Salesforce => "Salesforce",
    }
}

/// The object of a record's key, in words, and its external id.
fn words_of(key: &str) -> (String, &str) {
    let (object, id) = key.split_once('/').unwrap_or(("", key));
    let words = match object {
        "wetmills" => "the mill".to_owned(),
        "case" => "the case".to_owned(),
        object => object.trim_end_matches("__c").replace('_', " ").to_lowercase(),
    };
    (words, id)
}

/// The time of the next try.
fn next(record: &Record, max_retries: u32, now: DateTime<Utc>) -> Markup {
    let by_itself = record.run_retries < max_retries || record.error_kind == Some(ErrorKind::Dependency);
    html! {
        @match record.next_retry_at {
            NextRetry::At(at) if by_itself && at > now => {
                "It will be retried at " (time(at)) ", in " (duration((at - now).num_seconds())) "."
            }
            NextRetry::At(_) | NextRetry::Unset if by_itself => { "It is due: the next auto-retry takes it." }
            _ if record.error_kind == Some(ErrorKind::Permanent) => { "It is not retried by itself." }
            _ => { "It is not retried by itself any more, after " (times(record.run_retries)) "." }
        }
    }
}

fn times(retries: u32) -> String {
    if retries == 1 { "1 retry".to_owned() } else { format!("{retries} retries") }
}

fn processing(record: &Record, now: DateTime<Utc>) -> Markup {
    html! {
        @match record.lease_expires_at {
            Some(end) if end > now => {
                "A worker has it; its lease ends in " (duration((end - now).num_seconds())) " unless it is renewed."
            }
            _ => { "Its worker is gone: the next drain takes it over." }
        }
    }
}

/// What failed records wait for, in words.
pub(super) fn awaits(awaits: Awaits) -> &'static str {
    match awaits {
        Awaits::Reference => "waiting for another form",
        Awaits::Retry => "retried by themselves",
        Awaits::Person => "need you",
    }
}

/// The trigger of a run, in words.
pub(super) fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Batch => "drain",
        Trigger::AutoRetry => "auto-retry",
        Trigger::Manual => "by hand",
        Trigger::Inline => "in its webhook call",
        Trigger::Reconcile => "by a reconciliation",
    }
}

/// How an attempt ended.
pub(super) fn outcome(attempt: &Attempt) -> &'static str {
    match attempt.outcome {
        None => "running",
        Some(AttemptOutcome::Completed) => "completed",
        Some(AttemptOutcome::Failed) => "failed",
        Some(AttemptOutcome::Undecided) => "put back: perhaps the destination's trouble",
        Some(AttemptOutcome::Released) => "put back untouched",
        Some(AttemptOutcome::Abandoned) => "its worker disappeared",
        Some(AttemptOutcome::Replaced) => "replaced by an edited form",
        Some(AttemptOutcome::Updated) if attempt.trigger == Trigger::Reconcile => "fetched",
        Some(AttemptOutcome::Updated) => "its status was set",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_said_in_words() {
        assert_eq!(words_of("Training_Session__c/ts-17"), ("training session".to_owned(), "ts-17"));
        assert_eq!(words_of("wetmills/a/b"), ("the mill".to_owned(), "a/b"));
    }
}
