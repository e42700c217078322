//! Sprout JoinSplits and Sapling spends and outputs as bytes; points, proofs and ciphertexts stay opaque here.

use crate::{
    amount::Amount,
    codec::{Codec, DecodeError, MAX_SIZE, Reader, Result, Writer, compact_size},
    hash::Hash256,
};

/// Bytes of a Groth16 proof over BLS12-381.
pub const GROTH_PROOF_SIZE: usize = 192;
/// Bytes of a PHGR13 proof over BN254: seven G1 points and one G2 point.
pub const PHGR_PROOF_SIZE: usize = 296;
/// Bytes of one note ciphertext of a JoinSplit.
pub const SPROUT_CIPHERTEXT_SIZE: usize = 601;
/// Bytes of a JoinSplit without its proof.
const JOINSPLIT_WITHOUT_PROOF: usize = 8 + 8 + 32 * 9 + 2 * SPROUT_CIPHERTEXT_SIZE;

/// Offsets of the lead bytes inside a PHGR13 proof and whether a G2 point begins there.
const PHGR_POINTS: [(usize, bool); 8] = [
    (0, false),
    (33, false),
    (66, true),
    (131, false),
    (164, false),
    (197, false),
    (230, false),
    (263, false),
];

/// A Sapling spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaplingSpend {
    /// Commitment to the value of the input note.
    pub cv: [u8; 32],
    /// Root of the Sapling tree that the note is in.
    pub anchor: Hash256,
    /// Nullifier of the note.
    pub nullifier: Hash256,
    /// Randomized key of the spend authorization signature.
    pub rk: [u8; 32],
    /// Groth16 proof.
    pub proof: [u8; GROTH_PROOF_SIZE],
    /// Signature by `rk`.
    pub spend_auth_sig: [u8; 64],
}

impl SaplingSpend {
    /// Everything but the signature: what a Sapling signature hash covers.
    pub fn put_unsigned(&self, writer: &mut Writer) {
        writer.put(&self.cv).put(&self.anchor.0).put(&self.nullifier.0).put(&self.rk).put(&self.proof);
    }
}

impl Codec for SaplingSpend {
    const MIN_BYTES: usize = 384;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            cv: reader.array()?,
            anchor: Hash256::decode(reader)?,
            nullifier: Hash256::decode(reader)?,
            rk: reader.array()?,
            proof: reader.array()?,
            spend_auth_sig: reader.array()?,
        })
    }

    fn encode(&self, writer: &mut Writer) {
        self.put_unsigned(writer);
        writer.put(&self.spend_auth_sig);
    }
}

/// A Sapling output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaplingOutput {
    /// Commitment to the value of the output note.
    pub cv: [u8; 32],
    /// The note commitment (u-coordinate).
    pub cmu: Hash256,
    /// Key of the note encryption.
    pub ephemeral_key: [u8; 32],
    /// The note for its recipient.
    pub enc_ciphertext: [u8; 580],
    /// The note for its sender.
    pub out_ciphertext: [u8; 80],
    /// Groth16 proof.
    pub proof: [u8; GROTH_PROOF_SIZE],
}

impl Codec for SaplingOutput {
    const MIN_BYTES: usize = 948;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            cv: reader.array()?,
            cmu: Hash256::decode(reader)?,
            ephemeral_key: reader.array()?,
            enc_ciphertext: reader.array()?,
            out_ciphertext: reader.array()?,
            proof: reader.array()?,
        })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.cv).put(&self.cmu.0).put(&self.ephemeral_key);
        writer.put(&self.enc_ciphertext).put(&self.out_ciphertext).put(&self.proof);
    }
}

/// The proof of a JoinSplit; which kind is decided by the transaction's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SproutProof {
    /// PHGR13, in plain transactions and Overwinter.
    Phgr(Box<[u8; PHGR_PROOF_SIZE]>),
    /// Groth16, in Sapling transactions.
    Groth(Box<[u8; GROTH_PROOF_SIZE]>),
}

