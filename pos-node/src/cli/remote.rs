//! Calls to the RPC of running nodes.

use std::time::Duration;

use serde_json::{Value, json};
use shared_vendor::exit::{self, Report};

/// A node that is asked.
pub(super) struct Node {
    agent: ureq::Agent,
    url: String,
}

impl Node {
    pub(super) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)));
        Self { agent: config.build().into(), url: url.to_owned() }
    }

    /// Where it is asked.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// The result of a call; the node's own words when it has none.
    pub(super) fn ask(&self, method: &str, params: &Value) -> Result<Result<Value, String>, Report> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let failed = |err: &(dyn std::error::Error + 'static)| {
            Report::new(exit::NOT_REACHABLE, "the node does not answer").at(self.url()).because(err)
        };
        let mut reply = self.agent.post(&self.url).send_json(&body).map_err(|err| failed(&err))?;
        let text =
            reply.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|err| failed(&err))?;
        let mut reply: Value = serde_json::from_str(&text).map_err(|err| failed(&err))?;
        let refusal = |reply: &Value| {
            let message = reply.pointer("/error/message").and_then(Value::as_str);
            message.unwrap_or("no result").to_owned()
        };
        Ok(match reply.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(refusal(&reply)),
        })
    }

    /// The result of a call that must have one.
    pub(super) fn known(&self, method: &str, params: &Value) -> Result<Value, Report> {
        self.ask(method, params)?
            .map_err(|refusal| Report::new(exit::RPC_FAILED, refusal).at(format!("{method} at {}", self.url)))
    }
}

/// A member that is a number in text.
pub(super) fn number(value: &Value, name: &str) -> u64 {
    text(value, name).parse().unwrap_or(0)
}

/// A member that is text.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
