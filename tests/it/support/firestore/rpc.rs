//! What each RPC does, apart from the wire: a request and the databases in, a response out.

use std::collections::{BTreeSet, HashMap, HashSet};

use gcloud_sdk::google::firestore::v1::{
    self as fs, Document, DocumentMask, Precondition, StructuredQuery, Value, Write, WriteResult,
    precondition, structured_aggregation_query, value::ValueType, write::Operation,
};
use gcloud_sdk::google::rpc;
use prost_types::Timestamp;
use tonic::{Code, Status};
use uuid::Uuid;

use super::index::Indexes;
use super::path::{self, Key, check_id, name_of};
use super::query::Query;
use super::store::{Consistency, Database, Read, Reader};
use super::value::{Fields, project, value};
use super::write::{mask_paths, target};

/// The page size of listings that name none.
const PAGE: usize = 100;

/// Every database spoken of so far, and the indexes they all have.
pub(super) struct Store {
    databases: HashMap<String, Database>,
    indexes: Indexes,
}

/// Makes the consistency selector of a request the store's own.
macro_rules! consistency {
    ($selector:expr, $module:ident $(, $new:ident)?) => {
        match $selector {
            None => Consistency::Strong,
            Some(fs::$module::ConsistencySelector::Transaction(id)) => Consistency::Transaction(id),
            Some(fs::$module::ConsistencySelector::ReadTime(time)) => Consistency::ReadTime(time),
            $(Some(fs::$module::ConsistencySelector::$new(options)) => Consistency::NewTransaction(options),)?
        }
    };
}

impl Store {
    pub(super) fn new() -> Self {
        Self { databases: HashMap::new(), indexes: Indexes::deployed() }
    }

    /// The database of that name, which exists as soon as it's named.
    pub(super) fn database(&mut self, name: &str) -> Result<&mut Database, Status> {
        let name = path::database(name)?;
        Ok(self.databases.entry(name).or_insert_with_key(|name| Database::new(name)))
    }

    pub(super) fn get_document(&mut self, request: fs::GetDocumentRequest) -> Result<Document, Status> {
        let (database, key) = path::document(&request.name)?;
        let database = self.database(&database)?;
        let reader = database.reader(consistency!(request.consistency_selector, get_document_request))?;
        database.record(&reader, Read::Document(key.clone()));
        let found = read(database, &key, &reader, request.mask.as_ref())?;
        found.ok_or_else(|| Status::not_found(format!("Document \"{}\" not found.", request.name)))
    }

    pub(super) fn batch_get_documents(
        &mut self,
        request: fs::BatchGetDocumentsRequest,
    ) -> Result<Vec<fs::BatchGetDocumentsResponse>, Status> {
        use fs::batch_get_documents_response::Result as Answer;
        let database = self.database(&request.database)?;
        let selector =
            consistency!(request.consistency_selector, batch_get_documents_request, NewTransaction);
        let reader = database.reader(selector)?;
        let mut responses = Vec::new();
        if request.documents.is_empty() || !reader.new_transaction().is_empty() {
            responses.push(fs::BatchGetDocumentsResponse {
                transaction: reader.new_transaction(),
                read_time: Some(reader.time.into()),
                result: None,
            });
        }
        for name in request.documents {
            let (of, key) = path::document(&name)?;
            if of != database.name() {
                return Err(Status::invalid_argument(format!("\"{name}\" is of another database")));
            }
            database.record(&reader, Read::Document(key.clone()));
            let found = read(database, &key, &reader, request.mask.as_ref())?;
            responses.push(fs::BatchGetDocumentsResponse {
                transaction: Vec::new(),
                read_time: Some(reader.time.into()),
                result: Some(found.map_or(Answer::Missing(name), Answer::Found)),
            });
        }
        Ok(responses)
    }

    pub(super) fn create_document(&mut self, request: fs::CreateDocumentRequest) -> Result<Document, Status> {
        let (database, mut key) = path::parent(&request.parent)?;
        check_id(&request.collection_id)?;
        let id = match request.document_id {
            id if id.is_empty() => Uuid::new_v4().simple().to_string(),
            id => id,
        };
        check_id(&id)?;
        key.extend([request.collection_id, id]);
        let document = Document { name: name_of(&database, &key), ..request.document.unwrap_or_default() };
        let missing = Precondition { condition_type: Some(precondition::ConditionType::Exists(false)) };
        self.write_one(update(document, None, Some(missing)), request.mask.as_ref())
    }

    pub(super) fn update_document(&mut self, request: fs::UpdateDocumentRequest) -> Result<Document, Status> {
        let document = request.document.unwrap_or_default();
        self.write_one(update(document, request.update_mask, request.current_document), request.mask.as_ref())
    }

    /// Writes one document and answers with what it then is.
    fn write_one(&mut self, write: Write, mask: Option<&DocumentMask>) -> Result<Document, Status> {
        let Some(Operation::Update(document)) = &write.operation else {
            return Err(Status::invalid_argument("not an update"));
        };
        let (database, key) = path::document(&document.name)?;
        let database = self.database(&database)?;
        database.commit(vec![write], &[])?;
        let reader = database.reader(Consistency::Strong)?;
        Ok(read(database, &key, &reader, mask)?.expect("it was written while nobody else could write"))
    }

