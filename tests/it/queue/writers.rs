//! Forms that have written the same Salesforce records, on SQLite and on Firestore.

use commcare_sf_integration::clock;
use commcare_sf_integration::queue::{ClaimOutcome, ClaimResult, FailedFilter, Queue, RecordFailure, Shown};
use commcare_sf_integration::submission::{
    AttemptOutcome, Awaits, ErrorKind, Origin, Progress, Role, Status, Trigger,
};
use serde_json::{Value, json};

use super::backend::{
    Backend, claim, claim_one, claim_writing, completed, failed, failure, ids, on_both_back_ends, put_id,
    the, undecided,
};
use super::parts::{arriving, find};
use super::unreadable::set;

on_both_back_ends!(
    writers_of_one_record_find_each_other_by_arrival_and_by_change,
    a_completed_record_is_put_back_to_be_written_again,
    a_record_that_only_would_write_something_is_no_writer_and_hides_none,
    every_id_of_what_a_record_writes_or_waits_for_finds_it,
    failed_records_are_told_apart_by_what_they_await,
    the_keys_of_a_large_payload_fit,
);

/// Settles a form that writes this household, or would.
async fn settle_one(queue: &Queue, id: &str, household: &str, outcome: ClaimOutcome) {
    put_id(queue, id).await;
    let claimed = claim_writing(queue, id, &[format!("Household__c/{household}")]).await;
    queue.settle(claimed, outcome).await.unwrap();
}

async fn writers_of_one_record_find_each_other_by_arrival_and_by_change(backend: Backend) {
    let queue = backend.open().await;
    settle_one(&queue, "first", "H1", completed()).await;
    let between = clock::now();
    settle_one(&queue, "second", "H1", completed()).await;
    settle_one(&queue, "elsewhere", "H2", completed()).await;
    settle_one(&queue, "nowhere", "H1", failed(ErrorKind::Permanent)).await;
    let household = ["Household__c/H1".to_owned()];
    let others = async |id: &str, since| -> Vec<String> {
        let record = the(&queue, id).await;
        let found = queue.other_writers(Origin::CommCare, record.arrived(), since, &household).await.unwrap();
        found.into_iter().map(|(doc_id, _)| doc_id).filter(|doc_id| doc_id != id).collect()
    };
    let (begin, end) = (chrono::DateTime::UNIX_EPOCH, clock::now());
    let none: [&str; 0] = [];
    assert_eq!(others("first", end).await, ["second"], "it arrived later");
    assert_eq!(others("second", begin).await, ["first"], "it changed since then");
    assert_eq!(others("second", between).await, none, "it did not change since then");
    assert_eq!(others("first", begin).await, ["second"], "once, and not itself");
    let record = the(&queue, "first").await;
    let of_nothing = queue.other_writers(Origin::CommCare, record.arrived(), begin, &[]).await.unwrap();
    assert!(of_nothing.is_empty());
}

#[tokio::test]
async fn a_later_writer_whose_payload_cannot_be_read_stops_no_earlier_form() {
    let backend = Backend::sqlite();
    let queue = backend.open().await;
    settle_one(&queue, "first", "H1", failed(ErrorKind::Transient)).await;
    settle_one(&queue, "second", "H1", completed()).await;
    settle_one(&queue, "third", "H1", completed()).await;
    set(&backend, "third", "data = '[1,'").await;
    let household = ["Household__c/H1".to_owned()];
    let record = the(&queue, "first").await;
    let later = queue.later_writers(Origin::CommCare, "first", &record, &household).await.unwrap();
    assert_eq!(later.iter().map(|(doc_id, _)| doc_id).collect::<Vec<_>>(), ["second"]);
}

