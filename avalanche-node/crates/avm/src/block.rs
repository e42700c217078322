//! The blocks of the X-chain since its DAG was linearized. Mirrors `vms/avm/block`.

use avalanche_codec::{CodecError, marshal, unmarshal, wire_enum, wire_struct};
use avalanche_ids::Id;

use crate::txs::Tx;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// The only kind.
    Standard(StandardBlock),
}
wire_enum!(Block { 20 => Standard });

/// Transactions at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardBlock {
    /// The parent block, or for the first one the stop vertex.
    pub parent_id: Id,
    /// Distance from the first block.
    pub height: u64,
    /// Unix time in seconds.
    pub time: u64,
    /// Zero when valid.
    pub merkle_root: Id,
    /// In order.
    pub txs: Vec<Tx>,
}
wire_struct!(StandardBlock { parent_id, height, time, merkle_root, txs });

impl Block {
    /// Reads a block of at most 256 KiB.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        unmarshal(bytes)
    }

    /// The first block: above the stop vertex, at the time of Cortina.
    #[must_use]
    pub const fn genesis(stop_vertex: Id, cortina_time: u64) -> Self {
        Self::Standard(StandardBlock {
            parent_id: stop_vertex,
            height: 0,
            time: cortina_time,
            merkle_root: Id::EMPTY,
            txs: Vec::new(),
        })
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }

    /// The hash of the encoding.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::hash_of(&self.bytes())
    }
}
