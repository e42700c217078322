//! The blocks of the P-chain. Mirrors `vms/platformvm/block`.

use avalanche_codec::{CodecError, marshal, unmarshal, wire_enum, wire_struct};
use avalanche_ids::Id;

use crate::txs::Tx;

/// What every block has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    /// The parent block, or for the first block the hash of the genesis bytes.
    pub parent_id: Id,
    /// Distance from genesis.
    pub height: u64,
}
wire_struct!(Common { parent_id, height });

/// A block that decides nothing but what its children decide about its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApricotProposal {
    /// Parent and height.
    pub common: Common,
    /// What is proposed.
    pub tx: Tx,
}
wire_struct!(ApricotProposal { common, tx });

/// A child of a proposal: for or against it, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApricotOption {
    /// Parent and height.
    pub common: Common,
}
wire_struct!(ApricotOption { common });

/// A block of transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApricotStandard {
    /// Parent and height.
    pub common: Common,
    /// In order.
    pub txs: Vec<Tx>,
}
wire_struct!(ApricotStandard { common, txs });

/// A block with one import or export, before Apricot phase 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApricotAtomic {
    /// Parent and height.
    pub common: Common,
    /// The transaction.
    pub tx: Tx,
}
wire_struct!(ApricotAtomic { common, tx });

/// A proposal with a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanffProposal {
    /// Unix time in seconds.
    pub time: u64,
    /// Decided whatever becomes of the proposal.
    pub txs: Vec<Tx>,
    /// The proposal.
    pub proposal: ApricotProposal,
}
wire_struct!(BanffProposal { time, txs, proposal });

/// An option with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanffOption {
    /// Unix time in seconds: its parent's.
    pub time: u64,
    /// Parent and height.
    pub common: Common,
}
wire_struct!(BanffOption { time, common });

/// A block of transactions with a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanffStandard {
    /// Unix time in seconds.
    pub time: u64,
    /// Parent and height.
    pub common: Common,
    /// In order.
    pub txs: Vec<Tx>,
}
wire_struct!(BanffStandard { time, common, txs });

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Proposal before Banff.
    ApricotProposal(Box<ApricotProposal>),
    /// Against a proposal, before Banff.
    ApricotAbort(ApricotOption),
    /// For a proposal, before Banff; also the genesis block.
    ApricotCommit(ApricotOption),
    /// Transactions before Banff.
    ApricotStandard(ApricotStandard),
    /// One atomic transaction, before Apricot phase 5.
    ApricotAtomic(Box<ApricotAtomic>),
    /// Proposal.
    BanffProposal(Box<BanffProposal>),
    /// Against a proposal.
    BanffAbort(BanffOption),
    /// For a proposal.
    BanffCommit(BanffOption),
    /// Transactions.
    BanffStandard(BanffStandard),
}
wire_enum!(Block {
    0 => ApricotProposal,
    1 => ApricotAbort,
    2 => ApricotCommit,
    3 => ApricotStandard,
    4 => ApricotAtomic,
    29 => BanffProposal,
    30 => BanffAbort,
    31 => BanffCommit,
    32 => BanffStandard,
});

impl Block {
    /// Reads a block of at most 256 KiB.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        unmarshal(bytes)
    }

    /// The first block above a genesis.
    #[must_use]
    pub const fn genesis(genesis_id: Id) -> Self {
        Self::ApricotCommit(ApricotOption { common: Common { parent_id: genesis_id, height: 0 } })
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

    /// Parent and height.
    #[must_use]
    pub const fn common(&self) -> &Common {
        match self {
            Self::ApricotProposal(block) => &block.common,
            Self::ApricotAbort(block) | Self::ApricotCommit(block) => &block.common,
            Self::ApricotStandard(block) => &block.common,
            Self::ApricotAtomic(block) => &block.common,
            Self::BanffProposal(block) => &block.proposal.common,
            Self::BanffAbort(block) | Self::BanffCommit(block) => &block.common,
            Self::BanffStandard(block) => &block.common,
        }
    }

    /// The time of a block since Banff, Unix seconds.
    #[must_use]
    pub const fn time(&self) -> Option<u64> {
        match self {
            Self::BanffProposal(block) => Some(block.time),
            Self::BanffAbort(block) | Self::BanffCommit(block) => Some(block.time),
            Self::BanffStandard(block) => Some(block.time),
            _ => None,
        }
    }

    /// The transactions, the proposed one last.
    pub fn txs(&self) -> impl Iterator<Item = &Tx> {
        let (many, one): (&[Tx], Option<&Tx>) = match self {
            Self::ApricotProposal(block) => (&[], Some(&block.tx)),
            Self::ApricotAtomic(block) => (&[], Some(&block.tx)),
            Self::BanffProposal(block) => (&block.txs, Some(&block.proposal.tx)),
            Self::ApricotStandard(block) => (&block.txs, None),
            Self::BanffStandard(block) => (&block.txs, None),
            Self::ApricotAbort(_) | Self::ApricotCommit(_) | Self::BanffAbort(_) | Self::BanffCommit(_) => {
                (&[], None)
            }
        };
        many.iter().chain(one)
    }
}
