//! The messages of the protocol: bytes to values and back, with the bounds that the reference sets on counts. What a
//! message is answered with is decided elsewhere. Mirrors `ProcessMessage` of `src/main.cpp`, `src/protocol.h` and
//! `src/net.h`.
//!
//! Bytes behind what a message needs are ignored, as the reference does.

pub mod address;
pub mod compact;
pub mod filter;
pub mod inventory;
pub mod version;

use fluxd_primitives::{
    Block, BlockHash, BlockHeader, DecodeError, Hash256, Transaction,
    codec::{
        Codec, Reader, Writer, compact_size, list, put_compact_size, put_list, put_var_bytes, var_bytes,
    },
};

use self::{
    address::TimedAddress,
    compact::{BlockTransactions, BlockTransactionsRequest, CompactBlock, CompactHeader},
    filter::{Filter, MerkleBlock},
    inventory::Inventory,
    version::Version,
};

/// Most headers of one `headers` message.
pub const MAX_HEADERS: usize = 160;
/// Most headers of one `cmpheaders` message.
pub const MAX_COMPACT_HEADERS: usize = 2000;
/// Most items of `inv`, `getdata` and `notfound`.
pub const MAX_INVENTORY: usize = 50_000;
/// Most addresses of one `addr` message.
pub const MAX_ADDRESSES: usize = 1000;
/// Most letters of the reason in a `reject` message.
pub const MAX_REJECT_REASON: usize = 111;
/// Most hashes of a block locator that are looked at; honest ones hold about 10 + log2 of the height.
pub const MAX_LOCATOR: usize = 500;

/// Where a chain is, from the tip back with growing steps, and where to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locator {
    /// Version of the sender.
    pub version: i32,
    /// Hashes that the sender has, newest first.
    pub have: Vec<BlockHash>,
    /// The last one wanted; zero for as many as possible.
    pub stop: BlockHash,
}

/// Why something that we sent was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Command of the refused message.
    pub message: String,
    /// One of the `REJECT_*` codes.
    pub code: u8,
    /// Text; untrusted.
    pub reason: String,
    /// Id of the refused block or transaction.
    pub hash: Option<Hash256>,
}

