//! Getting a session: one HTTP call per kind of login.
//!
//! A refusal stops the drain instead of failing records (`Failure::Unavailable`): no record is to blame for a wrong
//! password, and a user whose login is refused again and again is locked out.

use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::failure;
use super::jwt;
use super::soap::{self, LoginAnswer};
use super::transport;
use crate::bounded::{self, ANSWER_LIMIT};
use crate::clock;
use crate::config::salesforce::{Login, SalesforceSettings};
use crate::destinations::delivery::Failure;
use crate::destinations::mask::Mask;
use crate::destinations::trouble::Trouble;

/// The step that errors of a login name.
const STEP: &str = "login";

/// What a login yields.
pub(super) struct Grant {
    pub(super) access_token: SecretString,
    /// The server that the session works on: scheme, host and port.
    pub(super) server: Url,
}

/// Logs in once.
pub(super) async fn log_in(client: &Client, settings: &SalesforceSettings) -> Result<Grant, Trouble> {
    let granted = grant_of(client, settings).await?;
    if is_downgrade(&settings.login_url, &granted.server) {
        return Err(Trouble::refusal(
            STEP,
            "Salesforce's login names a server without encryption".to_owned(),
        ));
    }
    Ok(granted)
}

/// Whether a session that was asked for under encryption would be used without it (`docs/service.md`, section 7).
fn is_downgrade(login: &Url, server: &Url) -> bool {
    login.scheme() == "https" && server.scheme() != "https"
}

async fn grant_of(client: &Client, settings: &SalesforceSettings) -> Result<Grant, Trouble> {
    match &settings.login {
        Login::ClientCredentials { client_id, client_secret } => {
            let secret = client_secret.expose_secret();
            let form =
                [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", secret)];
            token(client, &settings.login_url, &form, secret).await
        }
        Login::Jwt(login) => {
            let assertion = jwt::assertion(login, clock::now())?;
            let form = [("grant_type", jwt::GRANT_TYPE), ("assertion", &assertion)];
            token(client, &settings.login_url, &form, &assertion).await
        }
        Login::Password { username, password, security_token } => {
            let password =
                SecretString::from(format!("{}{}", password.expose_secret(), security_token.expose_secret()));
            password_login(client, &settings.login_url, username, &password).await
        }
    }
}

/// OAuth 2.0's token endpoint (Salesforce Help, OAuth 2.0 Client Credentials Flow and OAuth 2.0
/// JWT Bearer Flow). `secret` must not reach an error text, even where the answer repeats it.
async fn token(
    client: &Client,
    login_url: &Url,
    form: &[(&str, &str)],
    secret: &str,
) -> Result<Grant, Trouble> {
    let (status, body) = answer(client.post(at(login_url, "/services/oauth2/token")).form(form)).await?;
    read_token(status, &body, secret)
}

/// Reads an answer of the token endpoint.
pub(super) fn read_token(status: StatusCode, body: &str, secret: &str) -> Result<Grant, Trouble> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    if !status.is_success() {
        let word = |key| body.get(key).and_then(Value::as_str).unwrap_or_default();
        return Err(refused(
            status,
            word("error"),
            &Mask::from_secrets(&[secret]).apply(word("error_description")),
        ));
    }
    let text = |key| body.get(key).and_then(Value::as_str);
    grant(text("access_token"), text("instance_url"))
}

async fn password_login(
    client: &Client,
    login_url: &Url,
    username: &str,
    password: &SecretString,
) -> Result<Grant, Trouble> {
    let envelope = soap::envelope(username, password.expose_secret());
    let request = client
        .post(at(login_url, soap::PATH))
        .header("Content-Type", "text/xml; charset=utf-8")
        .header("SOAPAction", "login")
        .body(envelope);
    let (status, body) = answer(request).await?;
    read_soap(status, &body, password.expose_secret())
}

/// Reads an answer of `login()`.
pub(super) fn read_soap(status: StatusCode, body: &str, password: &str) -> Result<Grant, Trouble> {
    match soap::parse(body) {
        Some(LoginAnswer::Session { id, server_url }) => grant(Some(&id), Some(&server_url)),
        Some(LoginAnswer::PasswordExpired) => {
            Err(refused(status, "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "the password has expired"))
        }
        Some(LoginAnswer::Fault { code, message }) => {
            Err(refused(status, &code, &Mask::from_secrets(&[password]).apply(&message)))
        }
        None if status.is_success() => Err(unreadable()),
        None => Err(refused(status, "", "")),
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(StatusCode, String), Trouble> {
    let read = async {
        let response = request.send().await?;
        let status = response.status();
        let body = bounded::read(response, ANSWER_LIMIT).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    read.await.map_err(|error| transport::error(STEP, "the login", error))
}

fn grant(token: Option<&str>, server: Option<&str>) -> Result<Grant, Trouble> {
    let server = server.and_then(|server| Url::parse(server).ok()).filter(Url::has_host);
    match (token, server) {
        (Some(token), Some(server)) if !token.is_empty() => {
            Ok(Grant { access_token: token.into(), server: at(&server, "/") })
        }
        _ => Err(unreadable()),
    }
}

fn at(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn unreadable() -> Trouble {
    Trouble::outage(STEP, "Salesforce's login answered with success but without a session".to_owned())
}

fn refused(status: StatusCode, code: &str, description: &str) -> Trouble {
    let code = transport::code(code);
    let mut message = format!("Salesforce refused the login: HTTP {}", status.as_u16());
    for part in [code, description].iter().filter(|part| !part.is_empty()) {
        message.push_str(": ");
        message.push_str(part);
    }
    if status.is_redirection() {
        message.push_str(": SALESFORCE_LOGIN_URL must be the address that logs in itself");
    }
    // A login that passes by itself was not refused: an outage is all that it can be.
    match failure::of_login(status, code, description) {
        Failure::Unclear => Trouble::outage(STEP, message),
        _ => Trouble::refusal(STEP, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_login_gives_no_session_that_is_not() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(is_downgrade(&url("https://login.salesforce.com"), &url("http://x.my.salesforce.com")));
        assert!(!is_downgrade(&url("https://login.salesforce.com"), &url("https://x.my.salesforce.com")));
        assert!(!is_downgrade(&url("http://127.0.0.1:1"), &url("http://127.0.0.1:2")));
    }
}
