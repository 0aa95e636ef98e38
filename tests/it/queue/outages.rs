//! Runs whose failure may be the destination's trouble, and records that wait, on SQLite and on Firestore
//! (`docs/service.md`, guarantees 7 and 11).

use std::time::Duration;

use commcare_sf_integration::config::RetryPolicy;
use commcare_sf_integration::queue::{
    Claim, ClaimOutcome, ClaimResult, Queue, RecordFailure, SettleResult, Written,
};
use commcare_sf_integration::submission::{
    AttemptOutcome, Awaits, Cause, ErrorKind, NextRetry, Origin, Record, Status, Trigger,
};

use futures::future::join_all;

use super::backend::{
    Backend, POLICY, claim, claim_one, completed, failed, failure, ids, on_both_back_ends, put_id, the,
    undecided,
};
use crate::support::claims::ClaimMany;

on_both_back_ends!(
    an_undecided_run_puts_a_new_record_back_uncounted_and_says_why,
    an_undecided_run_puts_a_failed_record_back_failed_and_due,
    no_number_of_undecided_runs_uses_up_a_record,
    an_undecided_retry_by_hand_leaves_it_to_the_person,
    a_completed_run_forgets_that_others_were_undecided,
    an_edition_begins_its_patience_anew,
    a_record_that_meets_only_trouble_fails_at_the_end_of_the_patience,
    a_lowered_bound_of_retries_leaves_no_record_in_limbo,
    a_waiting_record_is_woken_by_what_it_waits_for_and_uses_up_nothing,
    hundreds_that_wait_are_woken_although_one_of_them_cannot_be,
    an_outage_does_not_count_against_a_waiting_record,
    a_waiting_record_needs_a_person_at_the_end_of_its_patience,
);

mod firestore_away {
    use super::*;

    #[tokio::test]
    async fn a_lease_that_nobody_could_prolong_in_firestore_tells_of_no_death() {
        let backend = Backend::firestore();
        let (queue, other) = (backend.open_without_leases().await, backend.open().await);
        put_id(&queue, "f-1").await;
        for _ in 0..2 * POLICY.max_retries {
            let claimed = claim_one(&queue).await;
            let firestore = backend.firestore.as_ref().unwrap();
            firestore.set_outage(Some(tonic::Code::Unavailable));
            assert!(queue.renew(&claimed.lease()).await.is_err());
            firestore.set_outage(None);
        }
        let record = the(&queue, "f-1").await;
        let ended: Vec<_> = record.attempts.iter().filter_map(|attempt| attempt.outcome).collect();
        assert_eq!((record.run_retries, record.deaths()), (0, 0), "{record:?}");
        assert!(ended.iter().all(|outcome| *outcome == AttemptOutcome::Undecided), "{ended:?}");
        // Whoever has met no trouble of the queue takes it for a death.
        let claimed = claim_one(&other).await;
        assert_eq!((claimed.record().run_retries, claimed.record().deaths()), (1, 1));
    }
}

const AT_ONCE: RetryPolicy = RetryPolicy { retry_backoff: Duration::ZERO, ..POLICY };

async fn due(queue: &Queue) -> Vec<Claim> {
    queue.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap().claims
}

async fn settle(queue: &Queue, claim: Claim, outcome: ClaimOutcome) {
    written(queue, claim, outcome).await;
}

/// What the queue has written.
async fn written(queue: &Queue, claim: Claim, outcome: ClaimOutcome) -> Written {
    match queue.settle(claim, outcome).await.unwrap() {
        SettleResult::Written(written) => written,
        other => panic!("{other:?}"),
    }
}

async fn by_hand(queue: &Queue, id: &str) -> Claim {
    let retry = queue.claim_for_retry(Origin::CommCare, id, "worker", Trigger::Manual, None).await.unwrap();
    let ClaimResult::Claimed(claim) = retry else { panic!("{retry:?}") };
    *claim
}

