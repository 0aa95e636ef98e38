//! Logging in with a signed token, and what happens when a login is refused.

use commcare_sf_integration::config::salesforce::{JwtLogin, Login, NotAPrivateKey, PrivateKey};
use commcare_sf_integration::destinations::Suspicion;

use tokio::sync::Notify;

use super::*;
use crate::support::salesforce::{AUDIENCE, CLIENT_ID, Fault, USERNAME, private_key_pem};

fn jwt(client_id: &str, username: &str, audience: &'static str) -> Login {
    let private_key = PrivateKey::from_pem_or_path(private_key_pem()).unwrap();
    Login::Jwt(JwtLogin {
        client_id: client_id.to_owned(),
        username: username.to_owned(),
        private_key,
        audience,
    })
}

#[tokio::test]
async fn a_signed_token_logs_in_and_again_once_the_session_expired() {
    let stand_in = SalesforceStandIn::start().await;
    let salesforce = Salesforce::new(stand_in.jwt_settings(), Metrics::default()).unwrap();
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.expire_sessions();
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.logins(), stand_in.requests()), (2, 2));
}

#[tokio::test]
async fn a_signed_token_for_others_is_refused() {
    let stand_in = SalesforceStandIn::start().await;
    for (login, says) in [
        (jwt("other", USERNAME, AUDIENCE), "invalid_client_id"),
        (jwt(CLIENT_ID, "other@example.org", AUDIENCE), "approved this consumer"),
        (jwt(CLIENT_ID, USERNAME, "https://login.salesforce.com"), "InvalidAudience"),
    ] {
        let salesforce = Salesforce::new(stand_in.settings_for(login), Metrics::default()).unwrap();
        let message = expect(&salesforce, Failure::Unavailable).await;
        assert!(message.contains(says) && !message.contains("eyJ"), "{message}");
    }
    assert_eq!((stand_in.logins(), stand_in.requests()), (3, 0));
}

#[test]
fn a_private_key_is_read_in_every_shape() {
    let pem = private_key_pem();
    PrivateKey::from_pem_or_path(pem).unwrap();
    PrivateKey::from_pem_or_path(&pem.trim().replace('\n', "\\n")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let key = PrivateKey::from_pem_or_path(file.path().to_str().unwrap()).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(********)");

    let cut: String = pem.lines().take(5).chain(["-----END PRIVATE KEY-----"]).collect::<Vec<_>>().join("\n");
    for broken in [cut.as_str(), "-----BEGIN PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"] {
        assert_eq!(PrivateKey::from_pem_or_path(broken).unwrap_err(), NotAPrivateKey::Broken, "{broken}");
    }
    std::fs::write(file.path(), "no key").unwrap();
    let broken = PrivateKey::from_pem_or_path(file.path().to_str().unwrap());
    assert_eq!(broken.unwrap_err(), NotAPrivateKey::Broken);
    assert_eq!(PrivateKey::from_pem_or_path("/no/such/file").unwrap_err(), NotAPrivateKey::Unreadable);
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_within_half_a_minute_and_then_ever_more_rarely() {
    let (stand_in, salesforce) = start().await;
    stand_in.refuse_logins(true);
    for pause in [30, 60, 120, 240, 480, 600, 600] {
        let logins = stand_in.logins();
        let message = expect(&salesforce, Failure::Unavailable).await;
        assert!(message.contains("invalid_grant"), "{message}");
        assert_eq!(stand_in.logins(), logins + 1, "before {pause}");
        pass(pause - 2).await;
        assert!(paused(&salesforce).await.contains("invalid_grant"));
        expect(&salesforce, Failure::Unavailable).await;
        assert_eq!(stand_in.logins(), logins + 1, "before {pause}");
        pass(2).await;
        assert_eq!(salesforce.admission().await, Admission::Probing);
    }
    stand_in.refuse_logins(false);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    assert_eq!(salesforce.admission().await, Admission::Available);
}

#[tokio::test]
async fn a_call_under_way_does_not_repeat_a_login_that_was_refused_meanwhile() {
    let (stand_in, salesforce) = start().await;
    let salesforce = Arc::new(salesforce);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    let release = Arc::new(Notify::new());
    let expired = error_body("INVALID_SESSION_ID", "Session expired or invalid");
    stand_in.fail_request_with("hh-late", Fault::Held(Arc::clone(&release), 401, expired));
    let late = tokio::spawn({
        let salesforce = Arc::clone(&salesforce);
        async move { failure(&salesforce, &Plan::salesforce(vec![household("hh-late", "12")])).await }
    });
    while stand_in.requests() < 2 {
        tokio::task::yield_now().await;
    }
    stand_in.expire_sessions();
    stand_in.refuse_logins(true);
    expect(&salesforce, Failure::Unavailable).await;
    release.notify_one();
    let error = late.await.unwrap();
    assert_eq!((error.failure, error.step.as_str()), (Failure::Unavailable, "login"), "{error}");
    assert_eq!(stand_in.logins(), 2);
}

#[tokio::test]
async fn a_login_without_an_answer_was_not_refused() {
    let stand_in = SalesforceStandIn::start().await;
    let salesforce = fresh(&stand_in);
    for _ in 0..2 {
        stand_in.fail_next_login(Fault::CutBefore);
        expect(&salesforce, Failure::Unclear).await;
    }
    assert_eq!(salesforce.admission().await, Admission::Available);
    stand_in.fail_next_login(Fault::Answer(503, String::new()));
    expect(&salesforce, Failure::Unclear).await;
    let reason = paused(&salesforce).await;
    assert!(reason.contains("does not answer"), "the third is an outage: {reason}");
}

#[tokio::test]
async fn a_user_without_the_api_is_not_called_on_behalf_of_each_record() {
    let (stand_in, salesforce) = start().await;
    let body = error_body("API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization");
    stand_in.fail_next(Fault::Answer(403, body));
    expect(&salesforce, Failure::Unavailable).await;
    expect(&salesforce, Failure::Unavailable).await;
    assert!(paused(&salesforce).await.contains("API_DISABLED_FOR_ORG"));
    assert_eq!(stand_in.requests(), 1);
    pass(30).await;
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
}
