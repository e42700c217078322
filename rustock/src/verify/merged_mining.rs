//! The merged-mining proof: a Bitcoin header with enough work whose coinbase commits to this header.
//!
//! The coinbase comes as a SHA-256 midstate and the rest of the transaction. The rules and their order are those of
//! `co/rsk/validators/ProofOfWorkRule.java`, `Rskip92MerkleProofValidator.java` and
//! `co/rsk/peg/utils/MerkleTreeUtils.java`.

use super::{bitcoin_tree, difficulty, fallback, rule::Rule};
use crate::{
    codec::{
        header::{MERGED_MINING_TAG, hash_for_merged_mining},
        sha256::{
            MIDSTATE_LEN, resume_and_hash_twice, resume_each_and_hash_twice, sha256d_headers, sha256d_pair,
            sha256d_pairs,
        },
    },
    params::{MAXIMUM_MERKLE_PROOF_LEN, Params, Rskip},
    types::{Hash32, Header},
};

const MAX_TAG_POSITION: usize = 64;
const MAX_BYTES_AFTER_HASH: usize = 128;
const HASH_LEN: usize = 32;

/// Headers whose proofs are hashed in step.
const IN_STEP: usize = 4;

/// Checks the proof of work of a header, or below orchid its fallback signature. Returns the hash of the Bitcoin
/// header in internal byte order, all zeros for a signed header.
///
/// # Errors
/// The rule that is broken.
pub fn proof_of_work(params: &Params, header: &Header) -> Result<[u8; 32], Rule> {
    let [proven] = prove_in_step(params, [header]);
    proven
}

/// [`proof_of_work`] of many headers. The hashes of one proof wait for each other, so several proofs are walked in
/// step, which takes a processor hardly longer than one.
#[must_use]
pub(super) fn proofs_of_work(params: &Params, headers: &[Header]) -> Vec<Result<[u8; 32], Rule>> {
    let (groups, rest) = headers.as_chunks::<IN_STEP>();
    let in_step = groups.iter().flat_map(|group| prove_in_step(params, group.each_ref()));
    in_step.chain(rest.iter().map(|header| proof_of_work(params, header))).collect()
}

fn prove_in_step<const N: usize>(params: &Params, headers: [&Header; N]) -> [Result<[u8; 32], Rule>; N] {
    let mut proofs = headers.map(|header| Proof::read(params, header));
    let hashes = sha256d_headers(proofs.each_ref().map(Proof::bitcoin_header));
    for (proof, hash) in proofs.iter_mut().zip(hashes) {
        proof.judge_work(params, hash);
    }
    let hashes = resume_each_and_hash_twice(proofs.each_ref().map(Proof::coinbase));
    for (proof, hash) in proofs.iter_mut().zip(hashes) {
        proof.node = hash;
    }
    while proofs.iter().any(|proof| !proof.siblings.is_empty()) {
        let siblings = proofs.each_mut().map(Proof::next_sibling);
        let mut pairs = proofs.each_ref().map(|proof| (&proof.node, &[0; HASH_LEN]));
        for ((_, right), sibling) in pairs.iter_mut().zip(&siblings) {
            *right = sibling.as_ref().unwrap_or(right);
        }
        let nodes = sha256d_pairs(pairs);
        for ((proof, node), sibling) in proofs.iter_mut().zip(nodes).zip(siblings) {
            if sibling.is_some() {
                proof.node = node;
            }
        }
    }
    proofs.map(Proof::end)
}

/// A proof on its way from the Bitcoin header to its root. The first rule that breaks ends it; what is still hashed for
/// it then counts for nothing.
struct Proof<'a> {
    header: &'a Header,
    verdict: Result<Kind<'a>, Rule>,
    bitcoin_hash: [u8; HASH_LEN],
    midstate: &'a [u8; MIDSTATE_LEN],
    tail: &'a [u8],
    /// Hash of the coinbase, then the node that the siblings so far lead to.
    node: [u8; HASH_LEN],
    /// What is left of the way, in display byte order.
    siblings: &'a [[u8; HASH_LEN]],
}

/// What leads from the coinbase to the Bitcoin header's root.
enum Kind<'a> {
    /// Below orchid a signature may stand for all of it.
    Signed,
    /// From orchid on.
    Branch,
    /// Below orchid.
    PartialTree(bitcoin_tree::PartialTree<'a>),
}

impl<'a> Proof<'a> {
    fn read(params: &Params, header: &'a Header) -> Self {
        let mut proof = Self {
            header,
            verdict: Ok(Kind::Branch),
            bitcoin_hash: [0; HASH_LEN],
            midstate: &[0; MIDSTATE_LEN],
            tail: &[],
            node: [0; HASH_LEN],
            siblings: &[],
        };
        proof.verdict = proof.read_fields(params);
        proof
    }

