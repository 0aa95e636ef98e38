//! Logging in, and staying logged in.

use commcare_sf_integration::config::salesforce::Login;
use commcare_sf_integration::destinations::Suspicion;

use super::*;
use crate::support::salesforce::{CLIENT_ID, Fault, PASSWORD, SECURITY_TOKEN, USERNAME};

fn password_login(password: &str) -> Login {
    Login::Password {
        username: USERNAME.to_owned(),
        password: password.into(),
        security_token: SECURITY_TOKEN.into(),
    }
}

#[tokio::test]
async fn one_login_serves_many_plans() {
    let (stand_in, salesforce) = start().await;
    stand_in.delay(Duration::from_millis(30));
    let salesforce = Arc::new(salesforce);
    assert_eq!(twenty_at_once(&salesforce).await.0, 20);
    assert_eq!(twenty_at_once(&salesforce).await.0, 20);
    assert_eq!((stand_in.logins(), stand_in.records("Household__c").len()), (1, 20));
}

#[tokio::test]
async fn a_user_name_with_password_and_token_logs_in() {
    let stand_in = SalesforceStandIn::start().await;
    let salesforce =
        Salesforce::new(stand_in.settings_for(password_login(PASSWORD)), Metrics::default()).unwrap();
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.expire_sessions();
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!(stand_in.logins(), 2);
}

#[tokio::test]
async fn twenty_calls_that_meet_an_expired_session_renew_it_once() {
    let (stand_in, salesforce) = start().await;
    let salesforce = Arc::new(salesforce);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.expire_sessions();
    stand_in.delay(Duration::from_millis(30));
    assert_eq!(twenty_at_once(&salesforce).await.0, 20);
    assert_eq!(stand_in.logins(), 2);
}

#[tokio::test]
async fn a_session_refused_twice_is_the_destinations_trouble() {
    let (stand_in, salesforce) = start().await;
    for _ in 0..2 {
        stand_in
            .fail_next(Fault::Answer(401, error_body("INVALID_SESSION_ID", "Session expired or invalid")));
    }
    expect(&salesforce, Failure::Unavailable).await;
    assert_eq!((stand_in.logins(), stand_in.requests()), (2, 2));
}

#[tokio::test]
async fn a_refused_renewal_is_asked_for_once_by_twenty_calls() {
    let (stand_in, salesforce) = start().await;
    let salesforce = Arc::new(salesforce);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.expire_sessions();
    stand_in.refuse_logins(true);
    stand_in.delay(Duration::from_millis(30));
    let (_, failures) = twenty_at_once(&salesforce).await;
    assert_eq!(failures, [Failure::Unavailable; 20]);
    assert_eq!(stand_in.logins(), 2);
}

#[tokio::test]
async fn a_refused_login_is_the_destinations_trouble_and_tells_no_secret() {
    let stand_in = SalesforceStandIn::start().await;
    let wrong_secret =
        Login::ClientCredentials { client_id: CLIENT_ID.to_owned(), client_secret: "s3cr3t-key".into() };
    let unknown_app =
        Login::ClientCredentials { client_id: "other".to_owned(), client_secret: "s3cr3t-key".into() };
    for (login, code) in [
        (wrong_secret, "invalid_client"),
        (unknown_app, "invalid_client_id"),
        (password_login("s3cr3t-key"), "INVALID_LOGIN"),
    ] {
        let salesforce = Salesforce::new(stand_in.settings_for(login), Metrics::default()).unwrap();
        let error = failure(&salesforce, &Plan::salesforce(households(1))).await;
        assert_eq!((error.failure, error.step.as_str()), (Failure::Unavailable, "login"));
        assert!(error.message.contains(code) && !error.message.contains("s3cr3t"), "{error}");
    }
    assert_eq!((stand_in.logins(), stand_in.requests()), (3, 0));
}
