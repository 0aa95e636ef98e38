//! What operators ask of the queue and set by hand, on SQLite and on Firestore.

use std::time::Duration;

use crate::support::claims::ClaimMany;
use chrono::{DateTime, TimeDelta, Utc};
use commcare_sf_integration::clock;
use commcare_sf_integration::config::{QueueSettings, RetryPolicy};
use commcare_sf_integration::queue::{
    ArrivalFate, Arriving, ClaimOutcome, ClaimResult, FailedFilter, HandSet, Queue, RecordFailure, Shown,
};
use commcare_sf_integration::submission::{
    AttemptOutcome, Cause, ErrorKind, NextRetry, Origin, Role, Status, Trigger, Unmapped,
};
use serde_json::json;

use super::backend::{
    Backend, POLICY, arriving, claim, claim_one, completed, failed, ids, on_both_back_ends, put_id, the,
    unmapped,
};

on_both_back_ends!(
    failed_records_are_found_and_counted_by_job_and_kind,
    failed_records_are_found_by_cause_time_and_text,
    failed_records_are_grouped_by_what_they_failed_of,
    a_mark_of_an_answer_stays_until_it_is_taken_away,
    arrivals_are_counted_by_day_form_type_and_fate,
    the_attempts_of_late_are_those_of_completed_and_failed_records,
    an_answer_is_counted_once_for_each_record_with_first_and_last_sight,
    a_status_is_set_by_hand_with_the_role_in_the_history,
    a_record_in_work_keeps_its_status,
    a_record_set_to_failed_is_due_and_one_set_to_processing_is_claimable,
    a_record_beyond_a_lowered_bound_of_retries_holds_up_no_other,
    a_manual_claim_bears_the_role_of_who_asked,
    each_id_names_its_records,
    a_completed_record_says_when_it_may_go_and_one_that_runs_again_does_not,
);

async fn fail(queue: &Queue, id: &str, job_name: &str, kind: ErrorKind) {
    let form = Arriving { job_name: job_name.to_owned(), ..arriving(json!({ "id": id, "form": {} })) };
    queue.accept(form).await.unwrap();
    let claimed = claim_one(queue).await;
    queue.settle(claimed, failed(kind)).await.unwrap();
}

async fn failed_records_are_found_and_counted_by_job_and_kind(backend: Backend) {
    let queue = backend.open().await;
    fail(&queue, "a", "Farmer Registration", ErrorKind::Permanent).await;
    fail(&queue, "b", "Farmer Registration", ErrorKind::Transient).await;
    fail(&queue, "c", "Training Observation", ErrorKind::Permanent).await;
    fail(&queue, "d", "Farmer Registration", ErrorKind::Permanent).await;
    put_id(&queue, "not-failed").await;
    let filter = |job_name: Option<&str>, error_kind| FailedFilter {
        job_name: job_name.map(str::to_owned),
        error_kind,
        ..FailedFilter::default()
    };
    let registration = Some("Farmer Registration");
    for (filter, expected) in [
        (filter(None, None), vec!["d", "c", "b", "a"]),
        (filter(registration, None), vec!["d", "b", "a"]),
        (filter(None, Some(ErrorKind::Permanent)), vec!["d", "c", "a"]),
        (filter(registration, Some(ErrorKind::Permanent)), vec!["d", "a"]),
        (filter(registration, Some(ErrorKind::Dependency)), vec![]),
        (filter(Some("Wet Mill Visit"), None), vec![]),
    ] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page =
                queue.failed(Origin::CommCare, &filter, after.as_ref(), Shown::Summary, 1).await.unwrap();
            for (doc_id, record) in page.records {
                assert!(record.data.is_null() && record.error.is_some() && record.attempts.len() == 1);
                found.push(doc_id);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{filter:?}");
        let count = queue.count_failed(Origin::CommCare, &filter).await.unwrap();
        assert_eq!(count, expected.len() as u64, "{filter:?}");
        assert_eq!(queue.count_failed(Origin::Salesforce, &filter).await.unwrap(), 0);
    }
}

/// Puts a record that fails with this error; the time of its failure.
async fn fail_with(queue: &Queue, id: &str, cause: Cause, error: &str) -> DateTime<Utc> {
    put_id(queue, id).await;
    let claimed = claim_one(queue).await;
    let failure = RecordFailure::new(ErrorKind::Permanent, cause, "step", error.to_owned());
    queue.settle(claimed, ClaimOutcome::Failed(failure)).await.unwrap();
    the(queue, id).await.updated_at.unwrap()
}

