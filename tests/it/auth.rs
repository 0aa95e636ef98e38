//! Who may call what (`docs/service.md`, section 7), credential by credential.

mod credentials;
mod people;
pub(crate) mod scheduler;

use crate::support::app::{TestAnswer, TestApp};

/// One call of each group, with the status that an admitted caller gets.
const WEBHOOKS: [(&str, &str, u16); 4] = [
    ("POST", "/process-data-cc", 400),
    ("POST", "/process-data-sf", 400),
    ("GET", "/process-data-cc", 200),
    ("GET", "/process-data-sf", 200),
];
const SCHEDULER: [(&str, &str, u16); 6] = [
    ("POST", "/process-firestore-to-sf", 200),
    ("POST", "/process-firestore-to-cc", 200),
    ("POST", "/auto-retry-firestore-to-sf", 200),
    ("POST", "/auto-retry-firestore-to-cc", 200),
    ("POST", "/reconcile-cc", 200),
    ("POST", "/check-destinations", 200),
];
const OPERATORS: [(&str, &str, u16); 20] = [
    ("GET", "/retry/sf/nobody", 404),
    ("POST", "/retry/sf/nobody", 404),
    ("POST", "/batch_retry/sf", 400),
    ("POST", "/bulk_update/commcare_collection", 400),
    ("GET", "/record/commcare_collection/nobody", 404),
    ("GET", "/failed/sf", 200),
    ("GET", "/failed/sf/groups", 200),
    ("GET", "/status", 200),
    ("GET", "/unmapped", 200),
    ("GET", "/status-count/commcare_collection", 200),
    ("POST", "/preview/cc", 400),
    ("POST", "/preview/sf", 400),
    ("GET", "/mappings", 200),
    ("GET", "/check-destinations", 200),
    ("GET", "/metrics", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/docs", 200),
    ("GET", "/dashboard", 200),
    ("GET", "/dashboard/mappings", 200),
    ("GET", "/record/no_collection/nobody", 404),
];

/// Fails unless each of these calls admits this header.
async fn admits(app: &TestApp, group: &[(&str, &str, u16)], headers: &[(&str, &str)]) {
    for (method, path, status) in group {
        let answer = app.call(method, path, headers).await;
        assert_eq!(answer.status.as_u16(), *status, "{method} {path} with {headers:?}");
    }
}

/// Fails unless each of these calls refuses this header with 401 and asks for credentials.
async fn refuses(app: &TestApp, group: &[(&str, &str, u16)], headers: &[(&str, &str)]) {
    for (method, path, _) in group {
        let answer = app.call(method, path, headers).await;
        assert_eq!(answer.status, 401, "{method} {path} with {headers:?}");
        assert_unauthenticated(&answer);
    }
}

#[track_caller]
fn assert_unauthenticated(answer: &TestAnswer) {
    assert_eq!(answer.expect(401), serde_json::json!({ "error": "The credential is missing or wrong" }));
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Basic realm="), "{challenge}");
}

/// Fails unless each of these calls is closed to everybody.
async fn is_closed(app: &TestApp, group: &[(&str, &str, u16)], headers: &[(&str, &str)]) {
    for (method, path, _) in group {
        let answer = app.call(method, path, headers).await;
        let variables = match *group {
            ref webhooks if webhooks == WEBHOOKS => "WEBHOOK_BASIC_AUTH or WEBHOOK_API_KEY",
            ref scheduler if scheduler == SCHEDULER => "SCHEDULER_OIDC_AUDIENCE or OPERATOR_TOKEN",
            _ => "OPERATOR_TOKEN",
        };
        let closed = format!("No credential is configured for this call; set {variables}");
        assert_eq!(answer.expect(403)["error"], closed, "{method} {path} with {headers:?}");
    }
}
