//! Webhooks and HTTP requests.

use chrono::DateTime;
use commcare_sf_integration::jobs::JOBS;
use commcare_sf_integration::submission::Origin;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::metrics::Metrics;

#[tokio::test]
async fn webhooks_are_counted_by_what_became_of_the_submission() {
    let app = TestApp::start().await;
    let edited = |on: &str| {
        let mut form = registration("f-1");
        form["edited_on"] = on.into();
        form["form"]["Age"] = on.into();
        form
    };
    app.accept(&registration("f-1")).await;
    app.accept(&registration("f-1")).await;
    assert_eq!(app.accept(&edited("2026-03-02T00:00:00Z")).await["replaced"], true);
    assert_eq!(app.accept(&edited("2026-03-01T00:00:00Z")).await["stale"], true);
    app.accept(&registration("f-2")).await;
    let participant = json!({ "id": "j-1", "jobType": "Participant" }).to_string();
    app.post("/process-data-sf", participant).await.expect(200);
    let metrics = Metrics::of(&app).await;
    let name = "webhooks_accepted_total";
    for (fate, expected) in [("stored", 2), ("duplicate", 1), ("replaced", 1), ("stale", 1)] {
        let labels = [("collection", "commcare_collection"), ("job", "Farmer Registration"), ("fate", fate)];
        metrics.expect(name, &labels, expected);
    }
    let labels = [("collection", "salesforce_collection"), ("job", "Participant"), ("fate", "stored")];
    metrics.expect(name, &labels, 1);
    metrics.expect(name, &[], 6);
}

#[tokio::test]
async fn job_names_that_nobody_knows_make_no_label() {
    let app = TestApp::start().await;
    for n in 0..20 {
        app.accept(&json!({ "id": "f-1", "form": { "@name": format!("Almaz {n} \"\\\n") } })).await;
    }
    let job = json!({ "id": "j-1", "jobType": "Farm Visit Full" }).to_string();
    app.post("/process-data-sf", job).await.expect(200);
    let metrics = Metrics::of(&app).await;
    let skipped = [("job", "other"), ("fate", "skipped")];
    metrics.expect("webhooks_accepted_total", &skipped, 21);
    let known = |job: &str| job == "other" || JOBS.iter().any(|known| known.name == job);
    assert!(metrics.values("job").iter().all(|job| known(job)), "{}", metrics.text);
}

#[tokio::test]
async fn refused_webhooks_are_counted_apart() {
    let app = TestApp::with(&[("WEBHOOK_API_KEY", "key-1"), ("OPERATOR_TOKEN", "operator")]).await;
    let key = ("x-api-key", "key-1");
    for _ in 0..2 {
        app.call("POST", "/process-data-cc/", &[("x-api-key", "wrong")]).await.expect(401);
    }
    app.call("POST", "/process-data-sf", &[key, ("sec-fetch-site", "cross-site")]).await.expect(403);
    // A stranger who knocks shows no credential.
    app.call("POST", "/process-data-cc", &[]).await.expect(401);
    // Neither a form that is no form, nor an operator without a token, is a refused form.
    app.call("POST", "/process-data-cc", &[key]).await.expect(400);
    app.get("/failed/sf").await.expect(401);
    app.get("/metrics").await.expect(401);
    let answer = app.call("GET", "/metrics", &[("authorization", "Bearer operator")]).await;
    let metrics = Metrics::parse(&answer.text);
    let refused = |collection, status, expected| {
        metrics.expect("webhooks_refused_total", &[("collection", collection), ("status", status)], expected);
    };
    refused("commcare_collection", "401", 2);
    refused("commcare_collection", "403", 0);
    refused("salesforce_collection", "403", 1);
    metrics.expect("webhooks_refused_total", &[], 3);
}

