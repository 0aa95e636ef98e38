//! A CommCare that takes everything, each time after the same while.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const TAKEN: &str = "<OpenRosaResponse xmlns=\"http://openrosa.org/http/response\"><message \
                     nature=\"submit_success\">   √   </message></OpenRosaResponse>";

/// Starts it; its address.
pub(crate) async fn start(call: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let receive = async |State(call): State<Duration>| {
        tokio::time::sleep(call).await;
        (StatusCode::CREATED, TAKEN)
    };
    let router = Router::new().route("/a/bench/receiver/GCP_Forms/", post(receive)).with_state(call);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// The variables of a service that sends there.
pub(crate) fn variables(url: &str) -> [(&'static str, &str); 4] {
    [("CC_BASE_URL", url), ("CC_DOMAIN", "bench"), ("CC_USERNAME", "user"), ("CC_API_KEY", "key")]
}

/// So many participants like the demo's, each of `more` bytes that no element reads.
pub(crate) fn participants(id: &str, count: usize, more: usize) -> Value {
    let sample: Value = serde_json::from_str(crate::PARTICIPANT).unwrap();
    let records: Vec<Value> = (0..count)
        .map(|number| {
            let mut record = sample["participants"][0].clone();
            record["commCareCaseId"] = uuid::Uuid::new_v4().to_string().into();
            record["HHID"] = number.into();
            record["source"] = "x".repeat(more).into();
            record
        })
        .collect();
    json!({ "id": id, "jobType": "Participant", "uniqueProjectKey": "coffee_ke_2024ac", "participants": records })
}
