//! What holds where nothing, or only something, is set.

use std::path::Path;
use std::time::Duration;

use commcare_sf_integration::config::salesforce::Login;
use commcare_sf_integration::config::{LogFormat, QueueSettings};
use commcare_sf_integration::submission::Sender;

use super::{CLOUD_RUN, load, one_problem};

#[test]
fn an_empty_environment_is_a_dry_run_on_this_machine() {
    let config = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    let QueueSettings::Sqlite(settings) = &config.queue else { panic!("{:?}", config.queue) };
    assert_eq!(settings.path, Path::new("data/queue.db"));
    assert!(config.salesforce.is_none() && !config.registration_attendance);
    assert!(config.access.is_open());
    assert_eq!((config.retry.max_retries, config.max_body_bytes), (3, 32 * 1024 * 1024));
    let (lease, backoff) = (config.retry.lease, config.retry.retry_backoff);
    assert_eq!((lease, backoff), (Duration::from_mins(2), Duration::from_mins(1)));
    let drain = config.drain;
    assert_eq!((drain.batch_size, drain.concurrency, drain.budget), (10, 8, Duration::from_secs(150)));
    let drain = config.drain_to_commcare;
    assert_eq!((drain.batch_size, drain.budget), (1, Duration::from_secs(150)));
    assert!(config.commcare.is_none());
    assert_eq!(config.sender, Sender::DEFAULT);
    assert_eq!((config.log_format, config.log_filter.as_str()), (LogFormat::Pretty, "info"));
    assert!(config.settings.iter().all(|setting| !setting.given));
}

#[test]
fn completed_records_are_kept_for_ever_or_for_some_days() {
    for (days, kept) in [("0", None), ("7", Some(7)), ("365", Some(365))] {
        let config = load(&[("COMPLETED_RETENTION_DAYS", days)]).unwrap();
        assert_eq!(config.retry.retention, kept.map(|days| Duration::from_hours(24 * days)));
    }
    assert_eq!(load(&[]).unwrap().retry.retention, None);
    one_problem(
        &[("COMPLETED_RETENTION_DAYS", "6")],
        "COMPLETED_RETENTION_DAYS: must be at least 7, or 0 to keep completed records for ever",
    );
}

#[test]
fn the_scheduler_is_expected_in_cloud_run_or_where_it_is_said() {
    let every = |variables: &[(&str, &str)]| load(variables).unwrap().scheduler_every;
    assert_eq!(every(&[]), None);
    assert_eq!(every(&CLOUD_RUN), Some(Duration::from_mins(5)));
    assert_eq!(every(&[("SCHEDULER_EVERY_SECONDS", "60")]), Some(Duration::from_mins(1)));
    assert_eq!(every(&[&CLOUD_RUN[..], &[("SCHEDULER_EVERY_SECONDS", "0")]].concat()), None);
}

#[test]
fn commcare_is_reached_with_what_its_variables_say() {
    let variables = [
        ("CC_DOMAIN", "demo"),
        ("CC_USERNAME", "user@example.org"),
        ("CC_API_KEY", "key"),
        ("CC_USER_ID", "the-user"),
        ("CC_CONCURRENCY", "7"),
        ("REQUEST_TIMEOUT_SECONDS", "9"),
        ("LEASE_SECONDS", "60"),
    ];
    let config = load(&variables).unwrap();
    let settings = config.commcare.unwrap();
    assert_eq!(settings.receiver.as_str(), "https://www.commcarehq.org/a/demo/receiver/GCP_Forms/");
    assert_eq!((settings.username.as_str(), settings.concurrency), ("user@example.org", 7));
    assert_eq!((settings.request_timeout.as_secs(), settings.retry_budget.as_secs()), (9, 30));
    assert_eq!((&*config.sender.user_id, &*config.sender.username), ("the-user", "api"));
}

#[test]
fn another_hq_keeps_the_photos_too() {
    for (base, hq) in [
        (None, "https://www.commcarehq.org"),
        (Some("https://eu.commcarehq.org"), "https://eu.commcarehq.org"),
        (Some("https://hq.example.org/commcare/"), "https://hq.example.org/commcare"),
    ] {
        let variables: Vec<_> = base.map(|base| ("CC_BASE_URL", base)).into_iter().collect();
        let config = load(&variables).unwrap();
        assert!(config.commcare.is_none(), "without credentials nothing is sent there");
        assert_eq!(config.hq, hq);
    }
    one_problem(
        &[("CC_BASE_URL", "https://eu.commcarehq.org/?a=1")],
        "CC_BASE_URL: must be an address without query",
    );
}

#[test]
fn a_blank_variable_is_not_set() {
    let config =
        load(&[("PORT", ""), ("OPERATOR_TOKEN", "  "), ("K_SERVICE", ""), ("QUEUE_URL", " ")]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert!(config.access.is_open());
}

#[test]
fn in_cloud_run_it_listens_to_the_network_and_logs_json() {
    let config = load(&CLOUD_RUN).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.log_format, LogFormat::Json);
    let QueueSettings::Firestore(settings) = &config.queue else { panic!("{:?}", config.queue) };
    assert_eq!((settings.project.as_str(), settings.database.as_str()), ("project", "(default)"));
    assert!(config.salesforce.is_some());
}