#[tokio::test]
async fn requests_are_counted_by_template_and_never_by_path() {
    let app = TestApp::start().await;
    app.process(&registration("secret-id")).await;
    app.get("/record/commcare_collection/secret-id/").await.expect(200);
    app.get("/record/commcare_collection/unknown-id").await.expect(404);
    app.get("/record/other-collection/secret-id").await.expect(404);
    for path in ["/some", "/some/where", "/secret-id"] {
        app.get(path).await.expect(404);
    }
    app.call("DELETE", "/failed/sf", &[]).await.expect(405);
    app.call("SECRET-ID", "/failed/sf", &[]).await.expect(405);
    app.get("/health").await.expect(200);
    let metrics = Metrics::of(&app).await;
    let requests = |method, route, status, expected| {
        let labels = [("method", method), ("route", route), ("status", status)];
        metrics.expect("http_requests_total", &labels, expected);
    };
    requests("POST", "/process-data-cc", "200", 1);
    requests("POST", "/process-firestore-to-sf", "200", 1);
    // `process` reads the record too.
    requests("GET", "/record/{collection}/{id}", "200", 2);
    requests("GET", "/record/{collection}/{id}", "404", 2);
    requests("GET", "none", "404", 3);
    requests("DELETE", "/failed/{dest}", "405", 1);
    requests("other", "/failed/{dest}", "405", 1);
    requests("GET", "/health", "200", 1);
    let record = [("method", "GET"), ("route", "/record/{collection}/{id}")];
    metrics.expect("http_request_duration_seconds_count", &record, 4);
    metrics.expect("http_request_duration_seconds_bucket", &[record[1], ("le", "+Inf")], 4);
    for id in ["secret-id", "SECRET-ID", "unknown-id", "other-collection"] {
        assert!(!metrics.text.contains(id), "{id} in {}", metrics.text);
    }
}

#[tokio::test]
async fn a_sender_that_hangs_up_is_counted_too() {
    use std::time::Duration;
    let (stand_in, app) = super::start().await;
    app.accept(&registration("f-1")).await;
    stand_in.delay(Duration::from_millis(500));
    let drain = app.post("/process-firestore-to-sf", "");
    assert!(tokio::time::timeout(Duration::from_millis(50), drain).await.is_err());
    let labels = [("route", "/process-firestore-to-sf"), ("status", "499")];
    Metrics::of(&app).await.expect("http_requests_total", &labels, 1);
}

#[tokio::test]
async fn counters_that_alerts_watch_are_there_from_the_start() {
    let app = TestApp::start().await;
    let metrics = Metrics::of(&app).await;
    for origin in ["commcare_collection", "salesforce_collection"] {
        for status in ["401", "403"] {
            metrics.expect("webhooks_refused_total", &[("collection", origin), ("status", status)], 0);
        }
    }
    for job in JOBS {
        let (collection, job) = (("collection", job.origin.collection()), ("job", job.name));
        for kind in ["transient", "dependency", "permanent"] {
            let labels = [collection, job, ("outcome", "failed"), ("error_kind", kind)];
            metrics.expect("records_processed_total", &labels, 0);
        }
        for fate in ["stored", "duplicate", "replaced", "stale"] {
            metrics.expect("webhooks_accepted_total", &[collection, job, ("fate", fate)], 0);
        }
    }
    for route in ["/process-data-cc", "/process-data-sf"] {
        metrics.expect("http_requests_total", &[("route", route), ("method", "POST"), ("status", "503")], 0);
    }
    for destination in ["salesforce", "commcare", "postgis"] {
        metrics.expect("drains_stopped_total", &[("destination", destination)], 0);
    }
}

#[tokio::test]
async fn the_last_drain_is_told_by_collection() {
    let app = TestApp::start().await;
    let last = async |collection: &str| {
        let labels = [("collection", collection)];
        Metrics::of(&app).await.get("last_drain_timestamp_seconds", &labels).unwrap()
    };
    assert!(last("commcare_collection").await > 0.0, "before the first, it is the start");
    for origin in Origin::ALL {
        app.app.metrics.drain_ended(origin, DateTime::UNIX_EPOCH);
    }
    app.auto_retry().await;
    assert_eq!(last("commcare_collection").await.to_string(), "0", "a retry is no drain");
    app.drain().await;
    assert!(last("commcare_collection").await > 0.0);
    assert_eq!(last("salesforce_collection").await.to_string(), "0");
}
