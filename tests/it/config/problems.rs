//! What stops the start: every problem at once, by name, and no secret in it.

use commcare_sf_integration::server;

use super::{CLOUD_RUN, cloud_run_without, load, one_problem, problems};

#[test]
fn every_problem_is_reported_at_once_by_name() {
    let found = problems(&[
        ("PORT", "eighty"),
        ("HOST", "nowhere"),
        ("QUEUE_URL", "mysql://"),
        ("SALESFORCE_ENV", "staging"),
        ("SALESFORCE_API_VERSION", "12.0"),
        ("SALESFORCE_LOGIN_URL", "ftp://x"),
        ("SF_SANDBOX_ATTENDANCE", "maybe"),
        ("SF_CLIENT_ID", "x"),
        ("CC_DOMAIN", "x"),
        ("CC_BASE_URL", "commcarehq.org"),
        ("LEASE_SECONDS", "0"),
        ("MAX_RETRIES", "-1"),
        ("SF_BATCH_SIZE", "501"),
        ("SF_CONCURRENCY", "0"),
        ("CC_BATCH_SIZE", "x"),
        ("CC_CONCURRENCY", "x"),
        ("DATABASE_MAX_CONNECTIONS", "0"),
        ("RUN_MIGRATIONS", "x"),
        ("RETRY_BACKOFF_SECONDS", "1.5"),
        ("DRAIN_BUDGET_SECONDS", "x"),
        ("REQUEST_TIMEOUT_SECONDS", "x"),
        ("INLINE_SECONDS", "x"),
        ("MAX_BODY_BYTES", "32MiB"),
        ("SF_API_RESERVE_PERCENT", "101"),
        ("WEBHOOK_BASIC_AUTH", "no-colon"),
        ("SCHEDULER_OIDC_AUDIENCE", "x"),
        ("OIDC_JWKS_URL", "x"),
        ("ALLOW_UNAUTHENTICATED", "x"),
        ("LOG_FORMAT", "xml"),
    ]);
    for name in [
        "PORT:",
        "HOST:",
        "QUEUE_URL:",
        "SALESFORCE_ENV:",
        "SALESFORCE_API_VERSION:",
        "SALESFORCE_LOGIN_URL:",
        "SF_SANDBOX_ATTENDANCE:",
        "SF_CLIENT_SECRET or SF_PRIVATE_KEY:",
        "CC_USERNAME, CC_API_KEY:",
        "CC_BASE_URL:",
        "LEASE_SECONDS:",
        "MAX_RETRIES:",
        "SF_BATCH_SIZE:",
        "SF_CONCURRENCY:",
        "CC_BATCH_SIZE:",
        "CC_CONCURRENCY:",
        "DATABASE_MAX_CONNECTIONS:",
        "RUN_MIGRATIONS:",
        "RETRY_BACKOFF_SECONDS:",
        "DRAIN_BUDGET_SECONDS:",
        "REQUEST_TIMEOUT_SECONDS:",
        "INLINE_SECONDS:",
        "MAX_BODY_BYTES:",
        "SF_API_RESERVE_PERCENT:",
        "WEBHOOK_BASIC_AUTH:",
        "SCHEDULER_OIDC_EMAIL:",
        "OIDC_JWKS_URL:",
        "ALLOW_UNAUTHENTICATED:",
        "LOG_FORMAT:",
    ] {
        assert_eq!(found.iter().filter(|problem| problem.starts_with(name)).count(), 1, "{name} {found:#?}");
    }
    assert_eq!(found.len(), 29, "{found:#?}");
}

#[test]
fn the_message_shows_the_problems_one_a_line() {
    let error = load(&[("PORT", "x"), ("LOG_FORMAT", "x")]).unwrap_err();
    let expected = "the configuration has 2 problem(s):\n  - PORT: must be a whole number from 0 to 65535\n  \
                    - LOG_FORMAT: must be json or pretty";
    assert_eq!(error.to_string(), expected);
}

