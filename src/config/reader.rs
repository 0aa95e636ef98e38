//! Reads variables, lists each with the value in force, and gathers all problems.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use url::Url;

/// One variable and the value in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// The value for people: a secret is masked.
    pub value: String,
    /// Whether the environment sets it.
    pub given: bool,
}

/// Characters that a secret of callers should have at least: half of a random UUID's digits.
const SHORTEST: usize = 16;

/// Words of examples.
const EXAMPLES: [&str; 5] = ["secret", "password", "changeme", "change-me", "example"];

/// Whether a secret is guessed before long.
fn is_weak(secret: &str) -> bool {
    let lower = secret.to_lowercase();
    let letters: BTreeSet<char> = lower.chars().collect();
    secret.chars().count() < SHORTEST
        || letters.len() < SHORTEST / 4
        || EXAMPLES.iter().any(|word| lower.contains(word))
}

/// An address without what may be secret in it.
pub(crate) fn shown(url: &Url) -> Url {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Only addresses without a host refuse these.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown
}

/// A pass over the environment.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Whether this is Cloud Run, which alone sets `K_SERVICE`.
    pub(super) cloud_run: bool,
    settings: Vec<Setting>,
    problems: Vec<String>,
    warnings: Vec<String>,
    /// Callers' secrets that are short, or an example.
    weak: Vec<&'static str>,
}

/// What a pass over the environment found.
pub(super) struct Findings {
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader = Self {
            lookup,
            cloud_run: false,
            settings: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            weak: Vec::new(),
        };
        reader.cloud_run = reader.text("K_SERVICE", "not in Cloud Run").is_some();
        reader
    }

    pub(super) fn finish(self) -> Findings {
        Findings { settings: self.settings, problems: self.problems, warnings: self.warnings }
    }

    pub(super) fn problem(&mut self, problem: &str) {
        self.problems.push(problem.to_owned());
    }

    /// What works, and is a risk.
    pub(super) fn warning(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Warns of callers' secrets that can be guessed: the network tries them.
    pub(super) fn warn_of_weak_secrets(&mut self) {
        for name in std::mem::take(&mut self.weak) {
            self.warning(format!(
                "{name}: has a secret that can be guessed, of fewer than {SHORTEST} characters or out of an \
                 example, and HOST is open to the network"
            ));
        }
    }

    /// A text; `None` where the variable is not set, or blank. `default` says, for people, what holds then.
    pub(super) fn text(&mut self, name: &'static str, default: &str) -> Option<String> {
        let value = self.raw(name);
        let shown = value.clone().unwrap_or_else(|| default.to_owned());
        self.list(name, shown, value.is_some());
        value
    }

    /// A secret: listed masked.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        let value = self.raw(name);
        let shown = if value.is_some() { "********" } else { "not set" };
        self.list(name, shown.to_owned(), value.is_some());
        value.map(SecretString::from)
    }

    /// Several secrets of callers with commas between, so that one can be rotated. Each may have a name, and a colon,
    /// before it.
    pub(super) fn secrets(&mut self, name: &'static str) -> Vec<String> {
        let value = self.raw(name).unwrap_or_default();
        let secrets: Vec<String> =
            value.split(',').map(str::trim).filter(|secret| !secret.is_empty()).map(str::to_owned).collect();
        let shown = if secrets.is_empty() { "not set" } else { &vec!["********"; secrets.len()].join(",") };
        self.list(name, shown.to_owned(), !secrets.is_empty());
        let bare =
            |secret: &String| secret.split_once(':').map_or(secret.clone(), |(_, bare)| bare.to_owned());
        if secrets.iter().map(bare).any(|secret| is_weak(&secret)) {
            self.weak.push(name);
        }
        secrets
    }

    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let words = if default { "true" } else { "false" };
        match self.text(name, words).as_deref().map(str::to_ascii_lowercase).as_deref() {
            None => default,
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") => false,
            Some(_) => {
                self.problem(&format!("{name}: must be true or false"));
                default
            }
        }
    }

    pub(super) fn choice(&mut self, name: &'static str, choices: &[&str], default: &str) -> String {
        let value = self.text(name, default).unwrap_or_else(|| default.to_owned());
        if !choices.contains(&value.as_str()) {
            self.problem(&format!("{name}: must be {}", choices.join(" or ")));
        }
        value
    }

    pub(super) fn number<T>(&mut self, name: &'static str, default: T, least: T, most: T) -> T
    where
        T: FromStr + Display + PartialOrd + Copy,
    {
        let Some(value) = self.text(name, &default.to_string()) else { return default };
        match value.parse::<T>() {
            Ok(number) if number >= least && number <= most => number,
            _ => {
                self.problem(&format!("{name}: must be a whole number from {least} to {most}"));
                default
            }
        }
    }

    /// Whole seconds, at least one.
    pub(super) fn seconds(&mut self, name: &'static str, default: u64) -> Duration {
        // No setting has a use for more than a year.
        Duration::from_secs(self.number(name, default, 1, 365 * 24 * 3600))
    }

    pub(super) fn days(&mut self, name: &'static str, default: u64) -> Duration {
        Duration::from_hours(24 * self.number(name, default, 1, 3_650))
    }

    /// An http(s) address without credentials, since addresses are shown. `None` where the value is none.
    pub(super) fn url(&mut self, name: &'static str, default: &str) -> Option<Url> {
        let given = self.raw(name);
        let value = given.clone().unwrap_or_else(|| default.to_owned());
        let url = Url::parse(&value);
        let shown = url.as_ref().map_or_else(|_| "no address".to_owned(), |url| shown(url).to_string());
        // As it was written, where that shows nothing more.
        let shown = if value.contains(['?', '#', '@']) { shown } else { value };
        self.list(name, shown, given.is_some());
        match url {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none() =>
            {
                self.look_at_encryption(name, &url);
                Some(url)
            }
            _ => {
                self.problem(&format!("{name}: must be an http or https address, without user or password"));
                None
            }
        }
    }

    /// Plain HTTP shows credentials and payloads to everyone on the way (`docs/service.md`, section 7).
    fn look_at_encryption(&mut self, name: &'static str, url: &Url) {
        if url.scheme() == "https" {
            return;
        }
        if self.cloud_run {
            self.problem(&format!("{name}: must be an https address in Cloud Run"));
        } else if !url.host_str().is_some_and(is_loopback) {
            self.warning(format!(
                "{name}: is an http address: everyone on the way can read and change what is sent"
            ));
        }
    }

    fn raw(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn list(&mut self, name: &'static str, value: String, given: bool) {
        self.settings.push(Setting { name, value, given });
    }
}

/// Whether a host is this machine, in the spelling of an address (`[::1]`) or of a setting (`::1`).
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = host.trim_end_matches('.');
    let is_local = name == "localhost" || name.ends_with(".localhost");
    address.map_or(is_local, |address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_is_known_in_every_spelling() {
        for host in [
            "localhost",
            "localhost.",
            "db.localhost",
            "127.0.0.1",
            "127.8.0.1",
            "::1",
            "[::1]",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "localhost.example.org", "mylocalhost", "10.0.0.1", "[::2]", "127.0.0.1.example.org"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
