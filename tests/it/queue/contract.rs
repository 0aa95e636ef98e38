//! Each sentence of the contract in `src/queue.rs`, run on SQLite and on Firestore.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::claims::ClaimMany;
use commcare_sf_integration::clock;
use commcare_sf_integration::config::RetryPolicy;
use commcare_sf_integration::queue::{
    ClaimOutcome, ClaimResult, FailedFilter, Fate, ID_LIMIT, QueueError, SettleResult, Shown, Written,
};
use commcare_sf_integration::submission::{
    AttemptOutcome, ErrorKind, NextRetry, Origin, Record, Status, Trigger, Unmapped,
};
use futures::future::join_all;
use serde_json::{Value, json};

use super::backend::{
    Backend, POLICY, arriving, claim, claim_one, completed, failed, failing, ids, on_both_back_ends, put,
    put_id, the,
};

on_both_back_ends!(
    an_accepted_submission_is_there_for_every_process,
    the_same_content_again_is_a_duplicate,
    sixteen_simultaneous_sendings_of_one_form_are_one_record,
    an_edited_form_replaces_the_payload_and_keeps_the_history,
    an_older_edition_that_arrives_late_changes_nothing,
    a_form_edited_while_it_is_processed_is_new_again_whatever_the_outcome,
    a_form_edited_after_its_worker_died_is_new_at_once,
    four_claimers_get_every_record_once,
    the_oldest_are_claimed_first,
    collections_are_apart,
    a_run_out_lease_is_taken_over_and_the_first_worker_is_fenced,
    a_renewed_lease_is_not_taken_over,
    a_record_that_kills_its_workers_fails_for_good,
    a_released_record_is_new_and_uncounted,
    a_failed_record_waits_longer_with_each_retry,
    a_completed_record_runs_again_by_hand,
    a_record_in_work_is_not_retried,
    the_last_twenty_attempts_are_kept,
    a_due_retry_is_claimed_and_no_other,
    a_later_form_that_wrote_the_same_record_is_found,
    any_id_finds_its_record,
    counts_are_by_status,
    failed_records_come_in_pages_last_changed_first,
    what_no_map_can_hold_comes_back_as_it_was,
    a_submission_beyond_a_document_is_refused,
    a_plan_that_does_not_fit_is_cut,
    a_document_of_the_service_is_kept_by_its_name,
);

async fn a_document_of_the_service_is_kept_by_its_name(backend: Backend) {
    let queue = backend.open().await;
    assert_eq!(queue.state("a").await.unwrap(), None);
    // No map of Firestore holds such a list, and no index such a text.
    let value = json!({ "lists": [[1], []], "": null, "text": "x".repeat(100_000) });
    queue.set_state("a", &json!(1)).await.unwrap();
    queue.set_state("a", &value).await.unwrap();
    queue.set_state("b", &json!("other")).await.unwrap();
    let other = backend.open().await;
    assert_eq!(other.state("a").await.unwrap(), Some(value));
    assert_eq!(other.state("b").await.unwrap(), Some(json!("other")));
    assert_eq!(other.state("c").await.unwrap(), None);
    let writers = (0..16).map(|n| {
        let queue = queue.clone();
        async move { queue.set_state("a", &json!(n)).await }
    });
    assert!(join_all(writers).await.into_iter().all(|written| written.is_ok()));
    assert!(other.state("a").await.unwrap().is_some_and(|kept| kept.is_number()));
}

async fn an_accepted_submission_is_there_for_every_process(backend: Backend) {
    let payload = json!({ "id": "f-1", "form": { "@name": "x", "n": 7, "d": 1.5, "t": true, "e": null } });
    let accepted = put(&backend.open().await, payload.clone()).await;
    assert_eq!((accepted.doc_id.as_str(), accepted.fate), ("f-1", Fate::Stored));
    let record = the(&backend.open().await, "f-1").await;
    assert_eq!(*record.data, payload);
    assert_eq!((record.status, record.run_retries, record.job_id.as_deref()), (Status::New, 0, Some("f-1")));
    assert!(record.created_at.is_some() && record.created_at == record.timestamp);
}

