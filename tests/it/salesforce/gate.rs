//! Outages and quotas: when Salesforce is left alone, and how work comes back.

use super::*;
use crate::support::salesforce::Fault;
use commcare_sf_integration::destinations::Suspicion;

/// An outage that the destination knows of.
async fn known_outage(stand_in: &SalesforceStandIn, salesforce: &Salesforce) {
    stand_in.set_outage(Some(Fault::CutBefore));
    for _ in 0..3 {
        expect(salesforce, Failure::Unclear).await;
    }
    assert!(paused(salesforce).await.contains("does not answer"));
}

#[tokio::test]
async fn three_deliveries_without_an_answer_pause_salesforce_and_a_probe_ends_the_pause() {
    let (stand_in, salesforce) = start().await;
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    known_outage(&stand_in, &salesforce).await;
    stand_in.set_outage(None);
    let message = expect(&salesforce, Failure::Unavailable).await;
    assert!(message.contains("does not answer"), "{message}");
    assert_eq!(stand_in.requests(), 1, "nothing was sent");
    pass(1).await;
    assert_eq!(salesforce.admission().await, Admission::Probing);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!(salesforce.admission().await, Admission::Available);
    assert_eq!((stand_in.requests(), stand_in.logins()), (2, 2), "the probe logs in afresh");
}

#[tokio::test]
async fn one_probe_at_a_time_tests_the_way_back() {
    let (stand_in, salesforce) = start().await;
    let salesforce = Arc::new(salesforce);
    known_outage(&stand_in, &salesforce).await;
    pass(1).await;
    stand_in.set_outage(None);
    stand_in.delay(Duration::from_millis(50));
    let (succeeded, failures) = twenty_at_once(&salesforce).await;
    assert_eq!((succeeded, failures), (1, vec![Failure::Unavailable; 19]));
    assert_eq!(twenty_at_once(&salesforce).await.0, 20);
}

#[tokio::test]
async fn an_outage_is_not_held_against_the_record_that_probes_it() {
    let (stand_in, salesforce) = start().await;
    known_outage(&stand_in, &salesforce).await;
    for pause in [1, 2, 4, 8, 16, 32, 60] {
        pass(pause).await;
        assert_eq!(salesforce.admission().await, Admission::Probing, "{pause}");
        expect(&salesforce, Failure::Unclear).await;
        paused(&salesforce).await;
    }
}

#[tokio::test]
async fn a_record_that_salesforce_chokes_on_does_not_block_the_way_back() {
    let (stand_in, salesforce) = start().await;
    known_outage(&stand_in, &salesforce).await;
    stand_in.set_outage(None);
    stand_in.fail_request_with("hh-0", Fault::CutBefore);
    pass(1).await;
    expect(&salesforce, Failure::Unclear).await;
    assert_eq!(stand_in.limits_calls(), 0, "what another call meets proves nothing");
    paused(&salesforce).await;
    pass(2).await;
    salesforce.execute(&Plan::salesforce(vec![household("hh-1", "12")]), Suspicion::None).await.unwrap();
    assert_eq!(salesforce.admission().await, Admission::Available);
}

#[tokio::test]
async fn a_probe_that_meets_a_lock_has_found_salesforce_and_is_retried() {
    let (stand_in, salesforce) = start().await;
    known_outage(&stand_in, &salesforce).await;
    stand_in.set_outage(None);
    stand_in.refuse_row("hh-0", 400, "UNABLE_TO_LOCK_ROW", "locked");
    pass(1).await;
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
}

