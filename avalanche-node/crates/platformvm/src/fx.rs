//! The outputs, inputs, owners and credentials that the P-chain's codec knows, with their type ids.
//! Mirrors `vms/platformvm/{fx,stakeable,signer}`.

use avalanche_codec::{wire_enum, wire_struct};
use avalanche_crypto::bls;
use avalanche_vm::{
    avax,
    secp256k1fx::{self, OutputOwners},
};

/// What an output holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An amount.
    Transfer(secp256k1fx::TransferOutput),
    /// An amount that can be staked but not spent before a time.
    Locked(LockOut),
}
wire_enum!(Output { 7 => Transfer, 22 => Locked });

/// An output that is locked; it cannot hold another locked one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockOut {
    /// Unix time in seconds.
    pub locktime: u64,
    /// What is locked.
    pub out: LockedOutput,
}
wire_struct!(LockOut { locktime, out });

/// What can be locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedOutput {
    /// An amount.
    Transfer(secp256k1fx::TransferOutput),
}
wire_enum!(LockedOutput { 7 => Transfer });

/// How an input spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An amount.
    Transfer(secp256k1fx::TransferInput),
    /// A locked amount.
    Locked(LockIn),
}
wire_enum!(Input { 5 => Transfer, 21 => Locked });

/// An input that spends a locked output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockIn {
    /// The output's lock time.
    pub locktime: u64,
    /// How it spends.
    pub input: LockedInput,
}
wire_struct!(LockIn { locktime, input });

/// What spends a locked output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedInput {
    /// An amount.
    Transfer(secp256k1fx::TransferInput),
}
wire_enum!(LockedInput { 5 => Transfer });

impl Output {
    /// The amount and its owners, locked or not.
    #[must_use]
    pub const fn transfer(&self) -> &secp256k1fx::TransferOutput {
        match self {
            Self::Transfer(out) | Self::Locked(LockOut { out: LockedOutput::Transfer(out), .. }) => out,
        }
    }
}

impl Input {
    /// The amount and who signs, locked or not.
    #[must_use]
    pub const fn transfer(&self) -> &secp256k1fx::TransferInput {
        match self {
            Self::Transfer(input) | Self::Locked(LockIn { input: LockedInput::Transfer(input), .. }) => input,
        }
    }
}

/// Who owns a subnet, rewards or a validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Keys.
    Secp256k1(OutputOwners),
}
wire_enum!(Owner { 11 => Secp256k1 });

/// How an owner authorizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// By keys.
    Secp256k1(secp256k1fx::Input),
}
wire_enum!(Auth { 10 => Secp256k1 });

impl Auth {
    /// Who signs.
    #[must_use]
    pub const fn input(&self) -> &secp256k1fx::Input {
        let Self::Secp256k1(input) = self;
        input
    }
}

/// Signatures of an input or authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// By keys.
    Secp256k1(secp256k1fx::Credential),
}
wire_enum!(Credential { 9 => Secp256k1 });

/// The BLS key of a validator, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// None.
    Empty(Empty),
    /// A key and the proof that the validator has its secret.
    Proof(Box<ProofOfPossession>),
}
wire_enum!(Signer { 27 => Empty, 28 => Proof });

/// Nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Empty {}
wire_struct!(Empty {});

/// A BLS key that signed itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofOfPossession {
    /// Compressed key.
    pub public_key: [u8; bls::PUBLIC_KEY_LEN],
    /// Signature of the compressed key under the proof-of-possession suite.
    pub proof: [u8; bls::SIGNATURE_LEN],
}
wire_struct!(ProofOfPossession { public_key, proof });

/// The proof does not belong to the key, or one of both is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid proof of possession")]
pub struct InvalidProofOfPossession;

impl ProofOfPossession {
    /// The key, once its proof holds.
    ///
    /// # Errors
    /// It does not hold.
    pub fn verify(&self) -> Result<bls::PublicKey, InvalidProofOfPossession> {
        let key = bls::PublicKey::from_bytes(&self.public_key).map_err(|_| InvalidProofOfPossession)?;
        let proof = bls::Signature::from_bytes(&self.proof).map_err(|_| InvalidProofOfPossession)?;
        if key.verify_possession(&proof, &self.public_key) { Ok(key) } else { Err(InvalidProofOfPossession) }
    }
}

/// An output of a P-chain transaction.
pub type TransferableOutput = avax::TransferableOutput<Output>;
/// An input of a P-chain transaction.
pub type TransferableInput = avax::TransferableInput<Input>;
/// What most P-chain transactions begin with.
pub type BaseTx = avax::BaseTx<Output, Input>;
/// An unspent output on the P-chain.
pub type Utxo = avax::Utxo<Output>;

impl avalanche_vm::utxo_store::Addressable for Output {
    fn addresses(&self) -> &[avalanche_ids::ShortId] {
        &self.transfer().owners.addrs
    }
}
