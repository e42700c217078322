//! Answers to peers, within their quotas.

use shared_vendor::clock::Time;

use super::{Core, Effect, Handle};
use crate::{
    consensus::chain::{ChainError, checkpoint::StatePiece},
    network::{
        request::{Answer, BlockChunk, Code, MAX_ANSWER_BYTES, Manifest, Metadata, Request},
        score::Fault,
    },
    state::{app::Overlay, transition::slot::Application as _},
    storage::{Database, StoreError, StoredBlock},
    sync::range::Peer,
    types::{
        codec::encode,
        operation::Checkpoint,
        primitives::{List, Slot},
    },
};

/// Final states kept for peers: who began with one may finish with it.
const SERVED: usize = 4;

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
            Request::StateManifest(epoch) => self
                .served
                .iter()
                .find(|served| served.manifest.checkpoint.epoch == *epoch)
                .map_or(Answer::Failed(Code::Unavailable), |served| {
                    Answer::Manifest(Box::new(served.manifest.clone()))
                }),
            Request::ConsensusState(root) => {
                let of =
                    |served: &&Served<D::Snapshot>| served.manifest.block.header.header.state_root == *root;
                self.served.iter().find(of).map_or(Answer::Failed(Code::Unavailable), |served| {
                    Answer::ConsensusState(served.consensus.clone())
                })
            }
            Request::StateChunk { app_root, start, max_bytes } => {
                let max = usize::try_from(*max_bytes).unwrap_or(usize::MAX);
                let of = |served: &&Served<D::Snapshot>| served.manifest.app_root == *app_root;
                let Some(served) = self.served.iter().rev().find(of) else {
                    return Ok(Answer::Failed(Code::Unavailable));
                };
                match StatePiece::read(&served.snapshot, &start.0, max) {
                    Ok(piece) => Answer::StateChunk(Box::new(piece)),
                    Err(_) => Answer::Failed(Code::ServerError),
                }
            }
            Request::FinalityCerts { from_epoch, count } => {
                let count = u32::try_from(*count).unwrap_or(u32::MAX);
                let rows = self.chain.db().certificates(*from_epoch, count)?;
                Answer::FinalityCerts(rows.into_iter().map(|row| row.certificate).collect())
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

/// The state of a final checkpoint that peers may fetch.
#[derive(Debug)]
pub(super) struct Served<S> {
    manifest: Manifest,
    /// The encoded consensus state.
    consensus: Vec<u8>,
    snapshot: S,
}

impl<D: Database> Core<D> {
    /// Gives up states kept for peers when the database suffers from them; the next final one is kept again.
    pub(super) fn spare_database(&mut self) {
        if !self.served.is_empty() && self.chain.db().snapshots_are_costly() {
            self.served.clear();
        }
    }

    /// Keeps the newest final state for peers, as soon as the database holds it.
    pub(super) fn keep_state(&mut self, out: &mut Vec<Effect>) {
        let Some(checkpoint) = self.unserved else { return };
        match self.try_keep(checkpoint) {
            Ok(Some(served)) => {
                self.unserved = None;
                self.served.push_back(served);
                if self.served.len() > SERVED {
                    self.served.pop_front();
                }
            }
            Ok(None) => {}
            Err(error) => self.stop(error.into(), out),
        }
    }

    fn try_keep(&self, checkpoint: Checkpoint) -> Result<Option<Served<D::Snapshot>>, ChainError> {
        if self.chain.db().folded()? != Some(checkpoint.root) {
            return Ok(None);
        }
        let (block, state) = self.chain.folded()?;
        let snapshot = self.chain.db().snapshot()?;
        let Some(view) = self.chain.app(&checkpoint.root) else { return Ok(None) };
        let app_root = Overlay::new(&view).root();
        let consensus = encode(state.as_ref());
        let consensus_bytes = u64::try_from(consensus.len()).unwrap_or(u64::MAX);
        let manifest = Manifest { checkpoint, block, app_root, consensus_bytes };
        Ok(Some(Served { manifest, consensus, snapshot }))
    }
}

fn chunk(stored: &StoredBlock, with_txs: bool) -> BlockChunk {
    let txs = if with_txs { List::new(stored.txs.clone()) } else { None };
    BlockChunk { block: stored.block.clone(), txs }
}
