//! `check-config` and `migrate`; `serve` where it cannot start.

use std::process::Output;

use serde_json::{Value, json};

use super::{command, fail, succeed};
use crate::support::postgres::TestDatabase;

const SECRETS: [(&str, &str); 6] = [
    ("OPERATOR_TOKEN", "s3cr3t-operator"),
    ("WEBHOOK_API_KEY", "s3cr3t-key"),
    ("WEBHOOK_BASIC_AUTH", "commcare:s3cr3t-basic"),
    ("DATABASE_URL", "postgres://me:s3cr3t-database@db/mills"),
    ("SF_CLIENT_ID", "connected-app"),
    ("SF_CLIENT_SECRET", "s3cr3t-client"),
];

#[test]
fn settings_are_printed_and_secrets_are_not() {
    let login = ("SALESFORCE_LOGIN_URL", "https://coffee.my.salesforce.com");
    let variables = [&SECRETS[..], &[login]].concat();
    let text = succeed(&["check-config"], &variables, "");
    assert!(text.contains("OPERATOR_TOKEN                   set      ********\n"), "{text}");
    assert!(text.contains("\npostgis      live, db:5432/mills\n"), "{text}");
    let printed = succeed(&["check-config", "--json"], &variables, "");
    assert!(!text.contains("s3cr3t") && !printed.contains("s3cr3t"), "{text}{printed}");
    assert!(text.contains("\nwarning: DATABASE_URL: has no sslmode"), "{text}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert!(
        printed["warnings"][0].as_str().unwrap().starts_with("DATABASE_URL: has no sslmode"),
        "{printed}"
    );
    let setting = |name: &str| {
        let settings = printed["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap().clone()
    };
    let operator = json!({ "name": "OPERATOR_TOKEN", "value": "********", "given": true });
    assert_eq!(setting("OPERATOR_TOKEN"), operator);
    assert_eq!(setting("PORT"), json!({ "name": "PORT", "value": "8080", "given": false }));
    let summary = &printed["summary"];
    assert_eq!(summary["salesforce"], "live, https://coffee.my.salesforce.com/");
    assert_eq!(
        (&summary["postgis"], &summary["webhooks"]),
        (&json!("live, db:5432/mills"), &json!("credentials required"))
    );
}

#[test]
fn every_problem_is_told_at_once_and_no_secret() {
    let broken = [("PORT", "http"), ("MAX_RETRIES", "many"), ("WEBHOOK_BASIC_AUTH", "s3cr3t-without-user")];
    for arguments in [&["check-config"][..], &["check-config", "--json"], &["serve"], &["migrate", "--json"]]
    {
        let complaint = fail(1, arguments, &broken, "");
        assert!(complaint.starts_with("error: the configuration has 3 problem(s):\n"), "{complaint}");
        for (name, _) in broken {
            assert!(complaint.contains(&format!("  - {name}: ")), "{complaint}");
        }
        assert!(!complaint.contains("s3cr3t"), "{complaint}");
    }
}

/// `check-config` in a folder with this `.env`.
fn with_env_file(file: &[u8], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), file).unwrap();
    command(arguments, &[("CC_DEVICE_ID", "of the environment")]).current_dir(folder.path()).output().unwrap()
}

#[test]
fn a_broken_env_file_is_told_by_line_and_reason_without_its_values() {
    for (file, told) in [
        (
            &b"# a\nOPERATOR_TOKEN='s3cr3t\n"[..],
            ".env, line 2: OPERATOR_TOKEN: the quote ' before the value has no other at its end",
        ),
        (
            b"OPERATOR_TOKEN=s3cr3t s3cr3t",
            ".env, line 1: OPERATOR_TOKEN: the value has more after a blank or a quote; put all of it in quotes",
        ),
        (b"PORT=1\ns3cr3t\n", ".env, line 2: is not NAME=value, nor a comment (#)"),
        (b"PORT=1\n\nOPERATOR_TOKEN=s3cr3t\xff", ".env, line 3: is not UTF-8 text"),
    ] {
        let output = with_env_file(file, &["check-config"]);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), complaint), (Some(1), format!("error: {told}\n")));
    }
}

