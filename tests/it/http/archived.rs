//! Forms that somebody has archived in CommCare: kept, and nothing is written.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::forms::registration;
use crate::support::salesforce::SalesforceStandIn;

const NOTE: &str = "the form was archived in CommCare: nothing is written, and what was written stays";

fn edition(archived: bool, modified: &str) -> Value {
    let mut form = registration("f-1");
    form["archived"] = archived.into();
    form["server_modified_on"] = modified.into();
    form
}

#[tokio::test]
async fn an_archived_form_is_kept_and_writes_nothing() {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::sending_to(&stand_in, &[]).await;
    app.process(&edition(false, "2026-03-01T10:00:00.000000Z")).await;
    let calls = stand_in.requests();

    let archived = edition(true, "2026-03-02T10:00:00.000000Z");
    assert_eq!(app.accept(&archived).await["replaced"], true);
    assert_eq!(app.drain().await["processed_records"], json!(["f-1"]));
    let record = app.record("f-1").await;
    assert_eq!((&record["status"], &record["note"]), (&json!("completed"), &json!(NOTE)));
    assert_eq!(record["data"], archived);
    assert_eq!(record["attempts"].as_array().unwrap().len(), 2, "its history is kept");
    assert_eq!(stand_in.requests(), calls, "Salesforce was asked for nothing");
    app.get("/retry/sf/f-1?force=true").await.expect(200);
    assert_eq!(stand_in.requests(), calls, "not even by force");

    // The edition from before that arrives late changes nothing; restored, the form is written again.
    assert_eq!(app.accept(&edition(false, "2026-03-01T10:00:00.000000Z")).await["stale"], true);
    assert_eq!(app.accept(&edition(false, "2026-03-03T10:00:00.000000Z")).await["replaced"], true);
    app.drain().await;
    let record = app.record("f-1").await;
    assert_eq!((&record["status"], record.get("note")), (&json!("completed"), None));
    assert!(stand_in.requests() > calls);
}

#[tokio::test]
async fn a_form_that_is_new_and_archived_is_known_and_writes_nothing() {
    let app = TestApp::start().await;
    let record = app.process(&edition(true, "2026-03-01T10:00:00Z")).await;
    assert_eq!((&record["status"], &record["note"]), (&json!("completed"), &json!(NOTE)));
    assert!(record.get("plan").is_none() && record.get("dry_run").is_none(), "{record}");
}

#[tokio::test]
async fn a_failed_form_that_is_archived_fails_no_more() {
    let app = TestApp::start().await;
    let mut form = crate::support::forms::unmappable("f-1");
    assert_eq!(app.process(&form).await["status"], "failed");
    form["archived"] = true.into();
    let record = app.process(&form).await;
    assert_eq!((&record["status"], &record["note"]), (&json!("completed"), &json!(NOTE)));
}

#[tokio::test]
async fn a_preview_and_the_dashboard_say_so() {
    let app = TestApp::start().await;
    let form = edition(true, "2026-03-01T10:00:00Z");
    let preview = app.post("/preview/cc", form.to_string()).await.expect(200);
    assert_eq!((&preview["note"], &preview["upserts"]), (&json!(NOTE), &json!([])));
    app.process(&form).await;
    let page = app.get("/dashboard/record/commcare_collection/f-1").await.text;
    assert!(page.contains(&format!("Nothing was written: {NOTE}.")), "{page}");
}

#[tokio::test]
async fn only_true_is_archived_and_only_of_forms() {
    let app = TestApp::start().await;
    for (id, archived) in [("f-2", json!(false)), ("f-3", json!(null)), ("f-4", json!("true"))] {
        let mut form = registration(id);
        form["archived"] = archived;
        assert_eq!(app.process(&form).await["dry_run"], true, "{id}");
    }
    let job = json!({
        "id": "j-1", "jobType": "Wetmill", "uniqueProjectKey": "coffee", "archived": true,
        "wetmills": [{ "commCareCaseId": "c-1" }],
    });
    let preview = app.post("/preview/sf", job.to_string()).await.expect(200);
    assert_eq!(preview["documents"].as_array().unwrap().len(), 1);
}