/// `REJECT_MALFORMED`.
pub const REJECT_MALFORMED: u8 = 0x01;
/// `REJECT_INVALID`.
pub const REJECT_INVALID: u8 = 0x10;
/// `REJECT_OBSOLETE`.
pub const REJECT_OBSOLETE: u8 = 0x11;
/// `REJECT_DUPLICATE`.
pub const REJECT_DUPLICATE: u8 = 0x12;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of the protocol
pub enum Message {
    Version(Version),
    Verack,
    Addr(Vec<TimedAddress>),
    GetAddr,
    Inv(Vec<Inventory>),
    GetData(Vec<Inventory>),
    NotFound(Vec<Inventory>),
    GetBlocks(Locator),
    GetHeaders(Locator),
    Headers(Vec<BlockHeader>),
    CmpHeaders(Vec<CompactHeader>),
    Block(Box<Block>),
    Tx(Box<Transaction>),
    Mempool,
    /// Absent before protocol 60001.
    Ping(Option<u64>),
    Pong(Option<u64>),
    Reject(Reject),
    /// Payload and signature of an alert.
    Alert(Vec<u8>, Vec<u8>),
    FilterLoad(Filter),
    FilterAdd(Vec<u8>),
    FilterClear,
    MerkleBlock(Box<MerkleBlock>),
    SendHeaders,
    /// The sender wants new blocks as `cmpctblock`; version of its compact blocks.
    SendCmpct(bool, u64),
    CmpctBlock(Box<CompactBlock>),
    GetBlockTxn(BlockTransactionsRequest),
    BlockTxn(BlockTransactions),
    /// Fee rate below which the sender does not want transactions, zatoshi per 1000 bytes.
    FeeFilter(i64),
    /// A command that means nothing to this version; the reference ignores such messages.
    Unknown(String),
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The payload is not of the form of its command.
    #[error("error parsing message: {0}")]
    Malformed(#[from] DecodeError),
    /// More items than the reference takes.
    #[error("message {command} size() = {count}")]
    TooMany {
        /// The command.
        command: &'static str,
        /// What it claims.
        count: u64,
    },
}

impl MessageError {
    /// Points on the scale of which 100 ban (`Misbehaving`). The reference counts too many items as 20, bans at once
    /// for a transaction of an unknown format, and gives malformed messages nothing: here they count 10, so that a peer
    /// which sends only them is parted from.
    #[must_use]
    pub fn points(&self) -> u32 {
        match self {
            Self::Malformed(DecodeError::UnknownTransactionFormat { .. }) => 100,
            Self::Malformed(_) => 10,
            Self::TooMany { .. } => 20,
        }
    }
}

impl From<shared_vendor::bytes::ReadError> for MessageError {
    fn from(err: shared_vendor::bytes::ReadError) -> Self {
        Self::Malformed(err.into())
    }
}

impl Message {
    /// Reads the payload of `command`.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn decode(command: &str, payload: &[u8]) -> Result<Self, MessageError> {
        let reader = &mut Reader::new(payload);
        Ok(match command {
            "version" => Self::Version(Version::decode(reader)?),
            "verack" => Self::Verack,
            "addr" => Self::Addr(bounded(reader, "addr", MAX_ADDRESSES, TimedAddress::decode)?),
            "getaddr" => Self::GetAddr,
            "inv" => Self::Inv(bounded(reader, "inv", MAX_INVENTORY, Inventory::decode)?),
            "getdata" => Self::GetData(bounded(reader, "getdata", MAX_INVENTORY, Inventory::decode)?),
            "notfound" => Self::NotFound(bounded(reader, "notfound", MAX_INVENTORY, Inventory::decode)?),
            "getblocks" => Self::GetBlocks(locator(reader, "getblocks")?),
            "getheaders" => Self::GetHeaders(locator(reader, "getheaders")?),
            "headers" => Self::Headers(bounded(reader, "headers", MAX_HEADERS, |reader| {
                let header = BlockHeader::decode(reader)?;
                compact_size(reader)?; // number of transactions, always 0
                Ok(header)
            })?),
            "cmpheaders" => {
                Self::CmpHeaders(bounded(reader, "cmpheaders", MAX_COMPACT_HEADERS, CompactHeader::decode)?)
            }
            "block" => Self::Block(Box::new(Block::decode(reader)?)),
            "tx" => Self::Tx(Box::new(Transaction::decode(reader)?)),
            "mempool" => Self::Mempool,
            "ping" => Self::Ping(reader.u64_le().ok()),
            "pong" => Self::Pong(reader.u64_le().ok()),
            "reject" => Self::Reject(reject(reader)?),
            "alert" => Self::Alert(var_bytes(reader)?, var_bytes(reader)?),
            "filterload" => Self::FilterLoad(Filter::decode(reader)?),
            "filteradd" => Self::FilterAdd(var_bytes(reader)?),
            "filterclear" => Self::FilterClear,
            "merkleblock" => Self::MerkleBlock(Box::new(MerkleBlock::decode(reader)?)),
            "sendheaders" => Self::SendHeaders,
            "sendcmpct" => Self::SendCmpct(reader.u8()? != 0, reader.u64_le()?),
            "cmpctblock" => Self::CmpctBlock(Box::new(CompactBlock::decode(reader)?)),
            "getblocktxn" => Self::GetBlockTxn(BlockTransactionsRequest::decode(reader)?),
            "blocktxn" => Self::BlockTxn(BlockTransactions::decode(reader)?),
            "feefilter" => Self::FeeFilter(reader.i64_le()?),
            other => Self::Unknown(other.to_owned()),
        })
    }