async fn the_same_content_again_is_a_duplicate(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, json!({ "id": "f-1", "indexed_on": "2026-01-01T00:00:00Z", "form": { "a": "1", "b": "2" } }))
        .await;
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, completed()).await.unwrap();
    let again = json!({ "form": { "b": "2", "a": "1" }, "indexed_on": "2026-01-02T00:00:00Z", "id": "f-1" });
    assert_eq!(put(&queue, again).await.fate, Fate::Duplicate);
    assert_eq!(the(&queue, "f-1").await.status, Status::Completed);
}

async fn sixteen_simultaneous_sendings_of_one_form_are_one_record(backend: Backend) {
    let queue = backend.open().await;
    let sendings = (0..16).map(|_| put(&queue, json!({ "id": "f-1", "form": { "a": "1" } })));
    let fates: Vec<Fate> = join_all(sendings).await.into_iter().map(|accepted| accepted.fate).collect();
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Stored).count(), 1, "{fates:?}");
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Stored | Fate::Duplicate)), "{fates:?}");
    assert_eq!(claim(&queue, 10).await.len(), 1);
}

async fn an_edited_form_replaces_the_payload_and_keeps_the_history(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, json!({ "id": "f-1", "form": { "a": "1" } })).await;
    for _ in 0..2 {
        let ClaimResult::Claimed(claim) =
            queue.claim_for_retry(Origin::CommCare, "f-1", "worker", Trigger::Manual, None).await.unwrap()
        else {
            panic!("free");
        };
        queue.settle(*claim, failed(ErrorKind::Permanent)).await.unwrap();
    }
    let before = the(&queue, "f-1").await;
    assert_eq!((before.status, before.run_retries), (Status::Failed, 1));

    let edited = json!({ "id": "f-1", "edited_on": "2026-02-01T10:00:00Z", "form": { "a": "2" } });
    assert_eq!(put(&queue, edited.clone()).await.fate, Fate::Replaced);
    let after = the(&queue, "f-1").await;
    assert_eq!(*after.data, edited);
    assert_eq!((after.status, after.run_retries, after.revision), (Status::New, 0, 1));
    assert_eq!((after.error, after.error_kind, after.next_retry_at), (None, None, NextRetry::Unset));
    assert_eq!(after.attempts, before.attempts);
    assert_eq!(after.first_received_at, before.created_at);
    assert!(after.created_at > before.created_at);
}

async fn an_older_edition_that_arrives_late_changes_nothing(backend: Backend) {
    let queue = backend.open().await;
    let edition = |modified: Option<&str>, edited: Option<&str>, answer: &str| json!({ "id": "f-1", "server_modified_on": modified, "edited_on": edited, "form": { "a": answer } });
    let (early, late) = (Some("2026-02-01T10:00:00.000000Z"), Some("2026-02-01T10:00:00.000001Z"));
    put(&queue, edition(late, early, "1")).await;
    // By server_modified_on, where both have it, whatever edited_on says.
    assert_eq!(put(&queue, edition(early, late, "2")).await.fate, Fate::Stale);
    // A tie is not stale.
    assert_eq!(put(&queue, edition(late, early, "3")).await.fate, Fate::Replaced);
    // Else by edited_on; a form without one precedes its edits.
    assert_eq!(put(&queue, edition(None, None, "4")).await.fate, Fate::Stale);
    assert_eq!(put(&queue, edition(None, late, "5")).await.fate, Fate::Replaced);
    assert_eq!(put(&queue, edition(None, early, "6")).await.fate, Fate::Stale);
    assert_eq!(the(&queue, "f-1").await.data["form"]["a"], "5");
    // Else by arrival.
    put(&queue, json!({ "id": "f-2", "form": { "a": "1" } })).await;
    assert_eq!(put(&queue, json!({ "id": "f-2", "form": { "a": "2" } })).await.fate, Fate::Replaced);
}

