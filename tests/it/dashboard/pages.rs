//! The texts of the pages, the texts that they must not show, and the forms that they take.

use commcare_sf_integration::config::QueueSettings;
use commcare_sf_integration::submission::{Origin, Unmapped};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::queue::backend::Backend;
use crate::support::app::{TestAnswer, TestApp};
use crate::support::forms::{attendance, registration, unmappable};
use crate::support::process::{borrowed, queue_variables};
use crate::support::salesforce::SalesforceStandIn;

/// The token of a page's form.
pub(super) fn csrf(page: &TestAnswer) -> String {
    let (_, rest) = page.text.split_once(r#"name="csrf" value=""#).expect("a form");
    rest.split('"').next().unwrap().to_owned()
}

pub(super) async fn page(app: &TestApp, path: &str) -> TestAnswer {
    let page = app.get(path).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    page
}

pub(super) async fn press(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> TestAnswer {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    app.call_with("POST", path, &[("content-type", "application/x-www-form-urlencoded")], body.finish()).await
}

#[tokio::test]
async fn the_first_page_shows_depth_failures_and_unmapped_answers() {
    let app = TestApp::start().await;
    app.process(&registration("good")).await;
    app.process(&unmappable("bad")).await;
    app.accept(&registration("waits")).await;
    let first = page(&app, "/dashboard").await.text;
    for part in [
        "<b>1</b> new",
        "<b>1</b> completed",
        "<b>1</b> failed",
        "1 runs completed and 1 failed in the last 24 hours",
        r#"<a href="/dashboard/failed/sf?job_name=Farmer+Registration&amp;error_kind=permanent">1</a>"#,
        "The oldest new record has waited for",
    ] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    let unmapped = vec![Unmapped { path: "form.shade<b>".to_owned(), code: "17".to_owned() }];
    app.app.queue.add_unmapped(Origin::CommCare, "Farm Visit Full", "good", unmapped).await.unwrap();
    let first = page(&app, "/dashboard/").await.text;
    for part in [
        "<code>form.shade&lt;b&gt;</code>",
        "<code>17</code>",
        r#"<a href="/dashboard/record/commcare_collection/good">the last one</a>"#,
    ] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
}

#[tokio::test]
async fn every_page_keeps_other_sites_and_caches_out() {
    let app = TestApp::start().await;
    app.process(&unmappable("bad")).await;
    for path in [
        "/dashboard",
        "/dashboard/failed/sf",
        "/dashboard/record/commcare_collection/bad",
        "/dashboard/search?id=nobody",
        "/dashboard/retry-failed/sf",
        "/dashboard/summary",
        "/dashboard/summary.csv",
        "/dashboard/style.css",
        "/dashboard/script.js",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(!answer.text.contains("https://") && !answer.text.contains("style="), "{path}");
    }
}

#[tokio::test]
async fn operators_alone_get_in() {
    let app = TestApp::with(&[("OPERATOR_TOKEN", "token"), ("WEBHOOK_API_KEY", "key")]).await;
    for path in ["/dashboard", "/dashboard/style.css", "/dashboard/record/commcare_collection/x"] {
        assert_eq!(app.get(path).await.status, 401, "{path}");
        assert_eq!(app.call("GET", path, &[("x-api-key", "key")]).await.status, 401, "{path}");
    }
    // Basic with any name, and the token as the password, as a browser sends it.
    let basic = ("authorization", "Basic eDp0b2tlbg==");
    assert_eq!(app.call("GET", "/dashboard", &[basic]).await.status, 200);
}

#[tokio::test]
async fn what_others_sent_is_text_on_the_pages() {
    const HOSTILE: &str = r#"x"><script>alert(1)</script>"#;
    let app = TestApp::start().await;
    let mut form = unmappable(HOSTILE);
    form["form"]["First_Name"] = json!(HOSTILE);
    let accepted = app.accept(&form).await;
    app.drain().await;
    let doc_id = accepted["doc_id"].as_str().unwrap();
    let search = "/dashboard/search?id=x%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    let found = app.get(search).await;
    assert_eq!(
        found.headers["location"],
        format!("/dashboard/record/commcare_collection/{}", doc_id.replace('-', "%2D"))
    );
    for path in [
        "/dashboard".to_owned(),
        "/dashboard/failed/sf".to_owned(),
        format!("/dashboard/record/commcare_collection/{doc_id}"),
        format!("{search}nobody"),
    ] {
        let text = page(&app, &path).await.text;
        assert!(!text.contains("<script>alert"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_missing_reference_is_told_in_words_with_the_next_retry() {
    let salesforce = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&salesforce, &[]).await;
    app.process(&attendance("a", 1)).await;
    let shown = page(&app, "/dashboard/record/commcare_collection/a").await.text;
    let explained = "Salesforce does not know participant <b>farmer-a-0</b> yet.";
    assert!(shown.contains(explained), "{shown}");
    assert!(shown.contains("It will be retried at <time"), "{shown}");
    assert!(shown.contains("What it writes") && shown.contains("Attendance__c"), "{shown}");
    // The payload is behind a click, and its names are nowhere else on the page.
    assert!(shown.contains("&quot;present_participants&quot;"), "{shown}");
}

#[tokio::test]
async fn a_button_retries_one_record_and_leads_back_to_it() {
    let app = TestApp::start().await;
    app.process(&unmappable("bad")).await;
    let path = "/dashboard/record/commcare_collection/bad";
    let token = csrf(&page(&app, path).await);
    let answer = press(&app, "/dashboard/retry/sf/bad", &[("csrf", &token)]).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (303, &path.parse().unwrap()));
    let shown = page(&app, path).await.text;
    assert!(shown.contains("by hand · without a credential"), "{shown}");
    assert_eq!(app.record("bad").await["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_retry_that_is_not_begun_says_why() {
    let app = TestApp::start().await;
    app.process(&unmappable("bad")).await;
    let path = "/dashboard/record/commcare_collection/bad";
    let token = csrf(&page(&app, path).await);
    app.shutdown.begin();
    let answer = press(&app, "/dashboard/retry/sf/bad", &[("csrf", &token)]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("It was not retried: the time of one call was used up"), "{answer:?}");
    assert!(answer.text.contains(path), "the way back: {answer:?}");
}

#[tokio::test]
async fn a_bulk_retry_says_the_count_first_and_then_what_became_of_them() {
    let app = TestApp::start().await;
    for id in ["b-1", "b-2", "b-3"] {
        app.process(&unmappable(id)).await;
    }
    let filter = "job_name=Farmer+Registration&error_kind=permanent";
    let asked = page(&app, &format!("/dashboard/retry-failed/sf?{filter}")).await;
    assert!(asked.text.contains("<b>3</b> failed records") && asked.text.contains("Retry 3"), "{asked:?}");
    assert_eq!(app.record("b-1").await["run_retries"], 0, "asking changes nothing");
    let token = csrf(&asked);
    let fields = [("csrf", token.as_str()), ("job_name", "Farmer Registration"), ("error_kind", "permanent")];
    let answer = press(&app, "/dashboard/retry-failed/sf", &fields).await;
    assert!(answer.text.contains("<b>3</b> failed"), "{answer:?}");
    for id in ["b-1", "b-2", "b-3"] {
        assert_eq!(app.record(id).await["run_retries"], 1, "{id}");
    }
    // A filter that no record passes retries none.
    let none = [("csrf", token.as_str()), ("error_kind", "transient")];
    assert_eq!(press(&app, "/dashboard/retry-failed/sf", &none).await.status, 200);
    assert_eq!(app.record("b-1").await["run_retries"], 1);
}

#[tokio::test]
async fn a_bulk_retry_finds_a_record_behind_thousands_that_its_filter_leaves_out() {
    let backend = Backend::sqlite();
    let app = TestApp::with(&borrowed(&queue_variables(&backend))).await;
    app.process(&unmappable("needle")).await;
    app.process(&unmappable("hay")).await;
    let QueueSettings::Sqlite(settings) = &backend.settings else { panic!("SQLite") };
    let mut connection = SqliteConnectOptions::new().filename(&settings.path).connect().await.unwrap();
    // One call of the queue looks at 5,000 records.
    let copies = "UPDATE submissions SET state = json_set(state, '$.error', 'another') WHERE doc_id = 'hay';
        WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5100)
        INSERT INTO submissions (collection, doc_id, status, created_at, updated_at, due_at, state, data)
        SELECT collection, 'hay-' || n, status, created_at, updated_at, due_at, state, data
        FROM submissions, numbers WHERE doc_id = 'hay'";
    sqlx::raw_sql(copies).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let asked =
        page(&app, "/dashboard/retry-failed/sf?q=subcase&cause=mapping&since=2020-01-01&until=2999-12-31")
            .await;
    for words in [
        "Retry 1<",
        ", cause mapping, changed since 2020-01-01 00:00:00 UTC, changed before 3000-01-01 00:00:00 UTC",
    ] {
        assert!(asked.text.contains(words), "{words}: {asked:?}");
    }
    let token = csrf(&asked);
    press(&app, "/dashboard/retry-failed/sf", &[("csrf", token.as_str()), ("q", "subcase")]).await;
    assert_eq!(app.record("needle").await["run_retries"], 1);
    assert_eq!(app.record("hay").await["run_retries"], 0);
}

#[tokio::test]
async fn a_form_without_a_token_of_this_service_changes_nothing() {
    let app = TestApp::with(&[("OPERATOR_TOKEN", "token")]).await;
    let basic = ("authorization", "Basic eDp0b2tlbg==");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for path in [
        "/dashboard/retry/sf/bad",
        "/dashboard/retry-failed/sf",
        "/dashboard/retry-ticked/sf",
        "/dashboard/unmapped",
    ] {
        for body in ["", "csrf=", "csrf=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "job_name=x"] {
            let answer = app.call_with("POST", path, &[basic, form], body).await;
            assert_eq!(answer.status, 403, "{path} {body}");
            assert!(answer.text.contains("load the page again"), "{answer:?}");
        }
        let json = ("content-type", "application/json");
        assert_eq!(app.call_with("POST", path, &[basic, json], "{}").await.status, 400);
        let other_site = ("sec-fetch-site", "cross-site");
        assert_eq!(app.call_with("POST", path, &[basic, form, other_site], "").await.status, 403);
        assert_eq!(app.call_with("POST", path, &[form], "").await.status, 401);
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_right_is_said_on_a_page() {
    let app = TestApp::start().await;
    for (path, status, words) in [
        ("/dashboard/record/commcare_collection/nobody", 404, "No records found in commcare_collection"),
        ("/dashboard/record/users/nobody", 404, "Not found"),
        ("/dashboard/failed/xx", 404, "Not found"),
        ("/dashboard/failed/sf?error_kind=fatal", 422, "error_kind: must be transient"),
        ("/dashboard/failed/sf?cursor=x", 422, "cursor: must be the next_cursor"),
        ("/dashboard/retry-failed/sf?error_kind=fatal", 422, "error_kind: must be"),
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{path}");
        assert!(answer.text.contains(words), "{path}: {}", answer.text);
    }
    let found = page(&app, "/dashboard/search?id=nobody").await;
    assert!(found.text.contains("No record has the id <code>nobody</code>"), "{found:?}");
}

#[tokio::test]
async fn failed_records_are_filtered_and_paged() {
    let app = TestApp::start().await;
    for n in 0..51 {
        app.accept(&unmappable(&format!("bad-{n}"))).await;
    }
    app.post("/process-firestore-to-sf?drain=true", "").await.expect(200);
    let first = page(&app, "/dashboard/failed/sf?job_name=Farmer+Registration").await.text;
    assert!(first.contains("<b>51</b> failed records"), "{first}");
    assert_eq!(first.matches(r#"<input type="checkbox" name="id" value="bad-"#).count(), 50);
    let (_, next) =
        first.split_once(r#"<p><a href="?job_name=Farmer+Registration&amp;cursor="#).expect("a next page");
    let cursor = next.split('"').next().unwrap();
    let path = format!("/dashboard/failed/sf?job_name=Farmer+Registration&cursor={cursor}");
    assert_eq!(page(&app, &path).await.text.matches("/dashboard/record/").count(), 1);
    // The same list for programs and spreadsheets.
    assert!(first.contains(r#"href="/failed/sf?job_name=Farmer+Registration&amp;format=csv""#), "{first}");
    let none = page(&app, "/dashboard/failed/sf?error_kind=transient").await.text;
    assert!(none.contains("<b>0</b> failed records") && !none.contains("Retry these"), "{none}");
}
