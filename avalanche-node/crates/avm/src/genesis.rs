//! The genesis state of the X-chain: assets under aliases. Mirrors `vms/avm/genesis.go`.

use avalanche_codec::{CodecError, MAX_SLICE_LEN, Text, VERSION, marshal, unmarshal_versioned, wire_struct};
use avalanche_ids::{Id, ShortId};
use avalanche_vm::secp256k1fx::{OutputOwners, TransferOutput};

use crate::{
    fx::{BaseTx, Output},
    txs::{CreateAssetTx, InitialState, Tx, UnsignedTx},
};

/// The state the chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Sorted by alias.
    pub assets: Vec<GenesisAsset>,
}
wire_struct!(Genesis { assets });

/// An asset under an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisAsset {
    /// The alias.
    pub alias: Text,
    /// The transaction that makes it, without type id.
    pub tx: CreateAssetTx,
}
wire_struct!(GenesisAsset { alias, tx });

/// Coins of one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// nAVAX.
    pub amount: u64,
    /// Who owns it.
    pub address: ShortId,
}

impl Genesis {
    /// The genesis with AVAX alone. `holders` come in any order, `memo` is kept as it is.
    ///
    /// # Errors
    /// Never in practice: the names fit a text.
    pub fn avax(network_id: u32, holders: &[Holder], memo: Vec<u8>) -> Result<Self, CodecError> {
        let mut outs: Vec<_> = holders
            .iter()
            .map(|holder| {
                Output::SecpTransfer(TransferOutput {
                    amount: holder.amount,
                    owners: OutputOwners { locktime: 0, threshold: 1, addrs: vec![holder.address] },
                })
            })
            .collect();
        outs.sort_by_cached_key(marshal);
        let tx = CreateAssetTx {
            base: BaseTx { network_id, blockchain_id: Id::EMPTY, outs: Vec::new(), ins: Vec::new(), memo },
            name: Text::new("Avalanche")?,
            symbol: Text::new("AVAX")?,
            denomination: 9,
            states: vec![InitialState { fx_index: 0, outs }],
        };
        Ok(Self { assets: vec![GenesisAsset { alias: Text::new("AVAX")?, tx }] })
    }

    /// Reads a genesis.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        unmarshal_versioned(VERSION, bytes, MAX_SLICE_LEN)
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }
}

impl GenesisAsset {
    /// The asset's id: that of the transaction without credentials.
    #[must_use]
    pub fn id(&self) -> Id {
        Tx { unsigned: UnsignedTx::CreateAsset(Box::new(self.tx.clone())), credentials: Vec::new() }.id()
    }
}
