//! Loads that would exhaust a process without bounds (`docs/service.md`, section 2, "Rules of every call").

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::queue::backend::Backend;
use crate::support::process::{Process, borrowed, queue_variables};

const MIB: usize = 1024 * 1024;

async fn start_with(limit: &str) -> Process {
    let backend = Backend::sqlite();
    let variables = queue_variables(&backend);
    Process::start_after(limit, &borrowed(&variables)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_where_more_connections_are_idle_than_the_process_may_open() {
    let service = start_with("ulimit -n 300").await;
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let mut idle = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        if number % 2 == 0 {
            // One that had to give way is closed.
            let _ = stream.write_all(b"GET /health HTTP/1.1\r\nhost: he").await;
        }
        idle.push(stream);
    }
    for _ in 0..20 {
        let fresh = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let asked = fresh.get(format!("{}/health", service.url)).timeout(Duration::from_secs(30));
        assert_eq!(asked.send().await.unwrap().status(), 200);
    }
    let told = |message: &str| service.log.lines().iter().filter(|line| line.contains(message)).count();
    assert_eq!(told("fewer connections than MAX_CONNECTIONS"), 1, "{:#?}", service.log.lines());
    assert_eq!(told("connections are at their limit"), 1, "{:#?}", service.log.lines());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_many_values_take_little_memory() {
    let service = Arc::new(start_with("true").await);
    let ones = format!("[{}1]", "1,".repeat(8 * MIB - 2));
    let form =
        format!(r#"{{"id":"f-1","form":{{"@name":"Farm Visit Full","x":{}]}}}}"#, &ones[..3 * MIB - 1]);
    let bodies = [("/process-data-sf", ones.clone()), ("/process-data-sf", ones), ("/process-data-cc", form)];
    let posts = bodies.map(|(path, body)| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.post(path, body).await.unwrap().status().as_u16() })
    });
    let mut statuses = Vec::new();
    for post in posts {
        statuses.push(post.await.unwrap());
    }
    assert_eq!(statuses, [400, 400, 413]);
    let peak = service.peak_memory();
    assert!(peak < 150 * MIB, "{} MiB", peak / MIB);
}