#[tokio::test]
async fn an_answer_to_a_record_between_them_makes_failures_no_outage() {
    let stand_in = SalesforceStandIn::start().await;
    let salesforce = fresh(&stand_in);
    let lock = Fault::Answer(400, error_body("UNABLE_TO_LOCK_ROW", "locked"));
    for (fault, expected) in [
        (Fault::CutBefore, Failure::Unclear),
        (Fault::Answer(503, String::new()), Failure::Unclear),
        (lock.clone(), Failure::Transient),
        (Fault::HalfAnswer, Failure::Unclear),
        (Fault::Answer(500, error_body("UNKNOWN_EXCEPTION", "an error")), Failure::Unclear),
        (lock, Failure::Transient),
        (Fault::Answer(429, String::new()), Failure::Unclear),
        (Fault::Answer(403, "<html>".to_owned()), Failure::Unclear),
    ] {
        stand_in.fail_next(fault);
        expect(&salesforce, expected).await;
        assert_eq!(salesforce.admission().await, Admission::Available);
    }
    stand_in.fail_next(Fault::Answer(500, error_body("UNKNOWN_EXCEPTION", "an error")));
    expect(&salesforce, Failure::Unclear).await;
    paused(&salesforce).await;
}

#[tokio::test]
async fn below_the_reserve_work_stops_and_goes_on_once_limits_show_room() {
    let (stand_in, salesforce) = start().await;
    stand_in.set_usage(14_249, 15_000);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!(salesforce.admission().await, Admission::Available, "750 left are the reserve itself");
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    let message = expect(&salesforce, Failure::Unavailable).await;
    assert!(message.contains("749 of Salesforce's 15000"), "{message}");
    assert_eq!((stand_in.requests(), stand_in.limits_calls()), (2, 0));

    assert!(paused(&salesforce).await.contains("748 of Salesforce's 15000"), "asking is a call, too");
    paused(&salesforce).await;
    assert_eq!(stand_in.limits_calls(), 1, "asked once");

    stand_in.set_usage(9_000, 15_000);
    pass(1).await;
    assert_eq!(salesforce.admission().await, Admission::Available);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.requests(), stand_in.limits_calls()), (3, 2));
}

#[tokio::test]
async fn used_up_calls_stop_the_work_whatever_the_reserve() {
    let stand_in = SalesforceStandIn::start().await;
    let settings = SalesforceSettings { api_reserve_percent: 0, ..stand_in.settings() };
    let salesforce = Salesforce::new(settings, Metrics::default()).unwrap();
    stand_in.set_usage(5_000, 5_000);
    expect(&salesforce, Failure::Unavailable).await;
    paused(&salesforce).await;
    expect(&salesforce, Failure::Unavailable).await;
    assert_eq!(stand_in.requests(), 1);
    stand_in.set_usage(4_000, 5_000);
    pass(1).await;
    assert_eq!(salesforce.admission().await, Admission::Available);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_read_limits_is_helped_by_one_record() {
    let (stand_in, salesforce) = start().await;
    stand_in.hide_limits();
    stand_in.set_usage(14_999, 15_000);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!(salesforce.admission().await, Admission::Probing);
    assert_eq!(stand_in.limits_calls(), 1);
    expect(&salesforce, Failure::Unavailable).await;
    stand_in.set_usage(1, 15_000);
    assert_eq!(salesforce.admission().await, Admission::Probing);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!(salesforce.admission().await, Admission::Available);
}

#[tokio::test]
async fn limits_that_cannot_be_asked_keep_the_work_waiting() {
    let (stand_in, salesforce) = start().await;
    stand_in.set_usage(14_900, 15_000);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.set_outage(Some(Fault::CutBefore));
    assert!(matches!(salesforce.admission().await, Admission::Paused { .. }));
    stand_in.set_outage(None);
    stand_in.set_usage(100, 15_000);
    pass(1).await;
    assert_eq!(salesforce.admission().await, Admission::Available);
}

#[tokio::test]
async fn a_large_plan_is_finished_although_the_reserve_is_reached_on_the_way() {
    let (stand_in, salesforce) = start().await;
    stand_in.set_usage(14_900, 15_000);
    salesforce.execute(&Plan::salesforce(households(1_200)), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.requests(), stand_in.records("Household__c").len()), (2, 1_200));
    paused(&salesforce).await;
}
