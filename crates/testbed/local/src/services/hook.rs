//! A Lambda function that is a release's hook, as a team would write one: it asks each instance a few times, and fails a
//! release that answers with an error.

use reqwest::Client;
use serde_json::{Value, json};
use std::time::Duration;

/// Requests to each instance.
const ASKED: usize = 10;

/// Why it ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has started it as a function.
    #[error("AWS_LAMBDA_RUNTIME_API isn't set: the Lambda host starts this")]
    NoHost,
    /// The host is gone.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// Asks the Runtime API for work, for as long as it is there.
///
/// # Errors
///
/// If the host is gone.
pub async fn run() -> Result<(), Error> {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(|_| Error::NoHost)?;
    let base = format!("http://{host}/2018-06-01/runtime/invocation");
    let client = Client::new();
    loop {
        let next = client.get(format!("{base}/next")).send().await?.error_for_status()?;
        let id = next.headers().get("lambda-runtime-aws-request-id").and_then(|id| id.to_str().ok());
        let id = id.unwrap_or_default().to_owned();
        let answer = judged(&next.json().await?).await;
        println!("{answer}");
        client.post(format!("{base}/{id}/response")).json(&answer).send().await?.error_for_status()?;
    }
}

/// The first call only says that it isn't done, as one does that has begun something long.
async fn judged(event: &Value) -> Value {
    let mut details = event["hookDetails"].clone();
    if details["begun"].is_null() {
        details["begun"] = event["release"].clone();
        return json!({"hookStatus": "IN_PROGRESS", "callBackDelay": 1, "hookDetails": details});
    }
    let (port, path) = (details["port"].as_u64().unwrap_or(80), details["path"].as_str().unwrap_or("/"));
    let client = Client::builder().timeout(Duration::from_secs(5)).build().unwrap_or_default();
    let ips = event["privateIps"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut well = details["begun"] == event["release"];
    for ip in ips {
        for _ in 0..ASKED {
            let answer = client.get(format!("http://{ip}:{port}{path}")).send().await;
            well &= answer.is_ok_and(|answer| answer.status().is_success());
        }
    }
    json!({"hookStatus": if well { "SUCCEEDED" } else { "FAILED" }})
}
