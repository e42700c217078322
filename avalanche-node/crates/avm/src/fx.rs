//! The outputs, inputs, operations and credentials that the X-chain's codec knows, with their type ids. The fxs are
//! registered in the order secp256k1, NFT, property.

use avalanche_codec::wire_enum;
use avalanche_vm::{avax, nftfx, propertyfx, secp256k1fx};

/// What an output or initial state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The right to mint an amount.
    SecpMint(secp256k1fx::MintOutput),
    /// An amount.
    SecpTransfer(secp256k1fx::TransferOutput),
    /// The right to mint tokens.
    NftMint(nftfx::MintOutput),
    /// A token.
    NftTransfer(nftfx::TransferOutput),
    /// The right to mint a property.
    PropertyMint(propertyfx::MintOutput),
    /// A property.
    PropertyOwned(propertyfx::OwnedOutput),
}
wire_enum!(Output {
    6 => SecpMint,
    7 => SecpTransfer,
    10 => NftMint,
    11 => NftTransfer,
    15 => PropertyMint,
    16 => PropertyOwned,
});

/// How an input spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An amount.
    SecpTransfer(secp256k1fx::TransferInput),
}
wire_enum!(Input { 5 => SecpTransfer });

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FxOperation {
    /// Mints an amount.
    SecpMint(secp256k1fx::MintOperation),
    /// Mints tokens.
    NftMint(nftfx::MintOperation),
    /// Hands a token over.
    NftTransfer(nftfx::TransferOperation),
    /// Mints a property.
    PropertyMint(propertyfx::MintOperation),
    /// Destroys a property.
    PropertyBurn(propertyfx::BurnOperation),
}
wire_enum!(FxOperation {
    8 => SecpMint,
    12 => NftMint,
    13 => NftTransfer,
    17 => PropertyMint,
    18 => PropertyBurn,
});

/// Signatures of an input or operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// For amounts.
    Secp(secp256k1fx::Credential),
    /// For tokens.
    Nft(nftfx::Credential),
    /// For properties.
    Property(propertyfx::Credential),
}
wire_enum!(Credential { 9 => Secp, 14 => Nft, 19 => Property });

impl Credential {
    /// The signatures.
    #[must_use]
    pub const fn inner(&self) -> &secp256k1fx::Credential {
        match self {
            Self::Secp(credential) => credential,
            Self::Nft(credential) => &credential.inner,
            Self::Property(credential) => &credential.inner,
        }
    }
}

/// An output of an X-chain transaction.
pub type TransferableOutput = avax::TransferableOutput<Output>;
/// An input of an X-chain transaction.
pub type TransferableInput = avax::TransferableInput<Input>;
/// What every X-chain transaction begins with.
pub type BaseTx = avax::BaseTx<Output, Input>;
/// An unspent output on the X-chain.
pub type Utxo = avax::Utxo<Output>;

impl Output {
    /// Position of the fx that knows this kind.
    #[must_use]
    pub const fn fx_index(&self) -> u32 {
        match self {
            Self::SecpMint(_) | Self::SecpTransfer(_) => 0,
            Self::NftMint(_) | Self::NftTransfer(_) => 1,
            Self::PropertyMint(_) | Self::PropertyOwned(_) => 2,
        }
    }

    /// Who owns it.
    #[must_use]
    pub const fn owners(&self) -> &secp256k1fx::OutputOwners {
        match self {
            Self::SecpMint(out) => &out.owners,
            Self::SecpTransfer(out) => &out.owners,
            Self::NftMint(out) => &out.owners,
            Self::NftTransfer(out) => &out.owners,
            Self::PropertyMint(out) => &out.owners,
            Self::PropertyOwned(out) => &out.owners,
        }
    }
}

impl avalanche_vm::utxo_store::Addressable for Output {
    fn addresses(&self) -> &[avalanche_ids::ShortId] {
        &self.owners().addrs
    }
}