async fn a_form_edited_while_it_is_processed_is_new_again_whatever_the_outcome(backend: Backend) {
    let queue = backend.open().await;
    for (id, outcome) in
        [("f-1", completed()), ("f-2", failed(ErrorKind::Permanent)), ("f-3", ClaimOutcome::Released)]
    {
        put_id(&queue, id).await;
        let claimed = claim_one(&queue).await;
        assert_eq!(put(&queue, json!({ "id": id, "form": { "x": "2" } })).await.fate, Fate::Replaced);
        assert_eq!(the(&queue, id).await.status, Status::Processing);
        assert!(claim(&queue, 10).await.is_empty(), "the first worker still has it");
        assert_eq!(queue.settle(claimed, outcome).await.unwrap(), SettleResult::Replaced);
        let record = the(&queue, id).await;
        assert_eq!((record.status, record.run_retries, record.lease_owner), (Status::New, 0, None));
        assert_eq!(record.attempts[0].outcome, Some(AttemptOutcome::Replaced));
        assert_eq!(record.data["form"]["x"], "2");
        let again = claim_one(&queue).await;
        assert_eq!(
            queue.settle(again, completed()).await.unwrap(),
            SettleResult::Written(Written::Completed)
        );
    }
}

async fn a_form_edited_after_its_worker_died_is_new_at_once(backend: Backend) {
    let queue = backend.open_without_leases().await;
    put_id(&queue, "f-1").await;
    let dead = claim_one(&queue).await;
    put(&queue, json!({ "id": "f-1", "form": { "x": "2" } })).await;
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.attempts[0].outcome), (Status::New, Some(AttemptOutcome::Abandoned)));
    assert_eq!(queue.settle(dead, completed()).await.unwrap(), SettleResult::Lost);
}

async fn four_claimers_get_every_record_once(backend: Backend) {
    let queue = backend.open().await;
    join_all((0..40).map(|n| put(&queue, json!({ "id": format!("f-{n}"), "form": { "n": n } })))).await;
    let handles = join_all((0..4).map(|_| backend.open())).await;
    let claimed = join_all(handles.iter().map(|queue| async {
        let mut mine = Vec::new();
        loop {
            let batch = claim(queue, 10).await;
            if batch.is_empty() {
                return mine;
            }
            mine.extend(batch);
        }
    }))
    .await;
    let all: Vec<&str> = claimed.iter().flat_map(|mine| ids(mine)).collect();
    let distinct: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (40, 40));
}

async fn the_oldest_are_claimed_first(backend: Backend) {
    let queue = backend.open().await;
    for id in ["f-3", "f-1", "f-2", "f-0"] {
        put_id(&queue, id).await;
    }
    assert_eq!(ids(&claim(&queue, 3).await), ["f-3", "f-1", "f-2"]);
    assert_eq!(ids(&claim(&queue, 3).await), ["f-0"]);
}

async fn collections_are_apart(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let from_salesforce = Origin::Salesforce;
    assert!(queue.find(from_salesforce, "f-1").await.unwrap().records.is_empty());
    assert!(
        queue.claim_oldest(from_salesforce, 10, "worker", Trigger::Batch).await.unwrap().claims.is_empty()
    );
}

async fn a_run_out_lease_is_taken_over_and_the_first_worker_is_fenced(backend: Backend) {
    let queue = backend.open().await;
    let dying = backend.open_without_leases().await;
    put_id(&queue, "f-1").await;
    let first = claim_one(&dying).await;
    let second = claim_one(&queue).await;
    assert_eq!(second.record().run_retries, 1, "the take-over counts");
    assert_eq!(second.record().attempts[0].outcome, Some(AttemptOutcome::Abandoned));
    assert!(!dying.renew(&first.lease()).await.unwrap());
    assert_eq!(dying.settle(first, failed(ErrorKind::Permanent)).await.unwrap(), SettleResult::Lost);
    assert_eq!(the(&queue, "f-1").await.status, Status::Processing);
    assert_eq!(queue.settle(second, completed()).await.unwrap(), SettleResult::Written(Written::Completed));
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.attempts.len()), (Status::Completed, 2));
}

