//! An optional full node behind this one: it is asked for what only full nodes have, and none of its answers is passed on
//! before it is proven by headers that were verified here. Speaks JSON-RPC over plain HTTP; proves nothing itself
//! (`proven.rs` does).

use std::time::Duration;

use serde_json::{Value, json};

/// Calls that the reference takes in one batch at most.
const BATCH: usize = 40;
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer answers are refused.
const MOST_BYTES: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It cannot be reached, or does not answer in time.
    #[error("the upstream node does not answer: {0}")]
    Unreachable(String),
    /// What it sends is not JSON-RPC.
    #[error("the upstream node does not answer as JSON-RPC")]
    Malformed,
    /// It answered with an error.
    #[error("the upstream node refused: {0}")]
    Refused(String),
}

/// A full node that answers JSON-RPC calls. Calls block.
pub trait Upstream: Send + Sync {
    /// Answers to calls, in their order.
    ///
    /// # Errors
    /// One of the calls has no answer.
    fn ask(&self, calls: &[(&'static str, Value)]) -> Result<Vec<Value>, UpstreamError>;
}

/// A node behind an address such as `http://127.0.0.1:4444`.
#[derive(Debug)]
pub struct Http {
    url: String,
    agent: ureq::Agent,
}

impl Http {
    /// A client of the node at `url`; nothing is asked yet.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent = config.timeout_global(Some(TIMEOUT)).build().into();
        Self { url: url.to_owned(), agent }
    }

    fn batch(&self, calls: &[(&'static str, Value)]) -> Result<Vec<Value>, UpstreamError> {
        let request = |(id, (method, params)): (usize, &(&str, Value))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let requests: Vec<Value> = calls.iter().enumerate().map(request).collect();
        let unreachable = |err: ureq::Error| UpstreamError::Unreachable(err.to_string());
        let mut reply = self.agent.post(&self.url).send_json(Value::Array(requests)).map_err(unreachable)?;
        let body = reply.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(unreachable)?;
        let answers = serde_json::from_slice(&body).map_err(|_| UpstreamError::Malformed)?;
        in_order(answers, calls.len())
    }
}

impl Upstream for Http {
    fn ask(&self, calls: &[(&'static str, Value)]) -> Result<Vec<Value>, UpstreamError> {
        let mut answers = Vec::with_capacity(calls.len());
        for batch in calls.chunks(BATCH) {
            answers.extend(self.batch(batch)?);
        }
        Ok(answers)
    }
}

/// Results of a batch by their ids, which may come in any order.
fn in_order(answers: Vec<Value>, expected: usize) -> Result<Vec<Value>, UpstreamError> {
    let mut results = vec![None; expected];
    for mut answer in answers {
        if let Some(message) = answer.pointer("/error/message").and_then(Value::as_str) {
            return Err(UpstreamError::Refused(message.chars().take(200).collect()));
        }
        let id = answer["id"].as_u64().and_then(|id| usize::try_from(id).ok());
        let place = id.and_then(|id| results.get_mut(id)).ok_or(UpstreamError::Malformed)?;
        *place = Some(answer["result"].take());
    }
    results.into_iter().collect::<Option<Vec<_>>>().ok_or(UpstreamError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_put_in_order_and_a_missing_one_is_an_error() {
        let answer = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "result": id * 10 });
        assert_eq!(in_order(vec![answer(1), answer(0)], 2), Ok(vec![json!(0), json!(10)]));
        assert_eq!(in_order(vec![answer(1)], 2), Err(UpstreamError::Malformed));
        assert_eq!(in_order(vec![answer(7)], 1), Err(UpstreamError::Malformed));
        let refused = json!({ "id": 0, "error": { "code": -32601, "message": "method not found" } });
        assert_eq!(in_order(vec![refused], 1), Err(UpstreamError::Refused("method not found".into())));
    }
}
