//! Forms that have written the same Salesforce records, on SQLite and on Firestore.

use commcare_sf_integration::clock;
use commcare_sf_integration::queue::{ClaimOutcome, Queue};
use commcare_sf_integration::submission::{AttemptOutcome, ErrorKind, Origin, Status};

use super::backend::{Backend, claim, claim_one, failed, ids, on_both_back_ends, put_id, the};

on_both_back_ends!(
    writers_of_one_record_find_each_other_by_arrival_and_by_change,
    a_completed_record_is_put_back_to_be_written_again,
);

fn wrote(record: &str) -> ClaimOutcome {
    ClaimOutcome::Completed {
        note: None,
        dry_run: None,
        unmapped: Vec::new(),
        written: vec![format!("Household__c/{record}")],
    }
}

async fn settle_one(queue: &Queue, id: &str, outcome: ClaimOutcome) {
    put_id(queue, id).await;
    let claimed = claim_one(queue).await;
    queue.settle(claimed, outcome).await.unwrap();
}

async fn writers_of_one_record_find_each_other_by_arrival_and_by_change(backend: Backend) {
    let queue = backend.open().await;
    settle_one(&queue, "first", wrote("H1")).await;
    let between = clock::now();
    settle_one(&queue, "second", wrote("H1")).await;
    settle_one(&queue, "elsewhere", wrote("H2")).await;
    settle_one(&queue, "nowhere", failed(ErrorKind::Permanent)).await;
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

async fn a_completed_record_is_put_back_to_be_written_again(backend: Backend) {
    let queue = backend.open().await;
    settle_one(&queue, "done", wrote("H1")).await;
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
