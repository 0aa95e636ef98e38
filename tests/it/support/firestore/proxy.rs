//! The wire: every request is read, held against the troubles that a test made and against the indexes,
//! passed on, and billed.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use gcloud_sdk::google::firestore::v1::run_aggregation_query_request::QueryType as AggregationOf;
use gcloud_sdk::google::firestore::v1::run_query_request::QueryType;
use gcloud_sdk::google::firestore::v1::structured_aggregation_query::QueryType as Aggregated;
use gcloud_sdk::google::firestore::v1::{RunAggregationQueryRequest, RunQueryRequest, StructuredQuery};
use gcloud_sdk::prost::Message;
use gcloud_sdk::prost::bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::bill::Bill;
use super::index::Indexes;

/// What a test has made of the next requests, and what came of those before.
#[derive(Default)]
pub(super) struct State {
    /// Codes that the next requests of a method fail with, untouched; `Ok` lets one pass.
    pub(super) failures: HashMap<String, VecDeque<Code>>,
    /// The code that every request fails with, untouched.
    pub(super) outage: Option<Code>,
    /// How many answers of a method get lost, their work done.
    pub(super) lost: HashMap<String, usize>,
    /// How long every request waits before it is looked at.
    pub(super) delay: Duration,
    /// How many requests of a method came.
    pub(super) requests: HashMap<String, usize>,
    /// What Firestore would have billed.
    pub(super) bill: Bill,
    /// Why queries were refused for want of an index.
    pub(super) unserved: Vec<String>,
}

/// Locks even after a panic of another request, which is that request's failure only.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The proxy, as a service of tonic's server.
#[derive(Clone)]
pub(super) struct Proxy {
    state: Arc<Mutex<State>>,
    indexes: Arc<Indexes>,
    emulator: Channel,
}

impl NamedService for Proxy {
    const NAME: &'static str = "google.firestore.v1.Firestore";
}

impl tower::Service<Request<Body>> for Proxy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.answer(request).await.unwrap_or_else(Status::into_http)) })
    }
}

impl Proxy {
    pub(super) fn new(state: Arc<Mutex<State>>, emulator: Channel) -> Self {
        Self { state, indexes: Arc::new(Indexes::deployed()), emulator }
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let delay = {
            let mut state = lock(&self.state);
            *state.requests.entry(method.clone()).or_default() += 1;
            state.delay
        };
        tokio::time::sleep(delay).await;
        self.fail(&method)?;
        let (head, body) = request.into_parts();
        let request = body.collect().await?.to_bytes();
        let query = query_of(&method, &request)?;
        query.as_ref().map_or(Ok(()), |query| self.check(query))?;
        let passed = Request::from_parts(head, Body::new(Full::new(request)));
        let answer = self.emulator.clone().oneshot(passed).await;
        let (head, body) = answer.map_err(|error| Status::unavailable(error.to_string()))?.into_parts();
        let answer = body.collect().await?;
        let trailers = answer.trailers().cloned();
        let answer = answer.to_bytes();
        let code =
            Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers)).map(|status| status.code());
        lock(&self.state).bill += Bill::of(&method, code.unwrap_or(Code::Unknown), query.as_ref(), &answer)?;
        self.lose(&method)?;
        let body = Full::new(answer).with_trailers(ready(trailers.map(Ok)));
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// Fails a request that a test wants to fail.
    fn fail(&self, method: &str) -> Result<(), Status> {
        let mut state = lock(&self.state);
        let failure = state.outage.or_else(|| state.failures.get_mut(method).and_then(VecDeque::pop_front));
        match failure {
            None | Some(Code::Ok) => Ok(()),
            Some(code) => Err(Status::new(code, format!("a test made {method} fail"))),
        }
    }

    /// Loses an answer that a test wants lost.
    fn lose(&self, method: &str) -> Result<(), Status> {
        match lock(&self.state).lost.get_mut(method) {
            Some(lost) if *lost > 0 => {
                *lost -= 1;
                Err(Status::unavailable(format!("a test lost the answer of {method}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a query that production would refuse.
    fn check(&self, query: &StructuredQuery) -> Result<(), Status> {
        self.indexes.check(query).map_err(|refusal| {
            lock(&self.state).unserved.push(refusal.clone());
            Status::failed_precondition(refusal)
        })
    }
}

/// The query that a request makes, where it makes one.
fn query_of(method: &str, request: &[u8]) -> Result<Option<StructuredQuery>, Status> {
    Ok(match method {
        "RunQuery" => {
            let query = decode::<RunQueryRequest>(request)?.pop().and_then(|request| request.query_type);
            query.map(|QueryType::StructuredQuery(query)| query)
        }
        "RunAggregationQuery" => {
            let counted =
                decode::<RunAggregationQueryRequest>(request)?.pop().and_then(|request| request.query_type);
            let query =
                counted.and_then(|AggregationOf::StructuredAggregationQuery(counted)| counted.query_type);
            query.map(|Aggregated::StructuredQuery(query)| query)
        }
        _ => None,
    })
}

/// The messages of a gRPC body: each after a byte that says whether it is compressed, and its length.
pub(super) fn decode<M: Message + Default>(mut body: &[u8]) -> Result<Vec<M>, Status> {
    let malformed = |what: &str| Status::internal(format!("not a gRPC message: {what}"));
    let mut messages = Vec::new();
    while let Some((&[compressed, a, b, c, d], rest)) = body.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).expect("64 bits");
        let (message, rest) = rest.split_at_checked(length).ok_or_else(|| malformed("cut off"))?;
        if compressed != 0 {
            return Err(malformed("compressed"));
        }
        messages
            .push(M::decode(Bytes::copy_from_slice(message)).map_err(|error| malformed(&error.to_string()))?);
        body = rest;
    }
    Ok(messages)
}