/// Failed, since a household is missing.
fn waiting() -> ClaimOutcome {
    let missing = failure(ErrorKind::Dependency, "Farm__c", "Household__c H1 is missing".to_owned());
    ClaimOutcome::Failed(RecordFailure {
        cause: Cause::ReferenceMissing,
        waits_for: vec!["Household__c/H1".to_owned()],
        ..missing
    })
}

fn last_error(record: &Record) -> (Option<&str>, Option<&str>) {
    (record.error.as_deref(), record.last_step.as_deref())
}

const TOLD: (Option<&str>, Option<&str>) = (Some("no answer in time"), Some("composite"));

async fn an_undecided_run_puts_a_new_record_back_uncounted_and_says_why(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    settle(&queue, claimed, undecided()).await;
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.run_retries, &record.lease_owner), (Status::New, 0, &None));
    assert_eq!((last_error(&record), record.next_retry_at), (TOLD, NextRetry::Unset));
    assert!(record.undecided_since.is_some());
    let attempt = &record.attempts[0];
    assert_eq!(attempt.outcome, Some(AttemptOutcome::Undecided));
    assert_eq!((attempt.error.as_deref(), attempt.step.as_deref()), TOLD);
    // The next run is still the first that counts.
    let again = claim_one(&queue).await;
    settle(&queue, again, failed(ErrorKind::Transient)).await;
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.run_retries), (Status::Failed, 0));
    assert!(record.undecided_since.is_none(), "it has been decided");
}

async fn an_undecided_run_puts_a_failed_record_back_failed_and_due(backend: Backend) {
    let queue = backend.open_with(AT_ONCE).await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    settle(&queue, claimed, failed(ErrorKind::Transient)).await;
    for _ in 0..5 {
        let mut claims = due(&queue).await;
        assert_eq!((ids(&claims), claims[0].record().run_retries), (vec!["f-1"], 1));
        settle(&queue, claims.remove(0), undecided()).await;
        let record = the(&queue, "f-1").await;
        assert_eq!((record.status, record.run_retries), (Status::Failed, 0));
        assert_eq!(last_error(&record), TOLD);
        assert!(record.error_kind.is_some() && record.cause.is_some(), "{record:?}");
        assert!(claim(&queue, 10).await.is_empty(), "it is not new");
    }
    let last = due(&queue).await.remove(0);
    settle(&queue, last, completed()).await;
}

async fn no_number_of_undecided_runs_uses_up_a_record(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    for _ in 0..25 {
        let claimed = claim_one(&queue).await;
        settle(&queue, claimed, undecided()).await;
    }
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.run_retries, record.attempts.len()), (Status::New, 0, 20));
}

async fn an_undecided_retry_by_hand_leaves_it_to_the_person(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    settle(&queue, claimed, failed(ErrorKind::Permanent)).await;
    let claimed = by_hand(&queue, "f-1").await;
    settle(&queue, claimed, undecided()).await;
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.run_retries), (Status::Failed, 0));
    assert_eq!((record.next_retry_at, record.error_kind), (NextRetry::Never, Some(ErrorKind::Permanent)));
    assert!(due(&queue).await.is_empty() && claim(&queue, 10).await.is_empty());
}

async fn a_completed_run_forgets_that_others_were_undecided(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    settle(&queue, claimed, undecided()).await;
    let claimed = claim_one(&queue).await;
    settle(&queue, claimed, completed()).await;
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.undecided_since), (Status::Completed, None));
    assert_eq!((last_error(&record), record.error_kind, record.cause), ((None, None), None, None));
}

async fn an_edition_begins_its_patience_anew(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    settle(&queue, claimed, undecided()).await;
    super::backend::put(&queue, serde_json::json!({ "id": "f-1", "form": { "x": "2" } })).await;
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.undecided_since, record.error), (Status::New, None, None));
}

