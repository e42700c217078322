//! What warp messages say. Mirrors `vms/platformvm/warp/{payload,message}`.

use avalanche_codec::{CodecError, VERSION, marshal, unmarshal_versioned, wire_enum, wire_struct};
use avalanche_crypto::bls;
use avalanche_ids::{Id, ShortId};

/// Longest payload, in bytes.
pub const MAX_PAYLOAD_LEN: usize = 24 * 1024;

/// The payload of a warp message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A block of the source chain.
    Hash(Hash),
    /// Words of an account of the source chain.
    AddressedCall(AddressedCall),
}
wire_enum!(Payload { 0 => Hash, 1 => AddressedCall });

/// A block of the source chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash {
    /// Its hash.
    pub hash: Id,
}
wire_struct!(Hash { hash });

/// Words of an account of the source chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressedCall {
    /// The account; empty when the P-chain speaks.
    pub source_address: Vec<u8>,
    /// What it says: for the P-chain a [`PChainMessage`].
    pub payload: Vec<u8>,
}
wire_struct!(AddressedCall { source_address, payload });

impl Payload {
    /// Reads a payload of at most [`MAX_PAYLOAD_LEN`] bytes.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        unmarshal_versioned(VERSION, bytes, MAX_PAYLOAD_LEN)
    }
}

/// What is said to and by the P-chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PChainMessage {
    /// A subnet became an L1 (said by the P-chain).
    SubnetToL1Conversion(SubnetToL1Conversion),
    /// An L1 wants a validator (said to the P-chain).
    RegisterL1Validator(Box<RegisterL1Validator>),
    /// A validator is registered, or can never be (said by the P-chain).
    L1ValidatorRegistration(L1ValidatorRegistration),
    /// A validator's weight (both ways).
    L1ValidatorWeight(L1ValidatorWeight),
}
wire_enum!(PChainMessage {
    0 => SubnetToL1Conversion,
    1 => RegisterL1Validator,
    2 => L1ValidatorRegistration,
    3 => L1ValidatorWeight,
});

impl PChainMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        unmarshal_versioned(VERSION, bytes, usize::MAX)
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }
}

/// A subnet became an L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubnetToL1Conversion {
    /// Hash of the [`ConversionData`].
    pub id: Id,
}
wire_struct!(SubnetToL1Conversion { id });

/// Owners as transactions about L1s name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PChainOwner {
    /// Signatures needed.
    pub threshold: u32,
    /// Addresses, sorted and unique when valid.
    pub addresses: Vec<ShortId>,
}
wire_struct!(PChainOwner { threshold, addresses });

/// An L1 wants a validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterL1Validator {
    /// The L1.
    pub subnet_id: Id,
    /// The node, 20 bytes when valid.
    pub node_id: Vec<u8>,
    /// Its compressed key.
    pub bls_public_key: [u8; bls::PUBLIC_KEY_LEN],
    /// Unix time in seconds after which the registration is void.
    pub expiry: u64,
    /// Who gets what is left of the balance.
    pub remaining_balance_owner: PChainOwner,
    /// Who may stop it.
    pub disable_owner: PChainOwner,
    /// Its weight.
    pub weight: u64,
}
wire_struct!(RegisterL1Validator {
    subnet_id,
    node_id,
    bls_public_key,
    expiry,
    remaining_balance_owner,
    disable_owner,
    weight,
});

impl RegisterL1Validator {
    /// The id of the validation: the hash of the message.
    #[must_use]
    pub fn validation_id(&self) -> Id {
        Id::hash_of(&PChainMessage::RegisterL1Validator(Box::new(self.clone())).bytes())
    }
}

/// Whether a validation exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1ValidatorRegistration {
    /// Which.
    pub validation_id: Id,
    /// True when it began; false when it ended or can never begin.
    pub registered: bool,
}
wire_struct!(L1ValidatorRegistration { validation_id, registered });

/// The weight of a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1ValidatorWeight {
    /// Which validation.
    pub validation_id: Id,
    /// Larger with each change.
    pub nonce: u64,
    /// Zero to remove.
    pub weight: u64,
}
wire_struct!(L1ValidatorWeight { validation_id, nonce, weight });

/// What a subnet was when it became an L1; not itself a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionData {
    /// The subnet.
    pub subnet_id: Id,
    /// The chain of the managing contract.
    pub manager_chain_id: Id,
    /// The managing contract.
    pub manager_address: Vec<u8>,
    /// The first validators.
    pub validators: Vec<ConversionValidator>,
}
wire_struct!(ConversionData { subnet_id, manager_chain_id, manager_address, validators });

impl ConversionData {
    /// The conversion's id: the hash of the encoding.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::hash_of(&marshal(self))
    }
}

/// A validator an L1 begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionValidator {
    /// The node.
    pub node_id: Vec<u8>,
    /// Its compressed key.
    pub bls_public_key: [u8; bls::PUBLIC_KEY_LEN],
    /// Its weight.
    pub weight: u64,
}
wire_struct!(ConversionValidator { node_id, bls_public_key, weight });