async fn a_renewed_lease_is_not_taken_over(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let short = claim_one(&backend.open_without_leases().await).await;
    assert!(queue.renew(&short.lease()).await.unwrap());
    assert!(claim(&queue, 1).await.is_empty());
    assert_eq!(queue.settle(short, completed()).await.unwrap(), SettleResult::Written(Written::Completed));
}

async fn a_record_that_kills_its_workers_fails_for_good(backend: Backend) {
    let queue = backend.open_without_leases().await;
    put_id(&queue, "killer").await;
    let killed = [claim(&queue, 1).await, claim(&queue, 1).await, claim(&queue, 1).await];
    assert!(killed.iter().all(|claims| claims.len() == 1));
    put_id(&queue, "bystander").await;
    let claimed = queue.claim_oldest(Origin::CommCare, 1, "worker", Trigger::Batch).await.unwrap();
    assert_eq!(ids(&claimed.claims), ["bystander"], "the killer does not use up the batch");
    let [given_up] = &claimed.exhausted[..] else { panic!("{:?}", claimed.exhausted) };
    assert_eq!((given_up.doc_id.as_str(), given_up.job_name.as_str()), ("killer", "Farmer Registration"));
    assert!(given_up.error.contains("disappeared 3 times"), "{given_up:?}");
    let record = the(&queue, "killer").await;
    assert_eq!((record.status, record.error_kind), (Status::Failed, Some(ErrorKind::Permanent)));
    assert_eq!((record.run_retries, record.next_retry_at), (3, NextRetry::Never));
    assert!(record.error.unwrap().contains("disappeared 3 times"));
}

async fn a_released_record_is_new_and_uncounted(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, failed(ErrorKind::Transient)).await.unwrap();
    let ClaimResult::Claimed(claim) =
        queue.claim_for_retry(Origin::CommCare, "f-1", "worker", Trigger::AutoRetry, None).await.unwrap()
    else {
        panic!("free");
    };
    assert_eq!(claim.record().run_retries, 1);
    assert_eq!(
        queue.settle(*claim, ClaimOutcome::Released).await.unwrap(),
        SettleResult::Written(Written::PutBack(Status::New))
    );
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.run_retries, record.lease_owner), (Status::New, 0, None));
    assert_eq!(record.attempts[1].outcome, Some(AttemptOutcome::Released));
    // The next run is the retry that did not take place.
    assert_eq!(claim_one(&queue).await.record().run_retries, 0);
}

async fn a_failed_record_waits_longer_with_each_retry(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let mut next = claim_one(&queue).await;
    for (retries, seconds) in [(0, 60.0), (1, 300.0), (2, 1_500.0)] {
        let before = clock::now();
        queue.settle(next, failed(ErrorKind::Transient)).await.unwrap();
        let record = the(&queue, "f-1").await;
        assert_eq!((record.status, record.run_retries), (Status::Failed, retries));
        assert_eq!(record.error_kind, Some(ErrorKind::Transient));
        assert_eq!(record.last_step.as_deref(), Some("Household__c"));
        assert_eq!(record.error.as_deref(), Some("it did not work"));
        let NextRetry::At(due) = record.next_retry_at else { panic!("{:?}", record.next_retry_at) };
        let wait = (due - before).as_seconds_f64();
        assert!(wait >= seconds * 0.8 && wait <= seconds * 1.2 + 5.0, "{wait} after {retries} retries");
        let retry =
            queue.claim_for_retry(Origin::CommCare, "f-1", "worker", Trigger::AutoRetry, None).await.unwrap();
        let ClaimResult::Claimed(claim) = retry else { panic!("{retry:?}") };
        next = *claim;
    }
    queue.settle(next, failed(ErrorKind::Transient)).await.unwrap();
    let record = the(&queue, "f-1").await;
    assert_eq!((record.run_retries, record.next_retry_at), (3, NextRetry::Never), "the retries are used up");
}

