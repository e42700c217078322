//! Blocks by id and by height, which both chains answer alike.

use avalanche_ids::Id;
use serde_json::Value;
use shared_vendor::rpc::{Error, ParamDoc};

use crate::{
    args::{Args, doc},
    failure,
};

pub(crate) const BY_ID: &[ParamDoc] = &[doc("blockID", "block"), doc("encoding", "hex, hexnc or json")];
pub(crate) const BY_HEIGHT: &[ParamDoc] = &[doc("height", "height"), doc("encoding", "hex, hexnc or json")];

/// A block that is looked for: its bytes, or none.
type Found<E> = Result<Option<Vec<u8>>, E>;

/// The reply to a question for a block by its id.
pub(crate) fn by_id<E: std::fmt::Display>(
    args: &Args<'_>,
    find: impl FnOnce(&Id) -> Found<E>,
    object: impl FnOnce(&[u8]) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let (id, encoding) = (args.id("blockID")?, args.encoding()?);
    let bytes = find(&id).map_err(|err| failure(err.to_string()))?;
    let bytes = bytes.ok_or_else(|| failure(format!("couldn't get block with id {id}: not found")))?;
    encoding.reply("block", &bytes, || object(&bytes))
}

/// The reply to a question for the accepted block at a height.
pub(crate) fn by_height<E: std::fmt::Display>(
    args: &Args<'_>,
    find: impl FnOnce(u64) -> Found<E>,
    object: impl FnOnce(&[u8]) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let (height, encoding) = (args.number("height")?, args.encoding()?);
    let bytes = find(height).map_err(|err| failure(err.to_string()))?;
    let bytes = bytes.ok_or_else(|| failure(format!("couldn't get block at height {height}: not found")))?;
    encoding.reply("block", &bytes, || object(&bytes))
}
