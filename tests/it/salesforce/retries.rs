//! What is tried again within a delivery, and that nothing happens twice.

use commcare_sf_integration::destinations::Suspicion;
use tokio::time::Instant;

use super::*;
use crate::support::salesforce::Fault;

fn lock() -> String {
    error_body("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
}

#[tokio::test]
async fn a_lost_answer_leads_to_no_second_effect() {
    for fault in [Fault::CutAfter, Fault::CutBefore, Fault::HalfAnswer] {
        let (stand_in, salesforce) = start().await;
        stand_in.create_unknown_references();
        stand_in.fail_next(fault.clone());
        salesforce.execute(&attendance(3), Suspicion::None).await.unwrap();
        assert_eq!(stand_in.requests(), 2, "{fault:?}");
        assert_eq!(stand_in.records("Attendance__c").len(), 3, "{fault:?}");
        assert_eq!(stand_in.records("Training_Session__c").len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_locked_row_is_written_once_it_is_free() {
    let (stand_in, salesforce) = start().await;
    for _ in 0..3 {
        stand_in.refuse_row("hh-0", 400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access");
    }
    salesforce.execute(&Plan::salesforce(households(2)), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.requests(), stand_in.records("Household__c").len()), (4, 2));
}

#[tokio::test]
async fn garbage_and_a_proxys_page_are_asked_for_again() {
    let (stand_in, salesforce) = start().await;
    stand_in.fail_next(Fault::Answer(200, "<html>welcome</html>".to_owned()));
    stand_in.fail_next(Fault::Rewrite(|_| Value::Null));
    stand_in.fail_next(Fault::Answer(502, "<html>Bad gateway</html>".to_owned()));
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.requests(), stand_in.records("Household__c").len()), (4, 1));
}

#[tokio::test]
async fn four_calls_are_enough_and_the_last_error_is_told() {
    let (stand_in, salesforce) = start().await;
    for _ in 0..5 {
        stand_in.fail_next(Fault::Answer(400, lock()));
    }
    let message = expect(&salesforce, Failure::Transient).await;
    assert!(message.contains("UNABLE_TO_LOCK_ROW"), "{message}");
    assert_eq!(stand_in.requests(), 4);
    assert_eq!(salesforce.admission().await, Admission::Available, "a lock is no outage");
}

#[tokio::test]
async fn the_last_answer_is_told_where_there_was_no_time_for_another() {
    let stand_in = SalesforceStandIn::start().await;
    let second = Duration::from_secs(1);
    let settings = SalesforceSettings {
        request_timeout: second,
        retry_budget: second,
        retry_delay: second / 5,
        ..stand_in.settings()
    };
    let salesforce = Salesforce::new(settings, Metrics::default()).unwrap();
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    for _ in 0..3 {
        stand_in.fail_next(Fault::Answer(400, lock()));
        stand_in.fail_next(Fault::Hang);
        let message = expect(&salesforce, Failure::Transient).await;
        assert!(message.contains("UNABLE_TO_LOCK_ROW"), "{message}");
    }
    assert_eq!(salesforce.admission().await, Admission::Available, "a lock is no outage");
}

#[tokio::test]
async fn what_no_retry_can_mend_is_not_tried_again() {
    let (stand_in, salesforce) = start().await;
    let refusals = [
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no", Failure::Permanent),
        ("INVALID_FIELD", "Foreign key external ID: x not found", Failure::Dependency),
    ];
    for (code, message, expected) in refusals {
        stand_in.refuse_row("hh-0", 400, code, message);
        expect(&salesforce, expected).await;
    }
    assert_eq!(stand_in.requests(), 2);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let (stand_in, salesforce) = start().await;
    stand_in.fail_next(Fault::Busy(503, String::new(), "1".to_owned()));
    let start = Instant::now();
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "the back-off alone is a few milliseconds");
    assert_eq!(stand_in.requests(), 2);
}

#[tokio::test]
async fn a_retry_after_beyond_the_budget_ends_the_call() {
    let (stand_in, salesforce) = start().await;
    stand_in.fail_next(Fault::Busy(503, String::new(), "3600".to_owned()));
    expect(&salesforce, Failure::Unclear).await;
    assert_eq!(stand_in.requests(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_within_the_bound() {
    let stand_in = SalesforceStandIn::start().await;
    let settings = SalesforceSettings {
        request_timeout: Duration::from_secs(1),
        retry_budget: Duration::from_millis(1_200),
        ..stand_in.settings()
    };
    let salesforce = Salesforce::new(settings, Metrics::default()).unwrap();
    for _ in 0..4 {
        stand_in.fail_next(Fault::Hang);
    }
    let start = Instant::now();
    expect(&salesforce, Failure::Unclear).await;
    let took = start.elapsed().as_millis();
    assert!((1_200..1_900).contains(&took), "{took} ms; two calls of their own would take 2,000");
    assert_eq!(stand_in.requests(), 2, "the second was cut short");
}

#[tokio::test]
async fn a_session_that_expires_between_retries_is_renewed() {
    let (stand_in, salesforce) = start().await;
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.expire_sessions();
    stand_in.fail_next(Fault::Answer(400, lock()));
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.logins(), stand_in.requests()), (2, 3));
}

#[tokio::test]
async fn the_login_of_a_salesforce_that_stumbles_is_tried_again() {
    let (stand_in, salesforce) = start().await;
    let retry = json!({ "error": "unknown_error", "error_description": "retry your request" });
    stand_in.fail_next_login(Fault::Answer(400, retry.to_string()));
    stand_in.fail_next_login(Fault::CutBefore);
    stand_in.fail_next_login(Fault::Answer(200, "{}".to_owned()));
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.logins(), stand_in.requests()), (4, 1));
}
