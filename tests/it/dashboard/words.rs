//! What the pages say about the service itself, and the small things around them.

use serde_json::{Value, json};

use super::pages::page;
use crate::support::app::TestApp;
use crate::support::forms::{mill, registration, unmappable};
use crate::support::salesforce::SalesforceStandIn;

/// The elements of the scheduler's calls on the first page.
fn calls(page: &str) -> Vec<&str> {
    let (_, list) = page.split_once(r#"<ul class="calls">"#).unwrap();
    let (list, _) = list.split_once("</ul>").unwrap();
    list.split("<li").skip(1).collect()
}

#[tokio::test]
async fn each_call_of_the_scheduler_is_shown_with_its_last_start() {
    let app = TestApp::start().await;
    app.drain().await;
    let first = page(&app, "/dashboard").await.text;
    let calls = calls(&first);
    let names = [
        "process-firestore-to-sf",
        "process-firestore-to-cc",
        "auto-retry-firestore-to-sf",
        "auto-retry-firestore-to-cc",
        "reconcile-cc",
    ];
    assert_eq!(calls.len(), names.len());
    for (call, name) in calls.iter().zip(names) {
        assert!(call.contains(name) && !call.contains("late"), "{call}");
        assert_eq!(call.contains("<time datetime="), name == "process-firestore-to-sf", "{call}");
    }
    assert!(calls[0].contains("answered 200"), "{first}");
}

#[tokio::test]
async fn only_a_late_call_says_so() {
    let app = TestApp::with(&[("SCHEDULER_EVERY_SECONDS", "1")]).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        app.drain().await;
        let first = page(&app, "/dashboard").await.text;
        let calls = calls(&first);
        assert!(!calls[0].contains("late") && !calls[4].contains("late"), "{first}");
        if calls[1].contains(" late: no call for ") {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{first}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn every_page_says_which_destinations_are_in_dry_run() {
    let salesforce = SalesforceStandIn::start().await;
    let none_live = TestApp::start().await;
    let one_live = TestApp::sending_to(&salesforce, &[]).await;
    for path in ["/dashboard", "/dashboard/failed/sf", "/dashboard/search?id=", "/dashboard/summary", "/docs"]
    {
        let text = page(&none_live, path).await.text;
        assert!(text.contains("In dry run: Salesforce, CommCare, PostGIS."), "{path}: {text}");
        let text = page(&one_live, path).await.text;
        assert!(text.contains("In dry run: CommCare, PostGIS."), "{path}: {text}");
    }
    let live = [
        ("CC_DOMAIN", "demo"),
        ("CC_USERNAME", "me@example.org"),
        ("CC_API_KEY", "key"),
        ("DATABASE_URL", "postgres://me:secret@127.0.0.1:1/mills"),
    ];
    let all_live = TestApp::sending_to(&salesforce, &live).await;
    let text = page(&all_live, "/dashboard").await.text;
    assert!(!text.to_lowercase().contains("dry run"), "{text}");
}

#[tokio::test]
async fn a_cancelled_log_in_is_a_page() {
    let app = TestApp::with(&[("OPERATOR_TOKEN", "token")]).await;
    for path in ["/dashboard", "/dashboard/failed/sf", "/docs"] {
        let answer = app.call("GET", path, &[("accept", "text/html,application/xhtml+xml")]).await;
        assert_eq!(answer.status, 401);
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        assert!(
            answer.text.contains("<h1>Log in</h1>") && answer.text.contains("the password is the token"),
            "{answer:?}"
        );
    }
    for path in ["/dashboard", "/failed/sf"] {
        assert_eq!(
            app.get(path).await.expect(401),
            json!({ "error": "The credential is missing or wrong" }),
            "a program"
        );
    }
}

#[tokio::test]
async fn an_empty_search_says_so() {
    let app = TestApp::start().await;
    for path in ["/dashboard/search", "/dashboard/search?id=", "/dashboard/search?id=%20"] {
        let text = page(&app, path).await.text;
        assert!(text.contains("Nothing was searched for"), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_examples_have_the_address_at_which_the_page_was_opened() {
    let app = TestApp::start().await;
    for (headers, address) in [
        (&[("host", "service.example.org:8443")][..], "http://service.example.org:8443"),
        (&[("host", "service.run.app"), ("x-forwarded-proto", "https")], "https://service.run.app"),
        (&[("host", "x$(reboot)`id`\"'")], "http://xrebootid"),
    ] {
        let text = app.call("GET", "/docs", headers).await.text;
        assert!(text.contains(&format!("export SERVICE_URL={address}\n")), "{address}: {text}");
    }
}

#[tokio::test]
async fn a_form_is_a_link_away_in_commcare_hq() {
    let app = TestApp::with(&[("CC_BASE_URL", "https://eu.commcarehq.org/")]).await;
    let mut form = mill("m-1");
    form["form"]["wetmill_tns_id"] = json!({});
    app.process(&form).await;
    let shown = page(&app, "/dashboard/record/commcare_collection/m-1").await.text;
    let link = "https://eu.commcarehq.org/a/coffee-kenya-demo/reports/form_data/m-1/";
    assert!(shown.contains(&format!("href=\"{link}\"")), "{shown}");
    // Without a project space there is nothing to link to.
    app.process(&unmappable("nowhere")).await;
    let shown = page(&app, "/dashboard/record/commcare_collection/nowhere").await.text;
    assert!(!shown.contains("form_data"), "{shown}");
}

#[tokio::test]
async fn an_error_is_said_once() {
    let app = TestApp::start().await;
    app.process(&unmappable("bad")).await;
    let shown = page(&app, "/dashboard/record/commcare_collection/bad").await.text;
    let (above, below) = shown.split_once("What it writes").unwrap();
    assert_eq!(above.matches("an external id is built from it").count(), 1, "{above}");
    assert!(below.contains("an external id is built from it"), "the plan says why there is none");
}

/// A payload of so many training groups, some of them too large to stand in one document with the others.
fn payload(id: &str, groups: usize, padding: usize) -> Value {
    let sample = include_str!("../../../src/samples/training_group.json");
    let mut payload: Value = serde_json::from_str(sample).unwrap();
    payload["id"] = id.into();
    let name = payload.as_object().unwrap().iter().find(|(_, value)| value.is_array()).unwrap().0.clone();
    let group = payload[&name][0].clone();
    let groups = (0..groups).map(|n| {
        let mut group = group.clone();
        for (_, value) in group.as_object_mut().unwrap() {
            if value.as_str().is_some_and(|text| text.len() >= 18) {
                *value = format!("{}{n}", value.as_str().unwrap()).into();
            }
        }
        group["padding"] = "x".repeat(padding).into();
        group
    });
    payload[&name] = groups.collect();
    payload
}

#[tokio::test]
async fn a_part_leads_to_its_siblings_and_the_submission_to_all_parts() {
    let app = TestApp::start().await;
    app.accept_for_commcare(&payload("big", 30, 100_000)).await;
    let found = app.get("/record/salesforce_collection/big").await.expect(200);
    let parts: Vec<&str> =
        found.as_array().unwrap().iter().map(|part| part["id"].as_str().unwrap()).collect();
    assert!(parts.len() > 2, "{parts:?}");
    let path = |part: &str| format!("/dashboard/record/salesforce_collection/{}", part.replace('-', "%2D"));
    let all = page(&app, "/dashboard/record/salesforce_collection/big").await.text;
    for part in &parts {
        assert!(all.contains(&path(part)), "{part} is not in {all}");
    }
    let one = page(&app, &path(parts[1])).await.text;
    for part in &parts {
        assert_eq!(one.contains(&format!("href=\"{}\"", path(part))), *part != parts[1], "{one}");
    }
}

#[tokio::test]
async fn what_a_large_payload_writes_is_paged() {
    let app = TestApp::start().await;
    app.accept_for_commcare(&payload("long", 1_232, 0)).await;
    let path = "/dashboard/record/salesforce_collection/long";
    let first = page(&app, path).await.text;
    assert!(first.contains("1232 records of the payload") && first.contains("Page 1 of 25"), "{first}");
    assert_eq!(first.matches(r#"<td data-label="Record">"#).count(), 50);
    let last = page(&app, &format!("{path}?page=25")).await.text;
    assert_eq!(last.matches(r#"<td data-label="Record">"#).count(), 32);
    assert!(last.contains("<details id=\"plan\" open>"), "the page that was asked for is in view: {last}");
    assert_eq!(app.get(&format!("{path}?page=0")).await.status, 422);
}

#[tokio::test]
async fn the_summary_has_the_week_by_form_type_and_day() {
    let app = TestApp::start().await;
    app.process(&registration("good")).await;
    app.process(&unmappable("bad")).await;
    let text = page(&app, "/dashboard/summary").await.text;
    for part in [
        "<b>2</b> received",
        "<b>1</b> failed",
        "<b>1</b> without effect",
        "Farmer Registration",
        "summary.csv?since=",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let csv = app.get("/dashboard/summary.csv").await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert!(csv.text.contains(",Farmer Registration,2,0,0,1,1\r\n"), "{csv:?}");
    assert_eq!(app.get("/dashboard/summary?since=monday").await.status, 422);
    let later = page(&app, "/dashboard/summary?since=2999-01-01").await.text;
    assert!(later.contains("Nothing arrived"), "{later}");
}
