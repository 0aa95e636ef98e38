//! The two logins, with the refusals that Salesforce gives.

use std::collections::HashMap;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    AUDIENCE, CLIENT_ID, CLIENT_SECRET, Fault, Inner, PASSWORD, SECURITY_TOKEN, Shared, USERNAME, arrive,
};

/// The app's key: made anew for each run, so that none lies in the repository.
static KEY: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

static PRIVATE_KEY_PEM: LazyLock<String> = LazyLock::new(|| pem(&KEY));

/// The private key that signs assertions.
pub(crate) fn private_key_pem() -> &'static str {
    &PRIVATE_KEY_PEM
}

/// A key in PEM.
fn pem(key: &RsaKeyPair) -> String {
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let der = STANDARD.encode(&*der);
    let lines: Vec<_> = der.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// `POST /services/oauth2/token`
pub(super) async fn token(State(state): State<Shared>, headers: HeaderMap, body: String) -> Response {
    if let Some(fault) = meet(&state).await {
        return fault.instead().await;
    }
    let mut inner = state.lock().unwrap();
    let is_form =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let says = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    let checked = match says("grant_type") {
        "client_credentials" if is_form => check_secret(says("client_id"), says("client_secret")),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" if is_form => check_assertion(says("assertion")),
        _ => Err(("unsupported_grant_type", "grant type not supported".to_owned())),
    };
    if let Err((error, description)) = checked {
        return refused(error, &description);
    }
    if inner.refuses_logins {
        return refused("invalid_grant", "user is inactive");
    }
    let answer = json!({
        "access_token": inner.open_session(),
        "signature": "c2lnbmF0dXJl",
        "instance_url": inner.url.as_str().trim_end_matches('/'),
        "id": "https://login.salesforce.com/id/00D/005",
        "token_type": "Bearer",
        "issued_at": "1700000000000",
    });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// `POST /services/Soap/u/{version}`
pub(super) async fn soap(State(state): State<Shared>, headers: HeaderMap, body: String) -> Response {
    if let Some(fault) = meet(&state).await {
        return fault.instead().await;
    }
    let mut inner = state.lock().unwrap();
    let is_soap = headers.contains_key("SOAPAction")
        && headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/xml"));
    let username = element(&body, "username");
    let password = element(&body, "password");
    if !is_soap || !body.contains("urn:partner.soap.sforce.com") {
        return fault("soapenv:Client", "not a login call");
    }
    let expected = format!("{PASSWORD}{SECURITY_TOKEN}");
    if inner.refuses_logins || username != USERNAME || password != expected {
        let message = format!(
            "INVALID_LOGIN: Invalid username, password, security token; or user locked out. {password}"
        );
        return fault("sf:INVALID_LOGIN", &message);
    }
    let session = inner.open_session();
    let server = format!("{}services/Soap/u/64.0/00D000000000001?a=1&b=2", inner.url);
    xml(
        StatusCode::OK,
        &format!(
            r#"<loginResponse xmlns="urn:partner.soap.sforce.com"><result><passwordExpired>false</passwordExpired><serverUrl>{}</serverUrl><sessionId>{}</sessionId></result></loginResponse>"#,
            escape(server),
            escape(session)
        ),
    )
}

impl Inner {
    fn open_session(&mut self) -> String {
        let token = format!("00D!session&{}", self.logins);
        self.sessions.insert(token.clone());
        token
    }
}

/// Counts a login, and says what it meets instead of an answer.
async fn meet(state: &Shared) -> Option<Fault> {
    state.lock().unwrap().logins += 1;
    let outage = arrive(state, &HeaderMap::new()).await;
    outage.or_else(|| state.lock().unwrap().login_faults.pop_front())
}

/// OAuth's error code and description.
type Refused = (&'static str, String);

const UNKNOWN_CLIENT: (&str, &str) = ("invalid_client_id", "client identifier invalid");

fn check_secret(client_id: &str, secret: &str) -> Result<(), Refused> {
    if client_id != CLIENT_ID {
        return Err((UNKNOWN_CLIENT.0, UNKNOWN_CLIENT.1.to_owned()));
    }
    if secret != CLIENT_SECRET {
        return Err(("invalid_client", format!("invalid client credentials {secret}")));
    }
    Ok(())
}

/// Signature, audience, issuer, subject, and an end at most five minutes ahead.
fn check_assertion(assertion: &str) -> Result<(), Refused> {
    let grant = |description: String| ("invalid_grant", description);
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.leeway = 0;
    let public_key = DecodingKey::from_rsa_der(KEY.public_key().as_ref());
    let claims = decode::<Value>(assertion, &public_key, &validation)
        .map_err(|error| grant(format!("invalid assertion: {error}")))?
        .claims;
    if claims["iss"] != CLIENT_ID {
        return Err((UNKNOWN_CLIENT.0, UNKNOWN_CLIENT.1.to_owned()));
    }
    if claims["sub"] != USERNAME {
        return Err(grant("user hasn't approved this consumer".to_owned()));
    }
    let latest = commcare_sf_integration::clock::now().timestamp() + 5 * 60;
    if claims["exp"].as_i64().is_none_or(|exp| exp > latest) {
        return Err(grant("expiration is too far ahead".to_owned()));
    }
    Ok(())
}

fn refused(error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (StatusCode::BAD_REQUEST, body.to_string()).into_response()
}

fn fault(code: &str, message: &str) -> Response {
    let message = escape(message);
    let fault = format!(
        "<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{message}</faultstring></soapenv:Fault>"
    );
    xml(StatusCode::INTERNAL_SERVER_ERROR, &fault)
}

fn xml(status: StatusCode, body: &str) -> Response {
    let envelope = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"#
    );
    (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], envelope).into_response()
}

/// The text of the first element with this local name.
fn element(xml: &str, name: &str) -> String {
    let mut reader = Reader::from_str(xml);
    let (mut inside, mut text) = (false, String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => inside = start.local_name().as_ref() == name,
            Event::End(_) if inside => return text,
            Event::Text(part) if inside => text.push_str(&part),
            Event::GeneralRef(entity) if inside => text.push_str(resolve_predefined_entity(&entity).unwrap()),
            Event::Eof => return text,
            _ => {}
        }
    }
}