async fn a_completed_record_runs_again_by_hand(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    queue.settle(claimed, completed()).await.unwrap();
    let retry =
        queue.claim_for_retry(Origin::CommCare, "f-1", "worker", Trigger::Manual, None).await.unwrap();
    let ClaimResult::Claimed(claim) = retry else { panic!("{retry:?}") };
    let note = Some("nothing to do".to_owned());
    let unmapped = vec![Unmapped { path: "form.a".to_owned(), code: "7".to_owned() }];
    let outcome = ClaimOutcome::Completed { note: note.clone(), dry_run: None, unmapped: unmapped.clone() };
    queue.settle(*claim, outcome).await.unwrap();
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.run_retries, record.note), (Status::Completed, 1, note));
    assert_eq!(record.unmapped, unmapped);
    assert!(record.last_retried_at.is_some());
    let missing =
        queue.claim_for_retry(Origin::CommCare, "f-9", "worker", Trigger::Manual, None).await.unwrap();
    assert!(matches!(missing, ClaimResult::Gone));
}

async fn a_record_in_work_is_not_retried(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    let retry =
        queue.claim_for_retry(Origin::CommCare, "f-1", "worker", Trigger::Manual, None).await.unwrap();
    assert!(matches!(retry, ClaimResult::Busy), "{retry:?}");
    queue.settle(claimed, completed()).await.unwrap();
}

async fn the_last_twenty_attempts_are_kept(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    for _ in 0..23 {
        let claimed = claim_one(&queue).await;
        queue.settle(claimed, ClaimOutcome::Released).await.unwrap();
    }
    let last = claim_one(&queue).await;
    let attempts = &last.record().attempts;
    assert_eq!((attempts.len(), attempts[19].outcome), (20, None));
    assert!(attempts.windows(2).all(|pair| pair[0].started < pair[1].started));
    let owners: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.worker.as_str()).collect();
    assert_eq!(owners.len(), 20, "no lease owner is used twice");
    queue.settle(last, completed()).await.unwrap();
}

async fn a_due_retry_is_claimed_and_no_other(backend: Backend) {
    let queue = backend.open().await;
    let impatient = backend.open_with(RetryPolicy { retry_backoff: Duration::ZERO, ..POLICY }).await;
    for (id, kind) in
        [("later", ErrorKind::Transient), ("never", ErrorKind::Permanent), ("due", ErrorKind::Transient)]
    {
        put_id(&queue, id).await;
        let claimed = claim_one(&queue).await;
        let settling = if id == "due" { &impatient } else { &queue };
        settling.settle(claimed, failed(kind)).await.unwrap();
    }
    put_id(&queue, "new").await;
    let claims = queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims;
    assert_eq!(ids(&claims), ["due"]);
    assert_eq!(claims[0].record().run_retries, 1);
    assert_eq!(claims[0].record().attempts[1].trigger, Trigger::AutoRetry);
    // As often as MAX_RETRIES says, and no more.
    let mut claims = claims;
    for retries in [2, 3] {
        impatient.settle(claims.pop().unwrap(), failed(ErrorKind::Transient)).await.unwrap();
        claims = queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims;
        assert_eq!(claims[0].record().run_retries, retries);
    }
    impatient.settle(claims.pop().unwrap(), failed(ErrorKind::Transient)).await.unwrap();
    assert!(
        queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims.is_empty()
    );
}

