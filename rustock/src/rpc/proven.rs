//! What an upstream node says about transactions and receipts, proven before anybody hears it: a transaction by the
//! verified body of a block of the best chain, a receipt by trie nodes up to the receipts root of its header, all receipts
//! of a block by the root of their trie. That something does not exist cannot be proven; then the answer is null.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use shared_vendor::{
    hex,
    metrics::{Counter, Labelled},
    rpc::Error,
};

use super::{
    Block, Context, data, no_body, not_available,
    upstream::{Upstream, UpstreamError},
};
use crate::{
    codec::{header::EMPTY_TRIE_ROOT, keccak::keccak256, receipt::Receipt, unitrie::list_root},
    types::{BlockHash, BlockNumber, Hash32, Header},
    verify::{Body, receipt::verify_receipt},
};

/// Blocks whose receipts are kept.
const KEPT: usize = 64;
/// Nodes of a receipt's proof are small; a longer list of them is no proof.
const MOST_NODES: usize = 80;

/// The upstream node, what it has proven, and how often it did.
pub struct Prover {
    upstream: Arc<dyn Upstream>,
    answers: Labelled<Counter>,
    kept: Mutex<VecDeque<(BlockHash, Arc<Vec<Receipt>>)>>,
}

impl Prover {
    /// `answers` counts by outcome: `proven`, `refused`, `failed`.
    #[must_use]
    pub fn new(upstream: Arc<dyn Upstream>, answers: Labelled<Counter>) -> Self {
        Self { upstream, answers, kept: Mutex::default() }
    }

    async fn ask(&self, calls: Vec<(&'static str, Value)>) -> Result<Vec<Value>, Error> {
        let upstream = Arc::clone(&self.upstream);
        let answers = tokio::task::spawn_blocking(move || upstream.ask(&calls)).await;
        answers.unwrap_or(Err(UpstreamError::Malformed)).map_err(|err| {
            self.answers.with(&["failed"]).inc();
            tracing::debug!(target: "rpc", error = %err, "upstream");
            Error::new(-32000, err.to_string())
        })
    }

    fn proven<T>(&self, value: T) -> Result<T, Error> {
        self.answers.with(&["proven"]).inc();
        Ok(value)
    }

    fn refuse<T>(&self, what: &'static str, why: &str) -> Result<T, Error> {
        self.answers.with(&["refused"]).inc();
        tracing::warn!(target: "rpc", what, why, "an answer of the upstream node is not proven");
        Err(Error::new(-32000, format!("the upstream node's {what} is not proven by the header: {why}")))
    }
}

/// A transaction in a block of the best chain.
pub(super) struct Located {
    pub(super) block: Block,
    pub(super) body: Arc<Body>,
    pub(super) index: usize,
}

impl Located {
    pub(super) fn raw(&self) -> &[u8] {
        self.body.transactions.get(self.index).map(AsRef::as_ref).unwrap_or_default()
    }
}

/// A proven receipt as it is encoded, and the nodes that prove it, leaf first.
pub(super) struct Proof {
    pub(super) raw: Vec<u8>,
    pub(super) nodes: Vec<Vec<u8>>,
}

impl Context {
    fn prover(&self, method: &str) -> Result<&Prover, Error> {
        self.prover.as_ref().ok_or_else(|| {
            not_available(
                method,
                "a light client proves what a full node tells it: name one with rpc.upstream",
            )
        })
    }

    /// Where a transaction is in the best chain; `None` when the upstream node does not know it, or names a block that is
    /// not on our best chain (yet).
    pub(super) async fn locate(
        self: &Arc<Self>,
        method: &str,
        hash: Hash32,
    ) -> Result<Option<Located>, Error> {
        let prover = self.prover(method)?;
        let answers = prover.ask(vec![("eth_getTransactionByHash", json!([data(&hash.0)]))]).await?;
        let answer = answers.first().unwrap_or(&Value::Null);
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let Some(block) = text("blockHash").and_then(|text| text.parse::<BlockHash>().ok()) else {
            return Ok(None);
        };
        let Some(block) = self.blocking(move |ctx| ctx.on_best_chain(&block)).await? else { return Ok(None) };
        let index = text("transactionIndex").and_then(|text| text.strip_prefix("0x"));
        let index = index.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let body = self.body(&block.header).await.ok_or_else(no_body)?;
        let index = index
            .filter(|index| body.transactions.get(*index).is_some_and(|raw| keccak256(&[raw]) == hash.0));
        match index {
            Some(index) => prover.proven(Some(Located { block, body, index })),
            None => prover.refuse("place of the transaction", "another transaction is there"),
        }
    }

