//! Everything that the environment decides (`docs/service.md`, section 6).

mod defaults;
mod example_file;
mod problems;

use std::collections::HashMap;

use commcare_sf_integration::config::{Config, ConfigError};

fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment: HashMap<&str, &str> = variables.iter().copied().collect();
    Config::load(&|name| environment.get(name).map(|value| (*value).to_owned()))
}

/// The problems of an environment that must have some.
fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    match load(variables) {
        Ok(config) => panic!("no problem with {variables:?}: {config:?}"),
        Err(ConfigError(problems)) => problems,
    }
}

/// Fails unless this environment has one problem, which says this.
#[track_caller]
fn one_problem(variables: &[(&str, &str)], says: &str) {
    let found = problems(variables);
    assert!(found.len() == 1 && found[0].contains(says), "{says:?} is not the problem: {found:#?}");
}

/// The variables that Cloud Run's service of ours has at least.
const CLOUD_RUN: [(&str, &str); 11] = [
    ("K_SERVICE", "integration"),
    ("PORT", "8080"),
    ("GOOGLE_CLOUD_PROJECT", "project"),
    ("SALESFORCE_LOGIN_URL", "https://org.my.salesforce.com"),
    ("SF_CLIENT_ID", "id"),
    ("SF_CLIENT_SECRET", "secret-1"),
    ("CC_DOMAIN", "domain"),
    ("CC_USERNAME", "user"),
    ("CC_API_KEY", "secret-2"),
    ("DATABASE_URL", "postgres://user:secret-3@host/database"),
    ("OPERATOR_TOKEN", "secret-4"),
];

/// The same without some of them.
fn cloud_run_without(names: &[&str]) -> Vec<(&'static str, &'static str)> {
    CLOUD_RUN.into_iter().filter(|(name, _)| !names.contains(name)).collect()
}