    /// The command that names this message on the wire.
    #[must_use]
    pub fn command(&self) -> &str {
        match self {
            Self::Version(_) => "version",
            Self::Verack => "verack",
            Self::Addr(_) => "addr",
            Self::GetAddr => "getaddr",
            Self::Inv(_) => "inv",
            Self::GetData(_) => "getdata",
            Self::NotFound(_) => "notfound",
            Self::GetBlocks(_) => "getblocks",
            Self::GetHeaders(_) => "getheaders",
            Self::Headers(_) => "headers",
            Self::CmpHeaders(_) => "cmpheaders",
            Self::Block(_) => "block",
            Self::Tx(_) => "tx",
            Self::Mempool => "mempool",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::Reject(_) => "reject",
            Self::Alert(..) => "alert",
            Self::FilterLoad(_) => "filterload",
            Self::FilterAdd(_) => "filteradd",
            Self::FilterClear => "filterclear",
            Self::MerkleBlock(_) => "merkleblock",
            Self::SendHeaders => "sendheaders",
            Self::SendCmpct(..) => "sendcmpct",
            Self::CmpctBlock(_) => "cmpctblock",
            Self::GetBlockTxn(_) => "getblocktxn",
            Self::BlockTxn(_) => "blocktxn",
            Self::FeeFilter(_) => "feefilter",
            Self::Unknown(command) => command,
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let to = &mut writer;
        match self {
            Self::Version(version) => version.encode(to),
            Self::Addr(addresses) => put_list(to, addresses),
            Self::Inv(items) | Self::GetData(items) | Self::NotFound(items) => put_list(to, items),
            Self::GetBlocks(locator) | Self::GetHeaders(locator) => {
                to.i32_le(locator.version);
                put_list(to, &locator.have);
                locator.stop.encode(to);
            }
            Self::Headers(headers) => {
                put_compact_size(to, headers.len());
                for header in headers {
                    header.encode(to);
                    to.u8(0);
                }
            }
            Self::CmpHeaders(headers) => put_list(to, headers),
            Self::Block(block) => block.encode(to),
            Self::Tx(tx) => tx.encode(to),
            Self::Ping(nonce) | Self::Pong(nonce) => {
                if let Some(nonce) = nonce {
                    to.u64_le(*nonce);
                }
            }
            Self::Reject(reject) => {
                put_var_bytes(to, reject.message.as_bytes());
                to.u8(reject.code);
                put_var_bytes(to, reject.reason.as_bytes());
                if let Some(hash) = &reject.hash {
                    hash.encode(to);
                }
            }
            Self::Alert(payload, signature) => {
                put_var_bytes(to, payload);
                put_var_bytes(to, signature);
            }
            Self::FilterLoad(filter) => filter.encode(to),
            Self::FilterAdd(item) => put_var_bytes(to, item),
            Self::MerkleBlock(block) => block.encode(to),
            Self::SendCmpct(announce, version) => {
                to.u8(u8::from(*announce)).u64_le(*version);
            }
            Self::CmpctBlock(block) => block.encode(to),
            Self::GetBlockTxn(request) => request.encode(to),
            Self::BlockTxn(transactions) => transactions.encode(to),
            Self::FeeFilter(rate) => {
                to.i64_le(*rate);
            }
            Self::Verack
            | Self::GetAddr
            | Self::Mempool
            | Self::FilterClear
            | Self::SendHeaders
            | Self::Unknown(_) => {}
        }
        writer.into_vec()
    }
}

/// A list whose claimed length is judged before anything is read.
fn bounded<T>(
    reader: &mut Reader<'_>,
    command: &'static str,
    limit: usize,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, MessageError> {
    let count = compact_size(reader)?;
    match usize::try_from(count) {
        Ok(count) if count <= limit => Ok((0..count).map(|_| read(reader)).collect::<Result<_, _>>()?),
        _ => Err(MessageError::TooMany { command, count }),
    }
}

fn locator(reader: &mut Reader<'_>, command: &'static str) -> Result<Locator, MessageError> {
    let version = reader.i32_le()?;
    let have = bounded(reader, command, MAX_LOCATOR, BlockHash::decode)?;
    Ok(Locator { version, have, stop: BlockHash::decode(reader)? })
}

fn reject(reader: &mut Reader<'_>) -> Result<Reject, MessageError> {
    let mut text = |limit: usize| {
        let len = compact_size(reader)?;
        let bytes = reader.bounded(len, limit)?;
        Ok::<_, DecodeError>(String::from_utf8_lossy(bytes).into_owned())
    };
    let message = text(12)?;
    let code = reader.u8()?;
    let len = compact_size(reader)?;
    let reason = String::from_utf8_lossy(reader.bounded(len, MAX_REJECT_REASON)?).into_owned();
    let hash = if matches!(message.as_str(), "block" | "tx") { Some(Hash256::decode(reader)?) } else { None };
    Ok(Reject { message, code, reason, hash })
}

/// Reads transactions or other values after a claimed count, without a bound of their own.
pub(crate) fn values<T: Codec>(reader: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
    list(reader)
}

#[cfg(test)]
mod tests;