    pub(super) fn delete_document(&mut self, request: fs::DeleteDocumentRequest) -> Result<(), Status> {
        let (database, _) = path::document(&request.name)?;
        let write = Write {
            current_document: request.current_document,
            operation: Some(Operation::Delete(request.name)),
            ..Write::default()
        };
        self.database(&database)?.commit(vec![write], &[]).map(|_| ())
    }

    pub(super) fn list_documents(
        &mut self,
        request: fs::ListDocumentsRequest,
    ) -> Result<fs::ListDocumentsResponse, Status> {
        if !request.order_by.is_empty() || request.show_missing {
            return Err(Status::unimplemented("the stand-in lists by name, and only what exists"));
        }
        let (database, parent) = path::parent(&request.parent)?;
        let database = self.database(&database)?;
        let reader = database.reader(consistency!(request.consistency_selector, list_documents_request))?;
        let query = Query::all(parent, &request.collection_id)?;
        let mask = request.mask.as_ref().map(mask_paths).transpose()?;
        let found = query.run(database, reader.time).documents.into_iter().map(|(key, stored)| {
            let fields =
                mask.as_ref().map_or_else(|| stored.fields.clone(), |mask| project(&stored.fields, mask));
            stored.document(database.name(), key, fields)
        });
        let (documents, next_page_token) =
            page(found.collect(), request.page_size, &request.page_token, |document: &Document| {
                &document.name
            })?;
        database.record(&reader, Read::Query(Box::new(query)));
        Ok(fs::ListDocumentsResponse { documents, next_page_token })
    }

    pub(super) fn list_collection_ids(
        &mut self,
        request: fs::ListCollectionIdsRequest,
    ) -> Result<fs::ListCollectionIdsResponse, Status> {
        let fs::ListCollectionIdsRequest { parent, page_size, page_token, consistency_selector, .. } =
            request;
        let (database, parent) = path::parent(&parent)?;
        let database = self.database(&database)?;
        let consistency = match consistency_selector {
            Some(fs::list_collection_ids_request::ConsistencySelector::ReadTime(time)) => {
                Consistency::ReadTime(time)
            }
            None => Consistency::Strong,
        };
        let time = database.reader(consistency)?.time;
        let ids: BTreeSet<String> = database
            .snapshot(time)
            .filter(|(key, _)| key.starts_with(&parent) && key.len() > parent.len())
            .map(|(key, _)| key[parent.len()].clone())
            .collect();
        let (collection_ids, next_page_token) =
            page(ids.into_iter().collect(), page_size, &page_token, |id| id)?;
        Ok(fs::ListCollectionIdsResponse { collection_ids, next_page_token })
    }

    pub(super) fn begin_transaction(
        &mut self,
        request: fs::BeginTransactionRequest,
    ) -> Result<fs::BeginTransactionResponse, Status> {
        let transaction = self.database(&request.database)?.begin(request.options)?;
        Ok(fs::BeginTransactionResponse { transaction })
    }

    pub(super) fn rollback(&mut self, request: fs::RollbackRequest) -> Result<(), Status> {
        let fs::RollbackRequest { database, transaction, .. } = request;
        self.database(&database)?.rollback(&transaction)
    }

    pub(super) fn commit(&mut self, request: fs::CommitRequest) -> Result<fs::CommitResponse, Status> {
        let (write_results, commit_time) =
            self.database(&request.database)?.commit(request.writes, &request.transaction)?;
        Ok(fs::CommitResponse { write_results, commit_time: Some(commit_time.into()) })
    }

    pub(super) fn batch_write(
        &mut self,
        request: fs::BatchWriteRequest,
    ) -> Result<fs::BatchWriteResponse, Status> {
        let database = self.database(&request.database)?;
        let mut targets: HashSet<Key> = HashSet::new();
        for write in &request.writes {
            if !targets.insert(target(write, database.name())?) {
                return Err(Status::invalid_argument(
                    "The same document cannot be written to more than once in a single request.",
                ));
            }
        }
        let mut response = fs::BatchWriteResponse::default();
        for write in request.writes {
            let (result, status) = match database.commit(vec![write], &[]) {
                Ok((mut results, _)) => (results.remove(0), Status::new(Code::Ok, "")),
                Err(status) => (WriteResult::default(), status),
            };
            response.write_results.push(result);
            let (code, message) = (status.code() as i32, status.message().to_owned());
            response.status.push(rpc::Status { code, message, details: Vec::new() });
        }
        Ok(response)
    }