async fn found(queue: &Queue, filter: &FailedFilter) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = queue.failed(Origin::CommCare, filter, after.as_ref(), Shown::Summary, 2).await.unwrap();
        assert!(page.records.len() <= 2, "{page:?}");
        found.extend(page.records.into_iter().map(|(doc_id, _)| doc_id));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn failed_records_are_found_by_cause_time_and_text(backend: Backend) {
    let queue = backend.open().await;
    fail_with(&queue, "a", Cause::Mapping, "form.date: missing").await;
    let second = fail_with(&queue, "b", Cause::Refused, "no such Mill").await;
    fail_with(&queue, "c", Cause::Mapping, "form.mill: missing").await;
    let last = fail_with(&queue, "d", Cause::Mapping, "form.DATE: missing").await;
    let all = FailedFilter::default();
    let text = |text: &str| FailedFilter { text: Some(text.to_owned()), ..FailedFilter::default() };
    for (filter, expected) in [
        (FailedFilter { cause: Some(Cause::Mapping), ..all.clone() }, vec!["d", "c", "a"]),
        (FailedFilter { since: Some(second), ..all.clone() }, vec!["d", "c", "b"]),
        (FailedFilter { until: Some(second), ..all.clone() }, vec!["a"]),
        (FailedFilter { since: Some(second), until: Some(last), ..all.clone() }, vec!["c", "b"]),
        (FailedFilter { since: Some(second), cause: Some(Cause::Mapping), ..all.clone() }, vec!["d", "c"]),
        (text("form.date"), vec!["d", "a"]),
        (text("MILL"), vec!["c", "b"]),
        (FailedFilter { cause: Some(Cause::Refused), ..text("mill") }, vec!["b"]),
        (text("missing"), vec!["d", "c", "a"]),
        (text("nothing of the kind"), vec![]),
    ] {
        assert_eq!(found(&queue, &filter).await, expected, "{filter:?}");
        let count = queue.count_failed(Origin::CommCare, &filter).await.unwrap();
        assert_eq!(count, expected.len() as u64, "{filter:?}");
    }
}

async fn failed_records_are_grouped_by_what_they_failed_of(backend: Backend) {
    let queue = backend.open().await;
    let oldest = fail_with(&queue, "a", Cause::Refused, "no farmer f-17").await;
    fail_with(&queue, "b", Cause::Mapping, "form.date: missing").await;
    let newest = fail_with(&queue, "c", Cause::Refused, "no farmer f-4").await;
    let found_groups = queue.failed_groups(Origin::CommCare, &FailedFilter::default()).await.unwrap();
    assert_eq!((found_groups.total, found_groups.cut), (3, false));
    let largest = &found_groups.groups[0];
    assert_eq!((largest.count, largest.error.as_str(), largest.example.as_str()), (2, "no farmer f-4", "c"));
    assert_eq!((largest.oldest, largest.newest), (Some(oldest), Some(newest)));
    assert_eq!(found_groups.groups[1].count, 1);
    let group = FailedFilter { group: Some(largest.key.clone()), ..FailedFilter::default() };
    assert_eq!(found(&queue, &group).await, ["c", "a"]);
    assert_eq!(queue.count_failed(Origin::CommCare, &group).await.unwrap(), 2);
}

async fn a_mark_of_an_answer_stays_until_it_is_taken_away(backend: Backend) {
    let queue = backend.open().await;
    let answer = Unmapped { path: "form.shade".to_owned(), code: "9".to_owned() };
    let mark = async |known| queue.mark_unmapped("Farm Visit Full", &answer, known).await.unwrap();
    assert!(!mark(true).await, "nobody has had it");
    for (doc_id, known) in [("a", false), ("b", true), ("c", false)] {
        queue.add_unmapped(Origin::CommCare, "Farm Visit Full", doc_id, vec![answer.clone()]).await.unwrap();
        let seen = queue.unmapped().await.unwrap();
        assert_eq!((seen.len(), seen[0].known, seen[0].example.as_deref()), (1, known, Some(doc_id)));
        assert!(mark(!known).await);
    }
}

