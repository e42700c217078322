//! `status`, `rpc` and what other verbs ask of the node that runs. Small HTTP calls to loopback; no protocol of any chain.

use std::{path::PathBuf, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use ureq::Agent;

use super::view;
use crate::{
    config::Listen,
    exit::{self, Report},
};

fn agent() -> Agent {
    let config =
        Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
    config.max_redirects(0).build().into()
}

/// The address a client uses for a listening one: an unspecified host is asked on loopback.
fn url(addr: Listen, path: &str) -> String {
    let mut addr = addr.0;
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
    }
    format!("http://{addr}{path}")
}

fn get(url: &str) -> Result<(u16, String), Report> {
    let failed = |err: ureq::Error| unreachable(url, &err);
    let mut reply = agent().get(url).call().map_err(failed)?;
    Ok((reply.status().as_u16(), reply.body_mut().read_to_string().map_err(failed)?))
}

fn unreachable(url: &str, err: &ureq::Error) -> Report {
    Report::new(exit::NOT_REACHABLE, "the node does not answer")
        .at(url)
        .because(err)
        .advice("start it, or name its address")
}

/// What `status` prints, and whether the checked condition holds.
///
/// # Errors
/// The node does not answer, or with something else than a status document.
pub fn status(ops: Listen, json: bool, check: Option<&str>) -> Result<(String, bool), Report> {
    match check {
        Some("live") => probe(ops, "/livez"),
        Some("ready") => probe(ops, "/readyz"),
        _ => {
            let document = document(ops)?;
            let synced = document.get("phase").and_then(Value::as_str) == Some("synced");
            let text = if json { format!("{document:#}\n") } else { view::view(&document) };
            Ok(if check.is_some() { (format!("synced: {synced}\n"), synced) } else { (text, true) })
        }
    }
}

fn probe(ops: Listen, path: &str) -> Result<(String, bool), Report> {
    let (status, body) = get(&url(ops, path))?;
    Ok((format!("{}\n", body.trim()), status == 200))
}

fn document(ops: Listen) -> Result<Value, Report> {
    let url = url(ops, "/status.json");
    let (_, body) = get(&url)?;
    serde_json::from_str(&body).map_err(|err| {
        Report::new(
            exit::NOT_REACHABLE,
            "the answer is not a status document: is this the operations address?",
        )
        .at(url)
        .because(&err)
    })
}

/// The page of the operations server at `path`.
///
/// # Errors
/// The node does not answer, or not with that page.
pub fn page(ops: Listen, path: &str) -> Result<String, Report> {
    let url = url(ops, path);
    match get(&url)? {
        (200, body) => Ok(body),
        (status, _) => Err(Report::new(exit::NOT_REACHABLE, format!("HTTP {status}")).at(url)),
    }
}

/// The RPC server of a running node.
#[derive(Clone, Debug)]
pub struct Node {
    addr: Listen,
    path: fn(&str) -> &'static str,
    endpoint: Option<String>,
    cookie: PathBuf,
}

impl Node {
    /// The server that listens on `addr` and answers a method at the `path` of its name, or all at `endpoint` instead;
    /// `cookie` is the file of its secret, which may be absent.
    #[must_use]
    pub fn new(
        addr: Listen,
        path: fn(&str) -> &'static str,
        endpoint: Option<String>,
        cookie: PathBuf,
    ) -> Self {
        Self { addr, path, endpoint, cookie }
    }

    fn url(&self, method: &str) -> String {
        self.endpoint.clone().unwrap_or_else(|| url(self.addr, (self.path)(method)))
    }