/// Every secret, each with `hunter` in it, and something wrong beside it.
const SECRETS: [(&str, &str); 13] = [
    ("SF_PROD_PASSWORD", "hunter-1"),
    ("SF_PROD_SECURITY_TOKEN", "hunter-2"),
    ("SF_TEST_USERNAME", "user@example.org"),
    ("SF_TEST_PASSWORD", "hunter-3"),
    ("SF_TEST_SECURITY_TOKEN", "hunter-4"),
    ("CC_DOMAIN", "domain"),
    ("CC_USERNAME", "user"),
    ("CC_API_KEY", "hunter-5"),
    ("DATABASE_URL", "postgres://user:hunter-6@host/database"),
    ("WEBHOOK_BASIC_AUTH", "user:hunter-7,user:hunter-8"),
    ("WEBHOOK_API_KEY", "hunter-9"),
    ("OPERATOR_TOKEN", "hunter-10"),
    ("SF_CLIENT_SECRET", ""),
];

#[test]
fn no_secret_is_shown() {
    let config = load(&SECRETS).unwrap();
    let mut shown = vec![format!("{config:?}"), format!("{:?}", config.settings)];
    shown.extend(server::summary(&config).into_iter().map(|(_, state)| state));
    let masked = config.settings.iter().filter(|setting| setting.value.contains("********")).count();
    assert_eq!(masked, 9, "{:?}", config.settings);

    let broken = [
        ("PORT", "x"),
        ("WEBHOOK_BASIC_AUTH", "hunter-7"),
        ("SF_CLIENT_SECRET", "hunter-11"),
        ("SF_PRIVATE_KEY", "hunter-12"),
        ("QUEUE_URL", "postgres://user:hunter-13@host/db"),
        ("CC_DOMAIN", ""),
    ];
    let error = load(&[&SECRETS[..], &broken].concat()).unwrap_err();
    shown.extend([error.to_string(), format!("{error:?}")]);
    for text in shown {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn in_cloud_run_nothing_is_only_recorded() {
    let salesforce = ["SALESFORCE_LOGIN_URL", "SF_CLIENT_ID", "SF_CLIENT_SECRET"];
    one_problem(&cloud_run_without(&salesforce), "Salesforce needs one of them");
    one_problem(&cloud_run_without(&["CC_API_KEY"]), "CC_API_KEY: missing, and CommCare needs it");
    let commcare = ["CC_DOMAIN", "CC_USERNAME", "CC_API_KEY"];
    one_problem(&cloud_run_without(&commcare), "CC_DOMAIN, CC_USERNAME, CC_API_KEY: missing");
    one_problem(&cloud_run_without(&["DATABASE_URL"]), "DATABASE_URL: missing, and PostGIS needs it");
    one_problem(&cloud_run_without(&["GOOGLE_CLOUD_PROJECT"]), "GOOGLE_CLOUD_PROJECT: missing");
    let all = problems(&[("K_SERVICE", "integration")]);
    assert_eq!(all.len(), 5, "{all:#?}");
}

#[test]
fn half_a_credential_is_a_problem_and_none_is_a_dry_run() {
    for (variables, says) in [
        (&[("SF_CLIENT_ID", "x")][..], "SF_CLIENT_SECRET or SF_PRIVATE_KEY: missing"),
        (&[("SF_CLIENT_SECRET", "x")], "SF_CLIENT_ID: missing"),
        (&[("SF_CLIENT_ID", "x"), ("SF_CLIENT_SECRET", "x")], "SALESFORCE_LOGIN_URL: missing"),
        (&[("SF_TEST_USERNAME", "x")], "SF_TEST_PASSWORD (or SF_PROD_PASSWORD): missing"),
        (&[("SF_TEST_PASSWORD", "x")], "SF_TEST_USERNAME: missing"),
        (&[("SF_PROD_USERNAME", "x"), ("SALESFORCE_ENV", "production")], "SF_PROD_PASSWORD: missing"),
        (&[("SF_PROD_PASSWORD", "x"), ("SALESFORCE_ENV", "production")], "SF_PROD_USERNAME: missing"),
        (&[("SF_PRIVATE_KEY", "x"), ("SF_CLIENT_ID", "x")], "SF_PRIVATE_KEY:"),
        (&[("CC_USERNAME", "x")], "CC_DOMAIN, CC_API_KEY: missing"),
        (&[("SCHEDULER_OIDC_EMAIL", "x@y")], "SCHEDULER_OIDC_AUDIENCE: missing"),
        (&[("SCHEDULER_OIDC_AUDIENCE", "x")], "SCHEDULER_OIDC_EMAIL: missing"),
        (
            &[("SCHEDULER_OIDC_AUDIENCE", "x"), ("SCHEDULER_OIDC_EMAIL", " , ")],
            "SCHEDULER_OIDC_EMAIL: missing",
        ),
        (&[("WEBHOOK_BASIC_AUTH", "user:")], "WEBHOOK_BASIC_AUTH:"),
        (&[("OPERATOR_TOKEN", "token,:token")], "OPERATOR_TOKEN: each entry must be a token or name:token"),
        (&[("OPERATOR_TOKEN", "Amina:")], "OPERATOR_TOKEN: each entry must be a token or name:token"),
        (&[("SCHEDULER_EVERY_SECONDS", "often")], "SCHEDULER_EVERY_SECONDS:"),
        (&[("WEBHOOK_BASIC_AUTH", ":password")], "WEBHOOK_BASIC_AUTH:"),
        (&[("WEBHOOK_BASIC_AUTH", "user:password,user")], "WEBHOOK_BASIC_AUTH:"),
    ] {
        one_problem(variables, says);
    }
    assert!(load(&[("SF_TEST_USERNAME", "x"), ("SF_PROD_PASSWORD", "x")]).unwrap().salesforce.is_some());
}

#[test]
fn nobody_opens_it_to_the_network_by_accident() {
    for host in ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1"] {
        one_problem(&[("HOST", host)], "ALLOW_UNAUTHENTICATED=true");
        assert!(load(&[("HOST", host), ("ALLOW_UNAUTHENTICATED", "true")]).is_ok());
        for credential in [
            &[("WEBHOOK_BASIC_AUTH", "user:password")][..],
            &[("WEBHOOK_API_KEY", "x")],
            &[("OPERATOR_TOKEN", "x")],
            &[("VIEWER_TOKEN", "x")],
            &[("SCHEDULER_OIDC_AUDIENCE", "x"), ("SCHEDULER_OIDC_EMAIL", "x@y")],
        ] {
            let config = load(&[credential, &[("HOST", host)]].concat()).unwrap();
            assert!(!config.access.is_open());
        }
        one_problem(&[("HOST", host), ("OPERATOR_TOKEN", " , ")], "ALLOW_UNAUTHENTICATED=true");
    }
    for host in ["127.0.0.1", "127.0.0.53", "::1", "localhost"] {
        assert!(load(&[("HOST", host)]).unwrap().access.is_open());
    }
    one_problem(&cloud_run_without(&["OPERATOR_TOKEN"]), "ALLOW_UNAUTHENTICATED=true");
    assert!(load(&CLOUD_RUN).is_ok());
}

#[test]
fn plain_http_is_refused_in_cloud_run() {
    for name in ["SALESFORCE_LOGIN_URL", "CC_BASE_URL", "OIDC_JWKS_URL"] {
        for address in ["http://example.org", "HTTP://127.0.0.1:8080"] {
            let variables = [&CLOUD_RUN[..], &[(name, address)]].concat();
            one_problem(&variables, &format!("{name}: must be an https address in Cloud Run"));
        }
    }
}