async fn a_record_that_meets_only_trouble_fails_at_the_end_of_the_patience(backend: Backend) {
    let queue = backend.open_with(AT_ONCE).await;
    let impatient = RetryPolicy { outage_patience: Duration::ZERO, ..AT_ONCE };
    let impatient = backend.open_with(impatient).await;
    for id in ["new", "failed"] {
        put_id(&queue, id).await;
        let mut claimed = claim_one(&queue).await;
        if id == "failed" {
            settle(&queue, claimed, failed(ErrorKind::Transient)).await;
            claimed = due(&queue).await.remove(0);
        }
        settle(&queue, claimed, undecided()).await;
        let claimed = match id {
            "new" => claim_one(&queue).await,
            _ => due(&queue).await.remove(0),
        };
        let gave_up = Written::Failed { cause: Cause::Outage, awaits: Awaits::Person };
        assert_eq!(written(&impatient, claimed, undecided()).await, gave_up, "{id}");
        let record = the(&queue, id).await;
        assert_eq!((record.status, record.cause), (Status::Failed, Some(Cause::Outage)), "{id}");
        assert_eq!((record.next_retry_at, last_error(&record)), (NextRetry::Never, TOLD), "{id}");
        assert!(due(&queue).await.is_empty() && claim(&queue, 10).await.is_empty(), "{id}: by itself");
        // A person gives it another patience.
        let claimed = by_hand(&queue, id).await;
        settle(&queue, claimed, undecided()).await;
        let record = the(&queue, id).await;
        assert_eq!((record.status, record.cause), (Status::Failed, Some(Cause::Outage)), "{id}");
        assert!(record.undecided_since.is_some(), "{id}");
        let claimed = by_hand(&queue, id).await;
        settle(&queue, claimed, completed()).await;
    }
}

async fn a_lowered_bound_of_retries_leaves_no_record_in_limbo(backend: Backend) {
    let queue = backend.open_with(AT_ONCE).await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    settle(&queue, claimed, failed(ErrorKind::Transient)).await;
    for _ in 0..2 {
        let claimed = due(&queue).await.remove(0);
        settle(&queue, claimed, failed(ErrorKind::Transient)).await;
    }
    let before = the(&queue, "f-1").await;
    assert!(matches!(before.next_retry_at, NextRetry::At(_)) && before.run_retries == 2);
    let lowered = backend.open_with(RetryPolicy { max_retries: 1, ..AT_ONCE }).await;
    let claimed = lowered.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap();
    let given_up: Vec<&str> = claimed.exhausted.iter().map(|given_up| given_up.doc_id.as_str()).collect();
    assert_eq!((ids(&claimed.claims).len(), given_up), (0, vec!["f-1"]));
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.next_retry_at), (Status::Failed, NextRetry::Never));
    assert_eq!((record.run_retries, &record.attempts), (2, &before.attempts), "nothing was tried");
    assert_eq!(record.error, before.error);
    let again = lowered.claim_due(Origin::CommCare, 10, "worker", Trigger::AutoRetry).await.unwrap();
    assert!(again.claims.is_empty() && again.exhausted.is_empty(), "it waits for a person now");
    let claimed = by_hand(&lowered, "f-1").await;
    settle(&lowered, claimed, completed()).await;
}

/// What waits for a household, as auto-retry takes it.
async fn woken(queue: &Queue, household: &str) -> Vec<Claim> {
    let (mut claims, mut woken) = (Vec::new(), Vec::new());
    queue.wake(Origin::CommCare, &[format!("Household__c/{household}")], &mut woken).await.unwrap();
    let woken: Vec<String> = woken.into_iter().map(|woken| woken.doc_id).collect();
    for candidate in queue.due_candidates(Origin::CommCare, &woken).await.unwrap() {
        let claimed = queue.claim(candidate, "worker", Trigger::AutoRetry, None).await.unwrap();
        let ClaimResult::Claimed(claim) = claimed else { panic!("{claimed:?}") };
        claims.push(*claim);
    }
    claims
}

