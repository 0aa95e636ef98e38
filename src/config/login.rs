//! Which Salesforce login the environment asks for.
//!
//! Where several are configured, client credentials come first (given the address that they need), then the private
//! key, then the password. So an environment that moves from one kind of login to the next uses the newer one.

use secrecy::{ExposeSecret, SecretString};

use super::Bounds;
use super::reader::Reader;
use super::salesforce::{ApiVersion, JwtLogin, Login, PrivateKey, SalesforceSettings};

/// Reads the Salesforce variables. `None` where there are no credentials: plans are recorded then,
/// outside Cloud Run.
pub(super) fn load(reader: &mut Reader<'_>, production: bool, bounds: &Bounds) -> Option<SalesforceSettings> {
    let by_env = if production { "https://login.salesforce.com" } else { "https://test.salesforce.com" };
    let login_url = reader.url("SALESFORCE_LOGIN_URL", by_env);
    let api_version = api_version(reader);
    let api_reserve_percent = reader.number("SF_API_RESERVE_PERCENT", 5, 0, 100);
    let largest = SalesforceSettings::MAX_COLLECTION_SIZE;
    let collection_size = reader.number("SF_COLLECTION_SIZE", largest, 1, largest);
    let credentials = Credentials::from_reader(reader, production);
    let has_own_domain = login_url.as_ref().is_some_and(|url| url.as_str().trim_end_matches('/') != by_env);
    match credentials.login(has_own_domain, by_env) {
        Ok(Some(login)) => Some(SalesforceSettings {
            login,
            login_url: login_url?,
            api_version,
            request_timeout: bounds.request_timeout,
            retry_budget: bounds.lease / 2,
            retry_delay: SalesforceSettings::RETRY_DELAY,
            collection_size,
            api_reserve_percent,
        }),
        Ok(None) => {
            if bounds.cloud_run {
                reader.problem(
                    "SF_CLIENT_ID and SF_CLIENT_SECRET, SF_CLIENT_ID and SF_PRIVATE_KEY, or the \
                     SALESFORCE_ENV's user name and password: missing, and Salesforce needs one of them",
                );
            }
            None
        }
        Err(problem) => {
            reader.problem(&problem);
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

/// The credentials in the environment. Sandbox passwords fall back to production's.
struct Credentials {
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    private_key: Option<SecretString>,
    jwt_username: Option<String>,
    username: Option<String>,
    production: bool,
    password: Option<SecretString>,
    security_token: Option<SecretString>,
}

impl Credentials {
    fn from_reader(reader: &mut Reader<'_>, production: bool) -> Self {
        let test_username = reader.text("SF_TEST_USERNAME", "not set");
        let prod_username = reader.text("SF_PROD_USERNAME", "not set");
        let prod_password = reader.secret("SF_PROD_PASSWORD");
        let prod_token = reader.secret("SF_PROD_SECURITY_TOKEN");
        let test_password = reader.secret("SF_TEST_PASSWORD");
        let test_token = reader.secret("SF_TEST_SECURITY_TOKEN");
        let client_id = reader.text("SF_CLIENT_ID", "not set");
        let client_secret = reader.secret("SF_CLIENT_SECRET");
        let jwt_username = reader.text("SF_USERNAME", "the SALESFORCE_ENV's user name");
        let private_key = reader.secret("SF_PRIVATE_KEY");
        let (username, password, security_token) = if production {
            (prod_username, prod_password, prod_token)
        } else {
            let password = test_password.or(prod_password);
            (test_username, password, test_token.or(prod_token))
        };
        Self {
            client_id,
            client_secret,
            private_key,
            jwt_username,
            username,
            production,
            password,
            security_token,
        }
    }

    /// The login; `Ok(None)` where nothing is configured, an error where it is half configured.
    /// `by_env` is the environment's own log-in address: JWT logins name it as their audience.
    fn login(self, has_own_domain: bool, by_env: &'static str) -> Result<Option<Login>, String> {
        match (self.client_id, self.client_secret, self.private_key) {
            (Some(client_id), Some(client_secret), _) if has_own_domain => {
                return Ok(Some(Login::ClientCredentials { client_id, client_secret }));
            }
            (Some(client_id), _, Some(key)) => {
                let private_key = PrivateKey::from_pem_or_path(key.expose_secret())
                    .map_err(|error| format!("SF_PRIVATE_KEY: {error}"))?;
                let username = self.jwt_username.or(self.username).ok_or_else(|| {
                    let variable = if self.production { "SF_PROD_USERNAME" } else { "SF_TEST_USERNAME" };
                    format!("SF_USERNAME or {variable}: missing, and SF_PRIVATE_KEY needs it")
                })?;
                return Ok(Some(Login::Jwt(JwtLogin { client_id, username, private_key, audience: by_env })));
            }
            (Some(_), Some(_), None) => {
                return Err("SALESFORCE_LOGIN_URL: missing; client credentials work only at the org's \
                            My Domain address"
                    .to_owned());
            }
            (None, _, Some(_)) => return Err("SF_CLIENT_ID: missing, and SF_PRIVATE_KEY needs it".to_owned()),
            (None, Some(_), None) => {
                return Err("SF_CLIENT_ID: missing, and SF_CLIENT_SECRET needs it".to_owned());
            }
            (Some(_), None, None) => {
                return Err("SF_CLIENT_SECRET or SF_PRIVATE_KEY: missing, and SF_CLIENT_ID needs one of \
                            them"
                    .to_owned());
            }
            (None, None, None) => {}
        }
        let missing = match (self.username, self.password) {
            (Some(username), Some(password)) => {
                let security_token = self.security_token.unwrap_or_default();
                return Ok(Some(Login::Password { username, password, security_token }));
            }
            (None, None) => return Ok(None),
            (Some(_), None) if self.production => "SF_PROD_PASSWORD: missing, and SF_PROD_USERNAME needs it",
            (Some(_), None) => {
                "SF_TEST_PASSWORD (or SF_PROD_PASSWORD): missing, and SF_TEST_USERNAME needs it"
            }
            (None, Some(_)) if self.production => "SF_PROD_USERNAME: missing, and SF_PROD_PASSWORD needs it",
            (None, Some(_)) => {
                "SF_TEST_USERNAME: missing, and the password of SALESFORCE_ENV=sandbox needs it"
            }
        };
        Err(missing.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use std::time::Duration;

    use super::*;

    const BOUNDS: Bounds =
        Bounds { cloud_run: false, request_timeout: Duration::from_secs(30), lease: Duration::from_mins(2) };
    const KEY: (&str, &str) = ("SF_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----");
    const ID: (&str, &str) = ("SF_CLIENT_ID", "id");
    const SECRET: (&str, &str) = ("SF_CLIENT_SECRET", "secret");
    const DOMAIN: (&str, &str) = ("SALESFORCE_LOGIN_URL", "https://org.my.salesforce.com");

    fn load_from(variables: &[(&str, &str)]) -> (Option<SalesforceSettings>, Vec<String>) {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let mut reader = Reader::new(&lookup);
        let settings = load(&mut reader, false, &BOUNDS);
        (settings, reader.finish().problems)
    }

    /// The one problem, which stops the start.
    fn problem(variables: &[(&str, &str)]) -> String {
        let (settings, problems) = load_from(variables);
        assert!(settings.is_none() && problems.len() == 1, "{problems:?}");
        problems.concat()
    }

    /// An RSA key of its own for each run.
    fn pem() -> String {
        use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        use base64::Engine;
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(&*der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----", lines.join("\\n"))
    }

    #[test]
    fn the_retry_budget_is_half_the_lease() {
        let (settings, problems) = load_from(&[ID, SECRET, DOMAIN, ("SF_API_RESERVE_PERCENT", "20")]);
        assert_eq!(problems, Vec::<String>::new());
        let settings = settings.unwrap();
        assert_eq!((settings.retry_budget, settings.api_reserve_percent), (Duration::from_mins(1), 20));
    }

    #[test]
    fn a_secret_comes_before_a_key_where_it_can_be_used_and_both_before_a_password() {
        let pem = pem();
        let key = ("SF_PRIVATE_KEY", pem.as_str());
        let user = [("SF_TEST_USERNAME", "user@example.org"), ("SF_TEST_PASSWORD", "password")];
        let login = |variables: &[&[(&str, &str)]]| {
            let (settings, problems) = load_from(&variables.concat());
            assert_eq!(problems, Vec::<String>::new());
            settings.unwrap().login
        };
        assert!(matches!(login(&[&[ID, SECRET, DOMAIN, key], &user]), Login::ClientCredentials { .. }));
        assert!(matches!(login(&[&user]), Login::Password { .. }));
        for variables in [vec![ID, SECRET, key], vec![ID, key], vec![ID, key, DOMAIN]] {
            let Login::Jwt(login) = login(&[&variables, &user]) else { panic!("{variables:?}") };
            assert_eq!(
                (login.username.as_str(), login.audience),
                ("user@example.org", "https://test.salesforce.com")
            );
        }
        let Login::Jwt(jwt) = login(&[&[ID, key, ("SF_USERNAME", "other@example.org")], &user]) else {
            panic!()
        };
        assert_eq!(jwt.username, "other@example.org");
    }

    #[test]
    fn half_a_login_is_a_problem_that_names_what_is_missing() {
        let pem = pem();
        for (variables, names) in [
            (vec![ID], "SF_CLIENT_SECRET or SF_PRIVATE_KEY: missing"),
            (vec![SECRET, DOMAIN], "SF_CLIENT_ID: missing"),
            (vec![ID, SECRET], "SALESFORCE_LOGIN_URL: missing"),
            (vec![KEY], "SF_CLIENT_ID: missing"),
            (vec![ID, ("SF_PRIVATE_KEY", pem.as_str())], "SF_USERNAME or SF_TEST_USERNAME: missing"),
            (vec![ID, KEY, ("SF_USERNAME", "u")], "SF_PRIVATE_KEY: not an RSA private key"),
            (vec![ID, ("SF_PRIVATE_KEY", "/no/such/file"), ("SF_USERNAME", "u")], "SF_PRIVATE_KEY: neither"),
        ] {
            let problem = problem(&variables);
            assert!(problem.starts_with(names) && !problem.contains("BEGIN"), "{problem}");
        }
    }
}