    fn read_fields(&mut self, params: &Params) -> Result<Kind<'a>, Rule> {
        let header = self.header;
        if fallback::applies(params, header) {
            return fallback::check(params, header).map(|()| Kind::Signed);
        }
        if header.fields().mining.is_none() {
            return Err(Rule::MergedMiningMissing);
        }
        let bytes = header.merkle_proof();
        let kind = if params.is_active(Rskip::R92, header.number()) {
            if params.is_active(Rskip::R180, header.number()) && bytes.len() > MAXIMUM_MERKLE_PROOF_LEN {
                return Err(Rule::MerkleProofLength(bytes.len()));
            }
            let (siblings, []) = bytes.as_chunks::<HASH_LEN>() else {
                return Err(Rule::MerkleProofFormat(bytes.len()));
            };
            self.siblings = siblings;
            Kind::Branch
        } else {
            Kind::PartialTree(bitcoin_tree::PartialTree::read(bytes)?)
        };
        if header.coinbase_transaction().is_empty() {
            return Err(Rule::CoinbaseMissing);
        }
        match header.bitcoin_header().len() {
            80 => Ok(kind),
            len => Err(Rule::BitcoinHeaderLength(len)),
        }
    }

    fn bitcoin_header(&self) -> &'a [u8; 80] {
        self.header.bitcoin_header().try_into().unwrap_or(&[0; 80])
    }

    fn coinbase(&self) -> (&'a [u8; MIDSTATE_LEN], &'a [u8]) {
        (self.midstate, self.tail)
    }

    /// The rules up to the commitment in the coinbase, once the Bitcoin header's hash is known.
    fn judge_work(&mut self, params: &Params, hash: [u8; HASH_LEN]) {
        if let Ok(Kind::Branch | Kind::PartialTree(_)) = self.verdict {
            self.bitcoin_hash = hash;
            if let Err(rule) = self.check_commitment(params) {
                self.fail(rule);
            }
        }
    }

    fn check_commitment(&mut self, params: &Params) -> Result<(), Rule> {
        if !difficulty::meets_target(&self.bitcoin_hash, self.header.difficulty()) {
            return Err(Rule::ProofOfWork);
        }
        let coinbase = self.header.coinbase_transaction();
        let (midstate, tail) =
            coinbase.split_first_chunk::<MIDSTATE_LEN>().ok_or(Rule::CoinbaseMidstate(coinbase.len()))?;
        let hash = hash_for_merged_mining(params, self.header).ok_or(Rule::ForkDetectionDataMissing)?;
        check_tag(tail, &hash)?;
        check_coinbase_length(midstate, tail)?;
        (self.midstate, self.tail) = (midstate, tail);
        Ok(())
    }

    /// The next right-hand node of the way in internal byte order, unless the two could be a transaction.
    fn next_sibling(&mut self) -> Option<[u8; HASH_LEN]> {
        let (sibling, rest) = self.siblings.split_first()?;
        self.siblings = rest;
        let mut right = *sibling;
        right.reverse();
        if may_be_transaction(&self.node, &right) {
            self.fail(Rule::SixtyFourByteTransaction);
            return None;
        }
        Some(right)
    }

    fn fail(&mut self, rule: Rule) {
        self.verdict = Err(rule);
        (self.siblings, self.tail) = (&[], &[]);
    }

    fn end(self) -> Result<[u8; HASH_LEN], Rule> {
        let root = self.bitcoin_header()[36..].first_chunk::<HASH_LEN>().copied().unwrap_or_default();
        match self.verdict? {
            Kind::Signed => {}
            Kind::PartialTree(tree) => tree.check(&root, &self.node)?,
            Kind::Branch if self.node == root => {}
            Kind::Branch => return Err(Rule::MerkleRoot),
        }
        Ok(self.bitcoin_hash)
    }
}

/// Hash of the Bitcoin coinbase of a header in internal byte order, or `None` when it has no midstate.
#[must_use]
pub fn coinbase_hash(header: &Header) -> Option<[u8; 32]> {
    let (midstate, tail) = header.coinbase_transaction().split_first_chunk::<MIDSTATE_LEN>()?;
    Some(resume_and_hash_twice(midstate, tail))
}

/// The tail commits to `hash`: tag and hash occur, at their last occurrence below position 64, no bare tag follows,
/// and little comes after.
fn check_tag(tail: &[u8], hash: &Hash32) -> Result<(), Rule> {
    let len = MERGED_MINING_TAG.len() + HASH_LEN;
    let position = tail
        .windows(len)
        .rposition(|window| window.starts_with(MERGED_MINING_TAG) && window.ends_with(hash.as_bytes()))
        .ok_or(Rule::TagMissing)?;
    if position >= MAX_TAG_POSITION {
        return Err(Rule::TagPosition(position));
    }
    let after_tag = tail.get(position + 1..).unwrap_or_default();
    if after_tag.windows(MERGED_MINING_TAG.len()).any(|window| window == MERGED_MINING_TAG) {
        return Err(Rule::TagNotLast);
    }
    let after_hash = tail.len().saturating_sub(position).saturating_sub(len);
    if after_hash > MAX_BYTES_AFTER_HASH { Err(Rule::BytesAfterTag(after_hash)) } else { Ok(()) }
}

