//! Signing domains: what a signature is bound to besides its message. Mirrors `compute_domain`,
//! `compute_fork_data_root` and `compute_signing_root` of `specs/phase0/beacon-chain.md`.

use super::{
    codec::container,
    primitives::{ForkVersion, Root},
    ssz::TreeHash,
};

/// Kinds of signed messages. The last byte of this chain's own kinds is 1, which the reference reserves for
/// applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainType {
    /// Block headers.
    Proposer,
    /// Votes.
    Attester,
    /// Randomness reveals.
    Randao,
    /// Proofs of possession.
    Deposit,
    /// Voluntary exits.
    Exit,
    /// Finality votes.
    FinalityVote,
    /// Transactions.
    Transaction,
    /// Node records.
    NodeRecord,
}

impl DomainType {
    /// The four bytes in front of the domain.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        match self {
            Self::Proposer => [0, 0, 0, 0],
            Self::Attester => [1, 0, 0, 0],
            Self::Randao => [2, 0, 0, 0],
            Self::Deposit => [3, 0, 0, 0],
            Self::Exit => [4, 0, 0, 0],
            Self::FinalityVote => [0, 0, 1, 1],
            Self::Transaction => [0, 0, 2, 1],
            Self::NodeRecord => [0, 0, 3, 1],
        }
    }
}

container! {
    /// What distinguishes chains and their rule versions.
    #[derive(Copy)]
    rooted struct ForkData {
        /// Version in force.
        current_version: ForkVersion,
        /// Root of the genesis validator list.
        genesis_validators_root: Root,
    }
}

impl ForkData {
    /// First four bytes of the root: names the network in topics and handshakes.
    #[must_use]
    pub fn digest(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.tree_root();
        [a, b, c, d]
    }
}

container! {
    /// A message root bound to its domain.
    #[derive(Copy)]
    rooted struct SigningData {
        /// Root of the message.
        object_root: Root,
        /// Its domain.
        domain: [u8; 32],
    }
}

/// The domain of a kind of message under a fork version of a chain.
#[must_use]
pub fn domain(kind: [u8; 4], version: ForkVersion, genesis_validators_root: Root) -> [u8; 32] {
    let fork_root = ForkData { current_version: version, genesis_validators_root }.tree_root();
    let mut domain = [0; 32];
    for (to, from) in domain.iter_mut().zip(kind.iter().chain(&fork_root)) {
        *to = *from;
    }
    domain
}

/// The 32 bytes that are signed for a message.
#[must_use]
pub fn signing_root<T: TreeHash>(message: &T, domain: [u8; 32]) -> Root {
    Root(SigningData { object_root: Root(message.tree_root()), domain }.tree_root())
}
