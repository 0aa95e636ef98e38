//! Failed records by filter, as CSV, and by what they failed of.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::forms::{UNMAPPABLE, attendance, unmappable};
use crate::support::salesforce::SalesforceStandIn;

/// Three forms that cannot be mapped, and two that wait for a farmer each.
async fn five_failures() -> (TestApp, SalesforceStandIn) {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &[]).await;
    for form in [
        unmappable("bad-1"),
        attendance("early-1", 1),
        unmappable("bad-2"),
        attendance("early-2", 1),
        unmappable("bad-3"),
    ] {
        app.process(&form).await;
    }
    (app, salesforce)
}

async fn listed(app: &TestApp, query: &str) -> Vec<String> {
    let page = app.get(&format!("/failed/sf?{query}")).await.expect(200);
    let jobs = page["failed_jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn filters_are_joined_by_and() {
    let (app, _salesforce) = five_failures().await;
    for (query, found) in [
        ("", vec!["bad-3", "early-2", "bad-2", "early-1", "bad-1"]),
        ("cause=mapping", vec!["bad-3", "bad-2", "bad-1"]),
        ("cause=reference_missing", vec!["early-2", "early-1"]),
        ("cause=", vec!["bad-3", "early-2", "bad-2", "early-1", "bad-1"]),
        ("q=SUBCASE_0", vec!["bad-3", "bad-2", "bad-1"]),
        ("q=farmer-early-1", vec!["early-1"]),
        ("q=farmer&cause=mapping", vec![]),
        (
            "q=subcase&cause=mapping&error_kind=permanent&job_name=Farmer%20Registration&limit=2",
            vec!["bad-3", "bad-2"],
        ),
        ("since=2020-01-01&until=2999-12-31", vec!["bad-3", "early-2", "bad-2", "early-1", "bad-1"]),
        ("since=2999-01-01", vec![]),
        ("until=2020-01-01", vec![]),
    ] {
        assert_eq!(listed(&app, query).await, found, "{query}");
    }
}

#[tokio::test]
async fn a_range_of_times_has_its_beginning_and_not_its_end() {
    let (app, _salesforce) = five_failures().await;
    let changed = app.record("bad-2").await["updated_at"].as_str().unwrap().to_owned();
    assert_eq!(listed(&app, &format!("since={changed}")).await, ["bad-3", "early-2", "bad-2"]);
    assert_eq!(listed(&app, &format!("until={changed}")).await, ["early-1", "bad-1"]);
    // A date as the end includes its day.
    let day = &changed[..10];
    assert_eq!(listed(&app, &format!("since={day}&until={day}&q=bad")).await.len(), 0);
    assert_eq!(listed(&app, &format!("since={day}&until={day}")).await.len(), 5);
}

#[tokio::test]
async fn pages_of_a_text_follow_one_another_by_cursor() {
    let (app, _salesforce) = five_failures().await;
    let mut path = "/failed/sf?limit=1&q=subcase".to_owned();
    let mut found = Vec::new();
    loop {
        let page = app.get(&path).await.expect(200);
        found.extend(page["failed_jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/failed/sf?limit=1&q=subcase&cursor={cursor}");
    }
    assert_eq!(found, ["bad-3", "bad-2", "bad-1"]);
}

#[tokio::test]
async fn a_bad_filter_is_named() {
    let app = TestApp::start().await;
    let time = "must be a date or date-time, such as 2026-11-24 or 2026-11-24T08:00:00Z";
    let cause = "must be mapping, refused, reference_missing, superseded, lock, unanswered, outage, worker_lost \
                 or set_by_hand";
    for (query, name, rule) in [
        ("since=yesterday", "since", time),
        ("until=2026-02-30", "until", time),
        ("cause=weather", "cause", cause),
        ("format=xml", "format", "must be json or csv"),
    ] {
        let answer = app.get(&format!("/failed/sf?{query}")).await.expect(422);
        assert_eq!(answer, json!({ "error": format!("{name}: {rule}") }));
    }
    app.get("/failed/cc/groups?since=yesterday").await.expect(422);
}

#[tokio::test]
async fn the_table_has_a_row_for_each_record_and_no_payload() {
    let (app, _salesforce) = five_failures().await;
    let table = app.get("/failed/sf?format=csv").await;
    assert_eq!(
        (table.status.as_u16(), &table.headers["content-type"]),
        (200, &"text/csv; charset=utf-8".parse().unwrap())
    );
    let lines: Vec<&str> = table.text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "id,collection,job_name,job_id,created_at,updated_at,error_kind,cause,error,last_step,run_retries,next_retry_at"
    );
    assert_eq!((lines.len(), lines[6]), (7, ""), "a header, five rows, and the end of the last");
    let record = app.record("bad-3").await;
    let time = |name: &str| record[name].as_str().unwrap().to_owned();
    let row = format!(
        "bad-3,commcare_collection,Farmer Registration,bad-3,{},{},permanent,mapping,\"{UNMAPPABLE}\",mapping,0,",
        time("created_at"),
        time("updated_at")
    );
    assert_eq!(lines[1], row);
    assert!(!table.text.contains("Almaz"), "{table:?}");
    let asked = app.call("GET", "/failed/sf?q=subcase", &[("accept", "text/csv")]).await;
    assert_eq!(asked.text.lines().count(), 4, "{asked:?}");
    let limited = app.get("/failed/sf?format=csv&limit=2").await;
    assert_eq!(limited.text.lines().count(), 3, "{limited:?}");
}

#[tokio::test]
async fn the_table_goes_beyond_the_default_of_a_page() {
    let app = TestApp::start().await;
    for n in 0..120 {
        app.accept(&unmappable(&format!("bad-{n}"))).await;
    }
    app.post("/process-firestore-to-sf?drain=true&limit=500", "").await.expect(200);
    assert_eq!(app.get("/failed/sf").await.expect(200)["failed_jobs"].as_array().unwrap().len(), 100);
    assert_eq!(app.get("/failed/sf?format=csv").await.text.lines().count(), 121);
}

#[tokio::test]
async fn no_cell_is_a_formula() {
    let app = TestApp::start().await;
    app.process(&unmappable("=HYPERLINK(1)")).await;
    let table = app.get("/failed/sf?format=csv").await.text;
    assert!(table.lines().nth(1).unwrap().contains(",'=HYPERLINK(1),"), "{table}");
}

#[tokio::test]
async fn failures_are_grouped_by_what_they_failed_of() {
    let (app, _salesforce) = five_failures().await;
    let answer = app.get("/failed/sf/groups").await.expect(200);
    let newest = app.record("bad-3").await["updated_at"].clone();
    let oldest = app.record("bad-1").await["updated_at"].clone();
    assert_eq!(
        answer["groups"][0],
        json!({
            "job_name": "Farmer Registration", "error_kind": "permanent", "cause": "mapping", "error": UNMAPPABLE,
            "count": 3, "oldest": oldest, "newest": newest, "example": "bad-3",
        })
    );
    let missing = &answer["groups"][1];
    assert_eq!((&missing["count"], &missing["example"]), (&json!(2), &json!("early-2")));
    assert_eq!(
        (&missing["error_kind"], &missing["cause"]),
        (&json!("dependency"), &json!("reference_missing"))
    );
    assert!(
        missing["error"].as_str().unwrap().contains("farmer-early-2"),
        "the error of the newest: {missing}"
    );
    assert_eq!((answer["groups"].as_array().unwrap().len(), &answer["total"]), (2, &json!(5)));
    assert_eq!(answer.get("truncated"), None);
    let filtered = app.get("/failed/sf/groups?cause=mapping&q=subcase").await.expect(200);
    assert_eq!(filtered["total"], 3);
    assert_eq!(app.get("/failed/cc/groups").await.expect(200), json!({ "groups": [], "total": 0 }));
}
