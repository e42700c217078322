//! Answers to what peers ask for: headers, blocks in three forms, transactions of compact blocks. Reads the chain, never
//! changes it. Mirrors `ProcessGetData`, `getheaders`, `getblocks` and `getblocktxn` of `src/main.cpp`.

use fluxd_chainstate::ChainState;
use fluxd_mempool::{Mempool, is_expiring_soon};
use fluxd_p2p::{
    Message,
    message::{
        Locator, MAX_COMPACT_HEADERS, MAX_HEADERS,
        compact::{BlockTransactions, BlockTransactionsRequest, CompactBlock, CompactHeader},
        filter::{Filter, MerkleBlock},
        inventory::{self, Inventory},
        version::COMPACT_VERSION,
    },
    peer::Input as PeerInput,
};
use fluxd_primitives::{Block, BlockHash, BlockHeader, TxId, transaction::Transaction};
use parking_lot::{Mutex, RwLock};

use super::network::Request;

/// Blocks named in answer to `getblocks`.
const MAX_BLOCK_NAMES: usize = 500;
/// Compact blocks are sent for blocks this near to the tip.
const COMPACT_DEPTH: u32 = 100;
/// Transactions of compact blocks are sent for blocks this near to the tip.
const TRANSACTIONS_DEPTH: u32 = 15;
/// Blocks beside the active chain are served while their headers are this young, seconds.
const STALE_AGE: u32 = 30 * 24 * 60 * 60;

/// Answers one request; runs on the blocking pool.
pub(super) fn answer(
    chain: &RwLock<ChainState>,
    mempool: &Mutex<Mempool>,
    request: &Request,
) -> Vec<Message> {
    match &request.message {
        // In its turn: whoever sent a ping has the answers to what came before it.
        Message::Pong(nonce) => vec![Message::Pong(*nonce)],
        Message::GetHeaders(locator) => {
            headers(&chain.read(), locator, request.version).into_iter().collect()
        }
        Message::GetBlocks(locator) => block_names(&chain.read(), locator).into_iter().collect(),
        Message::GetBlockTxn(wanted) => match transactions(&chain.read(), wanted) {
            Ok(found) => found.into_iter().collect(),
            Err(reason) => {
                let _ = request.commands.try_send(PeerInput::Misbehave(100, reason));
                Vec::new()
            }
        },
        Message::GetData(items) => {
            let next = chain.read().index().height().saturating_add(1);
            let pool = mempool.lock();
            let (mut found, mut missing) = (Vec::new(), Vec::new());
            for id in items.iter().filter_map(Inventory::as_tx) {
                match pool.get(&id) {
                    Some(entry) if is_expiring_soon(&entry.tx, next) => missing.push(id),
                    Some(entry) => found.push(Message::Tx(Box::new(Transaction::clone(&entry.tx)))),
                    None => missing.push(id),
                }
            }
            found.into_iter().chain(not_found(missing)).collect()
        }
        _ => Vec::new(),
    }
}

/// One block of a `getdata`; the caller sends it before it asks for the next, so that memory stays bounded.
pub(super) fn block(chain: &RwLock<ChainState>, item: &Inventory, request: &Request) -> Vec<Message> {
    block_as(&chain.read(), item, request.filter.lock().as_mut(), request.nonce)
}

