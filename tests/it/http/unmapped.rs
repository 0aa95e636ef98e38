//! Answers whose code no label table knows: listed, and marked as known.

use commcare_sf_integration::queue::Queue;
use commcare_sf_integration::submission::{Origin, Unmapped};
use serde_json::{Value, json};

use crate::support::app::TestApp;

async fn sight(queue: &Queue, doc_id: &str, path: &str, code: &str) {
    let answer = Unmapped { path: path.to_owned(), code: code.to_owned() };
    queue.add_unmapped(Origin::CommCare, "Farm Visit Full", doc_id, vec![answer]).await.unwrap();
}

async fn known(app: &TestApp) -> Vec<(String, bool)> {
    let list = app.get("/unmapped").await.expect(200);
    let answers = list["unmapped"].as_array().unwrap();
    answers
        .iter()
        .map(|answer| (answer["code"].as_str().unwrap().to_owned(), answer["known"].as_bool().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_answer_is_listed_with_its_records_and_the_last_of_them() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/unmapped").await.expect(200), json!({ "unmapped": [] }));
    sight(&app.app.queue, "v-1", "form.shade", "9").await;
    sight(&app.app.queue, "v-2", "form.shade", "9").await;
    let list = app.get("/unmapped").await.expect(200);
    let answer = &list["unmapped"][0];
    assert!(answer["first_seen"].is_string() && answer["last_seen"].is_string());
    assert_eq!(
        answer,
        &json!({
            "job_name": "Farm Visit Full", "path": "form.shade", "code": "9", "records": 2,
            "first_seen": answer["first_seen"], "last_seen": answer["last_seen"], "example": "v-2", "known": false,
        })
    );
    let table = app.get("/unmapped?format=csv").await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    let lines: Vec<&str> = table.text.lines().collect();
    assert_eq!(lines[0], "job_name,path,code,records,first_seen,last_seen,example,known");
    assert!(
        lines[1].starts_with("Farm Visit Full,form.shade,9,2,") && lines[1].ends_with(",v-2,false"),
        "{table:?}"
    );
}

#[tokio::test]
async fn a_mark_stays_and_a_new_code_has_none() {
    let app = TestApp::start().await;
    sight(&app.app.queue, "v-1", "form.shade", "9").await;
    let mark = json!({ "job_name": "Farm Visit Full", "path": "form.shade", "code": "9", "known": true });
    assert_eq!(app.post("/unmapped", mark.to_string()).await.expect(200), mark);
    sight(&app.app.queue, "v-2", "form.shade", "9").await;
    assert_eq!(known(&app).await, [("9".to_owned(), true)], "also where it is seen again");
    sight(&app.app.queue, "v-3", "form.shade", "10").await;
    assert_eq!(known(&app).await, [("10".to_owned(), false), ("9".to_owned(), true)]);
    let unmark = json!({ "job_name": "Farm Visit Full", "path": "form.shade", "code": "9", "known": false });
    app.post("/unmapped", unmark.to_string()).await.expect(200);
    assert_eq!(known(&app).await, [("10".to_owned(), false), ("9".to_owned(), false)]);
}

#[tokio::test]
async fn a_mark_of_nothing_is_refused_in_words() {
    let app = TestApp::start().await;
    let mark = json!({ "job_name": "Farm Visit Full", "path": "form.shade", "code": "9", "known": true });
    let nothing = app.post("/unmapped", mark.to_string()).await.expect(404);
    assert_eq!(nothing, json!({ "error": "No record has had this answer" }));
    for (member, rule) in [
        ("job_name", "must be a text"),
        ("path", "must be a text"),
        ("code", "must be a text"),
        ("known", "must be true or false"),
    ] {
        let mut bad = mark.clone();
        bad[member] = Value::Null;
        let answer = app.post("/unmapped", bad.to_string()).await.expect(422);
        assert_eq!(answer, json!({ "error": format!("{member}: {rule}") }));
    }
    app.post("/unmapped", "{").await.expect(400);
}
