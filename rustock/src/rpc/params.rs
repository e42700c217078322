//! Parameters as rskj reads them, with its error texts. Mirrors `org/ethereum/rpc/parameters` and
//! `co/rsk/rpc/Web3InformationRetriever.java`.

use serde_json::Value;
use shared_vendor::{
    hex,
    rpc::{Error, Params},
};

use super::{Block, Context};
use crate::types::{BlockHash, BlockNumber, Hash32};

fn invalid() -> Error {
    Error::invalid_params("method parameters invalid")
}

/// Checks the number of parameters.
pub(super) fn count(params: &Params, allowed: std::ops::RangeInclusive<usize>) -> Result<(), Error> {
    if allowed.contains(&params.len()) { Ok(()) } else { Err(invalid()) }
}

/// The text at `index`; numbers and booleans count as their text, as in the reference's reader.
fn text(params: &Params, index: usize) -> Result<String, Error> {
    match params.value(index) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        _ => Err(invalid()),
    }
}

/// The block that a tag or hexadecimal number names; `None` when it is above the tip. A header client has no pending
/// block.
pub(super) fn block_by_number(ctx: &Context, params: &Params, index: usize) -> Result<Option<Block>, Error> {
    named_block(ctx, &text(params, index)?)
}

/// As [`block_by_number`], for a name that was read already.
pub(super) fn named_block(ctx: &Context, name: &str) -> Result<Option<Block>, Error> {
    match name {
        "" => Err(Error::invalid_params("Invalid block identifier: empty or null.")),
        "latest" => Ok(ctx.blocks.best()),
        "earliest" => Ok(ctx.blocks.by_number(BlockNumber(0))),
        "pending" => Ok(None),
        "safe" => Ok(ctx.settled().and_then(|settled| ctx.blocks.by_number(settled.safe))),
        "finalized" => Ok(ctx.settled().and_then(|settled| ctx.blocks.by_number(settled.finalized))),
        _ => match hex_digits(name) {
            Some(digits) => Ok(number(digits).and_then(|number| ctx.blocks.by_number(number))),
            None if is_decimal(name) => Err(Error::invalid_params(format!("invalid blocknumber {name}"))),
            None => {
                let name: String = name.escape_debug().take(80).collect();
                Err(Error::invalid_params(format!("Invalid block identifier '{name}'")))
            }
        },
    }
}

/// The block that a hash names; `None` when we do not have it.
pub(super) fn block_by_hash(ctx: &Context, params: &Params, index: usize) -> Result<Option<Block>, Error> {
    Ok(ctx.blocks.by_hash(&block_hash(params, index)?))
}

/// A block's hash.
pub(super) fn block_hash(params: &Params, index: usize) -> Result<BlockHash, Error> {
    hash(&text(params, index)?, "block hash").map(BlockHash)
}

/// A transaction's hash.
pub(super) fn transaction_hash(params: &Params, index: usize) -> Result<Hash32, Error> {
    hash(&text(params, index)?, "transaction hash").map(Hash32)
}

/// 32 bytes in hexadecimal; `kind` names them in errors.
pub(super) fn hash(name: &str, kind: &str) -> Result<[u8; 32], Error> {
    let length = || Error::invalid_params(format!("Invalid {kind}: incorrect length."));
    if !(64..=66).contains(&name.len()) {
        return Err(length());
    }
    let bytes = hex::decode(name)
        .map_err(|_| Error::invalid_params(format!("Invalid {kind} format: invalid hex value")))?;
    bytes.try_into().map_err(|_| length())
}

/// The flag that asks for whole transactions.
pub(super) fn flag(params: &Params, index: usize) -> Result<bool, Error> {
    match params.value(index) {
        Some(Value::Bool(flag)) => Ok(*flag),
        _ => Err(invalid()),
    }
}

/// A place in a block, hexadecimal with prefix.
pub(super) fn index(params: &Params, index: usize) -> Result<usize, Error> {
    let name = text(params, index)?;
    hex_digits(&name).and_then(|digits| usize::from_str_radix(digits, 16).ok()).ok_or_else(invalid)
}

/// Bytes in hexadecimal with prefix, as `web3_sha3` wants them.
pub(super) fn prefixed_bytes(params: &Params, index: usize) -> Result<Vec<u8>, Error> {
    let refused = || Error::invalid_params("Parameter must be hexadecimal encoded with the '0x' prefix.");
    let name = text(params, index)?;
    let digits = name.strip_prefix("0x").ok_or_else(refused)?;
    let even = if digits.len() % 2 == 0 { digits.to_owned() } else { format!("0{digits}") };
    hex::decode(&even).map_err(|_| refused())
}

fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x")?;
    (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(digits)
}

fn is_decimal(text: &str) -> bool {
    text.bytes().all(|digit| digit.is_ascii_digit())
}

/// Leading zeros are allowed; what does not fit is above every tip.
fn number(digits: &str) -> Option<BlockNumber> {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(BlockNumber(0));
    }
    u64::from_str_radix(digits, 16).ok().map(BlockNumber)
}
