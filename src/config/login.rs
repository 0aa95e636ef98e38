//! Which Salesforce login the environment asks for.

use secrecy::SecretString;

use super::reader::Reader;
use super::salesforce::{ApiVersion, Login, SalesforceSettings};

/// Reads the Salesforce variables. `None` where there are no credentials: plans are recorded then,
/// outside Cloud Run.
pub(super) fn load(reader: &mut Reader<'_>, production: bool, cloud_run: bool) -> Option<SalesforceSettings> {
    let by_env = if production { "https://login.salesforce.com" } else { "https://test.salesforce.com" };
    let login_url = reader.url("SALESFORCE_LOGIN_URL", by_env);
    let api_version = api_version(reader);
    let request_timeout = reader.seconds("REQUEST_TIMEOUT_SECONDS", 30);
    let credentials = Credentials::read(reader, production);
    let has_own_domain = login_url.as_ref().is_some_and(|url| url.as_str().trim_end_matches('/') != by_env);
    match credentials.login(has_own_domain) {
        Ok(Some(login)) => {
            Some(SalesforceSettings { login, login_url: login_url?, api_version, request_timeout })
        }
        Ok(None) => {
            if cloud_run {
                reader.problem(
                    "SF_CLIENT_ID and SF_CLIENT_SECRET, or the SALESFORCE_ENV's user name and password: \
                     missing, and Salesforce needs one of them",
                );
            }
            None
        }
        Err(problem) => {
            reader.problem(problem);
            None
        }
    }
}

fn api_version(reader: &mut Reader<'_>) -> ApiVersion {
    let default = ApiVersion::default();
    match reader.text("SALESFORCE_API_VERSION", &default.to_string()).map(|text| text.parse()) {
        None => default,
        Some(Ok(version)) => version,
        Some(Err(error)) => {
            reader.problem(&format!("SALESFORCE_API_VERSION: {error}"));
            default
        }
    }
}

/// What the environment holds; sandbox passwords fall back to those of production.
struct Credentials {
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    private_key: Option<SecretString>,
    username: Option<String>,
    production: bool,
    password: Option<SecretString>,
    security_token: Option<SecretString>,
}

impl Credentials {
    fn read(reader: &mut Reader<'_>, production: bool) -> Self {
        let test_username = reader.text("SF_TEST_USERNAME", "not set");
        let prod_username = reader.text("SF_PROD_USERNAME", "not set");
        let prod_password = reader.secret("SF_PROD_PASSWORD");
        let prod_token = reader.secret("SF_PROD_SECURITY_TOKEN");
        let test_password = reader.secret("SF_TEST_PASSWORD");
        let test_token = reader.secret("SF_TEST_SECURITY_TOKEN");
        let client_id = reader.text("SF_CLIENT_ID", "not set");
        let client_secret = reader.secret("SF_CLIENT_SECRET");
        reader.text("SF_USERNAME", "not set");
        let private_key = reader.secret("SF_PRIVATE_KEY");
        let (username, password, security_token) = if production {
            (prod_username, prod_password, prod_token)
        } else {
            let password = test_password.or(prod_password);
            (test_username, password, test_token.or(prod_token))
        };
        Self { client_id, client_secret, private_key, username, production, password, security_token }
    }

    /// The login; `Ok(None)` where nothing is configured, an error where it is half configured.
    fn login(self, has_own_domain: bool) -> Result<Option<Login>, &'static str> {
        match (self.client_id, self.client_secret, self.private_key) {
            (Some(client_id), Some(client_secret), _) if has_own_domain => {
                return Ok(Some(Login::ClientCredentials { client_id, client_secret }));
            }
            (Some(_), Some(_), _) => {
                return Err(
                    "SALESFORCE_LOGIN_URL: missing; client credentials work only at the org's My Domain \
                            address",
                );
            }
            (_, _, Some(_)) => {
                return Err("SF_PRIVATE_KEY: this version cannot log in with a signed token yet; set \
                            SF_CLIENT_SECRET, or a user name and password");
            }
            (Some(_), None, None) => return Err("SF_CLIENT_SECRET: missing, and SF_CLIENT_ID needs it"),
            (None, Some(_), None) => return Err("SF_CLIENT_ID: missing, and SF_CLIENT_SECRET needs it"),
            (None, None, None) => {}
        }
        match (self.username, self.password) {
            (Some(username), Some(password)) => {
                let security_token = self.security_token.unwrap_or_default();
                Ok(Some(Login::Password { username, password, security_token }))
            }
            (None, None) => Ok(None),
            (Some(_), None) if self.production => {
                Err("SF_PROD_PASSWORD: missing, and SF_PROD_USERNAME needs it")
            }
            (Some(_), None) => {
                Err("SF_TEST_PASSWORD (or SF_PROD_PASSWORD): missing, and SF_TEST_USERNAME needs it")
            }
            (None, Some(_)) if self.production => {
                Err("SF_PROD_USERNAME: missing, and SF_PROD_PASSWORD needs it")
            }
            (None, Some(_)) => {
                Err("SF_TEST_USERNAME: missing, and the password of SALESFORCE_ENV=sandbox needs it")
            }
        }
    }
}
