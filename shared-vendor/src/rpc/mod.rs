//! JSON-RPC 2.0 over the hardened listener of [`crate::http`]: a table of methods, the envelope with batches and
//! notifications, WebSocket subscriptions, limits, access, metrics and an OpenRPC document made from the same table. A [`Dialect`] decides error
//! codes and texts where clients of a chain's reference node match on them.

mod envelope;
mod methods;
mod server;
mod session;
mod socket;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

pub use methods::{Methods, ParamDoc, Params, Spec};
pub use server::{Busy, Server, Service};
pub use session::{Feed, Session};

/// The error member of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Error {
    /// Code of JSON-RPC or of the chain.
    pub code: i64,
    /// Text; equal to the reference's where clients match on it.
    pub message: String,
    /// More, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Error {
    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Adds data.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// -32602 with the given text.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// -32603: a fault of the node; the text must not carry what a stranger should not see.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, message)
    }
}

/// Codes and texts of the errors that are made before a method runs. The default is plain JSON-RPC 2.0.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// The body is not JSON, or nested too deep.
    pub parse_error: fn() -> Error,
    /// `id` of the answer to a body that cannot be parsed.
    pub parse_error_id: Value,
    /// JSON, but no request.
    pub invalid_request: fn() -> Error,
    /// No such method.
    pub method_not_found: fn(method: &str) -> Error,
    /// The method needs credentials that were not shown.
    pub forbidden: fn(method: &str) -> Error,
    /// The method needs a connection that stays (a WebSocket).
    pub no_session: fn(method: &str) -> Error,
    /// Last notification to a client that did not keep up, before its connection is closed.
    pub lagging: fn() -> Option<Value>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            parse_error: || Error::new(-32700, "parse error"),
            parse_error_id: Value::Null,
            invalid_request: || Error::new(-32600, "invalid request"),
            method_not_found: |method| {
                Error::new(-32601, "method not found")
                    .with_data(json!({ "method": method.escape_debug().to_string() }))
            },
            forbidden: |_| {
                Error::new(-32001, "this method needs credentials").with_data(json!({
                    "hint": "use the .cookie file of the data directory, or a configured user or token"
                }))
            },
            no_session: |_| Error::new(-32601, "notifications not supported"),
            lagging: || None,
        }
    }
}

/// Limits of one server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls of one batch.
    pub batch: usize,
    /// Nesting of one body.
    pub depth: usize,
    /// Bytes of one answer.
    pub reply_bytes: usize,
    /// Calls that run at once.
    pub running: usize,
    /// Requests that wait for their turn; one more is told to come back.
    pub queue: usize,
    /// Time for one call.
    pub timeout: Duration,
    /// WebSocket connections.
    pub sockets: usize,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Unsent notifications of one connection; one more closes it.
    pub unsent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            batch: 100,
            depth: 64,
            reply_bytes: 25 * 1024 * 1024,
            running: cores.saturating_mul(4),
            queue: 256,
            timeout: Duration::from_secs(30),
            sockets: 256,
            subscriptions: 32,
            unsent: 1000,
        }
    }
}

#[cfg(test)]
mod tests;
