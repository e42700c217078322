//! What methods are asked with: blocks by name, slot or root, addresses, transactions.

use serde_json::Value;
use shared_vendor::rpc::{Error, Params};

use super::{View, failed, not_found};
use crate::{
    storage::Database as _,
    types::{
        address,
        codec::decode,
        primitives::{Address, Root, Slot},
        transaction::{MAX_DEPLOY_TX_BYTES, Tx},
    },
};

/// Names a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockId {
    Head,
    Confirmed,
    Justified,
    Finalized,
    Genesis,
    Slot(Slot),
    Root(Root),
}

impl BlockId {
    /// The parameter at `index`; the head when it is left out.
    pub(super) fn read(params: &Params, index: usize) -> Result<Self, Error> {
        let wrong = || {
            Error::invalid_params("block: a slot, a root, or head, confirmed, justified, finalized, genesis")
        };
        match params.value(index) {
            None => Ok(Self::Head),
            Some(Value::Number(slot)) => slot.as_u64().map(Self::Slot).ok_or_else(wrong),
            Some(Value::String(text)) => match text.as_str() {
                "head" => Ok(Self::Head),
                "confirmed" => Ok(Self::Confirmed),
                "justified" => Ok(Self::Justified),
                "finalized" => Ok(Self::Finalized),
                "genesis" => Ok(Self::Genesis),
                text if text.starts_with("0x") => text.parse().map(Self::Root).map_err(|_| wrong()),
                text => text.parse().map(Self::Slot).map_err(|_| wrong()),
            },
            Some(_) => Err(wrong()),
        }
    }

    /// Its root.
    pub(super) fn root(self, view: &View<'_>) -> Result<Root, Error> {
        let slot = match self {
            Self::Head => return Ok(view.chain.head()),
            Self::Confirmed => return Ok(view.chain.confirmed()),
            Self::Justified => return Ok(view.chain.justified().root),
            Self::Finalized => return Ok(view.chain.finalized().root),
            Self::Root(root) => return Ok(root),
            Self::Genesis => 0,
            Self::Slot(slot) => slot,
        };
        view.chain.db().canonical(slot).map_err(|_| failed())?.ok_or_else(|| not_found("block"))
    }
}

/// A whole number, as a number or as text.
pub(super) fn whole(params: &Params, index: usize, name: &str) -> Result<u64, Error> {
    let wrong = || Error::invalid_params(format!("{name}: a whole number"));
    match params.value(index) {
        Some(Value::Number(value)) => value.as_u64().ok_or_else(wrong),
        Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// An account, with prefix or in hexadecimal.
pub(super) fn account(params: &Params, index: usize) -> Result<Address, Error> {
    let text: String = params.required(index, "address")?;
    let prefixed = |prefix| address::from_text(&text, prefix).ok();
    text.parse()
        .ok()
        .or_else(|| prefixed(address::MAINNET_PREFIX))
        .or_else(|| prefixed(address::TESTNET_PREFIX))
        .ok_or_else(|| Error::invalid_params("address: not an account"))
}

/// A root or id.
pub(super) fn root(params: &Params, index: usize, name: &str) -> Result<Root, Error> {
    let text: String = params.required(index, name)?;
    text.parse().map_err(|_| Error::invalid_params(format!("{name}: 32 bytes in hexadecimal")))
}

/// An encoded transaction in hexadecimal.
pub(super) fn tx(text: &str) -> Result<Tx, Error> {
    let bytes = shared_vendor::hex::decode(text)
        .map_err(|_| Error::invalid_params("transaction: not hexadecimal"))?;
    decode(&bytes, MAX_DEPLOY_TX_BYTES).map_err(|err| Error::invalid_params(format!("transaction: {err}")))
}