/// Bytes before the tail and in it, as a wrapping signed sum, are more than the 64 of a Merkle node.
fn check_coinbase_length(midstate: &[u8; MIDSTATE_LEN], tail: &[u8]) -> Result<(), Rule> {
    let count = midstate.first_chunk::<8>().copied().map_or(0, i64::from_be_bytes);
    let len = i64::try_from(tail.len()).unwrap_or(i64::MAX);
    if count.wrapping_add(len) > 64 { Ok(()) } else { Err(Rule::CoinbaseLength) }
}

/// The node above two nodes, all in internal byte order.
///
/// # Errors
/// The two could be a transaction of 64 bytes.
pub(super) fn combine(left: &[u8; HASH_LEN], right: &[u8; HASH_LEN]) -> Result<[u8; HASH_LEN], Rule> {
    if may_be_transaction(left, right) {
        return Err(Rule::SixtyFourByteTransaction);
    }
    Ok(sha256d_pair(left, right))
}

fn may_be_transaction(left: &[u8; HASH_LEN], right: &[u8; HASH_LEN]) -> bool {
    // The input count of such a transaction is byte 4 of the left node in display order.
    left[27] == 1 && is_64_byte_transaction(left, right)
}

/// Could the two nodes, each in display byte order as the reference looks at them, be a transaction with one input and
/// one output?
fn is_64_byte_transaction(left: &[u8; HASH_LEN], right: &[u8; HASH_LEN]) -> bool {
    const MAX_OUTPUT_INDEX: u32 = 1_000_000;
    const MAX_SATOSHIS: i64 = 2_100_000_000_000_000;
    let mut bytes = [0; 2 * HASH_LEN];
    for (to, from) in bytes.iter_mut().zip(left.iter().rev().chain(right.iter().rev())) {
        *to = *from;
    }
    let read = || -> Option<bool> {
        let output_index = u32::from_le_bytes(*bytes.get(37..)?.first_chunk()?);
        let input_script = usize::from(*bytes.get(41)?);
        if input_script > 4 {
            return Some(false);
        }
        let output_count = *bytes.get(46 + input_script)?;
        let value = i64::from_le_bytes(*bytes.get(47 + input_script..)?.first_chunk()?);
        let output_script = usize::from(*bytes.get(55 + input_script)?);
        Some(
            bytes.get(4) == Some(&1)
                && (output_index <= MAX_OUTPUT_INDEX || output_index == u32::MAX)
                && output_count == 1
                && (1..=MAX_SATOSHIS).contains(&value)
                && input_script + output_script == 4,
        )
    };
    read().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction of 64 bytes, cut into the two nodes (in internal byte order) that would hash to its id.
    fn transaction(edit: impl FnOnce(&mut [u8; 64])) -> ([u8; 32], [u8; 32]) {
        let mut bytes = [0; 64];
        bytes[4] = 1; // inputs
        bytes[41] = 2; // bytes of input script
        bytes[48] = 1; // outputs
        bytes[49] = 9; // satoshis
        bytes[57] = 2; // bytes of output script
        edit(&mut bytes);
        let (mut left, mut right) = ([0; 32], [0; 32]);
        left.copy_from_slice(&bytes[..32]);
        right.copy_from_slice(&bytes[32..]);
        left.reverse();
        right.reverse();
        (left, right)
    }

    #[test]
    fn nodes_that_read_as_a_transaction_are_refused() {
        let refused = |edit: fn(&mut [u8; 64])| {
            let (left, right) = transaction(edit);
            combine(&left, &right) == Err(Rule::SixtyFourByteTransaction)
        };
        assert!(refused(|_| {}));
        assert!(refused(|tx| tx[37..41].copy_from_slice(&[0xff; 4])), "a coinbase input");
        assert!(refused(|tx| tx[37..41].copy_from_slice(&1_000_000_u32.to_le_bytes())));
        assert!(!refused(|tx| tx[37..41].copy_from_slice(&1_000_001_u32.to_le_bytes())));
        assert!(!refused(|tx| tx[4] = 2));
        assert!(!refused(|tx| tx[41] = 5));
        assert!(!refused(|tx| tx[48] = 0));
        assert!(!refused(|tx| tx[49] = 0), "no value");
        assert!(!refused(|tx| tx[56] = 0x80), "negative value");
        assert!(!refused(|tx| tx[57] = 3));
        assert!(refused(|tx| {
            (tx[41], tx[48], tx[49], tx[57]) = (0, 0, 0, 0);
            (tx[46], tx[47], tx[55]) = (1, 9, 4);
        }));
    }
}
