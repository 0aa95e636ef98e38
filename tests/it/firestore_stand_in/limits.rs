//! Limits: what is too large, too deep or badly named is refused.

use std::time::Duration;

use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::{CommitRequest, CreateDocumentRequest, Document, Value};
use tonic::Code;

use super::{array, commit, db, get, int, map, name, own, put, refused, text, value};

/// What `items/a` takes besides the text in its field `t`: 16 + (5 + 1) + (1 + 1) for the name,
/// 1 + 1 for the field's name, 1 at the text's end and 32 for the document.
const AROUND_TEXT: usize = 16 + 6 + 2 + 2 + 1 + 32;

#[tokio::test]
async fn a_document_may_have_a_mebibyte_and_no_more() {
    let db = db().await;
    let of_size = |bytes: usize| put(&db, "items/a", [("t", text(&"x".repeat(bytes - AROUND_TEXT)))]);
    commit(&db, [of_size(1_048_576)]).await.unwrap();
    let refused = commit(&db, [of_size(1_048_577)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let expected = "cannot be written because its size (1,048,577 bytes) exceeds the maximum allowed size of \
                    1,048,576 bytes.";
    assert!(refused.message().contains(expected), "{refused}");
    let Some(ValueType::StringValue(kept)) = &get(&db, "items/a").await.unwrap().fields["t"].value_type
    else {
        panic!("the text is no text any more")
    };
    assert_eq!(kept.len(), 1_048_576 - AROUND_TEXT);
}

#[tokio::test]
async fn the_client_reports_a_document_that_is_too_large_as_invalid() {
    let db = db().await;
    let object = serde_json::json!({"t": "x".repeat(1_048_576)});
    let insert = db.fluent().insert().into("items").document_id("a").object(&object);
    assert_eq!(refused(insert.execute::<serde_json::Value>().await).0, "InvalidArgument");
}

#[tokio::test]
async fn every_type_of_value_has_its_size() {
    let Some((_stand_in, db)) = own("every_type_of_value_has_its_size").await else { return };
    let reference = value(ValueType::ReferenceValue(name(&db, "c/d")));
    let sized: [(Value, usize); 8] = [
        (int(1), 8),
        (value(ValueType::BooleanValue(true)), 1),
        (super::null(), 1),
        (value(ValueType::BytesValue(vec![0; 9])), 9),
        (value(ValueType::TimestampValue(prost_types::Timestamp::default())), 8),
        (reference, 16 + 2 + 2),
        (array([int(1), text("ä")]), 8 + 3),
        (map([("ä", int(1))]), 3 + 8 + 32),
    ];
    for (sized, size) in sized {
        let filled = |bytes: usize| {
            // 2 more for the name of the second field.
            let filling = text(&"x".repeat(bytes - AROUND_TEXT - 2 - size));
            put(&db, "items/a", [("t", filling), ("v", sized.clone())])
        };
        commit(&db, [filled(1_048_576)]).await.unwrap();
        assert_eq!(
            commit(&db, [filled(1_048_577)]).await.unwrap_err().code(),
            Code::InvalidArgument,
            "{sized:?}"
        );
    }
}

#[tokio::test]
async fn maps_and_arrays_nest_twenty_deep() {
    let db = db().await;
    let nested = |depth: usize| {
        let inner = (1..depth).fold(map([("leaf", int(1))]), |inner, level| match level % 2 {
            0 => map([("m", inner)]),
            _ => array([inner]),
        });
        put(&db, "items/a", [("v", inner)])
    };
    commit(&db, [nested(20)]).await.unwrap();
    assert_eq!(commit(&db, [nested(21)]).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_array_does_not_hold_an_array() {
    let db = db().await;
    let refused = commit(&db, [put(&db, "items/a", [("v", array([int(1), array([])]))])]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    commit(&db, [put(&db, "items/a", [("v", array([map([("v", array([]))])]))])]).await.unwrap();
}

#[tokio::test]
async fn reserved_empty_and_long_field_names_are_refused() {
    let db = db().await;
    for name in ["", "__x__", "____", &"n".repeat(1_501)] {
        let refused = commit(&db, [put(&db, "items/a", [(name, int(1))])]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
        let refused = commit(&db, [put(&db, "items/a", [("m", map([(name, int(1))]))])]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name} in a map");
    }
    commit(&db, [put(&db, "items/a", [("__x", int(1)), ("a.b`c", int(2))])]).await.unwrap();
}

#[tokio::test]
async fn a_value_has_to_have_a_type() {
    let db = db().await;
    let refused = commit(&db, [put(&db, "items/a", [("v", Value::default())])]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn reserved_empty_and_long_ids_are_refused() {
    let db = db().await;
    for id in [".", "..", "__x__", "a/b", &"i".repeat(1_501)] {
        let request = CreateDocumentRequest {
            parent: db.get_documents_path().clone(),
            collection_id: "items".to_owned(),
            document_id: id.to_owned(),
            document: Some(Document::default()),
            ..CreateDocumentRequest::default()
        };
        let refused = db.client().get().create_document(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{id}");
    }
    for path in ["items/", "items/..", "items/__x__", "items", "items/a/b", "/a"] {
        let refused = commit(&db, [put(&db, path, [])]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{path}");
    }
    commit(&db, [put(&db, &format!("items/{}", "i".repeat(1_500)), [])]).await.unwrap();
}

#[tokio::test]
async fn a_request_may_have_ten_mebibytes_and_a_transaction_many_writes() {
    let db = db().await;
    let megabyte = |n: usize| put(&db, &format!("items/{n}"), [("t", text(&"x".repeat(1_000_000)))]);
    let request = |writes| CommitRequest {
        database: db.get_database_path().clone(),
        writes,
        ..CommitRequest::default()
    };
    let too_large = db.client().get().commit(request((0..11).map(megabyte).collect())).await.unwrap_err();
    assert_eq!(too_large.code(), Code::InvalidArgument);
    assert_eq!(get(&db, "items/0").await.unwrap_err().code(), Code::NotFound);
    db.client().get().commit(request((0..10).map(megabyte).collect())).await.unwrap();
    let many = (0..600).map(|n| put(&db, &format!("items/{n}"), [])).collect();
    let results =
        tokio::time::timeout(Duration::from_secs(30), db.client().get().commit(request(many))).await;
    assert_eq!(results.unwrap().unwrap().into_inner().write_results.len(), 600);
}
