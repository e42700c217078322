//! Properties: things that are owned or burned, without amount or payload. Mirrors `vms/propertyfx`.

use avalanche_codec::wire_struct;

use crate::secp256k1fx::{self, Input, OutputOwners};

/// The right to mint a property.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOutput {
    /// Who may mint.
    pub owners: OutputOwners,
}
wire_struct!(MintOutput { owners });

/// A property.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedOutput {
    /// Who owns it.
    pub owners: OutputOwners,
}
wire_struct!(OwnedOutput { owners });

/// Mints a property and renews the right to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOperation {
    /// Who signs.
    pub mint_input: Input,
    /// The renewed right.
    pub mint_output: MintOutput,
    /// What is minted.
    pub owned_output: OwnedOutput,
}
wire_struct!(MintOperation { mint_input, mint_output, owned_output });

/// Destroys a property.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BurnOperation {
    /// Who signs.
    pub input: Input,
}
wire_struct!(BurnOperation { input });

/// Signatures for one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// The same as those of secp256k1 outputs.
    pub inner: secp256k1fx::Credential,
}
wire_struct!(Credential { inner });