#[test]
fn values_of_the_env_file_are_taken_as_they_stand() {
    let file = "export CC_USER_ID=pa$word9\nCC_META_USERNAME=\"$HOME ${CC_USER_ID}\"\nCC_DEVICE_ID='of the file'\n\
                OPERATOR_TOKN='a$b'\n";
    let output = with_env_file(file.as_bytes(), &["check-config", "--json"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let value = |name: &str| {
        let settings = printed["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(value("CC_USER_ID"), "pa$word9");
    assert_eq!(value("CC_META_USERNAME"), "$HOME ${CC_USER_ID}");
    assert_eq!(value("CC_DEVICE_ID"), "of the environment");
    assert_eq!(printed["unknown"], json!(["OPERATOR_TOKN"]));
}

#[test]
fn what_is_misspelt_or_can_be_guessed_is_named() {
    let open = [("HOST", "0.0.0.0"), ("OPERATOR_TOKEN", "tiny"), ("WEBHOOK_BASIC_AUTH", "commcare:secret")];
    let good = [("WEBHOOK_API_KEY", "b1946ac92492d2347c6235b4d2611184"), ("SF_USERNAM", "x")];
    let text = succeed(&["check-config"], &[&open[..], &good].concat(), "");
    let warnings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
    let named: Vec<&str> = warnings.iter().map(|warning| warning.split(':').next().unwrap()).collect();
    assert_eq!(named, ["WEBHOOK_BASIC_AUTH", "OPERATOR_TOKEN", "SF_USERNAM"], "{text}");
    assert!(!text.contains("tiny") && !text.contains("commcare:secret"), "{text}");
    // Nobody else can try them here.
    let text = succeed(&["check-config"], &open[1..], "");
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn no_address_is_printed_with_what_may_be_secret_in_it() {
    let secrets = [
        ("SALESFORCE_LOGIN_URL", "https://coffee.my.salesforce.com/path?key=s3cr3t#s3cr3t"),
        ("SF_CLIENT_ID", "connected-app"),
        ("SF_CLIENT_SECRET", "s3cr3t-client"),
        ("OIDC_JWKS_URL", "https://keys.example.org/certs?token=s3cr3t"),
    ];
    for arguments in [&["check-config"][..], &["check-config", "--json"]] {
        let text = succeed(arguments, &secrets, "");
        assert!(!text.contains("s3cr3t"), "{text}");
        assert!(text.contains("https://keys.example.org/certs"), "{text}");
    }
    let complaint =
        fail(1, &["check-config"], &[("OIDC_JWKS_URL", "https://me:s3cr3t@keys.example.org")], "");
    assert!(!complaint.contains("s3cr3t"), "{complaint}");
}

#[tokio::test]
async fn migrate_brings_a_database_up_to_date_and_says_so() {
    let database = TestDatabase::empty().await;
    let variables = [("DATABASE_URL", database.url.as_str())];
    let (_, shown) = database.url.split_once('@').unwrap();
    let printed: Value = serde_json::from_str(&succeed(&["migrate", "--json"], &variables, "")).unwrap();
    assert_eq!(printed, json!({ "database": shown, "status": "up to date" }));
    assert_eq!(database.count("wetmills").await, 0);
    assert_eq!(succeed(&["migrate"], &variables, ""), format!("{shown} is up to date\n"), "again");
}

#[test]
fn migrate_fails_where_there_is_no_database() {
    let complaint = fail(1, &["migrate", "--json"], &[], "");
    assert_eq!(complaint, "error: DATABASE_URL: missing; it says which database to migrate\n");
    // Nothing listens there.
    let nowhere = [("DATABASE_URL", "postgres://me:s3cr3t@127.0.0.1:1/mills")];
    let complaint = fail(1, &["migrate"], &nowhere, "");
    assert!(complaint.starts_with("error: no connection to the database 127.0.0.1:1/mills: "), "{complaint}");
    assert!(!complaint.contains("s3cr3t"), "{complaint}");
}

#[test]
fn serve_fails_where_its_port_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let queue = format!("sqlite://{}", folder.path().join("queue.db").display());
    let complaint = fail(1, &["serve"], &[("PORT", &port), ("QUEUE_URL", &queue), ("RUST_LOG", "off")], "");
    assert!(
        complaint.starts_with(&format!("error: cannot listen on 127.0.0.1:{port} (HOST and PORT): ")),
        "{complaint}"
    );
}
