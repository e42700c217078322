//! Answers to peers, within their quotas.

use shared_vendor::clock::Time;

use super::{Core, Effect, Handle};
use crate::{
    network::{
        request::{Answer, BlockChunk, Code, MAX_ANSWER_BYTES, Metadata, Request},
        score::Fault,
    },
    storage::{Database, StoreError, StoredBlock},
    sync::range::Peer,
    types::{
        codec::encode,
        primitives::{List, Slot},
    },
};

impl<D: Database> Core<D> {
    pub(super) fn on_request(
        &mut self,
        now: Time,
        peer: Peer,
        handle: Handle,
        request: &Request,
        out: &mut Vec<Effect>,
    ) {
        if !request.is_in_bounds() {
            out.push(Effect::Fault(peer, Fault::Invalid));
            out.push(Effect::Answer { handle, answer: Answer::Failed(Code::Invalid) });
            return;
        }
        if !self.limits.take(now, peer, request) {
            out.push(Effect::Fault(peer, Fault::Unreliable));
            out.push(Effect::Answer { handle, answer: Answer::Failed(Code::RateLimited) });
            return;
        }
        let answer = self.answer(request).unwrap_or(Answer::Failed(Code::ServerError));
        out.push(Effect::Answer { handle, answer });
        match request {
            Request::Status(status) => self.on_status(now, peer, status, out),
            Request::Goodbye(_) => self.gone(now, peer, out),
            _ => {}
        }
    }

    fn answer(&self, request: &Request) -> Result<Answer, StoreError> {
        Ok(match request {
            Request::Status(_) => Answer::Status(Box::new(self.status())),
            Request::Goodbye(_) => Answer::Bye,
            Request::Ping(_) => Answer::Pong(0),
            Request::Metadata => Answer::Metadata(Metadata::default()),
            Request::BlocksByRange { start_slot, count, with_txs } => {
                Answer::Blocks(self.blocks_in(*start_slot, *count, *with_txs)?)
            }
            Request::BlocksByRoot(roots) => {
                let mut blocks = Vec::new();
                for root in roots {
                    if let Some(stored) = self.chain.db().block(root)? {
                        blocks.push(chunk(&stored, true));
                    }
                }
                Answer::Blocks(blocks)
            }
            Request::TxsById(ids) => Answer::Txs(self.known_txs(ids)),
            Request::StateManifest(_)
            | Request::StateChunk { .. }
            | Request::ConsensusState(_) => Answer::Failed(Code::Unavailable),
            Request::FinalityCerts { from_epoch, count } => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                let certs = self.chain.finality().certs_from(*from_epoch).take(count);
                Answer::FinalityCerts(certs.map(encode).collect())
            }
        })
    }

    /// Blocks of the head's chain; fewer when they would be too many bytes.
    fn blocks_in(&self, start: Slot, count: u64, with_txs: bool) -> Result<Vec<BlockChunk>, StoreError> {
        let mut blocks = Vec::new();
        let mut bytes = 0usize;
        for slot in start..start.saturating_add(count) {
            let Some(root) = self.chain.db().canonical(slot)? else { continue };
            let Some(stored) = self.chain.db().block(&root)? else { continue };
            let block = chunk(&stored, with_txs);
            bytes = bytes.saturating_add(encode(&block).len());
            if bytes > MAX_ANSWER_BYTES && !blocks.is_empty() {
                break;
            }
            blocks.push(block);
        }
        Ok(blocks)
    }
}

fn chunk(stored: &StoredBlock, with_txs: bool) -> BlockChunk {
    let txs = if with_txs { List::new(stored.txs.clone()) } else { None };
    BlockChunk { block: stored.block.clone(), txs }
}
