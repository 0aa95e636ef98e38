//! Cloud Scheduler's identity token, against a real key-set server.

use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use commcare_sf_integration::clock;
use gcloud_sdk::id_token_verify::jsonwebtoken::jwk::{Jwk, JwkSet};
use gcloud_sdk::id_token_verify::jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::{OPERATORS, SCHEDULER, WEBHOOKS, admits, is_closed, refuses};
use crate::support::app::TestApp;
use crate::support::bomb::bomb;
use crate::support::log::Log;

const AUDIENCE: &str = "https://service.run.app";
const EMAIL: &str = "scheduler@project.iam.gserviceaccount.com";
const KID: &str = "key-of-today";

/// One key for all tests: making one takes a while.
static KEY: LazyLock<EncodingKey> = LazyLock::new(new_key);

fn new_key() -> EncodingKey {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    // Bytes as PKCS #8 wraps them; the key itself, which is what the signer reads, follows.
    let wrapping = 26;
    EncodingKey::from_rsa_der(&der.as_ref()[wrapping..])
}

/// Publishes the keys, as Google does; stops when dropped.
pub(crate) struct KeyServer {
    pub(crate) url: String,
    keys: Arc<Mutex<Result<JwkSet, StatusCode>>>,
    server: AbortHandle,
}

impl KeyServer {
    pub(crate) async fn start() -> Self {
        let mut key = Jwk::from_encoding_key(&KEY, Algorithm::RS256).unwrap();
        key.common.key_id = Some(KID.to_owned());
        let keys = Arc::new(Mutex::new(Ok(JwkSet { keys: vec![key] })));
        let published = Arc::clone(&keys);
        let answer = move || {
            let published = published.lock().unwrap().clone();
            async move { published.map(|keys| json!(keys).to_string()).into_response() }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/certs", listener.local_addr().unwrap());
        let router = Router::new().route("/certs", get(answer));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, keys, server: server.abort_handle() }
    }

