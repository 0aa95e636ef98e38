//! The connections of the listener: how many there may be, how long each may keep this service waiting, and how they
//! end at a shutdown (`docs/service.md`, section 2, "Rules of every call").
//!
//! Only HTTP/1.1 is spoken. HTTP/2 without TLS is off: Cloud Run, Salesforce, CommCare and the PostgreSQL client do not
//! ask for it, and one connection of it can hold a hundred calls.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::phase::{Answering, Connection, Phase};
use super::watched::Watched;
use crate::http;
use crate::worker::Shutdown;

/// Bytes of a request's head. hyper would hold 400 KiB for each connection.
const HEAD_BYTES: usize = 64 * 1024;

/// Open files that are left to everything else: the queue, the destinations' calls, the log.
const OTHER_FILES: u64 = 200;

/// The fewest connections, however few files the process may open.
const FEWEST: usize = 16;

/// How often the log says that there are too many connections.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// How long a connection waits for another one to give way before a further one is asked to.
const GIVES_WAY: Duration = Duration::from_millis(50);

/// How many connections there may be: as many as are asked for, and as the process may open files for.
pub(super) fn limit(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    wanted.min(files.max(FEWEST))
}

/// Answers calls until `shutdown` begins, then ends once every call that is under way is answered.
pub async fn serve(listener: TcpListener, service: http::Service, limit: usize, shutdown: Shutdown) {
    let connections = Connections {
        slots: Arc::new(Semaphore::new(limit)),
        open: Arc::default(),
        tasks: TaskTracker::new(),
        limit,
        told: TellNowAndThen::default(),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let Some(slot) = connections.slot(&shutdown).await else { break };
                connections.begin(stream, slot, service.clone(), shutdown.clone());
            }
            Err(error) => connections.not_accepted(&error).await,
        }
    }
    drop(listener);
    connections.tasks.close();
    connections.tasks.wait().await;
}

/// The open connections.
struct Connections {
    slots: Arc<Semaphore>,
    open: Arc<Open>,
    tasks: TaskTracker,
    limit: usize,
    told: TellNowAndThen,
}

impl Connections {
    /// A place for one more connection. Where there is none, the connection that has kept the service waiting longest
    /// gives way; one whose call is being answered never does. `None` where the shutdown begins meanwhile.
    async fn slot(&self, shutdown: &Shutdown) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(slot);
        }
        self.told.tell(|| warn!(limit = self.limit, "connections are at their limit: idle ones are closed"));
        loop {
            self.open.close_idlest();
            tokio::select! {
                slot = Arc::clone(&self.slots).acquire_owned() => return slot.ok(),
                () = shutdown.begun() => return None,
                () = sleep(GIVES_WAY) => {}
            }
        }
    }

    fn begin(
        &self,
        stream: TcpStream,
        slot: OwnedSemaphorePermit,
        service: http::Service,
        shutdown: Shutdown,
    ) {
        let open = Arc::clone(&self.open);
        let connection = open.add();
        self.tasks.spawn(async move {
            converse(stream, &connection, service, shutdown).await;
            open.remove(&connection);
            drop(slot);
        });
    }

    /// A connection could not be taken: it was cut meanwhile, or the process has too many files open.
    async fn not_accepted(&self, error: &std::io::Error) {
        self.told.tell(|| warn!(error = %error, "connection not accepted"));
        self.open.close_idlest();
        sleep(GIVES_WAY).await;
    }
}

/// Serves the calls of one connection.
async fn converse(
    stream: TcpStream,
    connection: &Arc<Connection>,
    service: http::Service,
    shutdown: Shutdown,
) {
    let calls = service_fn(|request: Request<Incoming>| {
        let (service, answering) = (service.clone(), Answering::begin(connection));
        async move {
            let answered: Result<_, Infallible> = service.oneshot(request.map(Body::new)).await;
            answered.map(|response| response.map(|body| answering.until_sent(body)))
        }
    });
    let io = TokioIo::new(Watched::new(stream, Arc::clone(connection)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // `Connection` counts the time: hyper's own time-out would hold for idle connections, too.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(io, calls);
    let mut serving = std::pin::pin!(serving);
    let (mut asked, mut stopping) = (false, false);
    loop {
        tokio::select! {
            biased;
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    debug!(error = %error, "connection ended");
                }
                return;
            }
            () = connection.overdue() => {
                debug!(phase = ?connection.phase(), "connection closed: its client took too long");
                return;
            }
            () = connection.closed(), if !asked => {
                if connection.phase() != Phase::Answering {
                    return;
                }
                // Its next call has begun since: that is its last.
                asked = true;
                serving.as_mut().graceful_shutdown();
            }
            () = shutdown.begun(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The connections by age.
#[derive(Debug, Default)]
struct Open {
    next: AtomicU64,
    all: Mutex<BTreeMap<u64, Arc<Connection>>>,
}

impl Open {
    fn add(&self) -> Arc<Connection> {
        let connection = Arc::new(Connection::new(self.next.fetch_add(1, Ordering::Relaxed)));
        self.locked().insert(connection.number, Arc::clone(&connection));
        connection
    }

    fn remove(&self, connection: &Connection) {
        self.locked().remove(&connection.number);
    }

    /// Closes the connection that has kept the service waiting longest.
    fn close_idlest(&self) {
        let open = self.locked();
        let waiting =
            open.values().filter_map(|connection| Some((connection.waited_for_since()?, connection)));
        if let Some((_, idlest)) = waiting.min_by_key(|(since, _)| *since) {
            idlest.close();
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a flood of connections from flooding the log.
#[derive(Debug, Default)]
struct TellNowAndThen(Mutex<Option<Instant>>);

impl TellNowAndThen {
    fn tell(&self, tell: impl FnOnce()) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            tell();
        }
    }
}
