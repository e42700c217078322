//! What somebody outside of the network can check with one trusted block or set of signers: that a block is final, that an
//! account had a balance, that a transaction was in a block.

use super::finality::{CertError, SignerList, verify_cert};
use crate::{
    state::tree::proof::{Proof, ProofError},
    types::{
        block::{Body, MAX_TXS_PER_BLOCK},
        codec::container,
        operation::{BlockHeader, FinalityCert, FinalityVote},
        params::Config,
        primitives::{ForkVersion, List, Root},
        ssz::{Chunk, TreeHash, hash_pair, is_valid_branch, merkleize},
    },
};
use std::collections::BTreeSet;

/// Fields of a block body, and levels of the tree over them.
const BODY_FIELDS: usize = 10;
const BODY_DEPTH: usize = 4;
/// Place of the transaction ids among them.
const TX_IDS_FIELD: u64 = 9;
/// Levels of the tree over the ids, without the one that mixes in their number.
const TX_IDS_DEPTH: usize = 17;
/// Siblings from an id to the body root.
pub const TX_BRANCH: usize = TX_IDS_DEPTH + 1 + BODY_DEPTH;
/// Most bytes of a proven value.
pub const MAX_VALUE_BYTES: usize = 131_072;

container! {
    /// Proof of an entry of the application state, or of its absence, after a block.
    plain struct EntryProof {
        /// The block's header.
        header: BlockHeader,
        /// Root of the consensus state, the other half of the header's state root.
        consensus_root: Root,
        /// Root of the application state.
        app_root: Root,
        /// The value; none proves that there is none.
        value: Option<List<u8, MAX_VALUE_BYTES>>,
        /// From the entry to the application root.
        proof: Proof,
    }
}

container! {
    /// Proof that a transaction is in a block.
    plain struct TxProof {
        /// The block's header.
        header: BlockHeader,
        /// The transaction.
        tx_id: Root,
        /// Its place.
        position: u64,
        /// Siblings from the id up to the body root.
        branch: List<Root, TX_BRANCH>,
    }
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// The header is not that of the trusted block.
    #[error("header is not that of the trusted block")]
    Header,
    /// The two roots are not the halves of the header's state root.
    #[error("roots are not those of the header")]
    StateRoot,
    /// The entry is not in the application state.
    #[error("entry is not proven")]
    Entry(#[from] ProofError),
    /// The branch does not lead to the body root.
    #[error("transaction is not proven")]
    Transaction,
    /// A header is not that of the block before it.
    #[error("headers do not link")]
    Link,
}

/// The root that `headers` lead to from a trusted block: the first is that block's, each other that of the parent of the one
/// before, and the result is the parent of the last. Without any, it is the trusted block itself.
///
/// # Errors
/// A header is another block's.
pub fn ancestor(trusted: &Root, headers: &[BlockHeader]) -> Result<Root, LightError> {
    headers.iter().try_fold(*trusted, |root, header| {
        if header.tree_root() == root.0 { Ok(header.parent_root) } else { Err(LightError::Link) }
    })
}

/// What somebody trusts who follows the chain by its certificates: sets of signers and final blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    version: ForkVersion,
    genesis_validators_root: Root,
    limit: usize,
    signers: BTreeSet<Root>,
    last: Option<FinalityVote>,
}

/// Why a certificate does not extend a trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Nothing that is trusted names its signers.
    #[error("signers are not trusted")]
    Signers,
    /// It proves nothing.
    #[error("certificate proves nothing")]
    Cert(#[from] CertError),
}

impl Trust {
    /// Trust in one set of signers of a chain, such as the one that genesis commits to.
    #[must_use]
    pub fn in_signers(config: &Config, genesis_validators_root: Root, signers: Root) -> Self {
        Self {
            version: config.genesis_fork_version,
            genesis_validators_root,
            limit: usize::try_from(config.params.validator_registry_limit).unwrap_or(usize::MAX),
            signers: BTreeSet::from([signers]),
            last: None,
        }
    }

    /// Follows one certificate, made by a set that is trusted.
    ///
    /// # Errors
    /// Why not; the trust is then as before.
    pub fn follow(&mut self, cert: &FinalityCert, signers: &SignerList) -> Result<(), FollowError> {
        if !self.signers.contains(&signers.root(self.limit)) {
            return Err(FollowError::Signers);
        }
        verify_cert(cert, signers, self.version, self.genesis_validators_root)?;
        self.signers.insert(cert.vote.next_set_root);
        if self.last.is_none_or(|last| last.epoch < cert.vote.epoch) {
            self.last = Some(cert.vote);
        }
        Ok(())
    }

    /// The youngest checkpoint that was certified.
    #[must_use]
    pub const fn last(&self) -> Option<&FinalityVote> {
        self.last.as_ref()
    }
}

impl EntryProof {
    /// Checks that `key` has the proof's value (or none) after the block with this root.
    ///
    /// # Errors
    /// What the proof lacks.
    pub fn verify(&self, trusted: &Root, key: &[u8]) -> Result<(), LightError> {
        if self.header.tree_root() != trusted.0 {
            return Err(LightError::Header);
        }
        if hash_pair(&self.consensus_root.0, &self.app_root.0) != self.header.state_root.0 {
            return Err(LightError::StateRoot);
        }
        Ok(self.proof.verify(&self.app_root.0, key, self.value.as_deref())?)
    }