async fn arrivals_are_counted_by_day_form_type_and_fate(backend: Backend) {
    let queue = backend.open().await;
    let began = clock::now();
    fail(&queue, "failed", "Farmer Registration", ErrorKind::Permanent).await;
    fail(&queue, "visit", "Farm Visit Full", ErrorKind::Permanent).await;
    for (id, outcome) in [
        ("written", completed()),
        (
            "nothing",
            ClaimOutcome::Completed {
                note: Some("no rule matched".to_owned()),
                dry_run: None,
                unmapped: Vec::new(),
            },
        ),
    ] {
        put_id(&queue, id).await;
        let claimed = claim_one(&queue).await;
        queue.settle(claimed, outcome).await.unwrap();
    }
    put_id(&queue, "waits").await;
    let end = clock::now() + TimeDelta::minutes(1);
    let tally = queue.arrivals(Origin::CommCare, began - TimeDelta::minutes(1), end).await.unwrap();
    assert!(!tally.cut);
    let mut counted: Vec<_> = tally
        .records
        .iter()
        .map(|(arrivals, count)| (arrivals.job_name.as_str(), arrivals.fate, *count))
        .collect();
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            ("Farm Visit Full", ArrivalFate::Failed, 1),
            ("Farmer Registration", ArrivalFate::Waiting, 1),
            ("Farmer Registration", ArrivalFate::Written, 1),
            ("Farmer Registration", ArrivalFate::WithoutEffect, 1),
            ("Farmer Registration", ArrivalFate::Failed, 1),
        ]
    );
    assert!(tally.records.keys().all(|arrivals| arrivals.day >= began.date_naive()));
    let none = queue.arrivals(Origin::CommCare, end, end + TimeDelta::days(1)).await.unwrap();
    assert!(none.records.is_empty());
    let other = queue.arrivals(Origin::Salesforce, began - TimeDelta::minutes(1), end).await.unwrap();
    assert!(other.records.is_empty());
}

#[tokio::test]
async fn groups_are_those_of_a_bounded_number_of_records() {
    let backend = Backend::sqlite();
    let queue = backend.open().await;
    fail_with(&queue, "a", Cause::Mapping, "form.date: missing").await;
    let QueueSettings::Sqlite(settings) = &backend.settings else { panic!("SQLite") };
    let file = sqlx::SqlitePool::connect(&format!("sqlite://{}", settings.path.display())).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) \
         INSERT INTO submissions (collection, doc_id, status, created_at, updated_at, due_at, state, data) \
         SELECT collection, 'copy-' || n, status, created_at, updated_at - n, due_at, state, data \
         FROM submissions, n",
    )
    .execute(&file)
    .await
    .unwrap();
    let found = queue.failed_groups(Origin::CommCare, &FailedFilter::default()).await.unwrap();
    assert_eq!((found.total, found.cut, found.groups[0].example.as_str()), (5_000, true, "a"));
}

async fn the_attempts_of_late_are_those_of_completed_and_failed_records(backend: Backend) {
    let queue = backend.open().await;
    let began = clock::now();
    fail(&queue, "a", "Farmer Registration", ErrorKind::Permanent).await;
    put_id(&queue, "b").await;
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, completed()).await.unwrap();
    put_id(&queue, "waits").await;
    let recent = queue.recent(Origin::CommCare, began).await.unwrap();
    let mut outcomes: Vec<_> = recent.attempts.iter().map(|attempt| attempt.outcome).collect();
    outcomes.sort_by_key(|outcome| outcome.map(AttemptOutcome::as_str));
    assert_eq!(outcomes, [Some(AttemptOutcome::Completed), Some(AttemptOutcome::Failed)]);
    assert!(!recent.cut);
    let later = queue.recent(Origin::CommCare, clock::now() + TimeDelta::seconds(1)).await.unwrap();
    assert!(later.attempts.is_empty());
    assert!(queue.recent(Origin::Salesforce, began).await.unwrap().attempts.is_empty());
}

