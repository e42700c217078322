//! The HTTP server of a node, as clients of avalanchego expect it: paths under `/ext`, JSON-RPC 2.0 with classes of
//! methods, numbers as texts, and the texts of errors that clients match on. Methods read the machines and hand them
//! transactions; they have no rules of their own. Mirrors `api/server` and the services of `api` and `vms`.

mod admin;
mod aliases;
mod args;
mod avm_service;
mod balances;
mod blocks;
mod format;
mod health;
pub mod index;
mod info;
pub mod metrics;
mod objects;
mod platform_service;
mod proposer;
mod utxos;
mod validators;

use std::{net::SocketAddr, sync::Arc};

use avalanche_ids::{Id, NodeId};
use avalanche_vm::index::Index;
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use proposervm::epoch::Epoch;
use serde_json::Value;
use shared_vendor::{
    clock::{Clock, Wall},
    http::{self, Guard},
    metrics::Registry,
    rpc::{Dialect, Error, Limits, Methods, ParamDoc, Params, Server, Service, Spec},
};

use self::args::Args;
pub use self::{admin::Operator, aliases::Aliases, health::Checks, metrics::ChainAtWork};

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

    /// The P-chain height and the epoch that the next block of a chain would state.
    ///
    /// # Errors
    /// The chain is not here, or its store failed.
    fn proposal(&self, chain: Id) -> Result<(u64, Epoch), String>;

    /// How it is.
    fn checks(&self) -> Checks;

    /// The chains that were started.
    fn chains(&self) -> Vec<ChainAtWork>;
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
    /// Other names of chains and paths.
    pub aliases: Aliases,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Context {
    /// The chain of an alias; the ids of the node's chains are aliases of themselves.
    fn alias(&self, text: &str) -> Option<Id> {
        let chains = [(Id::EMPTY, ["P", "platform"]), (self.avm.config().chain_id, ["X", "avm"])];
        let c_chain = self.facts.c_chain.map(|chain| (chain, ["C", "evm"]));
        let id = text.parse().ok();
        let known = chains.into_iter().chain(c_chain);
        let found = known.into_iter().find(|(chain, names)| names.contains(&text) || id == Some(*chain));
        found.map(|(chain, _)| chain).or_else(|| self.aliases.chain(text))
    }

    /// The chain that a text names: an alias or an id.
    fn chain(&self, text: &str) -> Option<Id> {
        self.alias(text).or_else(|| text.parse().ok())
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

/// What is served beside the chains where operators want it.
#[derive(Default)]
pub struct Extras {
    /// `/ext/admin`.
    pub admin: Option<Arc<dyn Operator>>,
    /// `/ext/index/...`, by the rest of the path: `P/block`.
    pub indexes: Vec<(&'static str, Arc<Index>)>,
}

impl std::fmt::Debug for Extras {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extras").field("indexes", &self.indexes).finish_non_exhaustive()
    }
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
            let Some((class, name)) = method.split_once('.') else {
                let called: String = method.escape_debug().take(96).collect();
                return failure(format!("rpc: service/method request ill-formed: \"{called}\""));
            };
            if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                return failure("method must start with a non-uppercase letter");
            }
            let mut letters = name.chars();
            let upper: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            let called: String =
                format!("{class}.{upper}{}", letters.as_str()).escape_debug().take(96).collect();
            let classes = ["platform", "avm", "info", "health", "admin", "index", "proposervm"];
            let kind = if classes.contains(&class) { "method" } else { "service" };
            failure(format!("rpc: can't find {kind} \"{called}\""))
        },
        ..Dialect::default()
    }
}

/// All methods but those of the index, which has a list for each path, and of the wrappers of chains. Those of operators are
/// there when an operator is given.
#[must_use]
pub fn methods(operator: Option<&Arc<dyn Operator>>) -> Methods<Context> {
    let mut methods = Methods::new();
    info::add(&mut methods);
    health::add(&mut methods);
    platform_service::add(&mut methods);
    avm_service::add(&mut methods);
    if let Some(operator) = operator {
        admin::add(&mut methods, operator);
    }
    methods
}

/// A method: its name, what it is for, its arguments, and what it does.
type Row = (&'static str, &'static str, &'static [ParamDoc], fn(&Context, &Args<'_>) -> Result<Value, Error>);

