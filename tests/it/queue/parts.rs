//! Payloads of records beyond a document's limit (sentence 9 of the contract).

use std::sync::Arc;

use crate::support::claims::ClaimMany;
use commcare_sf_integration::queue::{Accepted, Arriving, Fate, Queue, QueueError};
use commcare_sf_integration::submission::{Origin, Record, Status, Trigger};
use futures::future::join_all;
use serde_json::{Value, json};

use super::backend::{Backend, completed, on_both_back_ends};

on_both_back_ends!(
    a_payload_that_fits_is_one_record,
    a_larger_one_is_stored_in_parts_that_know_their_place,
    parts_are_listed_without_their_payloads,
    the_same_payload_again_is_a_duplicate,
    eight_simultaneous_sendings_are_one_set_of_parts,
    a_replacement_with_fewer_parts_leaves_nothing_of_the_old_ones,
    a_replacement_with_more_parts_takes_the_place_of_the_one_record,
    a_part_in_work_is_new_again_when_its_payload_was_replaced,
    an_id_that_reads_like_a_part_is_not_one,
    an_id_that_is_a_number_finds_its_payload_again,
    many_small_records_leave_room_for_their_positions,
    what_cannot_be_parted_is_refused,
);

const KILOBYTE: usize = 1_024;

/// `count` records of so many bytes, each with its number.
pub(super) fn payload(id: &str, count: usize, bytes: usize, word: &str) -> Value {
    let records: Vec<Value> =
        (1..=count).map(|n| json!({ "n": n, "word": word, "text": "x".repeat(bytes) })).collect();
    json!({ "id": id, "jobType": "Participant", "participants": records })
}

pub(super) fn arriving(data: Value) -> Arriving {
    let id = data["id"].as_str().unwrap().to_owned();
    arriving_as(data, &id)
}

fn arriving_as(data: Value, id: &str) -> Arriving {
    Arriving {
        origin: Origin::Salesforce,
        job_name: "Participant".to_owned(),
        job_id: id.to_owned(),
        data: Arc::new(data),
        records: Some("participants"),
    }
}

async fn put(queue: &Queue, data: Value) -> Accepted {
    queue.accept(arriving(data)).await.unwrap()
}

pub(super) async fn find(queue: &Queue, id: &str) -> Vec<(String, Record)> {
    queue.find(Origin::Salesforce, id).await.unwrap().records
}

fn numbers(record: &Record) -> Vec<u64> {
    let records = record.data["participants"].as_array().unwrap();
    records.iter().map(|record| record["n"].as_u64().unwrap()).collect()
}

pub(super) fn all_numbers(found: &[(String, Record)]) -> Vec<u64> {
    found.iter().flat_map(|(_, record)| numbers(record)).collect()
}

async fn a_payload_that_fits_is_one_record(backend: Backend) {
    let queue = backend.open().await;
    let accepted = put(&queue, payload("j-1", 3, KILOBYTE, "a")).await;
    assert_eq!((accepted.doc_id.as_str(), accepted.fate), ("j-1", Fate::Stored));
    let found = find(&queue, "j-1").await;
    assert_eq!((found.len(), found[0].1.first_position), (1, None));
}

async fn a_larger_one_is_stored_in_parts_that_know_their_place(backend: Backend) {
    let queue = backend.open().await;
    // Beyond what one request of Firestore takes.
    let accepted = put(&queue, payload("j-1", 120, 100 * KILOBYTE, "a")).await;
    assert_eq!((accepted.doc_id.as_str(), accepted.fate), ("j-1-1", Fate::Stored));
    let found = find(&queue, "j-1").await;
    assert_eq!(found.len(), 14);
    assert_eq!(all_numbers(&found), (1..=120).collect::<Vec<_>>());
    for (number, (doc_id, record)) in (1..).zip(&found) {
        assert_eq!(*doc_id, format!("j-1-{number}"));
        assert_eq!(record.first_position.map(u64::from), numbers(record).first().copied());
        assert_eq!((record.job_id.as_deref(), record.data["id"].as_str()), (Some("j-1"), Some("j-1")));
        assert_eq!((record.data["jobType"].as_str(), record.status), (Some("Participant"), Status::New));
        assert!(record.created_at >= found[0].1.created_at, "in order, however many requests it takes");
    }
    let one = find(&queue, "j-1-7").await;
    assert_eq!((one.len(), one[0].0.as_str()), (1, "j-1-7"), "a part by its own id");
}

