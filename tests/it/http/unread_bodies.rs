//! Bodies that a call does not read: a client that writes all of it before it reads gets its answer all the same.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use commcare_sf_integration::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::support::app::TestApp;

/// What no socket's buffers hold.
const LARGE: usize = 30_000_000;

/// The service behind a socket.
async fn listening(app: &TestApp) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::serve(listener, app.service(), 100, app.shutdown.clone()));
    address
}

fn head(call: &str, length: usize) -> String {
    format!("{call} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
}

/// Writes a whole request, then reads the answer to its end.
fn ask(address: SocketAddr, call: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head(call, LARGE).as_bytes()).unwrap();
    let piece = vec![b'x'; 1_000_000];
    for _ in 0..LARGE / piece.len() {
        stream.write_all(&piece).unwrap_or_else(|error| panic!("{call}: {error}"));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{call}: {error}"));
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_reaches_a_client_that_writes_everything_first() {
    let (open, closed) = (TestApp::start().await, TestApp::with(&[("WEBHOOK_API_KEY", "known")]).await);
    let (open_at, closed_at) = (listening(&open).await, listening(&closed).await);
    for (call, status) in [
        ("POST /process-firestore-to-sf", 200),
        ("POST /process-firestore-to-sf?drain=true", 200),
        ("POST /auto-retry-firestore-to-cc", 200),
        ("POST /process-firestore-to-sf?limit=0", 422),
        ("GET /status-count/commcare_collection", 200),
        ("GET /health", 200),
        ("POST /health", 405),
        ("POST /no-such-path", 404),
        ("POST /process-data-cc", 401),
    ] {
        let address = if status == 401 { closed_at } else { open_at };
        let answer = spawn_blocking(move || ask(address, call)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{call}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_waits_ten_seconds_for_a_body_that_does_not_come() {
    let app = TestApp::start().await;
    let address = listening(&app).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(head("GET /health", 100).as_bytes()).await.unwrap();
    tokio::time::pause();
    let began = Instant::now();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!((began.elapsed() + Duration::from_millis(500)).as_secs(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_an_end_is_not_read_for_ever() {
    let app = TestApp::start().await;
    let address = listening(&app).await;
    let cut = spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(head("GET /health", usize::MAX / 4).as_bytes()).unwrap();
        let piece = vec![b'x'; 1_000_000];
        (0..200).find_map(|_| stream.write_all(&piece).err())
    });
    let kind = cut.await.unwrap().expect("200 MB were read").kind();
    assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind}");
}
