//! JSON-RPC and WebSocket: the chain, transactions, accounts, validators and the node as its users ask for them. Numbers
//! are decimal strings, bytes `0x` hexadecimal. Envelope, limits and HTTP are the shared frame's.

mod account;
mod chain;
mod node;
mod params;
mod subscribe;
mod tx;
mod validator;

use std::sync::Arc;

use serde_json::{Value, json};
use shared_vendor::rpc::{Dialect, Error, Methods};
use tokio::sync::{broadcast, oneshot};

use crate::{
    consensus::chain::{Chain, Event},
    mempool::{Mempool, Refusal},
    storage::SqliteDatabase,
    types::{
        primitives::{Root, Slot},
        transaction::Tx,
    },
};

/// What a question may look at.
pub struct View<'a> {
    /// The chain.
    pub chain: &'a mut Chain<SqliteDatabase>,
    /// Transactions that wait.
    pub mempool: &'a Mempool,
    /// The slot that the node works towards, while it is behind.
    pub syncing: Option<Slot>,
    /// Number of peers.
    pub peers: usize,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLine {
    /// Its id.
    pub id: String,
    /// Number it has in logs.
    pub number: u64,
    /// Where it is.
    pub address: String,
    /// Whether it called us.
    pub inbound: bool,
    /// Its program.
    pub agent: String,
}

/// The running node, as methods see it.
pub trait Backend: Send + Sync {
    /// Runs a question between two steps of the node; false when too many wait.
    fn read(&self, question: Box<dyn FnOnce(&mut View<'_>) + Send>) -> bool;
    /// Offers transactions to the pool.
    fn submit(&self, txs: Vec<Tx>) -> oneshot::Receiver<Vec<Result<Root, Refusal>>>;
    /// Connected peers.
    fn peers(&self) -> oneshot::Receiver<Vec<PeerLine>>;
    /// Our id on the network.
    fn id(&self) -> String;
    /// Unix milliseconds.
    fn now_ms(&self) -> u64;
    /// What happens to the chain from now on.
    fn subscribe(&self) -> broadcast::Receiver<Event>;
    /// Bans a peer by id, or lets it back.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn ban(&self, peer: &str, banned: bool) -> Result<(), String>;
    /// Stays connected to an address.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn connect(&self, address: &str) -> Result<(), String>;
}

/// What the methods read.
pub struct Context {
    /// The node.
    pub backend: Arc<dyn Backend>,
    /// Name and version of the program.
    pub version: String,
    /// Name of the network.
    pub network: String,
}

/// The table of methods.
#[must_use]
pub fn methods() -> Methods<Context> {
    let mut methods = Methods::new();
    node::add(&mut methods);
    chain::add(&mut methods);
    tx::add(&mut methods);
    account::add(&mut methods);
    validator::add(&mut methods);
    subscribe::add(&mut methods);
    methods
}

/// The chain's codes.
#[must_use]
pub fn dialect() -> Dialect {
    Dialect {
        forbidden: |_| Error::new(-32005, "this method needs credentials"),
        no_session: |_| Error::new(-32601, "only over a WebSocket"),
        lagging: || Some(json!({ "jsonrpc": "2.0", "method": "lagged", "params": {} })),
        ..Dialect::default()
    }
}

/// Asks the node and waits for what it says.
async fn ask<T: Send + 'static>(
    ctx: &Context,
    question: impl FnOnce(&mut View<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (answer, receiver) = oneshot::channel();
    let asked = ctx.backend.read(Box::new(move |view| {
        let _ = answer.send(question(view)); // who asked may be gone
    }));
    if !asked {
        return Err(busy());
    }
    receiver.await.map_err(|_| busy())?
}

fn busy() -> Error {
    Error::new(-32004, "the node is busy")
}

fn not_found(what: &str) -> Error {
    Error::new(-32001, format!("{what} not found"))
}

fn failed() -> Error {
    Error::internal("the database failed")
}

/// A number as text.
fn number(value: impl std::fmt::Display) -> Value {
    json!(value.to_string())
}

/// Bytes as text.
fn data(bytes: impl AsRef<[u8]>) -> Value {
    json!(format!("0x{}", shared_vendor::hex::encode(bytes)))
}
