//! Non-fungible tokens: groups of payloads. Mirrors `vms/nftfx`.

use avalanche_codec::wire_struct;

use crate::secp256k1fx::{self, Input, OutputOwners};

/// The right to mint tokens of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOutput {
    /// The group.
    pub group_id: u32,
    /// Who may mint.
    pub owners: OutputOwners,
}
wire_struct!(MintOutput { group_id, owners });

/// A token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferOutput {
    /// The group.
    pub group_id: u32,
    /// At most 1 KiB when valid.
    pub payload: Vec<u8>,
    /// Who owns it.
    pub owners: OutputOwners,
}
wire_struct!(TransferOutput { group_id, payload, owners });

/// Mints one token per owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOperation {
    /// Who signs.
    pub mint_input: Input,
    /// The group.
    pub group_id: u32,
    /// At most 1 KiB when valid.
    pub payload: Vec<u8>,
    /// Owners of the new tokens.
    pub outputs: Vec<OutputOwners>,
}
wire_struct!(MintOperation { mint_input, group_id, payload, outputs });

/// Hands a token over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferOperation {
    /// Who signs.
    pub input: Input,
    /// The token under its new owners.
    pub output: TransferOutput,
}
wire_struct!(TransferOperation { input, output });

/// Signatures for one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// The same as those of secp256k1 outputs.
    pub inner: secp256k1fx::Credential,
}
wire_struct!(Credential { inner });
