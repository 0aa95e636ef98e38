//! A load that costs little itself: keep-alive connections that write prepared requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a load measured.
pub(crate) struct Load {
    pub(crate) took: Duration,
    latencies: Vec<Duration>,
}

impl Load {
    /// A share's latency, in milliseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = ((self.latencies.len() - 1) as f64 * share) as usize;
        self.latencies[index].as_secs_f64() * 1e3
    }
}

/// Posts `count` forms like `sample`, each under an id of its own, over `connections`.
pub(crate) async fn load(address: SocketAddr, connections: usize, count: usize, sample: &str) -> Load {
    let payload: Value = serde_json::from_str(sample).unwrap();
    let id = payload["id"].as_str().unwrap();
    let parts: Vec<String> = sample.split(id).map(str::to_owned).collect();
    let (parts, next) = (Arc::new(parts), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut posting = JoinSet::new();
    for _ in 0..connections {
        let (parts, next) = (Arc::clone(&parts), Arc::clone(&next));
        posting.spawn(async move {
            let mut stream = BufStream::new(TcpStream::connect(address).await.unwrap());
            let mut latencies = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return latencies;
                }
                // As long and as random as CommCare's ids.
                let body = parts.join(&uuid::Uuid::new_v4().to_string());
                let sent = Instant::now();
                post(&mut stream, &body).await;
                latencies.push(sent.elapsed());
            }
        });
    }
    let mut latencies: Vec<Duration> = posting.join_all().await.into_iter().flatten().collect();
    let took = began.elapsed();
    latencies.sort_unstable();
    Load { took, latencies }
}

async fn post(stream: &mut BufStream<TcpStream>, body: &str) {
    let head = format!(
        "POST /process-data-cc HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        if line.starts_with("HTTP/1.1") {
            assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if line == "\r\n" {
            break;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.unwrap();
}