    /// The receipt of a transaction and its proof.
    pub(super) async fn proof(&self, method: &str, at: &Located) -> Result<Proof, Error> {
        let prover = self.prover(method)?;
        let hash = data(&keccak256(&[at.raw()]));
        let block = data(at.block.header.hash().as_bytes());
        let answers = prover
            .ask(vec![
                ("rsk_getRawTransactionReceiptByHash", json!([hash])),
                ("rsk_getTransactionReceiptNodesByHash", json!([block, hash])),
            ])
            .await?;
        let (receipt, nodes) = (answers.first(), answers.get(1).and_then(Value::as_array));
        let nodes: Option<Vec<Vec<u8>>> = nodes
            .filter(|nodes| nodes.len() <= MOST_NODES)
            .and_then(|nodes| nodes.iter().map(bytes).collect());
        let (Some(raw), Some(nodes)) = (receipt.and_then(bytes), nodes) else {
            return prover.refuse("receipt", "it has none");
        };
        let index = u64::try_from(at.index).unwrap_or(u64::MAX);
        let root = at.block.header.receipts_root().try_into();
        let root = root.map_err(|_| Error::internal("a header has a receipts root of 32 bytes"))?;
        match verify_receipt(root, index, &raw, &nodes) {
            Ok(()) => prover.proven(Proof { raw, nodes }),
            Err(err) => prover.refuse("receipt", &err.to_string()),
        }
    }

    /// All receipts of a block.
    pub(super) async fn receipts(
        &self,
        method: &str,
        header: &Header,
        body: &Body,
    ) -> Result<Arc<Vec<Receipt>>, Error> {
        if header.receipts_root() == EMPTY_TRIE_ROOT {
            return Ok(Arc::default());
        }
        let prover = self.prover(method)?;
        let hash = header.hash();
        if let Some((_, kept)) = prover.kept.lock().iter().find(|(kept, _)| *kept == hash) {
            return Ok(Arc::clone(kept));
        }
        let call =
            |raw: &bytes::Bytes| ("rsk_getRawTransactionReceiptByHash", json!([data(&keccak256(&[raw]))]));
        let answers = prover.ask(body.transactions.iter().map(call).collect()).await?;
        let raw: Option<Vec<Vec<u8>>> = answers.iter().map(bytes).collect();
        let Some(raw) = raw.filter(|raw| list_root(raw) == header.receipts_root()) else {
            return prover.refuse("receipts", "they do not hash to its root");
        };
        let receipts: Result<Vec<_>, _> = raw.iter().map(|raw| Receipt::decode(raw)).collect();
        let Ok(receipts) = receipts else { return prover.refuse("receipts", "one cannot be read") };
        let receipts = Arc::new(receipts);
        let mut kept = prover.kept.lock();
        kept.push_back((hash, Arc::clone(&receipts)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        drop(kept);
        prover.proven(receipts)
    }

    pub(super) fn on_best_chain(&self, hash: &BlockHash) -> Option<Block> {
        let block = self.blocks.by_hash(hash)?;
        let there = self.blocks.by_number(block.header.number())?;
        (there.header.hash() == *hash).then_some(block)
    }

    /// Reads the store away from the tasks of the network.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let ctx = Arc::clone(self);
        tokio::task::spawn_blocking(move || read(&ctx)).await.map_err(|_| Error::internal("internal error"))
    }

    /// Height of the best block.
    pub(super) fn height(&self) -> BlockNumber {
        self.blocks.best().map(|best| best.header.number()).unwrap_or_default()
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    hex::decode(value.as_str()?).ok()
}
