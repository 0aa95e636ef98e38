//! Webhook credentials and operator tokens.

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{OPERATORS, SCHEDULER, WEBHOOKS, admits, is_closed, refuses};
use crate::support::app::TestApp;
use crate::support::forms::registration;

fn basic(pair: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[tokio::test]
async fn everything_is_open_where_nothing_is_configured() {
    let app = TestApp::start().await;
    for headers in [&[][..], &[("authorization", "Bearer whatever")]] {
        admits(&app, &WEBHOOKS, headers).await;
        admits(&app, &SCHEDULER, headers).await;
        admits(&app, &OPERATORS, headers).await;
    }
}

#[tokio::test]
async fn webhooks_take_basic_and_keys_in_every_place_that_commcare_has_for_them() {
    let app =
        TestApp::with(&[("WEBHOOK_BASIC_AUTH", "commcare:pass:word"), ("WEBHOOK_API_KEY", "key-1")]).await;
    let good = basic(b"commcare:pass:word");
    for header in [
        ("authorization", good.as_str()),
        ("authorization", &good.replace("Basic", "basic")),
        ("x-api-key", "key-1"),
        ("X-API-Key", "key-1"),
        ("authorization", "Bearer key-1"),
        ("authorization", "ApiKey key-1"),
        ("authorization", "apikey key-1"),
    ] {
        admits(&app, &WEBHOOKS, &[header]).await;
    }
    // A right credential counts beside a wrong one.
    admits(&app, &WEBHOOKS, &[("x-api-key", "wrong"), ("authorization", &good)]).await;
    admits(&app, &WEBHOOKS, &[("x-api-key", "key-1"), ("authorization", "Basic wrong")]).await;
}

#[tokio::test]
async fn webhooks_refuse_everything_else() {
    let app = TestApp::with(&[("WEBHOOK_BASIC_AUTH", "commcare:secret"), ("WEBHOOK_API_KEY", "key-1")]).await;
    refuses(&app, &WEBHOOKS, &[]).await;
    for pair in
        ["commcare:wrong", "commcare:", ":secret", "commcare", "", "Commcare:secret", "key-1", "x:key-1"]
    {
        refuses(&app, &WEBHOOKS, &[("authorization", &basic(pair.as_bytes()))]).await;
    }
    for value in [
        "",
        "Basic",
        "Basic ",
        "Basic not base64!",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer key-1x",
        "Bearer key-",
        "Bearer KEY-1",
        "ApiKey wrong",
        "Digest key-1",
        "key-1",
        "Bearer commcare:secret",
    ] {
        refuses(&app, &WEBHOOKS, &[("authorization", value)]).await;
    }
    for key in ["", "wrong", "key-1,key-1", "commcare:secret"] {
        refuses(&app, &WEBHOOKS, &[("x-api-key", key)]).await;
    }
}

#[tokio::test]
async fn a_refused_form_is_not_stored() {
    let app = TestApp::with(&[("WEBHOOK_API_KEY", "key-1"), ("OPERATOR_TOKEN", "operator")]).await;
    app.post("/process-data-cc", registration("f-1").to_string()).await.expect(401);
    let operator = [("authorization", "Bearer operator")];
    app.call("GET", "/record/commcare_collection/f-1", &operator).await.expect(404);
}

#[tokio::test]
async fn a_password_may_be_encoded_either_way() {
    let app = TestApp::with(&[("WEBHOOK_BASIC_AUTH", "café:señor")]).await;
    admits(&app, &WEBHOOKS, &[("authorization", &basic("café:señor".as_bytes()))]).await;
    admits(&app, &WEBHOOKS, &[("authorization", &basic(b"caf\xe9:se\xf1or"))]).await;
    refuses(&app, &WEBHOOKS, &[("authorization", &basic(b"caf\xe9:se\xf2or"))]).await;
}

#[tokio::test]
async fn a_token_may_have_letters_of_any_language() {
    let app = TestApp::with(&[("OPERATOR_TOKEN", "contraseña-ñandú"), ("WEBHOOK_API_KEY", "clé-été")]).await;
    let call = async |path: &str, name: &str, value: &[u8]| {
        let request = Request::get(path).header(name, HeaderValue::from_bytes(value).unwrap());
        app.send(request.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    let latin = |text: &str| text.chars().map(|letter| u8::try_from(letter).unwrap()).collect::<Vec<u8>>();
    let bearer = "Bearer contraseña-ñandú";
    for value in
        [bearer.as_bytes().to_vec(), latin(bearer), basic("me:contraseña-ñandú".as_bytes()).into_bytes()]
    {
        assert_eq!(call("/failed/sf", "authorization", &value).await, 200);
    }
    assert_eq!(call("/failed/sf", "authorization", "Bearer contrasena-nandu".as_bytes()).await, 401);
    for value in ["clé-été".as_bytes().to_vec(), latin("clé-été")] {
        assert_eq!(call("/process-data-cc", "x-api-key", &value).await, 200);
    }
}

#[tokio::test]
async fn old_and_new_credentials_are_taken_while_they_are_rotated() {
    let app = TestApp::with(&[
        ("WEBHOOK_BASIC_AUTH", "commcare:old, commcare:new"),
        ("WEBHOOK_API_KEY", "key-old,key-new,"),
        ("OPERATOR_TOKEN", "token-old , token-new"),
    ])
    .await;
    for age in ["old", "new"] {
        admits(&app, &WEBHOOKS, &[("authorization", &basic(format!("commcare:{age}").as_bytes()))]).await;
        admits(&app, &WEBHOOKS, &[("x-api-key", &format!("key-{age}"))]).await;
        let bearer = format!("Bearer token-{age}");
        admits(&app, &OPERATORS, &[("authorization", &bearer)]).await;
        admits(&app, &SCHEDULER, &[("authorization", &bearer)]).await;
    }
    refuses(&app, &WEBHOOKS, &[("x-api-key", "")]).await;
    refuses(&app, &WEBHOOKS, &[("x-api-key", "key-old,key-new,")]).await;
    refuses(&app, &OPERATORS, &[("authorization", "Bearer token-old , token-new")]).await;
}

#[tokio::test]
async fn operators_show_their_token_or_type_it_as_a_password() {
    let app = TestApp::with(&[("OPERATOR_TOKEN", "operator")]).await;
    for value in ["Bearer operator".to_owned(), basic(b"anyone:operator"), basic(b":operator")] {
        admits(&app, &OPERATORS, &[("authorization", &value)]).await;
        admits(&app, &SCHEDULER, &[("authorization", &value)]).await;
    }
    for value in
        ["Bearer wrong".to_owned(), basic(b"operator:wrong"), basic(b"operator"), basic(b"operator:")]
    {
        refuses(&app, &OPERATORS, &[("authorization", &value)]).await;
        refuses(&app, &SCHEDULER, &[("authorization", &value)]).await;
    }
    refuses(&app, &OPERATORS, &[]).await;
    refuses(&app, &OPERATORS, &[("x-api-key", "operator")]).await;
}

#[tokio::test]
async fn a_credential_of_one_group_opens_no_other() {
    let app = TestApp::with(&[
        ("WEBHOOK_BASIC_AUTH", "commcare:secret"),
        ("WEBHOOK_API_KEY", "key-1"),
        ("OPERATOR_TOKEN", "operator"),
    ])
    .await;
    for value in ["Bearer operator".to_owned(), basic(b"anyone:operator")] {
        refuses(&app, &WEBHOOKS, &[("authorization", &value)]).await;
    }
    for header in [
        ("authorization", basic(b"commcare:secret")),
        ("authorization", "Bearer key-1".to_owned()),
        ("x-api-key", "key-1".to_owned()),
    ] {
        refuses(&app, &OPERATORS, &[(header.0, &header.1)]).await;
        refuses(&app, &SCHEDULER, &[(header.0, &header.1)]).await;
    }
}

#[tokio::test]
async fn a_group_without_credentials_is_closed_once_another_has_some() {
    let webhooks_alone = TestApp::with(&[("WEBHOOK_API_KEY", "key-1")]).await;
    for headers in [&[][..], &[("x-api-key", "key-1")], &[("authorization", "Bearer x")]] {
        is_closed(&webhooks_alone, &SCHEDULER, headers).await;
        is_closed(&webhooks_alone, &OPERATORS, headers).await;
    }
    let operators_alone = TestApp::with(&[("OPERATOR_TOKEN", "operator")]).await;
    is_closed(&operators_alone, &WEBHOOKS, &[("authorization", "Bearer operator")]).await;
    admits(&operators_alone, &SCHEDULER, &[("authorization", "Bearer operator")]).await;
    let basic_alone = TestApp::with(&[("WEBHOOK_BASIC_AUTH", "commcare:secret")]).await;
    refuses(&basic_alone, &WEBHOOKS, &[("x-api-key", "")]).await;
}

#[tokio::test]
async fn the_probes_stay_open() {
    let app = TestApp::with(&[("WEBHOOK_API_KEY", "key-1")]).await;
    app.get("/health").await.expect(200);
    app.get("/ready").await.expect(200);
}
