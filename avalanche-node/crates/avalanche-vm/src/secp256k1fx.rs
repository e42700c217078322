//! Outputs, inputs and credentials controlled by secp256k1 keys. Mirrors `vms/secp256k1fx`.

use avalanche_codec::wire_struct;
use avalanche_crypto::secp256k1::{self, SecpError, Signature};
use avalanche_ids::ShortId;

/// Who may spend: `threshold` of the addresses, after a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct OutputOwners {
    /// Unix time in seconds before which nothing can be spent.
    pub locktime: u64,
    /// Signatures needed.
    pub threshold: u32,
    /// Addresses, sorted and unique when valid.
    pub addrs: Vec<ShortId>,
}
wire_struct!(OutputOwners { locktime, threshold, addrs });

/// An amount of an asset and its owners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferOutput {
    /// Smallest units of the asset.
    pub amount: u64,
    /// Who may spend it.
    pub owners: OutputOwners,
}
wire_struct!(TransferOutput { amount, owners });

/// Which of the owners' addresses sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// Positions in the address list, sorted and unique when valid.
    pub sig_indices: Vec<u32>,
}
wire_struct!(Input { sig_indices });

/// Spends a [`TransferOutput`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferInput {
    /// The amount of the output spent.
    pub amount: u64,
    /// Who signs.
    pub input: Input,
}
wire_struct!(TransferInput { amount, input });

/// The right to mint more of an asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOutput {
    /// Who may mint.
    pub owners: OutputOwners,
}
wire_struct!(MintOutput { owners });

/// Mints an asset and renews the right to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOperation {
    /// Who signs.
    pub mint_input: Input,
    /// The renewed right.
    pub mint_output: MintOutput,
    /// What is minted.
    pub transfer_output: TransferOutput,
}
wire_struct!(MintOperation { mint_input, mint_output, transfer_output });

/// Signatures for one input, in the order of its indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// Signatures over the hash of the unsigned transaction.
    pub sigs: Vec<Signature>,
}
wire_struct!(Credential { sigs });

impl Credential {
    /// The addresses that signed `hash`.
    ///
    /// # Errors
    /// A signature names no signer.
    pub fn signers(&self, hash: &[u8; 32]) -> Result<Vec<ShortId>, SecpError> {
        self.sigs.iter().map(|signature| Ok(secp256k1::recover(hash, signature)?.address())).collect()
    }
}