/// Methods that read a row or two: to go to another thread and back would take longer than what they do.
const QUICK: [&str; 10] = [
    "getBlock",
    "getBlockByHeight",
    "getFeeConfig",
    "getFeeState",
    "getHeight",
    "getTimestamp",
    "getTx",
    "getTxStatus",
    "getValidatorFeeConfig",
    "getValidatorFeeState",
];

/// Adds methods that read the machines or hand them something; on the blocking pool but for the quick ones.
fn add_all(methods: &mut Methods<Context>, table: impl IntoIterator<Item = Row>) {
    for (name, help, docs, run) in table {
        let spec = Spec::open(name, help, docs);
        let call = move |context: &Context, params: &Params| run(context, &Args::new(params, docs));
        if name.split_once('.').is_some_and(|(_, name)| QUICK.contains(&name)) {
            methods.add(spec, call);
        } else {
            methods.add_blocking(spec, call);
        }
    }
}

/// Makes servers that are alike but for their methods.
struct Servers {
    guard: Guard,
}

impl Servers {
    fn server<C: Send + Sync + 'static>(
        &self,
        methods: Methods<C>,
        context: Arc<C>,
        registry: &Registry,
    ) -> Server<C> {
        let limits = Limits { depth: 64, ..Limits::default() };
        let service = Service::new(methods, context, dialect(), limits, registry);
        Server { service, guard: self.guard.clone(), http: http::Limits::default() }
    }

    /// A server whose calls are not counted: names of metrics are registered once.
    fn uncounted<C: Send + Sync + 'static>(&self, methods: Methods<C>, context: Arc<C>) -> Server<C> {
        self.server(methods, context, &Registry::new("uncounted"))
    }
}

/// The router of the server. The metrics of `registry` are served as they are, beside those under the reference's names.
pub fn router(
    context: Arc<Context>,
    enabled: Enabled,
    extras: Extras,
    guard: Guard,
    registry: &Registry,
) -> Router {
    let servers = Servers { guard };
    let mut paths = vec!["/ext/bc/P", "/ext/bc/X"];
    for (path, is_served) in
        [("/ext/info", enabled.info), ("/ext/health", enabled.health), ("/ext/admin", extras.admin.is_some())]
    {
        paths.extend(is_served.then_some(path));
    }
    let methods = methods(extras.admin.as_ref());
    let mut router = servers.server(methods, Arc::clone(&context), registry).router(&paths);
    // The reference has none of this for a chain that once was a DAG.
    let proposer = servers.uncounted(proposer::methods(Id::EMPTY), Arc::clone(&context));
    router = router.merge(proposer.router(&["/ext/bc/P/proposervm"]));
    for (path, index) in extras.indexes {
        let server = servers.uncounted(index::methods(), index);
        router = router.merge(server.router(&[&format!("/ext/index/{path}")]));
    }
    if enabled.health {
        for path in ["/ext/health", "/ext/health/health", "/ext/health/readiness", "/ext/health/liveness"] {
            router = router.route(path, get(health::page).with_state(Arc::clone(&context)));
        }
    }
    if enabled.metrics {
        let (registry, context) = (registry.clone(), Arc::clone(&context));
        let page = move || async move {
            let text = registry.encode() + &metrics::page(&context);
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
        };
        router = router.route("/ext/metrics", get(page));
    }
    let router = router
        .layer(middleware::from_fn_with_state(Arc::clone(&context), only_bootstrapped))
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") });
    // Paths are replaced before they are looked up.
    Router::new().fallback_service(router).layer(middleware::from_fn_with_state(context, canonical))
}

/// Requests to other names of a path go where the path goes.
async fn canonical(State(context): State<Arc<Context>>, mut request: Request, next: Next) -> Response {
    let path = context.canonical(request.uri().path());
    if let Some(uri) = path.and_then(|path| path.parse::<Uri>().ok()) {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

/// Calls of a chain that is not in consensus are refused.
async fn only_bootstrapped(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().strip_prefix("/ext/bc/");
    let name = path.and_then(|path| path.split('/').next());
    let chain = name.and_then(|name| context.alias(name));
    if chain.is_some_and(|chain| context.node.is_bootstrapped(chain) != Some(true)) {
        let text = "API call rejected because chain is not done bootstrapping\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    next.run(request).await
}
