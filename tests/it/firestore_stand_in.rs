//! The Firestore stand-in, driven by the real client.
//!
//! With `FIRESTORE_EMULATOR_HOST` set the same tests run against Google's emulator, which is how
//! to check the stand-in; what the emulator has not (hooks, indexes) is skipped aloud.

mod documents;
mod hooks;
mod indexes;
mod limits;
mod queries;
mod transactions;
mod writes;

use std::collections::HashMap;

use firestore::FirestoreDb;
use firestore::errors::FirestoreError;
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{
    ArrayValue, CommitRequest, Document, DocumentMask, GetDocumentRequest, MapValue, Precondition, Value,
    Write, WriteResult, precondition,
};
use tonic::Status;
use uuid::Uuid;

use crate::support::firestore::{Endpoint, FirestoreStandIn, connect, endpoint, options};

/// A client of an empty database, of the emulator or of the shared stand-in.
async fn db() -> FirestoreDb {
    connect(options(endpoint().host(), &project()).with_max_retries(0)).await.unwrap()
}

/// A stand-in of the test's own and a client of it; none, aloud, if the tests are for the emulator.
async fn own(test: &str) -> Option<(FirestoreStandIn, FirestoreDb)> {
    if let Endpoint::Emulator(host) = endpoint() {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("{test} is skipped: it is about the stand-in and the tests run on {host}");
        }
        return None;
    }
    let stand_in = FirestoreStandIn::start();
    let db = connect(options(stand_in.host(), &project()).with_max_retries(0)).await.unwrap();
    Some((stand_in, db))
}

fn project() -> String {
    format!("test-{}", Uuid::new_v4().simple())
}

fn value(value: ValueType) -> Value {
    Value { value_type: Some(value) }
}

fn int(integer: i64) -> Value {
    value(ValueType::IntegerValue(integer))
}

fn double(double: f64) -> Value {
    value(ValueType::DoubleValue(double))
}

fn text(text: &str) -> Value {
    value(ValueType::StringValue(text.to_owned()))
}

fn null() -> Value {
    value(ValueType::NullValue(0))
}

fn array<const N: usize>(values: [Value; N]) -> Value {
    value(ValueType::ArrayValue(ArrayValue { values: values.into() }))
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    value(ValueType::MapValue(MapValue { fields: fields(entries) }))
}

fn fields<const N: usize>(entries: [(&str, Value); N]) -> HashMap<String, Value> {
    entries.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The full name of `collection/id`.
fn name(db: &FirestoreDb, path: &str) -> String {
    format!("{}/{path}", db.get_documents_path())
}

/// A write that replaces the document.
fn put<const N: usize>(db: &FirestoreDb, path: &str, entries: [(&str, Value); N]) -> Write {
    let document = Document { name: name(db, path), fields: fields(entries), ..Document::default() };
    Write { operation: Some(Operation::Update(document)), ..Write::default() }
}

/// A write that touches only the fields of the mask.
fn merge<const N: usize>(db: &FirestoreDb, path: &str, mask: &[&str], entries: [(&str, Value); N]) -> Write {
    let field_paths = mask.iter().map(|&path| path.to_owned()).collect();
    Write { update_mask: Some(DocumentMask { field_paths }), ..put(db, path, entries) }
}

fn delete(db: &FirestoreDb, path: &str) -> Write {
    Write { operation: Some(Operation::Delete(name(db, path))), ..Write::default() }
}

fn exists(write: Write, exists: bool) -> Write {
    let condition_type = Some(precondition::ConditionType::Exists(exists));
    Write { current_document: Some(Precondition { condition_type }), ..write }
}

fn updated_at(write: Write, time: Option<prost_types::Timestamp>) -> Write {
    let condition_type = time.map(precondition::ConditionType::UpdateTime);
    Write { current_document: Some(Precondition { condition_type }), ..write }
}

/// Commits the writes as one, through the client's own stub.
async fn commit<const N: usize>(db: &FirestoreDb, writes: [Write; N]) -> Result<Vec<WriteResult>, Status> {
    let request = CommitRequest {
        database: db.get_database_path().clone(),
        writes: writes.into(),
        ..Default::default()
    };
    Ok(db.client().get().commit(request).await?.into_inner().write_results)
}

async fn get(db: &FirestoreDb, path: &str) -> Result<Document, Status> {
    let request = GetDocumentRequest { name: name(db, path), ..GetDocumentRequest::default() };
    Ok(db.client().get().get_document(request).await?.into_inner())
}

/// The ids of the documents, in their order.
fn ids(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|document| document.name.rsplit('/').next().unwrap()).collect()
}

/// The gRPC code that the client's error stands for, and its text.
fn refused<T: std::fmt::Debug>(result: Result<T, FirestoreError>) -> (String, String) {
    let error = result.unwrap_err();
    let code = match &error {
        FirestoreError::DatabaseError(error) => &error.public,
        FirestoreError::DataConflictError(error) => &error.public,
        FirestoreError::DataNotFoundError(error) => &error.public,
        other => panic!("not an answer of the database: {other}"),
    };
    (code.code.clone(), error.to_string())
}
