//! The two logins, with the refusals that Salesforce gives.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;
use serde_json::json;
use url::form_urlencoded;

use super::{CLIENT_ID, CLIENT_SECRET, Inner, PASSWORD, SECURITY_TOKEN, Shared, USERNAME};

/// `POST /services/oauth2/token`
pub(super) async fn token(State(state): State<Shared>, headers: HeaderMap, body: String) -> Response {
    wait(&state).await;
    let mut inner = state.lock().unwrap();
    inner.logins += 1;
    let is_form =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let says = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    if !is_form || says("grant_type") != "client_credentials" {
        return refused("unsupported_grant_type", "grant type not supported");
    }
    if says("client_id") != CLIENT_ID {
        return refused("invalid_client_id", "client identifier invalid");
    }
    if says("client_secret") != CLIENT_SECRET {
        return refused("invalid_client", &format!("invalid client credentials {}", says("client_secret")));
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
    wait(&state).await;
    let mut inner = state.lock().unwrap();
    inner.logins += 1;
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

async fn wait(state: &Shared) {
    let delay = state.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
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