async fn a_completed_record_is_put_back_to_be_written_again(backend: Backend) {
    let queue = backend.open().await;
    settle_one(&queue, "done", "H1", completed()).await;
    let before = the(&queue, "done").await;
    assert!(queue.write_again(Origin::CommCare, "done", "an older one came late").await.unwrap());
    let after = the(&queue, "done").await;
    assert_eq!((after.status, after.run_retries), (Status::New, 0), "it is no retry");
    assert_eq!(after.written, before.written, "what it wrote stays known");
    assert_eq!(after.attempts[..1], before.attempts[..]);
    let note = &after.attempts[1];
    assert_eq!((note.outcome, note.role), (Some(AttemptOutcome::Updated), None));
    assert_eq!(note.step.as_deref(), Some("an older one came late"));
    // Only what is completed is put back.
    assert!(!queue.write_again(Origin::CommCare, "done", "again").await.unwrap());
    let claimed = claim(&queue, 10).await;
    assert_eq!(ids(&claimed), ["done"]);
    assert!(!queue.write_again(Origin::CommCare, "done", "again").await.unwrap());
    assert!(!queue.write_again(Origin::CommCare, "nobody", "again").await.unwrap());
}

async fn a_record_that_only_would_write_something_is_no_writer_and_hides_none(backend: Backend) {
    let queue = backend.open().await;
    settle_one(&queue, "old", "h1", failed(ErrorKind::Transient)).await;
    let record = the(&queue, "old").await;
    assert_eq!(record.written, ["Household__c/h1"], "what it would write");
    let later = async || -> Vec<String> {
        let keys = ["Household__c/h1".to_owned()];
        let found = queue.later_writers(Origin::CommCare, "old", &record, &keys).await.unwrap();
        found.into_iter().map(|(doc_id, _)| doc_id).collect()
    };
    // None of these has written it: failed, perhaps the destination's trouble, set by hand, a dry run.
    settle_one(&queue, "failed", "h1", failed(ErrorKind::Permanent)).await;
    settle_one(&queue, "by-hand", "h1", failed(ErrorKind::Permanent)).await;
    queue.set_status(Origin::CommCare, "by-hand", Status::Completed, &Role::Operator.into()).await.unwrap();
    let dry_run = ClaimOutcome::Completed { note: None, dry_run: Some(json!({})), unmapped: Vec::new() };
    settle_one(&queue, "dry-run", "h1", dry_run).await;
    let none: [&str; 0] = [];
    assert_eq!(later().await, none);
    settle_one(&queue, "done", "h1", completed()).await;
    // As many as one look at the queue brings, and more.
    for n in 0..60 {
        settle_one(&queue, &format!("would-{n:02}"), "h1", failed(ErrorKind::Permanent)).await;
    }
    settle_one(&queue, "undecided", "h1", undecided()).await;
    assert_eq!(later().await, ["undecided", "done"], "nobody knows of the one");
}

async fn every_id_of_what_a_record_writes_or_waits_for_finds_it(backend: Backend) {
    let queue = backend.open().await;
    let found = async |id: &str| -> Vec<String> {
        let found = queue.search(Origin::CommCare, id).await.unwrap();
        found.records.into_iter().map(|(doc_id, _)| doc_id).collect()
    };
    settle_one(&queue, "wrote", "h1", completed()).await;
    settle_one(&queue, "would", "h1", failed(ErrorKind::Permanent)).await;
    put_id(&queue, "waits").await;
    let waiting = RecordFailure {
        waits_for: vec!["Household__c/h1".to_owned()],
        ..failure(ErrorKind::Dependency, "Farm__c", "H1 is missing".to_owned())
    };
    queue.settle(claim_one(&queue).await, ClaimOutcome::Failed(waiting)).await.unwrap();
    // Keys are kept in lower case.
    settle_one(&queue, "h1", "h2", completed()).await;
    assert_eq!(found("h1").await, ["h1", "wrote", "would", "waits"], "first the record whose own id it is");
    assert_eq!(found("Household__c/H1").await, ["wrote", "would", "waits"]);
    assert_eq!(found("H2").await, ["h1"], "in any case");
    assert!(found("h3").await.is_empty());
    assert!(found("").await.is_empty());
    assert!(found(&"x".repeat(2_000)).await.is_empty(), "longer than any index holds");
    let form = "e81696a6-8afe-4312-b459-071afb8adf9e";
    put_id(&queue, form).await;
    assert_eq!(found(&format!("FV-{form}")).await, [form], "an id made of the form's");
}

