//! Bodies that come too slowly are refused, with an answer after which CommCare sends again.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::app::TestApp;

const UNHANDLED: &str = r#"{"form":{"@name":"Nobody's form"},"padding":"#;

/// A body that comes in pieces, each after a pause.
fn slow(pieces: Vec<String>, pause: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(pieces).then(move |piece| async move {
        sleep(pause).await;
        Ok(Bytes::from(piece))
    })
}

/// The status of such a call, and the seconds that it took.
async fn post(body: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> (u16, u64) {
    let app = TestApp::start().await;
    tokio::time::pause();
    let began = Instant::now();
    let answer = app.post("/process-data-cc", Body::from_stream(body)).await;
    if answer.status == 408 {
        assert_eq!(answer.json(), json!({ "error": "The body came too slowly; send it again" }));
    }
    let took = began.elapsed().as_secs();
    tokio::time::resume();
    (answer.status.as_u16(), took)
}

#[tokio::test]
async fn a_body_that_stops_coming_is_refused() {
    let body = slow(vec![UNHANDLED.to_owned()], Duration::ZERO).chain(stream::pending());
    assert_eq!(post(body).await, (408, 10));
}

#[tokio::test]
async fn a_body_that_trickles_is_refused() {
    let pieces = vec!["x".repeat(1_000); 100];
    let (status, seconds) = post(slow(pieces, Duration::from_secs(1))).await;
    assert_eq!((status, seconds), (408, 10));
}

#[tokio::test]
async fn a_body_has_a_minute() {
    let pieces = |count| {
        let mut pieces = vec![UNHANDLED.to_owned(), "\"".to_owned()];
        pieces.extend(vec!["x".repeat(10_000); count]);
        pieces.push("\"}".to_owned());
        pieces
    };
    assert_eq!(post(slow(pieces(50), Duration::from_secs(1))).await, (200, 53));
    assert_eq!(post(slow(pieces(70), Duration::from_secs(1))).await, (408, 60));
}
