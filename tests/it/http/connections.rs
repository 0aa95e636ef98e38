//! Clients that keep the service waiting: their connections end, and give way to others.

use std::net::SocketAddr;
use std::time::Duration;

use commcare_sf_integration::server;
use commcare_sf_integration::worker::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::log::Log;

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: here\r\n\r\n";
const HALF_A_HEAD: &[u8] = b"GET /health HTTP/1.1\r\nhost: he";

struct Served {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<()>,
    _app: TestApp,
}

/// The service with so many connections at most, and a clock that only moves while everything waits.
async fn serve(limit: usize) -> Served {
    let app = TestApp::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server::serve(listener, app.service(), limit, app.shutdown.clone());
    Served { address, shutdown: app.shutdown.clone(), ended: tokio::spawn(serving), _app: app }
}

impl Served {
    async fn connect(&self, sends: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(sends).await.unwrap();
        stream
    }

    async fn is_healthy(&self) {
        let mut stream = self.connect(HEALTH).await;
        answered(&mut stream).await;
    }
}

/// Reads one answer of `/health`.
async fn answered(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// Waits until the service closes a connection without a word.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Closed with bytes unread, it is reset.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

/// Seconds until the service closes a connection.
async fn seconds_until_closed(stream: &mut TcpStream) -> u64 {
    tokio::time::pause();
    let began = Instant::now();
    closed(stream).await;
    rounded(began)
}

/// Whole seconds since then. Its connection is a moment older.
fn rounded(began: Instant) -> u64 {
    (began.elapsed() + Duration::from_millis(500)).as_secs()
}

#[tokio::test]
async fn a_head_has_ten_seconds() {
    let served = serve(100).await;
    for sent in [&b""[..], HALF_A_HEAD] {
        let mut stream = served.connect(sent).await;
        assert_eq!(seconds_until_closed(&mut stream).await, 10);
        tokio::time::resume();
    }
    // Nor does a byte now and then prolong it.
    let mut stream = served.connect(b"GET").await;
    tokio::time::pause();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(9) {
        stream.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    closed(&mut stream).await;
    assert_eq!(rounded(began), 10);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_a_while() {
    let served = serve(100).await;
    let mut stream = served.connect(HEALTH).await;
    answered(&mut stream).await;
    stream.write_all(HEALTH).await.unwrap();
    answered(&mut stream).await;
    assert_eq!(seconds_until_closed(&mut stream).await, 75);
}

#[tokio::test]
async fn connections_that_keep_the_service_waiting_give_way() {
    let log = Log::production(None);
    let served = serve(8).await;
    let mut posting =
        served.connect(b"POST /process-data-cc HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n{").await;
    let mut oldest = served.connect(HALF_A_HEAD).await;
    let mut others = Vec::new();
    for number in 0..20 {
        others.push(served.connect(if number % 2 == 0 { b"" } else { HALF_A_HEAD }).await);
        served.is_healthy().await;
    }
    closed(&mut oldest).await;
    // One whose call is under way does not.
    posting.write_all(b"}").await.unwrap();
    let mut answer = [0; 12];
    posting.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    let told = log.events("connections are at their limit: idle ones are closed");
    assert_eq!((told.len(), &told[0]["limit"]), (1, &8.into()), "{}", log.text());
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let served = serve(8).await;
    let mut stream = served.connect(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_answers_those_under_way() {
    let served = serve(8).await;
    let mut idle = served.connect(HEALTH).await;
    answered(&mut idle).await;
    let mut posting =
        served.connect(b"POST /process-data-cc HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n{").await;
    served.is_healthy().await;
    served.shutdown.begin();
    closed(&mut idle).await;
    posting.write_all(b"}").await.unwrap();
    let mut answer = Vec::new();
    posting.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    served.ended.await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}
