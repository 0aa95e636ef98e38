//! A Salesforce that says yes to everything, each time after the same while: what is measured is
//! what the service adds. What Salesforce enforces is the tests' business.

use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Starts it; its address.
pub(crate) async fn start(call: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let instance = url.clone();
    let token = async move || {
        Json(json!({ "access_token": "token", "instance_url": instance, "token_type": "Bearer" }))
    };
    let router = Router::new()
        .route("/services/oauth2/token", post(token))
        .route("/services/data/{version}/composite", post(composite))
        .with_state(call);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn composite(State(call): State<Duration>, Json(request): Json<Value>) -> Json<Value> {
    tokio::time::sleep(call).await;
    let row = json!({ "id": "a00000000000001AAA", "success": true, "errors": [], "created": true });
    let answers: Vec<Value> = request["compositeRequest"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            let rows = step["body"]["records"].as_array().map(Vec::len);
            let (status, body) = match rows {
                Some(rows) => (200, Value::from(vec![row.clone(); rows])),
                None => (201, row.clone()),
            };
            let reference = &step["referenceId"];
            json!({ "body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": reference })
        })
        .collect();
    Json(json!({ "compositeResponse": answers }))
}