async fn parts_are_listed_without_their_payloads(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, payload("j-1", 30, 100 * KILOBYTE, "a")).await;
    let whole = find(&queue, "j-1").await;
    assert!(whole.len() > 1);
    let listed = queue.find_summaries(Origin::Salesforce, "j-1").await.unwrap().records;
    let without = |(doc_id, record): &(String, Record)| {
        (doc_id.clone(), Record { data: Arc::new(json!({ "id": "j-1" })), ..record.clone() })
    };
    assert_eq!(listed, whole.iter().map(without).collect::<Vec<_>>());
    assert_eq!(queue.find_summaries(Origin::Salesforce, &whole[1].0).await.unwrap().records.len(), 1);
    let named = queue.named(Origin::Salesforce, &["j-1".to_owned()]).await.unwrap();
    assert_eq!(named[0].1.len(), whole.len());
}

async fn the_same_payload_again_is_a_duplicate(backend: Backend) {
    let queue = backend.open().await;
    let large = payload("j-1", 25, 100 * KILOBYTE, "a");
    put(&queue, large.clone()).await;
    let claims = queue.claim_oldest(Origin::Salesforce, 1, "worker", Trigger::Batch).await.unwrap().claims;
    for claim in claims {
        queue.settle(claim, completed()).await.unwrap();
    }
    let again = put(&queue, large).await;
    assert_eq!((again.doc_id.as_str(), again.fate), ("j-1-1", Fate::Duplicate));
    let statuses: Vec<Status> = find(&queue, "j-1").await.iter().map(|(_, record)| record.status).collect();
    assert_eq!(statuses, [Status::Completed, Status::New, Status::New]);
}

async fn eight_simultaneous_sendings_are_one_set_of_parts(backend: Backend) {
    let queue = backend.open().await;
    let large = payload("j-1", 20, 100 * KILOBYTE, "a");
    let sendings = (0..8).map(|_| put(&queue, large.clone()));
    let fates: Vec<Fate> = join_all(sendings).await.into_iter().map(|accepted| accepted.fate).collect();
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Stored).count(), 1, "{fates:?}");
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Stored | Fate::Duplicate)), "{fates:?}");
    assert_eq!(all_numbers(&find(&queue, "j-1").await), (1..=20).collect::<Vec<_>>());
}

async fn a_replacement_with_fewer_parts_leaves_nothing_of_the_old_ones(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, payload("j-1", 35, 100 * KILOBYTE, "a")).await;
    assert_eq!(find(&queue, "j-1").await.len(), 4);
    let accepted = put(&queue, payload("j-1", 12, 100 * KILOBYTE, "b")).await;
    assert_eq!((accepted.doc_id.as_str(), accepted.fate), ("j-1-1", Fate::Replaced));
    let found = find(&queue, "j-1").await;
    assert_eq!((found.len(), all_numbers(&found)), (4, (1..=12).collect()));
    assert!(found.iter().all(|(_, record)| record.revision == 1 && record.first_received_at.is_some()));
    // And with one that fits.
    let accepted = put(&queue, payload("j-1", 2, KILOBYTE, "c")).await;
    assert_eq!((accepted.doc_id.as_str(), accepted.fate), ("j-1", Fate::Replaced));
    let found = find(&queue, "j-1").await;
    assert_eq!((found.len(), all_numbers(&found)), (5, vec![1, 2]));
    assert_eq!(put(&queue, payload("j-1", 2, KILOBYTE, "c")).await.fate, Fate::Duplicate);
}

async fn a_replacement_with_more_parts_takes_the_place_of_the_one_record(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, payload("j-1", 2, KILOBYTE, "a")).await;
    let accepted = put(&queue, payload("j-1", 20, 100 * KILOBYTE, "b")).await;
    assert_eq!(accepted.fate, Fate::Replaced);
    let found = find(&queue, "j-1").await;
    assert_eq!((found.len(), all_numbers(&found)), (4, (1..=20).collect()));
    let (_, one) = found.iter().find(|(doc_id, _)| doc_id == "j-1").unwrap();
    assert_eq!((numbers(one).len(), one.revision), (0, 1));
    assert_eq!(put(&queue, payload("j-1", 20, 100 * KILOBYTE, "b")).await.fate, Fate::Duplicate);
}