async fn a_later_form_that_wrote_the_same_record_is_found(backend: Backend) {
    let queue = backend.open().await;
    for id in ["early", "late"] {
        put_id(&queue, id).await;
    }
    let write = async |id: &str, records: &[&str]| {
        let mut candidate = queue.candidate(Origin::CommCare, id).await.unwrap().unwrap();
        candidate.will_write(records.iter().map(|record| (*record).to_owned()).collect());
        let claimed = queue.claim(candidate, "worker", Trigger::Manual, None).await.unwrap();
        let ClaimResult::Claimed(claimed) = claimed else { panic!("{claimed:?}") };
        queue.settle(*claimed, completed()).await.unwrap();
    };
    write("late", &["Household__c/H1", "Participant__c/P1"]).await;
    let records = |ids: &[&str]| ids.iter().map(|id| format!("Household__c/{id}")).collect::<Vec<_>>();
    let early = the(&queue, "early").await;
    let late = the(&queue, "late").await;
    let origin = Origin::CommCare;
    let later = async |of: &Record, records: &[String]| -> Vec<String> {
        let doc_id = of.job_id.as_deref().unwrap();
        let found = queue.later_writers(origin, doc_id, of, records).await.unwrap();
        found.into_iter().map(|(doc_id, _)| doc_id).collect()
    };
    assert_eq!(later(&early, &records(&["H0", "H1"])).await, ["late"]);
    let many: Vec<String> = (0..25).map(|n| format!("Household__c/H{n}")).collect();
    assert_eq!(later(&early, &many).await, ["late"]);
    let none: [&str; 0] = [];
    assert_eq!(later(&early, &records(&["H2"])).await, none);
    assert_eq!(later(&early, &[]).await, none);
    assert_eq!(later(&late, &records(&["H1"])).await, none, "not itself");
    let very_many: Vec<String> = (0..100).rev().map(|n| format!("Household__c/H{n}")).collect();
    assert!(!later(&early, &very_many).await.is_empty(), "any number of records");
    // What a run writes takes the place of what the last one wrote.
    write("late", &["Household__c/H2"]).await;
    assert_eq!(later(&early, &records(&["H1"])).await, none);
    assert_eq!(later(&early, &records(&["H2"])).await, ["late"]);
}

async fn any_id_finds_its_record(backend: Backend) {
    let queue = backend.open().await;
    let long = "x".repeat(ID_LIMIT);
    for id in [json!("a/b"), json!(".."), json!("__id__"), json!("é ü"), json!(long), json!(4711), json!("")]
    {
        let job_id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let accepted = put(&queue, json!({ "id": id, "form": {} })).await;
        assert_eq!(accepted.fate, Fate::Stored, "{job_id}");
        let found = queue.find(Origin::CommCare, &job_id).await.unwrap().records;
        assert_eq!(found.len(), 1, "{job_id}");
        assert_eq!((&found[0].0, &found[0].1.data["id"]), (&accepted.doc_id, &id));
        let by_doc_id = queue.find(Origin::CommCare, &accepted.doc_id).await.unwrap().records;
        assert_eq!(by_doc_id.len(), 1, "{}", accepted.doc_id);
    }
    let too_long = "x".repeat(ID_LIMIT + 1);
    for nobody in ["nobody", &too_long] {
        assert!(queue.find(Origin::CommCare, nobody).await.unwrap().records.is_empty());
    }
}

async fn counts_are_by_status(backend: Backend) {
    let queue = backend.open().await;
    let empty = queue.counts(Origin::CommCare).await.unwrap();
    assert_eq!((empty.by_status.map(|(_, count)| count), empty.oldest_new), ([0, 0, 0, 0], None));
    for n in 0..5 {
        put_id(&queue, &format!("f-{n}")).await;
    }
    let mut claims = claim(&queue, 3).await;
    queue.settle(claims.remove(0), completed()).await.unwrap();
    queue.settle(claims.remove(0), failed(ErrorKind::Permanent)).await.unwrap();
    let counts = queue.counts(Origin::CommCare).await.unwrap();
    let expected = [(Status::New, 2), (Status::Processing, 1), (Status::Completed, 1), (Status::Failed, 1)];
    assert_eq!(counts.by_status, expected);
    assert_eq!(counts.oldest_new, the(&queue, "f-3").await.created_at);
}

async fn failed_records_come_in_pages_last_changed_first(backend: Backend) {
    let queue = backend.open().await;
    for n in 0..5 {
        put_id(&queue, &format!("f-{n}")).await;
        let claimed = claim_one(&queue).await;
        queue.settle(claimed, failed(ErrorKind::Permanent)).await.unwrap();
    }
    put_id(&queue, "not-failed").await;
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = queue
            .failed(Origin::CommCare, &FailedFilter::default(), after.as_ref(), Shown::All, 2)
            .await
            .unwrap();
        pages.push(page.records.into_iter().map(|(doc_id, _)| doc_id).collect::<Vec<_>>());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec!["f-4", "f-3"], vec!["f-2", "f-1"], vec!["f-0"]]);
}