async fn failed_records_are_told_apart_by_what_they_await(backend: Backend) {
    let queue = backend.open().await;
    for (id, kind) in
        [("waits", ErrorKind::Dependency), ("retry", ErrorKind::Transient), ("person", ErrorKind::Permanent)]
    {
        settle_one(&queue, id, "h1", failed(kind)).await;
    }
    let impatient = commcare_sf_integration::config::RetryPolicy {
        dependency_patience: std::time::Duration::ZERO,
        ..super::backend::POLICY
    };
    let impatient = backend.open_with(impatient).await;
    settle_one(&impatient, "waited", "h1", failed(ErrorKind::Dependency)).await;
    let counts = queue.count_awaiting(Origin::CommCare).await.unwrap();
    assert_eq!(counts, [(Awaits::Reference, 1), (Awaits::Retry, 1), (Awaits::Person, 2)]);
    for (awaits, expected) in [
        (Awaits::Reference, vec!["waits"]),
        (Awaits::Retry, vec!["retry"]),
        (Awaits::Person, vec!["waited", "person"]),
    ] {
        let filter = FailedFilter { awaits: Some(awaits), ..FailedFilter::default() };
        let page = queue.failed(Origin::CommCare, &filter, None, Shown::Summary, 10).await.unwrap();
        let found: Vec<&str> = page.records.iter().map(|(doc_id, _)| doc_id.as_str()).collect();
        assert_eq!(found, expected, "{awaits:?}");
        let job = Some("Farmer Registration".to_owned());
        for kind in ErrorKind::ALL {
            let filter = FailedFilter {
                job_name: job.clone(),
                error_kind: Some(kind),
                awaits: Some(awaits),
                ..FailedFilter::default()
            };
            let page = queue.failed(Origin::CommCare, &filter, None, Shown::Summary, 10).await.unwrap();
            let count = queue.count_failed(Origin::CommCare, &filter).await.unwrap();
            assert_eq!(count, page.records.len() as u64, "{filter:?}");
        }
    }
}

async fn the_keys_of_a_large_payload_fit(backend: Backend) {
    let queue = backend.open().await;
    let case = |n: usize| format!("{n:08}-8afe-4312-b459-071afb8adf9e");
    // As large as a document may be, of records that are as small as they come.
    let records: Vec<Value> = (0..9_000).map(|n| json!({ "n": case(n) })).collect();
    queue.accept(arriving(json!({ "id": "j-1", "participants": records }))).await.unwrap();
    let parts = find(&queue, "j-1").await;
    assert!(parts.len() > 1, "an index of that many keys would be too large");
    for (doc_id, record) in parts {
        let cases = record.data["participants"].as_array().unwrap();
        let keys = cases.iter().map(|record| format!("case/{}", record["n"].as_str().unwrap()));
        let keys: Vec<String> = keys.collect();
        let first = record.first_position.unwrap();
        let positions = first..first + u32::try_from(keys.len()).unwrap();
        let mut candidate = queue.candidate(Origin::Salesforce, &doc_id).await.unwrap().unwrap();
        candidate.will_write(keys);
        let claimed = queue.claim(candidate, "worker", Trigger::Batch, None).await.unwrap();
        let ClaimResult::Claimed(mut claim) = claimed else { panic!("{claimed:?}") };
        claim.report(Progress { delivered: positions.collect(), ..Progress::default() });
        queue.settle(*claim, completed()).await.unwrap();
    }
    let written: usize = find(&queue, "j-1").await.iter().map(|(_, record)| record.written.len()).sum();
    assert_eq!(written, 9_000);
    for n in [0, 4_321, 8_999] {
        let found = queue.search(Origin::Salesforce, &case(n)).await.unwrap().records;
        assert_eq!(found.len(), 1, "{n}");
    }
}
