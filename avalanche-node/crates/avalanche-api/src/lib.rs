//! The HTTP server of a node, as clients of avalanchego expect it: paths under `/ext`, JSON-RPC 2.0 with classes of
//! methods, numbers as texts, and the texts of errors that clients match on. Methods read the machines and hand them
//! transactions; they have no rules of their own. Mirrors `api/server` and the services of `api` and `vms`.

mod args;
mod avm_service;
mod balances;
mod format;
mod health;
mod info;
mod platform_service;
mod utxos;
mod validators;

use std::{net::SocketAddr, sync::Arc};

use avalanche_ids::{Id, NodeId};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;
use shared_vendor::{
    clock::{Clock, Wall},
    http::{self, Guard},
    metrics::Registry,
    rpc::{Dialect, Error, Limits, Methods, Server, Service},
};

pub use self::health::Checks;

/// A connected peer, as `info.peers` tells it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The peer.
    pub node: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Client and version, `avalanchego/1.14.2`.
    pub version: String,
    /// When it thinks the network upgrades, Unix seconds.
    pub upgrade_time: u64,
    /// When we last heard of it.
    pub heard: Wall,
    /// Our uptime as it sees it, in percent.
    pub observed_uptime: u32,
    /// Subnets it tracks.
    pub subnets: Vec<Id>,
    /// Chains on which it is not asked.
    pub benched: Vec<String>,
}

/// What the server asks of the node.
pub trait Node: Send + Sync {
    /// Connected peers.
    fn peers(&self) -> Vec<Peer>;

    /// True when the chain is in consensus, false when not yet; None for a chain that is not here.
    fn is_bootstrapped(&self, chain: Id) -> Option<bool>;

    /// True when the peer is connected.
    fn is_connected(&self, node: NodeId) -> bool;

    /// How it is.
    fn checks(&self) -> Checks;
}

/// What stays as it is.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The network.
    pub network_id: u32,
    /// Its name.
    pub network_name: String,
    /// Human-readable part of addresses.
    pub hrp: &'static str,
    /// This node.
    pub node: NodeId,
    /// Its BLS key.
    pub public_key: [u8; 48],
    /// The proof that it has it.
    pub proof_of_possession: [u8; 96],
    /// Where peers reach it.
    pub address: SocketAddr,
    /// The C-chain, which this node knows and does not run.
    pub c_chain: Option<Id>,
    /// Version of this program.
    pub version: &'static str,
}

/// What methods work on.
pub struct Context {
    /// What does not change.
    pub facts: Facts,
    /// The P-chain.
    pub platform: platformvm::vm::PlatformVm,
    /// The X-chain.
    pub avm: avm::vm::Avm,
    /// The node.
    pub node: Arc<dyn Node>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Context {
    /// The chain that a text names: an alias or an id.
    fn chain(&self, text: &str) -> Option<Id> {
        match text {
            "P" | "platform" => Some(Id::EMPTY),
            "X" | "avm" => Some(self.avm.config().chain_id),
            "C" | "evm" => self.facts.c_chain,
            other => other.parse().ok(),
        }
    }
}

/// Which classes are served.
#[derive(Debug, Clone, Copy)]
pub struct Enabled {
    /// `/ext/info`.
    pub info: bool,
    /// `/ext/health`.
    pub health: bool,
    /// `/ext/metrics`.
    pub metrics: bool,
}

/// An error as the reference writes it.
fn failure(text: impl Into<String>) -> Error {
    Error::new(-32000, text).with_data(Value::Null)
}

/// Error codes and texts of the reference's JSON-RPC server.
fn dialect() -> Dialect {
    Dialect {
        parse_error: || Error::new(-32700, "invalid JSON").with_data(Value::Null),
        invalid_request: || Error::new(-32600, "jsonrpc must be 2.0").with_data(Value::Null),
        method_not_found: |method| {
            let mut parts = method.splitn(2, '.');
            let (class, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                return failure("method must start with a non-uppercase letter");
            }
            let mut letters = name.chars();
            let upper: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            let called: String =
                format!("{class}.{upper}{}", letters.as_str()).escape_debug().take(96).collect();
            let kind =
                if matches!(class, "platform" | "avm" | "info" | "health") { "method" } else { "service" };
            failure(format!("rpc: can't find {kind} \"{called}\""))
        },
        ..Dialect::default()
    }
}

/// All methods.
#[must_use]
pub fn methods() -> Methods<Context> {
    let mut methods = Methods::new();
    info::add(&mut methods);
    health::add(&mut methods);
    platform_service::add(&mut methods);
    avm_service::add(&mut methods);
    methods
}

/// The router of the server. `metrics` are served as they are.
pub fn router(context: Arc<Context>, enabled: Enabled, guard: Guard, registry: &Registry) -> Router {
    let mut paths = Vec::new();
    let (x, p) = (context.avm.config().chain_id, Id::EMPTY);
    for chain in ["P", "platform", "X", "avm"] {
        paths.extend([format!("/ext/bc/{chain}"), format!("/ext/{chain}")]);
    }
    paths.extend([format!("/ext/bc/{p}"), format!("/ext/bc/{x}")]);
    if enabled.info {
        paths.push("/ext/info".to_owned());
    }
    let limits = http::Limits::default();
    let service = Service::new(
        methods(),
        Arc::clone(&context),
        dialect(),
        Limits { depth: 64, ..Limits::default() },
        registry,
    );
    let mut names: Vec<&str> = paths.iter().map(String::as_str).collect();
    if enabled.health {
        names.push("/ext/health");
    }
    let mut router = Server { service, guard, http: limits }.router(&names);
    if enabled.health {
        for path in ["/ext/health", "/ext/health/health", "/ext/health/readiness", "/ext/health/liveness"] {
            router = router.route(path, get(health::page).with_state(Arc::clone(&context)));
        }
    }
    if enabled.metrics {
        let registry = registry.clone();
        let page = move || async move {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], registry.encode())
        };
        router = router.route("/ext/metrics", get(page));
    }
    router
        .layer(middleware::from_fn_with_state(context, only_bootstrapped))
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
}

/// Calls of a chain that is not in consensus are refused.
async fn only_bootstrapped(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let chain = path.strip_prefix("/ext/bc/").or_else(|| path.strip_prefix("/ext/"));
    let chain = chain.and_then(|name| context.chain(name));
    if chain.is_some_and(|chain| context.node.is_bootstrapped(chain) != Some(true)) {
        let text = "API call rejected because chain is not done bootstrapping\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    next.run(request).await
}