    pub(super) fn run_query(
        &mut self,
        request: fs::RunQueryRequest,
    ) -> Result<Vec<fs::RunQueryResponse>, Status> {
        let Some(fs::run_query_request::QueryType::StructuredQuery(query)) = request.query_type else {
            return Err(Status::invalid_argument("a query request has no query"));
        };
        let (database, query) = self.query(&request.parent, query)?;
        let selector = consistency!(request.consistency_selector, run_query_request, NewTransaction);
        let reader = database.reader(selector)?;
        let found = query.run(database, reader.time);
        let response = |document, skipped_results, transaction| fs::RunQueryResponse {
            transaction,
            document,
            read_time: Some(reader.time.into()),
            skipped_results,
            ..fs::RunQueryResponse::default()
        };
        let skipped = i32::try_from(found.skipped).expect("no more than the offset, an i32");
        let mut responses = Vec::new();
        if found.documents.is_empty() || skipped > 0 || !reader.new_transaction().is_empty() {
            responses.push(response(None, skipped, reader.new_transaction()));
        }
        responses.extend(found.documents.into_iter().map(|(key, stored)| {
            let document = stored.document(database.name(), key, query.selected(&stored.fields));
            response(Some(document), 0, Vec::new())
        }));
        database.record(&reader, Read::Query(Box::new(query)));
        Ok(responses)
    }

    pub(super) fn run_aggregation_query(
        &mut self,
        request: fs::RunAggregationQueryRequest,
    ) -> Result<Vec<fs::RunAggregationQueryResponse>, Status> {
        let Some(fs::run_aggregation_query_request::QueryType::StructuredAggregationQuery(aggregated)) =
            request.query_type
        else {
            return Err(Status::invalid_argument("an aggregation request has no query"));
        };
        let Some(structured_aggregation_query::QueryType::StructuredQuery(query)) = aggregated.query_type
        else {
            return Err(Status::invalid_argument("an aggregation has no query"));
        };
        let (database, query) = self.query(&request.parent, query)?;
        let selector =
            consistency!(request.consistency_selector, run_aggregation_query_request, NewTransaction);
        let reader = database.reader(selector)?;
        let count = query.run(database, reader.time).documents.len();
        let aggregate_fields = aggregated
            .aggregations
            .into_iter()
            .enumerate()
            .map(|(at, aggregation)| aggregate(at, aggregation, count))
            .collect::<Result<_, Status>>()?;
        let response = fs::RunAggregationQueryResponse {
            result: Some(fs::AggregationResult { aggregate_fields }),
            transaction: reader.new_transaction(),
            read_time: Some(Timestamp::from(reader.time)),
            ..fs::RunAggregationQueryResponse::default()
        };
        database.record(&reader, Read::Query(Box::new(query)));
        Ok(vec![response])
    }

    /// A query that makes sense and that an index serves.
    fn query(&mut self, parent: &str, query: StructuredQuery) -> Result<(&mut Database, Query), Status> {
        let (database, parent) = path::parent(parent)?;
        let query = Query::parse(parent, query)?;
        self.indexes.check(&query)?;
        Ok((self.database(&database)?, query))
    }
}

fn update(document: Document, mask: Option<DocumentMask>, current_document: Option<Precondition>) -> Write {
    Write {
        update_mask: mask,
        update_transforms: Vec::new(),
        current_document,
        operation: Some(Operation::Update(document)),
    }
}

fn read(
    database: &Database,
    key: &Key,
    reader: &Reader,
    mask: Option<&DocumentMask>,
) -> Result<Option<Document>, Status> {
    let mask = mask.map(mask_paths).transpose()?;
    Ok(database.at(key, reader.time).map(|stored| {
        let fields: Fields =
            mask.as_ref().map_or_else(|| stored.fields.clone(), |mask| project(&stored.fields, mask));
        stored.document(database.name(), key, fields)
    }))
}

fn aggregate(
    at: usize,
    aggregation: structured_aggregation_query::Aggregation,
    found: usize,
) -> Result<(String, Value), Status> {
    use structured_aggregation_query::aggregation::Operator;
    let Some(Operator::Count(count)) = aggregation.operator else {
        return Err(Status::unimplemented("the stand-in counts, and adds nothing up"));
    };
    let found = i64::try_from(found).expect("fewer documents than 2^63");
    let counted = match count.up_to {
        Some(up_to) if up_to <= 0 => return Err(Status::invalid_argument("up_to has to be positive")),
        Some(up_to) => found.min(up_to),
        None => found,
    };
    let alias = match aggregation.alias {
        alias if alias.is_empty() => format!("field_{}", at + 1),
        alias => alias,
    };
    Ok((alias, value(ValueType::IntegerValue(counted))))
}

/// The page after the token, and the token of the next one. A token is the last one's identity.
fn page<T>(
    mut all: Vec<T>,
    size: i32,
    token: &str,
    identity: impl Fn(&T) -> &String,
) -> Result<(Vec<T>, String), Status> {
    let size = match usize::try_from(size) {
        Ok(0) => PAGE,
        Ok(size) => size,
        Err(_) => return Err(Status::invalid_argument("page_size is negative")),
    };
    if !token.is_empty() {
        let last = all.iter().position(|one| identity(one) == token);
        let last = last.ok_or_else(|| Status::invalid_argument("invalid page token"))?;
        all.drain(..=last);
    }
    let more = all.len() > size;
    all.truncate(size);
    let next = all.last().filter(|_| more).map(|last| identity(last).clone()).unwrap_or_default();
    Ok((all, next))
}