async fn a_waiting_record_is_woken_by_what_it_waits_for_and_uses_up_nothing(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let mut claimed = claim_one(&queue).await;
    for _ in 0..2 * POLICY.max_retries {
        settle(&queue, claimed, waiting()).await;
        let record = the(&queue, "f-1").await;
        assert_eq!((record.run_retries, record.waits_for), (0, vec!["Household__c/H1".to_owned()]));
        assert!(matches!(record.next_retry_at, NextRetry::At(_)), "{:?}", record.next_retry_at);
        assert!(due(&queue).await.is_empty() && woken(&queue, "H2").await.is_empty(), "not yet");
        let mut woken = woken(&queue, "H1").await;
        assert_eq!((ids(&woken), woken[0].record().run_retries), (vec!["f-1"], 0));
        claimed = woken.remove(0);
    }
    settle(&queue, claimed, completed()).await;
    assert!(woken(&queue, "H1").await.is_empty(), "it waits no more");
}

async fn hundreds_that_wait_are_woken_although_one_of_them_cannot_be(backend: Backend) {
    const WAITING: usize = 210;
    let queue = backend.open().await;
    join_all((0..WAITING).map(async |number| put_id(&queue, &format!("f-{number}")).await)).await;
    let claims = claim(&queue, WAITING).await;
    assert_eq!(claims.len(), WAITING);
    join_all(claims.into_iter().map(async |claimed| settle(&queue, claimed, waiting()).await)).await;
    let keys = ["Household__c/H1".to_owned(), "Household__c/H2".to_owned()];
    let mut woken = Vec::new();
    if let Some(firestore) = &backend.firestore {
        firestore.fail_next("Commit", tonic::Code::PermissionDenied, 1);
        let failed = queue.wake(Origin::CommCare, &keys, &mut woken).await;
        assert!(failed.is_err() && woken.len() > 100 && woken.len() < WAITING, "{}", woken.len());
        woken.clear();
    }
    queue.wake(Origin::CommCare, &keys, &mut woken).await.unwrap();
    woken.sort();
    woken.dedup();
    assert_eq!(woken.len(), WAITING);
    assert!(woken.is_sorted_by_key(|woken| woken.arrived), "oldest first");
    assert_eq!(the(&queue, "f-209").await.data["id"], "f-209", "the payload stays");
    assert_eq!(due(&queue).await.len(), 10, "auto-retry takes them too");
}

async fn an_outage_does_not_count_against_a_waiting_record(backend: Backend) {
    let queue = backend.open().await;
    put_id(&queue, "f-1").await;
    let mut claimed = claim_one(&queue).await;
    for _ in 0..2 * POLICY.max_retries {
        settle(&queue, claimed, waiting()).await;
        let woken = woken(&queue, "H1").await.remove(0);
        settle(&queue, woken, undecided()).await;
        let record = the(&queue, "f-1").await;
        assert_eq!((record.status, record.run_retries), (Status::Failed, 0));
        assert_eq!(record.error_kind, Some(ErrorKind::Dependency), "what it was before");
        assert_eq!(record.waits_for, ["Household__c/H1"], "it still waits");
        claimed = due(&queue).await.remove(0);
        assert_eq!(claimed.record().run_retries, 0);
    }
    settle(&queue, claimed, completed()).await;
}

async fn a_waiting_record_needs_a_person_at_the_end_of_its_patience(backend: Backend) {
    let queue = backend.open().await;
    let impatient = RetryPolicy { dependency_patience: Duration::ZERO, ..POLICY };
    let impatient = backend.open_with(impatient).await;
    put_id(&queue, "f-1").await;
    let claimed = claim_one(&queue).await;
    settle(&impatient, claimed, waiting()).await;
    let record = the(&queue, "f-1").await;
    assert_eq!((record.status, record.next_retry_at), (Status::Failed, NextRetry::Never));
    assert!(due(&queue).await.is_empty());
}