async fn an_answer_is_counted_once_for_each_record_with_first_and_last_sight(backend: Backend) {
    let queue = backend.open().await;
    let began = clock::now();
    let ClaimOutcome::Completed { unmapped: answers, .. } =
        unmapped(&[("form.crop", "17"), ("form.shade", "9")])
    else {
        panic!("completed")
    };
    let twice = [answers.clone(), answers[..1].to_vec()].concat();
    queue.add_unmapped(Origin::CommCare, "Farm Visit Full", "a", twice).await.unwrap();
    queue.add_unmapped(Origin::CommCare, "Farm Visit Full", "b", answers[..1].to_vec()).await.unwrap();
    queue.add_unmapped(Origin::CommCare, "Farm Visit - AA", "c", answers[..1].to_vec()).await.unwrap();
    queue.add_unmapped(Origin::CommCare, "Farm Visit - AA", "d", Vec::new()).await.unwrap();
    let sightings = queue.unmapped().await.unwrap();
    let mut seen: Vec<_> = sightings
        .iter()
        .map(|seen| (seen.job_name.as_str(), seen.answer.code.as_str(), seen.records))
        .collect();
    assert_eq!(seen[0], ("Farm Visit - AA", "17", 1), "the last seen first");
    seen.sort_unstable();
    assert_eq!(
        seen,
        [("Farm Visit - AA", "17", 1), ("Farm Visit Full", "17", 2), ("Farm Visit Full", "9", 1)]
    );
    let most = sightings.iter().find(|seen| seen.records == 2).unwrap();
    assert_eq!((most.origin, most.answer.path.as_str()), (Origin::CommCare, "form.crop"));
    assert!(began <= most.first_seen && most.first_seen < most.last_seen, "{most:?}");
}

async fn a_status_is_set_by_hand_with_the_role_in_the_history(backend: Backend) {
    let queue = backend.open().await;
    fail(&queue, "a", "Farmer Registration", ErrorKind::Permanent).await;
    for (status, note) in
        [(Status::Completed, Some("its status was set by hand, with nothing done")), (Status::New, None)]
    {
        let before = the(&queue, "a").await;
        let set = queue.set_status(Origin::CommCare, "a", status, &Role::Operator.into()).await.unwrap();
        assert_eq!(set, HandSet::Set);
        let after = the(&queue, "a").await;
        assert_eq!((after.status, after.run_retries), (status, 0));
        assert_eq!((after.error, after.note.as_deref()), (None, note));
        assert_eq!(after.data, before.data);
        let last = after.attempts.last().unwrap();
        assert_eq!((last.outcome, last.role), (Some(AttemptOutcome::Updated), Some(Role::Operator)));
        let step = format!("status: {} → {}", before.status.as_str(), status.as_str());
        assert_eq!(last.step.as_deref(), Some(step.as_str()));
        assert_eq!(after.attempts.len(), before.attempts.len() + 1, "the history is kept");
    }
    assert_eq!(ids(&claim(&queue, 10).await), ["a"]);
    let gone =
        queue.set_status(Origin::CommCare, "nobody", Status::New, &Role::Operator.into()).await.unwrap();
    assert_eq!(gone, HandSet::Gone);
}

async fn a_record_in_work_keeps_its_status(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "a").await;
    let claimed = claim_one(&queue).await;
    let set = queue.set_status(Origin::CommCare, "a", Status::New, &Role::Operator.into()).await.unwrap();
    assert_eq!(set, HandSet::Processing);
    queue.settle(claimed, completed()).await.unwrap();
    assert_eq!(the(&queue, "a").await.status, Status::Completed);

    // One whose worker is gone is nobody's.
    put_id(&queue, "b").await;
    drop(backend.open_without_leases().await.claim_oldest(Origin::CommCare, 1, "gone", Trigger::Batch).await);
    let set = queue.set_status(Origin::CommCare, "b", Status::New, &Role::Anyone.into()).await.unwrap();
    assert_eq!(set, HandSet::Set);
    let record = the(&queue, "b").await;
    assert_eq!((record.status, record.lease_owner), (Status::New, None));
    assert_eq!(record.attempts[0].outcome, Some(AttemptOutcome::Abandoned));
}

async fn a_record_set_to_failed_is_due_and_one_set_to_processing_is_claimable(backend: Backend) {
    let queue = backend.open().await;
    for id in ["a", "b"] {
        put_id(&queue, id).await;
        let claimed = claim_one(&queue).await;
        queue.settle(claimed, failed(ErrorKind::Permanent)).await.unwrap();
    }
    assert!(
        queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims.is_empty()
    );
    queue.set_status(Origin::CommCare, "a", Status::Failed, &Role::Operator.into()).await.unwrap();
    let record = the(&queue, "a").await;
    assert!(matches!(record.next_retry_at, NextRetry::At(_)) && record.error.is_some(), "{record:?}");
    let due = queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims;
    assert_eq!(ids(&due), ["a"]);
    queue.set_status(Origin::CommCare, "b", Status::Processing, &Role::Operator.into()).await.unwrap();
    assert_eq!(ids(&claim(&queue, 10).await), ["b"]);
}