#[test]
fn the_queue_is_where_its_address_says() {
    let sqlite = |url: &str| match load(&[("QUEUE_URL", url), ("GOOGLE_CLOUD_PROJECT", "p")]).unwrap().queue {
        QueueSettings::Sqlite(settings) => settings.path.display().to_string(),
        QueueSettings::Firestore(settings) => panic!("{settings:?}"),
    };
    assert_eq!(sqlite("sqlite://queue.db"), "queue.db");
    assert_eq!(sqlite("sqlite:///var/lib/queue.db"), "/var/lib/queue.db");
    for url in ["firestore", ""] {
        let variables = [
            ("QUEUE_URL", url),
            ("GOOGLE_CLOUD_PROJECT", "p"),
            ("FIRESTORE_DATABASE", "forms"),
            ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:8090"),
        ];
        let QueueSettings::Firestore(settings) = load(&variables).unwrap().queue else { panic!("{url}") };
        assert_eq!((settings.project.as_str(), settings.database.as_str()), ("p", "forms"));
        assert_eq!(settings.emulator_host.as_deref(), Some("127.0.0.1:8090"));
    }
    one_problem(&[("QUEUE_URL", "firestore")], "GOOGLE_CLOUD_PROJECT: missing");
    for url in ["sqlite://", "sqlite:queue.db", "queue.db", "postgres://user:password@host/db", "Firestore"] {
        one_problem(&[("QUEUE_URL", url)], "QUEUE_URL: must be firestore or sqlite://PATH");
    }
}

#[test]
fn a_host_is_an_address_of_this_machine() {
    let listen = |host| load(&[("HOST", host)]).unwrap().listen.to_string();
    assert_eq!(listen("localhost"), "127.0.0.1:8080");
    assert_eq!(listen("::1"), "[::1]:8080");
    one_problem(&[("HOST", "example.org")], "HOST: not an IP address");
}

#[test]
fn registrations_write_attendance_in_production_or_where_the_sandbox_shall() {
    let writes = |variables: &[(&str, &str)]| load(variables).unwrap().registration_attendance;
    assert!(!writes(&[("SALESFORCE_ENV", "sandbox")]));
    assert!(writes(&[("SALESFORCE_ENV", "production")]));
    assert!(writes(&[("SF_SANDBOX_ATTENDANCE", "true")]));
}

#[test]
fn the_salesforce_environment_picks_user_and_address() {
    let both = [
        ("SF_PROD_USERNAME", "prod@example.org"),
        ("SF_PROD_PASSWORD", "password"),
        ("SF_PROD_SECURITY_TOKEN", "token"),
        ("SF_TEST_USERNAME", "test@example.org"),
    ];
    for (env, user, address) in [
        ("sandbox", "test@example.org", "https://test.salesforce.com/"),
        ("production", "prod@example.org", "https://login.salesforce.com/"),
    ] {
        let settings = load(&[&both[..], &[("SALESFORCE_ENV", env)]].concat()).unwrap().salesforce.unwrap();
        let Login::Password { username, .. } = &settings.login else { panic!("{:?}", settings.login) };
        assert_eq!((username.as_str(), settings.login_url.as_str()), (user, address));
    }
}

#[test]
fn plain_http_is_warned_about_unless_it_stays_on_this_machine() {
    for name in ["SALESFORCE_LOGIN_URL", "CC_BASE_URL", "OIDC_JWKS_URL"] {
        let warnings = |address: &str| load(&[(name, address)]).unwrap().warnings;
        for address in ["http://example.org", "http://10.0.0.7:8080", "http://localhost.example.org"] {
            let found = warnings(address);
            assert!(found.len() == 1 && found[0].starts_with(&format!("{name}: ")), "{address}: {found:?}");
            assert!(!found[0].contains(address), "{found:?}");
        }
        for address in
            ["https://example.org", "http://localhost:8080", "http://127.0.0.1", "http://[::1]:8080"]
        {
            assert_eq!(warnings(address), Vec::<String>::new(), "{address}");
        }
    }
}

#[test]
fn a_database_elsewhere_without_sslmode_is_warned_about() {
    let warnings = |url: &str| load(&[("DATABASE_URL", url)]).unwrap().warnings;
    for url in
        ["postgres://me:s3cr3t@db/mills", "postgresql+psycopg2://me:s3cr3t@10.0.0.7/mills?application_name=x"]
    {
        let found = warnings(url);
        assert!(found.len() == 1 && found[0].starts_with("DATABASE_URL: has no sslmode"), "{url}: {found:?}");
        assert!(!found[0].contains("s3cr3t"), "{found:?}");
    }
    for url in [
        "postgres://me:s3cr3t@db/mills?sslmode=require",
        "postgres://me:s3cr3t@db/mills?application_name=x&sslmode=verify-full",
        "postgres://me:s3cr3t@db/mills?ssl-mode=disable",
        "postgres://me:s3cr3t@127.0.0.1/mills",
        "postgres://me:s3cr3t@localhost:5433/mills",
        "postgres://me:s3cr3t@[::1]/mills",
        "postgres://me:s3cr3t@%2Fcloudsql%2Fproject%3Aregion%3Adb/mills",
        "postgres://me:s3cr3t@localhost/mills?host=/cloudsql/project:region:db",
    ] {
        assert_eq!(warnings(url), Vec::<String>::new(), "{url}");
    }
}