/// A Sprout JoinSplit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinSplit {
    /// Value that enters the Sprout pool.
    pub vpub_old: Amount,
    /// Value that leaves the Sprout pool.
    pub vpub_new: Amount,
    /// Root of the Sprout tree, of the chain or of an earlier JoinSplit of the same transaction.
    pub anchor: Hash256,
    /// Nullifiers of the two input notes.
    pub nullifiers: [Hash256; 2],
    /// Commitments of the two output notes.
    pub commitments: [Hash256; 2],
    /// Key of the note encryption.
    pub ephemeral_key: [u8; 32],
    /// Seed of `h_sig`.
    pub random_seed: [u8; 32],
    /// MACs that bind the inputs to `h_sig`.
    pub macs: [[u8; 32]; 2],
    /// The proof.
    pub proof: SproutProof,
    /// The two encrypted output notes.
    pub ciphertexts: Box<[[u8; SPROUT_CIPHERTEXT_SIZE]; 2]>,
}

impl JoinSplit {
    fn read(reader: &mut Reader<'_>, groth: bool) -> Result<Self> {
        let vpub_old = Amount::decode(reader)?;
        let vpub_new = Amount::decode(reader)?;
        let anchor = Hash256::decode(reader)?;
        let nullifiers = [Hash256::decode(reader)?, Hash256::decode(reader)?];
        let commitments = [Hash256::decode(reader)?, Hash256::decode(reader)?];
        let ephemeral_key = reader.array()?;
        let random_seed = reader.array()?;
        let macs = [reader.array()?, reader.array()?];
        let proof = if groth {
            SproutProof::Groth(Box::new(reader.array()?))
        } else {
            SproutProof::Phgr(Box::new(phgr_proof(reader)?))
        };
        let ciphertexts = Box::new([reader.array()?, reader.array()?]);
        Ok(Self {
            vpub_old,
            vpub_new,
            anchor,
            nullifiers,
            commitments,
            ephemeral_key,
            random_seed,
            macs,
            proof,
            ciphertexts,
        })
    }
}

/// A JoinSplit cannot be decoded without knowing the format around it, so only the writing half is a trait method.
impl JoinSplit {
    /// Appends the JoinSplit.
    pub fn encode(&self, writer: &mut Writer) {
        self.vpub_old.encode(writer);
        self.vpub_new.encode(writer);
        writer.put(&self.anchor.0);
        for hash in self.nullifiers.iter().chain(&self.commitments) {
            writer.put(&hash.0);
        }
        writer.put(&self.ephemeral_key).put(&self.random_seed);
        for mac in &self.macs {
            writer.put(mac);
        }
        match &self.proof {
            SproutProof::Phgr(bytes) => writer.put(&bytes[..]),
            SproutProof::Groth(bytes) => writer.put(&bytes[..]),
        };
        for ciphertext in self.ciphertexts.iter() {
            writer.put(ciphertext);
        }
    }
}

/// Reads the list of JoinSplits of a transaction whose proofs are Groth16 or PHGR13.
///
/// # Errors
/// Too short, too many, or a PHGR13 point with an unknown lead byte.
pub fn read_joinsplits(reader: &mut Reader<'_>, groth: bool) -> Result<Vec<JoinSplit>> {
    let proof_size = if groth { GROTH_PROOF_SIZE } else { PHGR_PROOF_SIZE };
    let claimed = compact_size(reader)?;
    let count = reader.count(claimed, MAX_SIZE, JOINSPLIT_WITHOUT_PROOF + proof_size)?;
    (0..count).map(|_| JoinSplit::read(reader, groth)).collect()
}

/// Appends the number of JoinSplits and the JoinSplits.
pub fn put_joinsplits(writer: &mut Writer, joinsplits: &[JoinSplit]) {
    crate::codec::put_compact_size(writer, joinsplits.len());
    for joinsplit in joinsplits {
        joinsplit.encode(writer);
    }
}

fn phgr_proof(reader: &mut Reader<'_>) -> Result<[u8; PHGR_PROOF_SIZE]> {
    let bytes: [u8; PHGR_PROOF_SIZE] = reader.array()?;
    for (offset, second_group) in PHGR_POINTS {
        let lead = bytes.get(offset).copied().unwrap_or_default();
        if lead & !1 != if second_group { 0x0a } else { 0x02 } {
            return Err(DecodeError::ProofPointLeadByte(lead));
        }
    }
    Ok(bytes)
}
