//! Items of `inv`, `getdata` and `notfound`. Mirrors `CInv` of `src/protocol.h`.

use fluxd_primitives::{
    BlockHash, DecodeError, Hash256, TxId,
    codec::{Codec, Reader, Writer},
};

/// A transaction.
pub const TX: u32 = 1;
/// A block.
pub const BLOCK: u32 = 2;
/// A block through the receiver's filter; only in `getdata`.
pub const FILTERED_BLOCK: u32 = 3;
/// A compact block; only in `getdata`. Not BIP152's 4, which the network had given to sporks.
pub const COMPACT_BLOCK: u32 = 11;

/// A thing that is offered or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inventory {
    /// What it is: [`TX`], [`BLOCK`], ...; 4 to 10 are reserved.
    pub kind: u32,
    /// Its id.
    pub hash: Hash256,
}

impl Inventory {
    /// A block.
    #[must_use]
    pub fn block(hash: BlockHash) -> Self {
        Self { kind: BLOCK, hash: Hash256(hash.0) }
    }

    /// A transaction.
    #[must_use]
    pub fn tx(id: TxId) -> Self {
        Self { kind: TX, hash: Hash256(id.0) }
    }

    /// The id, if it is a block in any form.
    #[must_use]
    pub fn as_block(&self) -> Option<BlockHash> {
        matches!(self.kind, BLOCK | FILTERED_BLOCK | COMPACT_BLOCK).then_some(BlockHash(self.hash.0))
    }

    /// The id, if it is a transaction.
    #[must_use]
    pub fn as_tx(&self) -> Option<TxId> {
        (self.kind == TX).then_some(TxId(self.hash.0))
    }
}

impl Codec for Inventory {
    const MIN_BYTES: usize = 36;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { kind: reader.u32_le()?, hash: Hash256::decode(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u32_le(self.kind);
        self.hash.encode(writer);
    }
}