    /// The status and the reply as received.
    fn send(&self, method: &str, params: &Value) -> Result<(u16, String), Report> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let url = self.url(method);
        let mut request = agent().post(&url);
        if let Ok(secret) = std::fs::read(&self.cookie) {
            let secret = BASE64_STANDARD.encode(secret.trim_ascii());
            request = request.header("Authorization", format!("Basic {secret}"));
        }
        let failed = |err: ureq::Error| unreachable(&url, &err);
        let mut reply = request.send_json(&body).map_err(failed)?;
        let text = reply.body_mut().with_config().limit(64 << 20).read_to_string().map_err(failed)?;
        Ok((reply.status().as_u16(), text))
    }

    /// Calls a method with positional (a list) or named (an object) parameters.
    ///
    /// # Errors
    /// The node does not answer, or answers with an error.
    pub fn call(&self, method: &str, params: &Value) -> Result<Value, Report> {
        let (status, text) = self.send(method, params)?;
        let refused = |what: String| {
            Report::new(exit::RPC_FAILED, what).at(format!("{method} at {}", self.url(method)))
        };
        let mut reply: Value = serde_json::from_str(&text)
            .map_err(|_| refused(format!("HTTP {status}: {}", text.chars().take(200).collect::<String>())))?;
        match reply.get("error") {
            None | Some(Value::Null) => {}
            Some(error) => {
                let code = error.get("code").map_or_else(String::new, |code| format!("error {code}: "));
                let message = error.get("message").and_then(Value::as_str);
                let message = message.map_or_else(|| error.to_string(), str::to_owned);
                return Err(refused(format!("{code}{message}")));
            }
        }
        let result = reply.get_mut("result").map(Value::take);
        result.ok_or_else(|| refused("the reply holds neither result nor error".to_owned()))
    }
}

/// Calls a method and returns what to print: the result as JSON (a text bare), or with `raw` the reply as received.
///
/// # Errors
/// The node does not answer, or answers with an error.
pub fn rpc(node: &Node, method: &str, params: &[String], raw: bool) -> Result<String, Report> {
    let params = params.iter().map(|text| param(text)).collect();
    if raw {
        return node.send(method, &params).map(|(_, reply)| format!("{}\n", reply.trim_end()));
    }
    node.call(method, &params).map(|result| printed(&result))
}

/// A result as people read it.
pub(super) fn printed(result: &Value) -> String {
    match result {
        Value::String(text) => format!("{text}\n"),
        result => format!("{result:#}\n"),
    }
}

/// Names and summaries of the methods in an OpenRPC document.
#[must_use]
pub fn methods(document: &Value) -> String {
    entries(document, "methods").iter().map(|method| entry(method, 0)).collect()
}

/// What an OpenRPC document says of a method and its parameters, if it has that method.
#[must_use]
pub fn method_help(document: &Value, name: &str) -> Option<String> {
    let method = entries(document, "methods").iter().find(|method| text(method, "name") == name)?;
    let optional = |param: &Value| param.get("required").and_then(Value::as_bool) != Some(true);
    let params = entries(method, "params");
    let words: String = params
        .iter()
        .map(|param| {
            if optional(param) {
                format!(" [{}]", text(param, "name"))
            } else {
                format!(" {}", text(param, "name"))
            }
        })
        .collect();
    let help: String = params.iter().map(|param| entry(param, 2)).collect();
    Some(format!(
        "{name}{words}\n\n{}\n{}{help}",
        text(method, "summary"),
        if params.is_empty() { "" } else { "\nParameters:\n" }
    ))
}

/// A name and its summary or description, in two columns.
fn entry(value: &Value, indent: usize) -> String {
    let texts = [text(value, "summary"), text(value, "description")];
    let help = texts.into_iter().find(|help| !help.is_empty()).unwrap_or_default();
    format!("{:indent$}{:<40} {help}\n", "", text(value, "name"))
}

pub(super) fn entries<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// JSON where it is JSON, else the word itself.
pub(super) fn param(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_become_strings_and_json_stays_json() {
        assert_eq!(param("latest"), json!("latest"));
        assert_eq!(param("0x10"), json!("0x10"));
        assert_eq!(param("{\"a\":[1,true]}"), json!({"a": [1, true]}));
    }

    #[test]
    fn a_method_is_explained_by_the_document() {
        let params = json!([
            { "name": "block", "description": "height or tag", "required": true },
            { "name": "full", "description": "whole transactions" },
        ]);
        let document = json!({ "methods": [{ "name": "get", "summary": "A block.", "params": params }, { "name": "stop" }] });
        let help = method_help(&document, "get").unwrap();
        assert!(help.starts_with("get block [full]\n\nA block.\n\nParameters:\n  block "), "{help}");
        assert_eq!(method_help(&document, "stop").unwrap(), "stop\n\n\n");
        assert_eq!(method_help(&document, "nothing"), None);
        assert_eq!(methods(&document).lines().count(), 2);
    }

    #[test]
    fn an_unspecified_address_is_asked_on_loopback() {
        assert_eq!(url(Listen("[::]:9480".parse().unwrap()), "/livez"), "http://[::1]:9480/livez");
    }
}