    /// As [`EntryProof::verify`] for the block of a certificate, which was checked before.
    ///
    /// # Errors
    /// What the proof lacks.
    pub fn verify_final(&self, cert: &FinalityCert, key: &[u8]) -> Result<(), LightError> {
        self.verify(&cert.vote.block_root, key)
    }
}

impl TxProof {
    /// The proof for a place of a block; `None` when there is no such place.
    #[must_use]
    pub fn new(header: BlockHeader, body: &Body, position: usize) -> Option<Self> {
        let tx_id = *body.tx_ids.get(position)?;
        let ids: Vec<Chunk> = body.tx_ids.iter().map(|id| id.0).collect();
        let mut branch = siblings(&ids, position, TX_IDS_DEPTH);
        branch.push(u64::try_from(body.tx_ids.len()).ok()?.tree_root());
        let fields: [Chunk; BODY_FIELDS] = [
            body.randao_reveal.tree_root(),
            body.graffiti.tree_root(),
            body.protocol_version.tree_root(),
            body.proposer_slashings.tree_root(),
            body.attester_slashings.tree_root(),
            body.finality_slashings.tree_root(),
            body.attestations.tree_root(),
            body.voluntary_exits.tree_root(),
            body.exec.tree_root(),
            body.tx_ids.tree_root(),
        ];
        branch.extend(siblings(&fields, usize::try_from(TX_IDS_FIELD).ok()?, BODY_DEPTH));
        let branch = List::new(branch.into_iter().map(Root).collect())?;
        Some(Self { header, tx_id, position: u64::try_from(position).ok()?, branch })
    }

    /// Checks that the transaction is in the block with this root.
    ///
    /// # Errors
    /// What the proof lacks.
    pub fn verify(&self, trusted: &Root) -> Result<(), LightError> {
        if self.header.tree_root() != trusted.0 {
            return Err(LightError::Header);
        }
        let branch: Vec<Chunk> = self.branch.iter().map(|sibling| sibling.0).collect();
        let in_range = usize::try_from(self.position).is_ok_and(|position| position < MAX_TXS_PER_BLOCK);
        let place = self.position | (TX_IDS_FIELD << (TX_IDS_DEPTH + 1));
        let leads = is_valid_branch(&self.tx_id.0, &branch, TX_BRANCH, place, &self.header.body_root.0);
        if in_range && branch.len() == TX_BRANCH && leads { Ok(()) } else { Err(LightError::Transaction) }
    }
}

/// Siblings of a leaf from the bottom up, in a tree of `depth` levels padded with zeros.
fn siblings(leaves: &[Chunk], position: usize, depth: usize) -> Vec<Chunk> {
    (0..depth)
        .map(|level| {
            let width = 1usize << level;
            let sibling = (position >> level) ^ 1;
            let from = (sibling * width).min(leaves.len());
            let to = from.saturating_add(width).min(leaves.len());
            merkleize(leaves.get(from..to).unwrap_or_default().to_vec(), width)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ssz::sha256;

    #[test]
    fn headers_lead_from_a_block_to_its_ancestors_only() {
        let mut parent = Root([9; 32]);
        let mut headers: Vec<BlockHeader> = Vec::new();
        for slot in 1..=4 {
            headers.push(BlockHeader { slot, parent_root: parent, ..BlockHeader::default() });
            parent = Root(headers.last().expect("pushed").tree_root());
        }
        headers.reverse();
        assert_eq!(ancestor(&parent, &[]), Ok(parent));
        assert_eq!(ancestor(&parent, &headers[..1]), Ok(Root(headers[1].tree_root())));
        assert_eq!(ancestor(&parent, &headers), Ok(Root([9; 32])));
        assert_eq!(ancestor(&parent, &headers[1..]), Err(LightError::Link));
        headers[2].slot = 7;
        assert_eq!(ancestor(&parent, &headers), Err(LightError::Link));
    }

    #[test]
    fn every_transaction_of_a_block_is_proven_by_its_place_only() {
        for count in [1usize, 2, 3, 7, 100] {
            let ids: Vec<Root> = (0..count).map(|at| Root(sha256(&at.to_le_bytes()))).collect();
            let body = Body { tx_ids: List::new(ids.clone()).expect("few"), ..Body::default() };
            let header = BlockHeader { slot: 5, body_root: Root(body.tree_root()), ..BlockHeader::default() };
            let trusted = Root(header.tree_root());
            for (position, id) in ids.iter().enumerate() {
                let proof = TxProof::new(header, &body, position).expect("in range");
                assert_eq!(proof.tx_id, *id);
                assert_eq!(proof.verify(&trusted), Ok(()), "{position} of {count}");
                let other = TxProof { position: proof.position + 1, ..proof.clone() };
                assert_eq!(other.verify(&trusted), Err(LightError::Transaction));
                let high = TxProof { position: proof.position + (1 << 17), ..proof.clone() };
                assert_eq!(high.verify(&trusted), Err(LightError::Transaction));
                let forged = TxProof { tx_id: Root([9; 32]), ..proof.clone() };
                assert_eq!(forged.verify(&trusted), Err(LightError::Transaction));
                assert_eq!(proof.verify(&Root::ZERO), Err(LightError::Header));
            }
            assert_eq!(TxProof::new(header, &body, count), None);
        }
    }
}