    /// A service that trusts these keys.
    async fn app(&self, variables: &[(&str, &str)]) -> TestApp {
        let emails = format!("other@project.iam.gserviceaccount.com, {EMAIL}");
        let scheduler = [
            ("SCHEDULER_OIDC_AUDIENCE", AUDIENCE),
            ("SCHEDULER_OIDC_EMAIL", emails.as_str()),
            ("OIDC_JWKS_URL", self.url.as_str()),
        ];
        TestApp::with(&[&scheduler, variables].concat()).await
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Cloud Scheduler's claims, with these changes; null takes a claim away.
fn claims(changes: &Value) -> Value {
    let now = clock::now().timestamp();
    let mut claims = json!({
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "azp": "112233445566778899",
        "sub": "112233445566778899",
        "email": EMAIL,
        "email_verified": true,
        "iat": now,
        "exp": now + 3_600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn signed(claims: &Value, kid: &str, key: &EncodingKey) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) };
    format!("Bearer {}", encode(&header, claims, key).unwrap())
}

pub(crate) fn token(changes: &Value) -> String {
    signed(&claims(changes), KID, &KEY)
}

#[tokio::test]
async fn the_schedulers_token_opens_its_calls_and_no_others() {
    let keys = KeyServer::start().await;
    let app = keys.app(&[("WEBHOOK_API_KEY", "key-1"), ("OPERATOR_TOKEN", "operator")]).await;
    let good = token(&json!({}));
    admits(&app, &SCHEDULER, &[("authorization", &good)]).await;
    admits(&app, &SCHEDULER, &[("authorization", &token(&json!({ "iss": "accounts.google.com" })))]).await;
    refuses(&app, &OPERATORS, &[("authorization", &good)]).await;
    refuses(&app, &WEBHOOKS, &[("authorization", &good)]).await;
}

#[tokio::test]
async fn the_operators_token_opens_them_too_and_a_webhook_credential_does_not() {
    let keys = KeyServer::start().await;
    let app = keys.app(&[("WEBHOOK_API_KEY", "key-1"), ("OPERATOR_TOKEN", "operator")]).await;
    admits(&app, &SCHEDULER, &[("authorization", "Bearer operator")]).await;
    for header in
        [("authorization", "Bearer key-1"), ("x-api-key", "key-1"), ("authorization", "Bearer wrong")]
    {
        refuses(&app, &SCHEDULER, &[header]).await;
    }
    refuses(&app, &SCHEDULER, &[]).await;
}

#[tokio::test]
async fn with_the_scheduler_alone_the_other_groups_are_closed() {
    let keys = KeyServer::start().await;
    let app = keys.app(&[]).await;
    let good = token(&json!({}));
    admits(&app, &SCHEDULER, &[("authorization", &good)]).await;
    refuses(&app, &SCHEDULER, &[]).await;
    is_closed(&app, &OPERATORS, &[("authorization", &good)]).await;
    is_closed(&app, &WEBHOOKS, &[("authorization", &good)]).await;
}

#[tokio::test]
async fn a_token_that_says_something_else_is_refused() {
    let keys = KeyServer::start().await;
    let app = keys.app(&[]).await;
    let now = clock::now().timestamp();
    for wrong in [
        json!({ "aud": "https://another.run.app" }),
        json!({ "aud": null }),
        json!({ "iss": "https://accounts.google.com.example.org" }),
        json!({ "iss": null }),
        json!({ "exp": now - 3_600 }),
        json!({ "exp": null }),
        json!({ "iat": now + 3_600 }),
        json!({ "nbf": now + 3_600 }),
    ] {
        let token = token(&wrong);
        let answer = app.call("POST", "/process-firestore-to-sf", &[("authorization", &token)]).await;
        assert_eq!(answer.status, 401, "{wrong}");
        super::assert_unauthenticated(&answer);
    }
}

#[tokio::test]
async fn another_identity_is_forbidden_and_logged() {
    let log = Log::production(None);
    let keys = KeyServer::start().await;
    let app = keys.app(&[]).await;
    for other in [
        json!({ "email": "somebody@project.iam.gserviceaccount.com" }),
        json!({ "email_verified": false }),
        json!({ "email_verified": null }),
        json!({ "email": null }),
        json!({ "email": "" }),
        json!({ "email": format!("{EMAIL}.example.org") }),
    ] {
        let token = token(&other);
        let answer = app.call("POST", "/process-firestore-to-sf", &[("authorization", &token)]).await;
        let forbidden = json!({ "error": "This identity may not call the scheduler's endpoints" });
        assert_eq!(answer.expect(403), forbidden, "{other}");
    }
    assert_eq!(log.events("identity token of another account refused").len(), 6, "{}", log.text());
    assert!(!log.text().contains("iam.gserviceaccount.com"), "{}", log.text());
}

#[tokio::test]
async fn a_token_that_the_keys_did_not_sign_is_refused() {
    let keys = KeyServer::start().await;
    let app = keys.app(&[]).await;
    let good = token(&json!({}));
    let unsigned = &good[..=good.rfind('.').unwrap()];
    let tampered = {
        let other = token(&json!({ "email": "somebody@example.org" }));
        let payload = other.split('.').nth(1).unwrap().to_owned();
        let mut parts: Vec<&str> = good.split('.').collect();
        parts[1] = &payload;
        parts.join(".")
    };
    let public = json!(Jwk::from_encoding_key(&KEY, Algorithm::RS256).unwrap()).to_string();
    let hmac = {
        let header = Header { kid: Some(KID.to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(public.as_bytes());
        format!("Bearer {}", encode(&header, &claims(&json!({})), &key).unwrap())
    };
    let none = {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
        let header = BASE64.encode(json!({ "alg": "none", "typ": "JWT", "kid": KID }).to_string());
        format!("Bearer {header}.{}.", BASE64.encode(claims(&json!({})).to_string()))
    };
    let bad = [
        ("of another key", signed(&claims(&json!({})), KID, &new_key())),
        ("of an unknown key", signed(&claims(&json!({})), "key-of-nobody", &KEY)),
        ("unsigned", unsigned.to_owned()),
        ("tampered with", tampered),
        ("of a shared secret", hmac),
        ("of no algorithm", none),
        ("no token", "Bearer x.y.z".to_owned()),
        ("empty", "Bearer ".to_owned()),
    ];
    for (which, token) in bad {
        let answer = app.call("POST", "/process-firestore-to-sf", &[("authorization", &token)]).await;
        assert_eq!(answer.status, 401, "{which}");
    }
    admits(&app, &SCHEDULER, &[("authorization", &good)]).await;
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_now_is_asked_for_again() {
    let log = Log::production(None);
    let keys = KeyServer::start().await;
    for failure in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::NOT_FOUND] {
        *keys.keys.lock().unwrap() = Err(failure);
        let app = keys.app(&[("OPERATOR_TOKEN", "operator")]).await;
        cannot_check(&app).await;
    }
    let unusable: [fn() -> Response; 8] = [
        || bomb(20 * 1024 * 1024),
        || "<html>".into_response(),
        || "{}".into_response(),
        || json!({ "keys": [] }).to_string().into_response(),
        || json!({ "keys": [{ "kty": "RSA", "kid": KID, "alg": "RS256" }] }).to_string().into_response(),
        || {
            json!({ "keys": [{ "kty": "RSA", "kid": KID, "n": "!", "e": "AQAB" }] })
                .to_string()
                .into_response()
        },
        || json!({ "keys": [{ "kty": "oct", "kid": KID, "k": "AAAA" }] }).to_string().into_response(),
        || json!({ "keys": [null, "key"] }).to_string().into_response(),
    ];
    for answer in unusable {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/certs", listener.local_addr().unwrap());
        let router = Router::new().route("/certs", get(move || async move { answer() }));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let app = keys.app(&[("OPERATOR_TOKEN", "operator"), ("OIDC_JWKS_URL", &url)]).await;
        cannot_check(&app).await;
        server.abort();
    }
    keys.server.abort();
    let nobody_listens = keys.app(&[("OPERATOR_TOKEN", "operator")]).await;
    cannot_check(&nobody_listens).await;
    let events = log.events("the scheduler's signing keys cannot be had");
    assert_eq!(events.len(), 2 + unusable.len() + 1, "{}", log.text());
    assert!(events.iter().all(|event| !event["error"].as_str().unwrap().is_empty()), "{events:?}");
}

async fn cannot_check(app: &TestApp) {
    let token = token(&json!({}));
    let answer = app.call("POST", "/process-firestore-to-sf", &[("authorization", &token)]).await;
    let error = answer.expect(503)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("identity token") && !error.contains("127.0.0.1"), "{error}");
    assert!(answer.headers.contains_key("retry-after"));
    admits(app, &SCHEDULER, &[("authorization", "Bearer operator")]).await;
    refuses(app, &SCHEDULER, &[("authorization", "Bearer wrong")]).await;
}