async fn a_part_in_work_is_new_again_when_its_payload_was_replaced(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, payload("j-1", 20, 100 * KILOBYTE, "a")).await;
    let mut claims =
        queue.claim_oldest(Origin::Salesforce, 1, "worker", Trigger::Batch).await.unwrap().claims;
    put(&queue, payload("j-1", 20, 100 * KILOBYTE, "b")).await;
    let statuses = async || -> Vec<Status> {
        find(&queue, "j-1").await.iter().map(|(_, record)| record.status).collect()
    };
    assert_eq!(statuses().await, [Status::Processing, Status::New, Status::New]);
    queue.settle(claims.pop().unwrap(), completed()).await.unwrap();
    assert_eq!(statuses().await, [Status::New; 3]);
}

async fn an_id_that_reads_like_a_part_is_not_one(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, payload("j-2", 1, KILOBYTE, "other")).await;
    put(&queue, payload("j", 20, 100 * KILOBYTE, "large")).await;
    put(&queue, payload("j-3", 1, KILOBYTE, "other")).await;
    assert_eq!(all_numbers(&find(&queue, "j").await), (1..=20).collect::<Vec<_>>());
    for id in ["j-2", "j-3"] {
        let found = find(&queue, id).await;
        assert_eq!(
            (found.len(), found[0].1.data["participants"][0]["word"].as_str()),
            (1, Some("other")),
            "{id}"
        );
        assert_eq!(put(&queue, payload(id, 1, KILOBYTE, "other")).await.fate, Fate::Duplicate);
    }
    assert_eq!(put(&queue, payload("j", 20, 100 * KILOBYTE, "large")).await.fate, Fate::Duplicate);
}

async fn an_id_that_is_a_number_finds_its_payload_again(backend: Backend) {
    let queue = backend.open().await;
    for id in ["7", "12.5", "123456789012345678901234567890"] {
        for count in [1, 20] {
            let sending = || {
                let mut payload = payload(id, count, 100 * KILOBYTE, "a");
                payload["id"] = serde_json::from_str(id).unwrap();
                arriving_as(payload, id)
            };
            let fate = queue.accept(sending()).await.unwrap().fate;
            assert!(fate == Fate::Stored || fate == Fate::Replaced, "{id} {fate:?}");
            assert_eq!(queue.accept(sending()).await.unwrap().fate, Fate::Duplicate, "{id}");
        }
    }
}

async fn many_small_records_leave_room_for_their_positions(backend: Backend) {
    let queue = backend.open().await;
    let records: Vec<Value> = (1..=60_000).map(|n| json!({ "n": n })).collect();
    put(&queue, json!({ "id": "j-1", "jobType": "Participant", "participants": records })).await;
    let found = find(&queue, "j-1").await;
    assert!(found.len() > 1, "the text alone would have fitted");
    for mut claim in
        queue.claim_oldest(Origin::Salesforce, 10, "worker", Trigger::Batch).await.unwrap().claims
    {
        let first = claim.record().first_position.unwrap();
        let count = u32::try_from(numbers(claim.record()).len()).unwrap();
        let delivered = (first..first + count).collect();
        claim.report(commcare_sf_integration::submission::Progress { delivered, ..Default::default() });
        queue.settle(claim, completed()).await.unwrap();
    }
    let delivered: usize = find(&queue, "j-1").await.iter().map(|(_, record)| record.delivered.len()).sum();
    assert_eq!(delivered, 60_000);
}

async fn what_cannot_be_parted_is_refused(backend: Backend) {
    let queue = backend.open().await;
    let whole = json!({ "id": "j-1", "participants": "x".repeat(1_100 * KILOBYTE) });
    let beside = json!({ "id": "j-1", "other": "x".repeat(1_100 * KILOBYTE), "participants": [{}, {}] });
    for payload in [whole, beside, payload("j-1", 2, 1_100 * KILOBYTE, "a")] {
        let refused = queue.accept(arriving(payload)).await.unwrap_err();
        assert!(matches!(refused, QueueError::TooLarge { .. }), "{refused}");
    }
    assert!(find(&queue, "j-1").await.is_empty());
}
