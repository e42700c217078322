//! The transactions of the X-chain. Mirrors `vms/avm/txs`.

pub mod execute;
pub mod verify;

use avalanche_codec::{CodecError, Text, unmarshal, wire_enum, wire_struct};
use avalanche_ids::Id;
use avalanche_vm::avax::{self, SignedTx, UtxoId};

use crate::fx::{BaseTx, Credential, FxOperation, Input, Output};

/// A transaction with its credentials: one per input, then one per operation.
pub type Tx = SignedTx<UnsignedTx, Credential>;

/// Reads a signed transaction of at most 256 KiB.
///
/// # Errors
/// The bytes are not one.
pub fn parse(bytes: &[u8]) -> Result<Tx, CodecError> {
    unmarshal(bytes)
}

/// A transaction with its name and encoding, computed once.
pub type NamedTx = avax::NamedTx<UnsignedTx, Credential>;

/// Takes assets that another chain exported.
pub type ImportTx = avax::ImportTx<Output, Input>;

/// Puts assets where another chain can import them.
pub type ExportTx = avax::ExportTx<Output, Input>;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsignedTx {
    /// Moves assets.
    Base(Box<BaseTx>),
    /// Makes an asset.
    CreateAsset(Box<CreateAssetTx>),
    /// Mints, hands over, burns.
    Operation(Box<OperationTx>),
    /// Takes assets from another chain.
    Import(Box<ImportTx>),
    /// Gives assets to another chain.
    Export(Box<ExportTx>),
}
wire_enum!(UnsignedTx { 0 => Base, 1 => CreateAsset, 2 => Operation, 3 => Import, 4 => Export });

/// Makes an asset, which is named by the transaction's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAssetTx {
    /// Common fields.
    pub base: BaseTx,
    /// 1 to 128 ASCII letters, digits and inner spaces when valid.
    pub name: Text,
    /// 1 to 4 upper-case ASCII letters when valid.
    pub symbol: Text,
    /// Decimal places, at most 32 when valid.
    pub denomination: u8,
    /// What exists from the start, sorted by fx when valid.
    pub states: Vec<InitialState>,
}
wire_struct!(CreateAssetTx { base, name, symbol, denomination, states });

/// What exists of an asset from the start, in one fx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialState {
    /// Position of the fx: secp256k1, NFT, property.
    pub fx_index: u32,
    /// Sorted by their encoding when valid.
    pub outs: Vec<Output>,
}
wire_struct!(InitialState { fx_index, outs });

/// Does things to assets other than moving amounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationTx {
    /// Common fields.
    pub base: BaseTx,
    /// Sorted by their encoding when valid.
    pub ops: Vec<Operation>,
}
wire_struct!(OperationTx { base, ops });

/// One thing done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// To which asset.
    pub asset_id: Id,
    /// To which UTXOs, sorted and unique when valid.
    pub utxo_ids: Vec<UtxoId>,
    /// What.
    pub op: FxOperation,
}
wire_struct!(Operation { asset_id, utxo_ids, op });

impl UnsignedTx {
    /// The common fields.
    #[must_use]
    pub fn base(&self) -> &BaseTx {
        match self {
            Self::Base(tx) => tx,
            Self::CreateAsset(tx) => &tx.base,
            Self::Operation(tx) => &tx.base,
            Self::Import(tx) => &tx.base,
            Self::Export(tx) => &tx.base,
        }
    }
}