async fn what_no_map_can_hold_comes_back_as_it_was(backend: Backend) {
    let queue = backend.open().await;
    let deep = (0..60).fold(json!("x"), |inner, _| json!({ "a": inner }));
    let awkward = [
        json!({ "matrix": [[1, 2], [3]] }),
        json!({ "deep": deep }),
        json!({ "large": u64::MAX }),
        serde_json::from_str(r#"{ "larger": 123456789012345678901234567890, "exact": 5.10 }"#).unwrap(),
        json!({ "__name__": "x", "": "y" }),
    ];
    for (n, form) in awkward.into_iter().enumerate() {
        let id = format!("f-{n}");
        let payload = json!({ "id": id, "form": form });
        put(&queue, payload.clone()).await;
        assert_eq!(*the(&queue, &id).await.data, payload);
        assert_eq!(put(&queue, payload.clone()).await.fate, Fate::Duplicate);
        let claimed = claim_one(&queue).await;
        assert_eq!(*claimed.record().data, payload);
        queue.settle(claimed, completed()).await.unwrap();
        // An edit that a map can hold leaves nothing of the text behind.
        let edited = json!({ "id": id, "form": { "a": "1" } });
        assert_eq!(put(&queue, edited.clone()).await.fate, Fate::Replaced);
        assert_eq!(*the(&queue, &id).await.data, edited);
        let claimed = claim_one(&queue).await;
        queue.settle(claimed, completed()).await.unwrap();
    }
}

async fn a_submission_beyond_a_document_is_refused(backend: Backend) {
    let queue = backend.open().await;
    let sized = |bytes: usize| json!({ "id": "f-1", "form": { "text": "x".repeat(bytes) } });
    let refused = queue.accept(arriving(sized(1_048_576))).await.unwrap_err();
    assert!(matches!(refused, QueueError::TooLarge { size, .. } if size > 1_048_576), "{refused}");
    assert!(queue.find(Origin::CommCare, "f-1").await.unwrap().records.is_empty());
    // One that just fits goes all the way, with a full history.
    put(&queue, sized(1_000_000)).await;
    for _ in 0..25 {
        let retry =
            queue.claim_for_retry(Origin::CommCare, "f-1", "worker", Trigger::Manual, None).await.unwrap();
        let ClaimResult::Claimed(claim) = retry else { panic!("{retry:?}") };
        let outcome = failing("Household__c", "é".repeat(5_000));
        assert!(matches!(
            queue.settle(*claim, outcome).await.unwrap(),
            SettleResult::Written(Written::Failed { .. })
        ));
    }
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.run_retries), (Status::Failed, 24));
    assert!(!record.attempts.is_empty());
}

async fn a_plan_that_does_not_fit_is_cut(backend: Backend) {
    let queue = backend.open().await;
    put(&queue, json!({ "id": "f-1", "form": { "text": "x".repeat(600_000) } })).await;
    let claimed = claim_one(&queue).await;
    let upsert = json!({ "object": "Household__c", "fields": { "a": "y".repeat(10_000) } });
    let plan = json!({ "upserts": vec![upsert; 100] });
    let outcome = ClaimOutcome::Completed { note: None, dry_run: Some(plan), unmapped: Vec::new() };
    assert_eq!(queue.settle(claimed, outcome).await.unwrap(), SettleResult::Written(Written::Completed));
    let record = the(&queue, "f-1").await;
    let plan = record.plan.unwrap();
    let kept = plan["upserts"].as_array().map_or(0, Vec::len);
    assert!((10..100).contains(&kept), "{kept}");
    assert_eq!(
        plan["cut"],
        Value::from(format!("{kept} of 100 upserts are kept: all of them would not fit"))
    );
    assert!(record.dry_run);
}