/// `headers`, or `cmpheaders` where the peer takes them and the whole batch lies below the last known block.
fn headers(chain: &ChainState, locator: &Locator, version: i32) -> Option<Message> {
    let index = chain.index();
    let mut walk = if locator.have.is_empty() {
        Some(index.find(&locator.stop)?)
    } else {
        index.find_locator(&locator.have).and_then(|id| index.next_active(id))
    };
    let last_known = chain.params().checkpoints.iter().map(|(height, _)| *height).max().unwrap_or_default();
    let start = walk.map(|id| index.entry(id).height());
    let compact_end =
        start.map(|start| start.saturating_add(u32::try_from(MAX_COMPACT_HEADERS).unwrap_or(2000)));
    let compact = version >= COMPACT_VERSION && compact_end.is_some_and(|end| end <= last_known);
    let limit = if compact { MAX_COMPACT_HEADERS } else { MAX_HEADERS };
    let mut found: Vec<(BlockHeader, BlockHash)> = Vec::new();
    while let Some(id) = walk.filter(|_| found.len() < limit) {
        let hash = index.entry(id).hash();
        found.push((chain.row(id).ok()?.header, hash));
        walk = index.next_active(id).filter(|_| hash != locator.stop);
    }
    Some(if compact {
        Message::CmpHeaders(found.into_iter().map(|(header, hash)| CompactHeader::of(header, hash)).collect())
    } else {
        Message::Headers(found.into_iter().map(|(header, _)| header).collect())
    })
}

/// Names of the blocks behind a locator.
fn block_names(chain: &ChainState, locator: &Locator) -> Option<Message> {
    let index = chain.index();
    let mut walk = index.find_locator(&locator.have).and_then(|id| index.next_active(id));
    let mut names = Vec::new();
    while let Some(id) = walk.filter(|_| names.len() < MAX_BLOCK_NAMES) {
        let hash = index.entry(id).hash();
        if hash == locator.stop {
            break;
        }
        names.push(Inventory::block(hash));
        walk = index.next_active(id);
    }
    (!names.is_empty()).then_some(Message::Inv(names))
}

/// A block that a peer asks for, in the form it asks for; with a filtered one the transactions that match.
fn block_as(chain: &ChainState, item: &Inventory, filter: Option<&mut Filter>, nonce: u64) -> Vec<Message> {
    let Some(block) = item.as_block().and_then(|hash| servable(chain, &hash)) else { return Vec::new() };
    let (block, height) = block;
    match item.kind {
        inventory::FILTERED_BLOCK => {
            let Some(filter) = filter else { return Vec::new() };
            let mut matched = Vec::new();
            let merkle = MerkleBlock::new(&block, |id, tx| {
                let found = filter.matches(id, tx);
                if found {
                    matched.push(tx.clone());
                }
                found
            });
            let transactions = matched.into_iter().map(|tx| Message::Tx(Box::new(tx)));
            std::iter::once(Message::MerkleBlock(Box::new(merkle))).chain(transactions).collect()
        }
        inventory::COMPACT_BLOCK if height.saturating_add(COMPACT_DEPTH) >= chain.index().height() => {
            vec![Message::CmpctBlock(Box::new(CompactBlock::of(&block, nonce)))]
        }
        _ => vec![Message::Block(Box::new(block))],
    }
}

fn servable(chain: &ChainState, hash: &BlockHash) -> Option<(Block, u32)> {
    let index = chain.index();
    let id = index.find(hash)?;
    let entry = index.entry(id);
    if !index.is_active(id) {
        let best = index.entry(index.best_header());
        let young = best.time().saturating_sub(entry.time()) < STALE_AGE;
        if !(entry.was_connected() && young) {
            return None;
        }
    }
    let body = chain.body(id).ok()?;
    Some((body.block().clone(), entry.height()))
}

/// Transactions of a block by their places; `Err` for a place that does not exist.
fn transactions(
    chain: &ChainState,
    request: &BlockTransactionsRequest,
) -> Result<Option<Message>, &'static str> {
    let Some((block, height)) = servable(chain, &request.block) else { return Ok(None) };
    if height.saturating_add(TRANSACTIONS_DEPTH) < chain.index().height() {
        return Ok(None);
    }
    let picked: Option<Vec<Transaction>> =
        request.indexes.iter().map(|at| block.transactions.get(usize::from(*at)).cloned()).collect();
    let transactions = picked.ok_or("transaction index out of bounds")?;
    Ok(Some(Message::BlockTxn(BlockTransactions { block: request.block, transactions })))
}

/// What is not there.
fn not_found(ids: Vec<TxId>) -> Option<Message> {
    (!ids.is_empty()).then(|| Message::NotFound(ids.into_iter().map(Inventory::tx).collect()))
}