async fn a_record_beyond_a_lowered_bound_of_retries_holds_up_no_other(backend: Backend) {
    let patient = backend.open_with(RetryPolicy { retry_backoff: Duration::ZERO, ..POLICY }).await;
    for id in ["tired", "fresh"] {
        put_id(&patient, id).await;
        let claimed = claim_one(&patient).await;
        patient.settle(claimed, failed(ErrorKind::Transient)).await.unwrap();
        if id == "tired" {
            let due =
                patient.claim_due(Origin::CommCare, 1, "worker", Trigger::AutoRetry).await.unwrap().claims;
            patient.settle(due.into_iter().next().unwrap(), failed(ErrorKind::Transient)).await.unwrap();
        }
    }
    let lowered = backend.open_with(RetryPolicy { max_retries: 1, ..POLICY }).await;
    let due = lowered.claim_due(Origin::CommCare, 1, "worker", Trigger::AutoRetry).await.unwrap().claims;
    assert_eq!(ids(&due), ["fresh"]);
}

async fn a_manual_claim_bears_the_role_of_who_asked(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "a").await;
    let role = Some(Role::Operator);
    let retry = queue.claim_for_retry(Origin::CommCare, "a", "worker", Trigger::Manual, role).await.unwrap();
    let ClaimResult::Claimed(claimed) = retry else { panic!("free") };
    queue.settle(*claimed, completed()).await.unwrap();
    assert_eq!(the(&queue, "a").await.attempts[0].role, role);
}

async fn each_id_names_its_records(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "a").await;
    let _in_work = claim_one(&queue).await;
    put_id(&queue, "b").await;
    let asked = ["b", "nobody", "a"].map(str::to_owned);
    let named = queue.named(Origin::CommCare, &asked).await.unwrap();
    let found: Vec<_> = named
        .iter()
        .map(|(id, named)| (id.as_str(), named.iter().map(|named| named.is_free).collect::<Vec<_>>()))
        .collect();
    assert_eq!(found, [("b", vec![true]), ("nobody", vec![]), ("a", vec![false])]);
    assert_eq!(named[0].1[0].job_name, "Farmer Registration");
}

async fn a_completed_record_says_when_it_may_go_and_one_that_runs_again_does_not(backend: Backend) {
    let kept = Duration::from_hours(24 * 90);
    let queue = backend.open_with(RetryPolicy { retention: Some(kept), ..POLICY }).await;
    put_id(&queue, "a").await;
    let claimed = claim_one(&queue).await;
    assert_eq!(the(&queue, "a").await.expires_at, None);
    queue.settle(claimed, completed()).await.unwrap();
    let record = the(&queue, "a").await;
    assert_eq!(record.expires_at, record.updated_at.map(|completed| completed + kept));
    let retry = queue.claim_for_retry(Origin::CommCare, "a", "worker", Trigger::Manual, None).await.unwrap();
    assert_eq!(the(&queue, "a").await.expires_at, None, "while it runs");
    let ClaimResult::Claimed(claimed) = retry else { panic!("free") };
    queue.settle(*claimed, failed(ErrorKind::Permanent)).await.unwrap();
    assert_eq!(the(&queue, "a").await.expires_at, None, "a failure is kept");
}

#[tokio::test]
async fn the_embedded_queue_removes_what_completed_long_ago_and_nothing_else() {
    let backend = Backend::sqlite();
    let queue = backend.open_with(RetryPolicy { retention: Some(Duration::ZERO), ..POLICY }).await;
    for id in ["completed", "failed"] {
        put_id(&queue, id).await;
        let claimed = claim_one(&queue).await;
        let outcome = if id == "failed" { failed(ErrorKind::Permanent) } else { completed() };
        queue.settle(claimed, outcome).await.unwrap();
    }
    put_id(&queue, "waits").await;
    assert!(!backend.open().await.remove_completed(Origin::CommCare).await.unwrap(), "kept for ever");
    assert!(!queue.remove_completed(Origin::Salesforce).await.unwrap());
    assert!(queue.remove_completed(Origin::CommCare).await.unwrap());
    assert!(!queue.remove_completed(Origin::CommCare).await.unwrap(), "there is no more");
    assert!(queue.find(Origin::CommCare, "completed").await.unwrap().records.is_empty());
    let counts = queue.counts(Origin::CommCare).await.unwrap();
    assert_eq!(counts.by_status.map(|(_, count)| count), [1, 0, 0, 1]);
    // Its place is free again.
    put_id(&queue, "completed").await;
    put_id(&queue, "another").await;
    assert_eq!(queue.counts(Origin::CommCare).await.unwrap().by_status[0].1, 3);
}
