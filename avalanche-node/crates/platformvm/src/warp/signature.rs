//! The aggregate signature of a warp message and the canonical validator set it is checked against.
//! Mirrors `vms/platformvm/warp/signature.go` and `snow/validators/warp.go`.

use std::collections::BTreeMap;

use avalanche_codec::{CodecError, wire_enum, wire_struct};
use avalanche_crypto::bls;

use super::UnsignedMessage;

/// The quorum of the P-chain: 67 of 100 parts of the weight.
pub const QUORUM_NUMERATOR: u64 = 67;
/// See [`QUORUM_NUMERATOR`].
pub const QUORUM_DENOMINATOR: u64 = 100;

/// Why a message is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WarpError {
    /// The bytes are not a message (`ParseMessage`).
    #[error("malformed message")]
    Codec(#[from] CodecError),
    /// It is for another network (`ErrWrongNetworkID`).
    #[error("wrong network id")]
    WrongNetwork,
    /// The set of signers has a leading zero byte (`ErrInvalidBitSet`).
    #[error("bitset is invalid")]
    InvalidBitSet,
    /// A signer is not in the set (`ErrUnknownValidator`).
    #[error("unknown validator")]
    UnknownValidator,
    /// Not enough weight signed (`ErrInsufficientWeight`).
    #[error("signature weight {signed} of {total} is insufficient")]
    InsufficientWeight {
        /// What signed.
        signed: u64,
        /// What could have.
        total: u64,
    },
    /// The aggregate signature is not a signature (`ErrParseSignature`).
    #[error("failed to parse signature")]
    ParseSignature,
    /// Nobody signed (`ErrNoPublicKeys`).
    #[error("no public keys")]
    NoSigners,
    /// The aggregate signature is another one (`ErrInvalidSignature`).
    #[error("signature is invalid")]
    InvalidSignature,
    /// The total weight does not fit 64 bits (`ErrWeightOverflow`).
    #[error("weight overflowed")]
    WeightOverflow,
}

/// How a message is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// By a subset of the canonical validator set.
    BitSet(BitSetSignature),
}
wire_enum!(Signature { 0 => BitSet });

/// An aggregate of BLS signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitSetSignature {
    /// The set of signers as a big-endian number: the lowest bit is the first validator.
    pub signers: Vec<u8>,
    /// The aggregate.
    pub signature: [u8; bls::SIGNATURE_LEN],
}
wire_struct!(BitSetSignature { signers, signature });

impl BitSetSignature {
    /// How many signed.
    ///
    /// # Errors
    /// The set has a leading zero byte.
    pub fn num_signers(&self) -> Result<usize, WarpError> {
        Ok(self.indices()?.count())
    }

    /// Positions of the signers in the canonical set, ascending.
    fn indices(&self) -> Result<impl Iterator<Item = usize> + '_, WarpError> {
        if self.signers.first() == Some(&0) {
            return Err(WarpError::InvalidBitSet);
        }
        let bytes = self.signers.iter().rev().enumerate();
        Ok(bytes.flat_map(|(at, byte)| {
            (0..8).filter(move |bit| (byte >> bit) & 1 == 1).map(move |bit| at * 8 + bit)
        }))
    }

    /// Checks that at least the quorum of `validators` signed the message.
    ///
    /// # Errors
    /// As [`WarpError`] says, in the order of the reference's checks.
    pub fn verify(
        &self,
        message: &UnsignedMessage,
        network_id: u32,
        validators: &CanonicalSet,
    ) -> Result<(), WarpError> {
        if message.network_id != network_id {
            return Err(WarpError::WrongNetwork);
        }
        let signers = self
            .indices()?
            .map(|index| validators.validators.get(index).ok_or(WarpError::UnknownValidator))
            .collect::<Result<Vec<_>, _>>()?;
        let signed = signers.iter().fold(0_u64, |sum, validator| sum.saturating_add(validator.weight));
        validators.verify_weight(signed)?;
        let signature = bls::Signature::from_bytes(&self.signature).map_err(|_| WarpError::ParseSignature)?;
        let key = bls::PublicKey::aggregate(signers.iter().map(|validator| &validator.public_key))
            .map_err(|_| WarpError::NoSigners)?;
        if key.verify(&signature, &message.bytes()) { Ok(()) } else { Err(WarpError::InvalidSignature) }
    }
}

/// A key and the weight of all validators that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalValidator {
    /// The key.
    pub public_key: bls::PublicKey,
    /// The weight.
    pub weight: u64,
}

/// The keys of a validator set in their canonical order, and the weight of all, also of those without a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CanonicalSet {
    /// Sorted by the uncompressed key.
    pub validators: Vec<CanonicalValidator>,
    /// Of all validators.
    pub total_weight: u64,
}

impl CanonicalSet {
    /// The canonical set of validators given by key and weight.
    ///
    /// # Errors
    /// The total weight overflows.
    pub fn new(
        validators: impl IntoIterator<Item = (Option<bls::PublicKey>, u64)>,
    ) -> Result<Self, WarpError> {
        let mut total_weight = 0_u64;
        let mut by_key = BTreeMap::new();
        for (key, weight) in validators {
            total_weight = total_weight.checked_add(weight).ok_or(WarpError::WeightOverflow)?;
            if let Some(public_key) = key {
                let validator = by_key
                    .entry(public_key.to_uncompressed())
                    .or_insert(CanonicalValidator { public_key, weight: 0 });
                validator.weight += weight; // bounded by the total
            }
        }
        Ok(Self { validators: by_key.into_values().collect(), total_weight })
    }

    /// Checks a weight against the P-chain's quorum.
    ///
    /// # Errors
    /// It is too small.
    pub fn verify_weight(&self, signed: u64) -> Result<(), WarpError> {
        let wanted = u128::from(self.total_weight) * u128::from(QUORUM_NUMERATOR);
        if wanted > u128::from(signed) * u128::from(QUORUM_DENOMINATOR) {
            return Err(WarpError::InsufficientWeight { signed, total: self.total_weight });
        }
        Ok(())
    }
}
