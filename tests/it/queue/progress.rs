//! What a run has delivered, kept while it goes on (sentence 8 of the contract).

use std::collections::{BTreeMap, BTreeSet};

use crate::support::claims::ClaimMany;
use commcare_sf_integration::queue::{Claim, ClaimOutcome, ClaimResult, Queue};
use commcare_sf_integration::submission::{ErrorKind, Origin, Progress, Status, Trigger};
use serde_json::json;

use super::backend::{Backend, claim_one, completed, failed, on_both_back_ends, put, put_id, the};

on_both_back_ends!(
    progress_outlives_a_crash,
    progress_is_added_to_what_is_there,
    a_worker_that_lost_its_record_saves_no_progress,
    a_replacement_forgets_progress_and_is_not_given_more,
    a_claim_ends_with_its_progress_whatever_the_outcome,
    refused_positions_wait_for_a_manual_retry,
    a_completed_record_starts_from_the_beginning,
    any_number_of_positions_fits,
);

fn delivered(positions: &[u32]) -> Progress {
    Progress { delivered: positions.iter().copied().collect(), ..Progress::default() }
}

fn refused(position: u32, error: &str) -> Progress {
    Progress { refused: BTreeMap::from([(position, error.to_owned())]), ..Progress::default() }
}

async fn retry(queue: &Queue, trigger: Trigger) -> Claim {
    match queue.claim_for_retry(Origin::CommCare, "f-1", "worker", trigger, None).await.unwrap() {
        ClaimResult::Claimed(claim) => *claim,
        other => panic!("{other:?}"),
    }
}

async fn progress_outlives_a_crash(backend: Backend) {
    let queue = backend.open_without_leases().await;
    put_id(&queue, "f-1").await;
    let crashed = claim_one(&queue).await;
    assert!(queue.save_progress(&crashed.lease(), &delivered(&[1, 2])).await.unwrap());
    let next = claim_one(&queue).await;
    assert_eq!(next.record().delivered, BTreeSet::from([1, 2]));
    assert_eq!(next.record().status, Status::Processing);
}

async fn progress_is_added_to_what_is_there(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claim = claim_one(&queue).await;
    for positions in [&[3, 1][..], &[2], &[1, 7]] {
        assert!(queue.save_progress(&claim.lease(), &delivered(positions)).await.unwrap());
    }
    assert!(queue.save_progress(&claim.lease(), &refused(5, "no")).await.unwrap());
    assert!(queue.save_progress(&claim.lease(), &refused(7, "it was taken")).await.unwrap());
    let record = the(&queue, "f-1").await;
    assert_eq!((record.delivered, record.refused), ([1, 2, 3, 7].into(), [5].into()));
    assert_eq!((record.refusals.len(), record.refusals[0].error.as_str()), (1, "no"));
    queue.settle(claim, completed()).await.unwrap();
}

async fn a_worker_that_lost_its_record_saves_no_progress(backend: Backend) {
    let queue = backend.open_without_leases().await;
    put_id(&queue, "f-1").await;
    let lost = claim_one(&queue).await;
    let taken_over = claim_one(&queue).await;
    assert!(!queue.save_progress(&lost.lease(), &delivered(&[1])).await.unwrap());
    let lease = taken_over.lease();
    queue.settle(taken_over, completed()).await.unwrap();
    assert!(!queue.save_progress(&lease, &delivered(&[1])).await.unwrap());
    assert!(the(&queue, "f-1").await.delivered.is_empty());
}

async fn a_replacement_forgets_progress_and_is_not_given_more(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let mut claim = claim_one(&queue).await;
    assert!(queue.save_progress(&claim.lease(), &delivered(&[1])).await.unwrap());
    put(&queue, json!({ "id": "f-1", "form": { "x": "2" } })).await;
    assert!(the(&queue, "f-1").await.delivered.is_empty());
    assert!(!queue.save_progress(&claim.lease(), &delivered(&[1, 2])).await.unwrap());
    claim.report(delivered(&[1, 2, 3]));
    queue.settle(claim, completed()).await.unwrap();
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.delivered), (Status::New, BTreeSet::new()));
}

async fn a_claim_ends_with_its_progress_whatever_the_outcome(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    for (position, outcome) in [(1, ClaimOutcome::Released), (2, failed(ErrorKind::Transient))] {
        let mut claim = retry(&queue, Trigger::AutoRetry).await;
        claim.report(delivered(&[position]));
        queue.settle(claim, outcome).await.unwrap();
    }
    let mut claim = retry(&queue, Trigger::AutoRetry).await;
    claim.report(delivered(&[3]));
    queue.settle(claim, completed()).await.unwrap();
    assert_eq!(the(&queue, "f-1").await.delivered, [1, 2, 3].into());
}

async fn refused_positions_wait_for_a_manual_retry(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let mut claim = claim_one(&queue).await;
    claim.report(refused(2, "no"));
    queue.settle(claim, failed(ErrorKind::Transient)).await.unwrap();
    let claim = retry(&queue, Trigger::AutoRetry).await;
    assert_eq!(claim.record().refused, [2].into());
    queue.settle(claim, failed(ErrorKind::Permanent)).await.unwrap();
    let claim = retry(&queue, Trigger::Manual).await;
    assert!(claim.record().refused.is_empty() && claim.record().refusals.is_empty());
    queue.settle(claim, completed()).await.unwrap();
}

async fn a_completed_record_starts_from_the_beginning(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let mut claim = claim_one(&queue).await;
    claim.report(delivered(&[1, 2]));
    queue.settle(claim, completed()).await.unwrap();
    assert_eq!(the(&queue, "f-1").await.delivered, [1, 2].into(), "it says what was taken");
    let claim = retry(&queue, Trigger::Manual).await;
    assert!(claim.record().delivered.is_empty());
    queue.settle(claim, completed()).await.unwrap();
}

async fn any_number_of_positions_fits(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let mut claim = claim_one(&queue).await;
    let refused = (40_001..=40_500).map(|position| (position, "é".repeat(900))).collect();
    claim.report(Progress { delivered: (1..=40_000).collect(), refused });
    queue.settle(claim, failed(ErrorKind::Permanent)).await.unwrap();
    let record = the(&queue, "f-1").await;
    assert_eq!((record.delivered.len(), record.refused.len(), record.refusals.len()), (40_000, 500, 20));
}
