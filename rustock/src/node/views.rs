//! The chain as serving and RPC see it. A store that fails reads as a block that is not there; the writer reports it.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    chain::Chain,
    rpc::{Block, Blocks},
    sync::serve::View,
    types::{BlockHash, BlockNumber, Difficulty, Header},
};

pub(super) struct ChainView<'a>(pub(super) &'a Chain);

impl View for ChainView<'_> {
    fn best_number(&self) -> BlockNumber {
        self.0.tip().number
    }

    fn hash_at(&self, number: BlockNumber) -> Option<BlockHash> {
        self.0.hash_by_number(number).ok()?
    }

    fn header(&self, hash: &BlockHash) -> Option<(Bytes, BlockHash)> {
        let (header, _) = self.0.header_by_hash(hash).ok()??;
        Some((header.wire().clone(), header.parent_hash()))
    }
}

pub(super) struct ChainBlocks(pub(super) Arc<Chain>);

impl Blocks for ChainBlocks {
    fn best(&self) -> Option<Block> {
        self.by_hash(&self.0.tip().hash)
    }

    fn by_number(&self, number: BlockNumber) -> Option<Block> {
        self.0.header_by_number(number).ok()?.map(block)
    }

    fn by_hash(&self, hash: &BlockHash) -> Option<Block> {
        self.0.header_by_hash(hash).ok()?.map(block)
    }
}

fn block((header, total_difficulty): (Header, Difficulty)) -> Block {
    Block { header, total_difficulty }
}
