//! What a test can do to the stand-in.

use std::time::Duration;

use firestore::FirestoreDb;
use firestore::errors::FirestoreError;
use tonic::Code;

use super::{commit, get, ids, int, own, project, put, refused};
use crate::support::firestore::{connect, options};

async fn insert(db: &FirestoreDb, id: &str) -> firestore::FirestoreResult<serde_json::Value> {
    let object = serde_json::json!({"n": 1});
    db.fluent().insert().into("items").document_id(id).object(&object).execute().await
}

#[tokio::test]
async fn the_next_requests_of_a_method_fail_and_do_nothing() {
    let Some((stand_in, db)) = own("the_next_requests_of_a_method_fail_and_do_nothing").await else { return };
    stand_in.fail_next("CreateDocument", Code::Unavailable, 2);
    for _ in 0..2 {
        assert_eq!(refused(insert(&db, "a").await).0, "Unavailable");
    }
    assert_eq!(get(&db, "items/a").await.unwrap_err().code(), Code::NotFound);
    insert(&db, "a").await.unwrap();
    assert_eq!(stand_in.requests("CreateDocument"), 3);
    assert_eq!(stand_in.requests("GetDocument"), 1);
    assert_eq!(stand_in.requests("Commit"), 0);
}

#[tokio::test]
async fn streamed_answers_fail_too_and_the_client_retries_reads() {
    let Some((stand_in, _)) = own("streamed_answers_fail_too_and_the_client_retries_reads").await else {
        return;
    };
    let db = connect(options(stand_in.host(), &project()).with_max_retries(1)).await.unwrap();
    stand_in.fail_next("RunQuery", Code::Unavailable, 1);
    assert_eq!(db.fluent().select().from("items").query().await.unwrap(), []);
    assert_eq!(stand_in.requests("RunQuery"), 2);
    stand_in.fail_next("RunQuery", Code::PermissionDenied, 1);
    assert_eq!(refused(db.fluent().select().from("items").query().await).0, "PermissionDenied");
}

#[tokio::test]
async fn a_lost_answer_leaves_the_work_done() {
    let Some((stand_in, db)) = own("a_lost_answer_leaves_the_work_done").await else { return };
    stand_in.lose_next_answer("CreateDocument");
    assert_eq!(refused(insert(&db, "a").await).0, "Unavailable");
    assert_eq!(refused(insert(&db, "a").await).0, "AlreadyExists");
}

#[tokio::test]
async fn a_delayed_answer_runs_into_the_clients_time_limit() {
    let Some((stand_in, _)) = own("a_delayed_answer_runs_into_the_clients_time_limit").await else { return };
    let limited = options(stand_in.host(), &project()).with_request_timeout(Duration::from_millis(100));
    let db = connect(limited.with_max_retries(0)).await.unwrap();
    insert(&db, "a").await.unwrap();
    stand_in.delay(Duration::from_mins(1));
    let (code, message) = refused(insert(&db, "b").await);
    assert_eq!(code, "DeadlineExceeded");
    assert!(message.contains("Retry possibility: true"), "{message}");
    stand_in.delay(Duration::ZERO);
    insert(&db, "c").await.unwrap();
}

#[tokio::test]
async fn the_documents_can_be_looked_at() {
    let Some((stand_in, db)) = own("the_documents_can_be_looked_at").await else { return };
    let writes =
        [put(&db, "items/b", [("n", int(2))]), put(&db, "items/a", []), put(&db, "items/a/parts/x", [])];
    commit(&db, writes).await.unwrap();
    let documents = stand_in.documents(db.get_database_path(), "items");
    assert_eq!(ids(&documents), ["a", "b"]);
    assert_eq!(documents[1], get(&db, "items/b").await.unwrap());
    assert_eq!(stand_in.documents("projects/other/databases/(default)", "items"), []);
}

#[tokio::test]
async fn a_stopped_stand_in_answers_nobody() {
    let Some((stand_in, db)) = own("a_stopped_stand_in_answers_nobody").await else { return };
    insert(&db, "a").await.unwrap();
    stand_in.stop().await;
    let error = insert(&db, "b").await.unwrap_err();
    assert!(matches!(error, FirestoreError::DatabaseError(_)), "{error:?}");
    let late = connect(options(stand_in.host(), &project())).await.map(|_| ()).unwrap_err();
    assert!(matches!(late, FirestoreError::SystemError(_)), "{late:?}");
}

#[tokio::test]
async fn what_the_stand_in_has_not_is_unimplemented() {
    let Some((_stand_in, db)) = own("what_the_stand_in_has_not_is_unimplemented").await else { return };
    let refused = db.client().get().listen(futures::stream::empty()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}
