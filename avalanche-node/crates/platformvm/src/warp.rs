//! Warp: messages of one chain that the validators of its subnet sign together, and the payloads the P-chain reads and
//! signs (ACP-77). Mirrors `vms/platformvm/warp`.

mod payload;
mod signature;

use avalanche_codec::{CodecError, VERSION, marshal, unmarshal_versioned, wire_struct};
use avalanche_ids::Id;

pub use self::{
    payload::{
        AddressedCall, ConversionData, ConversionValidator, Hash, L1ValidatorRegistration, L1ValidatorWeight,
        MAX_PAYLOAD_LEN, PChainMessage, PChainOwner, Payload, RegisterL1Validator, SubnetToL1Conversion,
    },
    signature::{
        BitSetSignature, CanonicalSet, CanonicalValidator, QUORUM_DENOMINATOR, QUORUM_NUMERATOR, Signature,
        WarpError,
    },
};

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedMessage {
    /// The network.
    pub network_id: u32,
    /// The chain that speaks.
    pub source_chain_id: Id,
    /// What it says, see [`Payload`].
    pub payload: Vec<u8>,
}
wire_struct!(UnsignedMessage { network_id, source_chain_id, payload });

impl UnsignedMessage {
    /// The bytes that are signed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }

    /// The hash of the bytes.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::hash_of(&self.bytes())
    }
}

/// A message with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What is signed.
    pub unsigned: UnsignedMessage,
    /// By whom.
    pub signature: Signature,
}
wire_struct!(Message { unsigned, signature });

impl Message {
    /// Reads a message; it is as long as what carries it allows.
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
