//! Firestore's limits on requests and on what its indexes hold: nothing is lost or stuck beyond them.

use commcare_sf_integration::clock;
use commcare_sf_integration::queue::{FailedFilter, Fate, Shown};
use commcare_sf_integration::submission::{ErrorKind, Origin};
use tonic::Code;

use crate::queue::backend::{
    Backend, claim_one, claim_writing, completed, failed, is_unavailable, put_id, the,
};
use crate::queue::parts::{all_numbers, arriving, find, payload};

#[tokio::test]
async fn a_payload_cut_off_between_two_requests_is_completed_by_the_next_sending() {
    let backend = Backend::firestore();
    let (queue, firestore) = (backend.open().await, backend.firestore.as_ref().unwrap());
    // 6 MB: two requests.
    let large = || payload("j-1", 60, 100 * 1_024, "a");
    firestore.fail_next("Commit", Code::Ok, 1);
    firestore.fail_next("Commit", Code::Unavailable, 1);
    let cut_off = queue.accept(arriving(large())).await.unwrap_err();
    assert!(is_unavailable(&cut_off), "{cut_off}");
    let found = all_numbers(&find(&queue, "j-1").await);
    assert!((1..60).contains(&found.len()), "{found:?}");
    assert_eq!(queue.accept(arriving(large())).await.unwrap().fate, Fate::Stored);
    assert_eq!(all_numbers(&find(&queue, "j-1").await), (1..=60).collect::<Vec<_>>());
    assert_eq!(queue.accept(arriving(large())).await.unwrap().fate, Fate::Duplicate);
}

#[tokio::test]
async fn a_key_that_is_too_long_for_an_index_holds_up_nothing() {
    let backend = Backend::firestore();
    let queue = backend.open().await;
    let keys = [format!("Training_Session__c/{}", "x".repeat(2_000)), "Household__c/H1".to_owned()];
    for id in ["a", "b"] {
        put_id(&queue, id).await;
        let claimed = claim_writing(&queue, id, &keys).await;
        queue.settle(claimed, completed()).await.unwrap();
    }
    let record = the(&queue, "a").await;
    let others = queue.other_writers(Origin::CommCare, record.arrived(), clock::now(), &keys).await.unwrap();
    let others: Vec<String> = others.into_iter().map(|(doc_id, _)| doc_id).collect();
    assert_eq!(others, ["b"], "by the other key");
}

#[tokio::test]
async fn no_job_has_a_name_that_is_too_long_for_an_index() {
    let backend = Backend::firestore();
    let queue = backend.open().await;
    put_id(&queue, "a").await;
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, failed(ErrorKind::Permanent)).await.unwrap();
    let filter = FailedFilter { job_name: Some("x".repeat(2_000)), ..FailedFilter::default() };
    let page = queue.failed(Origin::CommCare, &filter, None, Shown::All, 10).await.unwrap();
    assert!(page.records.is_empty() && page.next.is_none());
    assert_eq!(queue.count_failed(Origin::CommCare, &filter).await.unwrap(), 0);
}
