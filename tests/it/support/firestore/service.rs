//! The wire: gRPC requests to the store, and the ways a test can make them fail.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream;
use prost::Message;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use super::rpc::Store;

/// Firestore's limit on a request (<https://firebase.google.com/docs/firestore/quotas#writes_and_transactions>).
const MAX_REQUEST_BYTES: usize = 10 * 1024 * 1024;

/// What the next requests meet instead of an answer.
#[derive(Default)]
pub(super) struct Hooks {
    /// Codes that the next requests of a method fail with, untouched.
    pub(super) failures: HashMap<String, VecDeque<Code>>,
    /// The code that every request fails with, untouched.
    pub(super) outage: Option<Code>,
    /// How many answers of a method get lost, their work done.
    pub(super) lost: HashMap<String, usize>,
    /// How long every request waits before it is looked at.
    pub(super) delay: Duration,
    /// How many requests of a method came.
    pub(super) requests: HashMap<String, usize>,
}

pub(super) struct Shared {
    pub(super) store: Mutex<Store>,
    pub(super) hooks: Mutex<Hooks>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self { store: Mutex::new(Store::new()), hooks: Mutex::default() }
    }

    /// Runs one request through the hooks and the store.
    async fn serve<Req: Message, Res>(
        &self,
        method: &str,
        request: Req,
        handle: fn(&mut Store, Req) -> Result<Res, Status>,
    ) -> Result<Res, Status> {
        let delay = {
            let mut hooks = lock(&self.hooks);
            *hooks.requests.entry(method.to_owned()).or_default() += 1;
            hooks.delay
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let failure = {
            let mut hooks = lock(&self.hooks);
            hooks.outage.or_else(|| hooks.failures.get_mut(method).and_then(VecDeque::pop_front))
        };
        if let Some(code) = failure {
            return Err(Status::new(code, format!("a test made {method} fail")));
        }
        if request.encoded_len() > MAX_REQUEST_BYTES {
            return Err(Status::invalid_argument(format!(
                "Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes."
            )));
        }
        let answer = handle(&mut lock(&self.store), request)?;
        match lock(&self.hooks).lost.get_mut(method) {
            Some(lost) if *lost > 0 => {
                *lost -= 1;
                Err(Status::unavailable(format!("a test lost the answer of {method}")))
            }
            _ => Ok(answer),
        }
    }
}

/// Locks even after a panic of another request, which is that request's failure only.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `google.firestore.v1.Firestore`, by hand: the generated code has the client only.
#[derive(Clone)]
pub(super) struct Service(pub(super) Arc<Shared>);

impl NamedService for Service {
    const NAME: &'static str = "google.firestore.v1.Firestore";
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move { Ok(dispatch(shared, request).await) })
    }
}

async fn dispatch(shared: Arc<Shared>, request: http::Request<Body>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let method = path.rsplit('/').next().unwrap_or_default().to_owned();
    match method.as_str() {
        "GetDocument" => unary(shared, method, request, Store::get_document).await,
        "CreateDocument" => unary(shared, method, request, Store::create_document).await,
        "UpdateDocument" => unary(shared, method, request, Store::update_document).await,
        "DeleteDocument" => unary(shared, method, request, Store::delete_document).await,
        "ListDocuments" => unary(shared, method, request, Store::list_documents).await,
        "ListCollectionIds" => unary(shared, method, request, Store::list_collection_ids).await,
        "BeginTransaction" => unary(shared, method, request, Store::begin_transaction).await,
        "Commit" => unary(shared, method, request, Store::commit).await,
        "Rollback" => unary(shared, method, request, Store::rollback).await,
        "BatchWrite" => unary(shared, method, request, Store::batch_write).await,
        "BatchGetDocuments" => streaming(shared, method, request, Store::batch_get_documents).await,
        "RunQuery" => streaming(shared, method, request, Store::run_query).await,
        "RunAggregationQuery" => streaming(shared, method, request, Store::run_aggregation_query).await,
        _ => Status::unimplemented(format!("the stand-in has no {method}")).into_http(),
    }
}

async fn unary<Req, Res>(
    shared: Arc<Shared>,
    method: String,
    request: http::Request<Body>,
    handle: fn(&mut Store, Req) -> Result<Res, Status>,
) -> http::Response<Body>
where
    Req: Message + Default + 'static,
    Res: Message + Default + 'static,
{
    let service = tower::service_fn(move |request: Request<Req>| {
        let (shared, method) = (shared.clone(), method.clone());
        async move { shared.serve(&method, request.into_inner(), handle).await.map(Response::new) }
    });
    grpc().unary(service, request).await
}

async fn streaming<Req, Res>(
    shared: Arc<Shared>,
    method: String,
    request: http::Request<Body>,
    handle: fn(&mut Store, Req) -> Result<Vec<Res>, Status>,
) -> http::Response<Body>
where
    Req: Message + Default + 'static,
    Res: Message + Default + 'static,
{
    let service = tower::service_fn(move |request: Request<Req>| {
        let (shared, method) = (shared.clone(), method.clone());
        async move {
            let answers = shared.serve(&method, request.into_inner(), handle).await?;
            Ok::<_, Status>(Response::new(stream::iter(answers.into_iter().map(Ok))))
        }
    });
    grpc().server_streaming(service, request).await
}

/// Takes requests larger than the service's limit, to refuse them as the service does.
fn grpc<Req, Res>() -> Grpc<ProstCodec<Res, Req>>
where
    Req: Message + Default + 'static,
    Res: Message + Default + 'static,
{
    Grpc::new(ProstCodec::default()).max_decoding_message_size(4 * MAX_REQUEST_BYTES)
}
