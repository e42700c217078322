//! The wrapper around a chain's block. Mirrors `vms/proposervm/block`.
//!
//! A block's id does not cover its signature; an option, which nobody signs, is named by all its bytes.

use avalanche_codec::{
    CodecError, VERSION, Wire, Writer, body, marshal, unmarshal_versioned, wire_enum, wire_struct,
};
use avalanche_crypto::staking::{Certificate, CertificateError, InvalidSignature};
use avalanche_ids::{Id, NodeId};

use crate::epoch::Epoch;

/// What a proposer states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedBlock {
    /// The parent wrapper.
    pub parent_id: Id,
    /// Unix time in seconds.
    pub timestamp: i64,
    /// The P-chain height at which proposers are looked up.
    pub p_chain_height: u64,
    /// The proposer's certificate; empty when anyone could propose.
    pub certificate: Vec<u8>,
    /// The chain's block.
    pub block: Vec<u8>,
}
wire_struct!(UnsignedBlock { parent_id, timestamp, p_chain_height, certificate, block });

/// A block before Granite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreGraniteBlock {
    /// What is stated.
    pub block: UnsignedBlock,
    /// Empty when there is no certificate.
    pub signature: Vec<u8>,
}
wire_struct!(PreGraniteBlock { block, signature });

/// A block with an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraniteBlock {
    /// What is stated.
    pub block: UnsignedBlock,
    /// Not zero when valid.
    pub epoch: Epoch,
    /// Empty when there is no certificate.
    pub signature: Vec<u8>,
}
wire_struct!(GraniteBlock { block, epoch, signature });

/// A child of an oracle block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionBlock {
    /// The parent wrapper.
    pub parent_id: Id,
    /// The chain's block.
    pub block: Vec<u8>,
}
wire_struct!(OptionBlock { parent_id, block });

/// A wrapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Without epoch.
    PreGranite(PreGraniteBlock),
    /// A child of an oracle block.
    Option(OptionBlock),
    /// With epoch.
    Granite(GraniteBlock),
}
wire_enum!(Block { 0 => PreGranite, 1 => Option, 2 => Granite });

/// Why bytes are not an acceptable wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Not the encoding of one.
    #[error("malformed block")]
    Codec(#[from] CodecError),
    /// The certificate cannot be read (`errInvalidCertificate`).
    #[error("invalid certificate")]
    Certificate(#[from] CertificateError),
    /// A Granite block without epoch (`errZeroEpoch`).
    #[error("epoch must be provided after granite")]
    ZeroEpoch,
    /// A signature without certificate (`errUnexpectedSignature`).
    #[error("signature provided when none was expected")]
    UnexpectedSignature,
    /// The proposer did not sign this.
    #[error("invalid signature")]
    Signature(#[from] InvalidSignature),
}

/// A wrapper whose certificate is readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedBlock {
    block: Block,
    id: Id,
    certificate: Option<Certificate>,
}

impl ParsedBlock {
    /// Reads a wrapper without checking its signature. Its length is bounded by the message that carries it.
    ///
    /// # Errors
    /// As [`BlockError`] says.
    pub fn parse_without_verification(bytes: &[u8]) -> Result<Self, BlockError> {
        Ok(Self::new(unmarshal_versioned(VERSION, bytes, usize::MAX)?)?)
    }

    /// Reads a wrapper of a chain and checks its signature.
    ///
    /// # Errors
    /// As [`BlockError`] says.
    pub fn parse(bytes: &[u8], chain_id: Id) -> Result<Self, BlockError> {
        let parsed = Self::parse_without_verification(bytes)?;
        parsed.verify(chain_id)?;
        Ok(parsed)
    }

    /// Takes a wrapper apart.
    ///
    /// # Errors
    /// Its certificate cannot be read.
    pub fn new(block: Block) -> Result<Self, CertificateError> {
        let certificate = match block.unsigned() {
            Some(unsigned) if !unsigned.certificate.is_empty() => {
                Some(Certificate::parse(&unsigned.certificate)?)
            }
            _ => None,
        };
        Ok(Self { id: block.id(), block, certificate })
    }

    /// The wrapper.
    #[must_use]
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.id
    }

    /// Who proposed it; None when nobody signed.
    #[must_use]
    pub fn proposer(&self) -> Option<NodeId> {
        self.certificate.as_ref().map(Certificate::node_id)
    }

    fn verify(&self, chain_id: Id) -> Result<(), BlockError> {
        let signature = match &self.block {
            Block::Option(_) => return Ok(()),
            Block::PreGranite(block) => &block.signature,
            Block::Granite(block) if block.epoch == Epoch::default() => return Err(BlockError::ZeroEpoch),
            Block::Granite(block) => &block.signature,
        };
        match &self.certificate {
            None if signature.is_empty() => Ok(()),
            None => Err(BlockError::UnexpectedSignature),
            Some(certificate) => {
                let header = header(chain_id, self.block.parent_id(), self.id);
                Ok(certificate.check_signature(&header, signature)?)
            }
        }
    }
}

/// What a proposer signs the SHA-256 of.
#[must_use]
pub fn header(chain_id: Id, parent_id: Id, body_id: Id) -> Vec<u8> {
    let mut out = Writer::new();
    out.u16_be(VERSION);
    for id in [chain_id, parent_id, body_id] {
        id.encode(&mut out);
    }
    out.into_vec()
}

impl Block {
    /// The parent wrapper.
    #[must_use]
    pub const fn parent_id(&self) -> Id {
        match self {
            Self::PreGranite(block) => block.block.parent_id,
            Self::Granite(block) => block.block.parent_id,
            Self::Option(block) => block.parent_id,
        }
    }

    /// The chain's block.
    #[must_use]
    pub fn inner(&self) -> &[u8] {
        match self {
            Self::PreGranite(block) => &block.block.block,
            Self::Granite(block) => &block.block.block,
            Self::Option(block) => &block.block,
        }
    }

    /// What is stated; nothing by an option.
    #[must_use]
    pub const fn unsigned(&self) -> Option<&UnsignedBlock> {
        match self {
            Self::PreGranite(block) => Some(&block.block),
            Self::Granite(block) => Some(&block.block),
            Self::Option(_) => None,
        }
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }

    /// The hash of the encoding up to the signature's length.
    #[must_use]
    pub fn id(&self) -> Id {
        let mut out = Writer::new();
        out.u16_be(VERSION).u32_be(self.type_id());
        match self {
            Self::PreGranite(block) => block.block.encode(&mut out),
            Self::Granite(block) => {
                block.block.encode(&mut out);
                block.epoch.encode(&mut out);
            }
            Self::Option(block) => {
                out.put(&body(block));
            }
        }
        Id::hash_of(out.as_slice())
    }
}
