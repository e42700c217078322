//! Every table on one page. Integers in keys are big-endian, so that rows lie in their order; hashes are in wire order.
//!
//! | table             | key                             | value                                              | since |
//! |-------------------|---------------------------------|----------------------------------------------------|-------|
//! | meta              | `identity`                      | text: network name, space, genesis hash            | 1     |
//! | meta              | `version`                       | u32 big-endian: [`SCHEMA_VERSION`]                 | 1     |
//! | meta              | `tip`                           | [`Tip`]: hash, u32 height, Sprout root, Sapling root | 1   |
//! | blocks            | block hash 32                   | [`BlockRow`]: facts of a known block, wire header  | 1     |
//! | heights           | u32 height                      | hash 32 of the best chain's block                  | 1     |
//! | files             | u32 file number                 | [`FileInfo`], as the C++ node stores it            | 1     |
//! | coins             | transaction id 32               | [`Coins`](crate::Coins), as the C++ node stores them | 1   |
//! | sprout_anchors    | tree root 32                    | the tree, as the C++ node stores it                | 1     |
//! | sapling_anchors   | tree root 32                    | the tree, as the C++ node stores it                | 1     |
//! | sprout_nullifiers | nullifier 32                    | nothing                                            | 1     |
//! | sapling_nullifiers | nullifier 32                   | nothing                                            | 1     |
//! | nodes             | u8 list, outpoint 36            | a fluxnode: list 0 started, 1 DoS, 2 confirmed     | 1     |
//! | delegates         | outpoint 36                     | list of public keys                                | 1     |
//! | node_undo         | block hash 32                   | what takes the block's changes of nodes back       | 1     |
//! | meta              | `flag:` name                    | nothing: the mark is set                           | 1     |
//! | meta              | `index:` name                   | hash 32, u32 height: how far an index is           | 1     |
//! | tx_index          | transaction id 32               | block hash 32, u32 place in the block              | 1     |
//! | spent_index       | outpoint 36                     | spending id 32, u32 input, u32 height, i64 value, then address 21 where one is known | 1 |
//! | address_deltas    | address 21, u32 height, u32 place, id 32, u32 index, u8 spending | i64 value         | 1     |
//! | address_utxos     | address 21, id 32, u32 index    | i64 value, script                      | 1     |
//! | timestamps        | u32 logical time, block hash 32 | nothing                                            | 1     |
//! | block_times       | block hash 32                   | u32 logical time                                   | 1     |
//! | node_history      | outpoint 36, u32 height, u32 place | i8 kind, id 32 of a START or CONFIRM            | 1     |
//!
//! An address is a u8 type (1 key hash, 2 script hash) and a hash of 20 bytes; values of the index tables are little-endian.
//!
//! Blocks and the undo data of their coins lie in flat files; rows name positions in them.

use fluxd_primitives::{
    Amount, BlockHash, BlockHeader, Codec, Hash256, OutPoint, U256,
    codec::{Reader, Writer},
};

use crate::{
    compact::{put_varint, varint, varint_u32},
    error::RowError,
    nodes::NodeList,
};

/// Format of the tables. A store of another version is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// Key of the row that says to which network the store belongs.
pub(crate) const IDENTITY: &[u8] = b"identity";
/// Key of the row with the format.
pub(crate) const VERSION: &[u8] = b"version";
/// Key of the row with the tip.
pub(crate) const TIP: &[u8] = b"tip";

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single rows.
    Meta,
    /// Known blocks by hash.
    Blocks,
    /// The best chain by height.
    Heights,
    /// Flat files by number.
    Files,
    /// Unspent outputs by transaction.
    Coins,
    /// Sprout trees by root.
    SproutAnchors,
    /// Sapling trees by root.
    SaplingAnchors,
    /// Sprout notes that are spent.
    SproutNullifiers,
    /// Sapling notes that are spent.
    SaplingNullifiers,
    /// Fluxnodes.
    Nodes,
    /// Delegate keys of fluxnodes.
    Delegates,
    /// Undo data of fluxnodes by block.
    NodeUndo,
    /// Index: places of transactions.
    TxIndex,
    /// Index: who spent an output.
    SpentIndex,
    /// Index: changes of the balances of addresses.
    AddressDeltas,
    /// Index: unspent outputs of addresses.
    AddressUtxos,
    /// Index: blocks by logical time.
    Timestamps,
    /// Index: logical times of blocks.
    BlockTimes,
    /// Index: transactions of fluxnodes.
    NodeHistory,
}

impl Table {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 19] = [
        Self::Meta,
        Self::Blocks,
        Self::Heights,
        Self::Files,
        Self::Coins,
        Self::SproutAnchors,
        Self::SaplingAnchors,
        Self::SproutNullifiers,
        Self::SaplingNullifiers,
        Self::Nodes,
        Self::Delegates,
        Self::NodeUndo,
        Self::TxIndex,
        Self::SpentIndex,
        Self::AddressDeltas,
        Self::AddressUtxos,
        Self::Timestamps,
        Self::BlockTimes,
        Self::NodeHistory,
    ];

    /// The engine's name of the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Blocks => "blocks",
            Self::Heights => "heights",
            Self::Files => "files",
            Self::Coins => "coins",
            Self::SproutAnchors => "sprout_anchors",
            Self::SaplingAnchors => "sapling_anchors",
            Self::SproutNullifiers => "sprout_nullifiers",
            Self::SaplingNullifiers => "sapling_nullifiers",
            Self::Nodes => "nodes",
            Self::Delegates => "delegates",
            Self::NodeUndo => "node_undo",
            Self::TxIndex => "tx_index",
            Self::SpentIndex => "spent_index",
            Self::AddressDeltas => "address_deltas",
            Self::AddressUtxos => "address_utxos",
            Self::Timestamps => "timestamps",
            Self::BlockTimes => "block_times",
            Self::NodeHistory => "node_history",
        }
    }
}

/// The block that all state belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Root of the Sprout tree after it.
    pub sprout_root: Hash256,
    /// Root of the Sapling tree after it.
    pub sapling_root: Hash256,
}

/// How much is known about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validity {
    /// The header satisfies all rules.
    Header,
    /// The body satisfies all rules that need no state.
    Body,
    /// The block was connected once.
    Connected,
    /// The block breaks a rule.
    Invalid,
    /// A block before it breaks a rule.
    InvalidAncestor,
}

/// A place in the flat files: where the payload of a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the file.
    pub file: u32,
    /// Byte in it, behind the eight bytes that begin every record.
    pub offset: u32,
}

/// A known block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    /// The header.
    pub header: BlockHeader,
    /// Its height.
    pub height: u32,
    /// Work of the chain up to it.
    pub chain_work: U256,
    /// How much is known about it.
    pub validity: Validity,
    /// Number of transactions; 0 until the body is known.
    pub transactions: u32,
    /// Where the block lies.
    pub block: Option<Position>,
    /// Where its undo data lies, in a file of the block's number.
    pub undo_offset: Option<u32>,
    /// Value in the Sprout pool after it; 0 until it is connected.
    pub sprout_value: Amount,
    /// Value in the Sapling pool after it; 0 until it is connected.
    pub sapling_value: Amount,
}

/// What a pair of flat files holds. Mirrors `CBlockFileInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileInfo {
    /// Blocks in it.
    pub blocks: u32,
    /// Bytes used of the block file.
    pub size: u32,
    /// Bytes used of the undo file.
    pub undo_size: u32,
    /// Lowest height of a block in it.
    pub height_first: u32,
    /// Highest height of a block in it.
    pub height_last: u32,
    /// Earliest header time of a block in it.
    pub time_first: u64,
    /// Latest header time of a block in it.
    pub time_last: u64,
}

impl FileInfo {
    /// Counts a block.
    pub(crate) fn add_block(&mut self, height: u32, time: u32) {
        let time = u64::from(time);
        if self.blocks == 0 {
            (self.height_first, self.time_first) = (height, time);
        }
        self.height_first = self.height_first.min(height);
        self.time_first = self.time_first.min(time);
        self.height_last = self.height_last.max(height);
        self.time_last = self.time_last.max(time);
        self.blocks = self.blocks.saturating_add(1);
    }
}

pub(crate) fn number_key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

pub(crate) fn flag_key(name: &str) -> Vec<u8> {
    [b"flag:", name.as_bytes()].concat()
}

pub(crate) fn node_key(list: NodeList, outpoint: &OutPoint) -> Vec<u8> {
    [&[list.selector()][..], &outpoint.to_bytes()].concat()
}

pub(crate) fn read_node_key(key: &[u8]) -> Result<(NodeList, OutPoint), RowError> {
    let mut reader = Reader::new(key);
    let list = NodeList::of_selector(reader.u8()?)?;
    let outpoint = OutPoint::decode(&mut reader)?;
    reader.finish()?;
    Ok((list, outpoint))
}

pub(crate) fn tip_row(tip: &Tip) -> Vec<u8> {
    let mut writer = Writer::new();
    tip.hash.encode(&mut writer);
    writer.u32_be(tip.height);
    tip.sprout_root.encode(&mut writer);
    tip.sapling_root.encode(&mut writer);
    writer.into_vec()
}

pub(crate) fn read_tip(row: &[u8]) -> Result<Tip, RowError> {
    let mut reader = Reader::new(row);
    let tip = Tip {
        hash: BlockHash::decode(&mut reader)?,
        height: reader.u32_be()?,
        sprout_root: Hash256::decode(&mut reader)?,
        sapling_root: Hash256::decode(&mut reader)?,
    };
    reader.finish()?;
    Ok(tip)
}

pub(crate) fn block_row(block: &BlockRow) -> Vec<u8> {
    let mut writer = Writer::with_capacity(400);
    writer.u32_be(block.height).put(&block.chain_work.to_be_bytes::<32>());
    writer.u8(match block.validity {
        Validity::Header => 0,
        Validity::Body => 1,
        Validity::Connected => 2,
        Validity::Invalid => 3,
        Validity::InvalidAncestor => 4,
    });
    writer.u32_be(block.transactions);
    writer.u8(u8::from(block.block.is_some()));
    if let Some(position) = block.block {
        writer.u32_be(position.file).u32_be(position.offset);
    }
    writer.u8(u8::from(block.undo_offset.is_some()));
    if let Some(offset) = block.undo_offset {
        writer.u32_be(offset);
    }
    writer.i64_be(block.sprout_value.zat()).i64_be(block.sapling_value.zat());
    block.header.encode(&mut writer);
    writer.into_vec()
}

pub(crate) fn read_block_row(row: &[u8]) -> Result<BlockRow, RowError> {
    let mut reader = Reader::new(row);
    let height = reader.u32_be()?;
    let chain_work = U256::from_be_bytes(reader.array::<32>()?);
    let validity = match reader.u8()? {
        0 => Validity::Header,
        1 => Validity::Body,
        2 => Validity::Connected,
        3 => Validity::Invalid,
        4 => Validity::InvalidAncestor,
        other => return Err(RowError::Selector(other)),
    };
    let transactions = reader.u32_be()?;
    let block = if flag(&mut reader)? {
        Some(Position { file: reader.u32_be()?, offset: reader.u32_be()? })
    } else {
        None
    };
    let undo_offset = if flag(&mut reader)? { Some(reader.u32_be()?) } else { None };
    let sprout_value = Amount::from_zat(reader.i64_be()?);
    let sapling_value = Amount::from_zat(reader.i64_be()?);
    let header = BlockHeader::decode(&mut reader)?;
    reader.finish()?;
    Ok(BlockRow {
        header,
        height,
        chain_work,
        validity,
        transactions,
        block,
        undo_offset,
        sprout_value,
        sapling_value,
    })
}

pub(crate) fn file_row(info: &FileInfo) -> Vec<u8> {
    let mut writer = Writer::new();
    for number in [info.blocks, info.size, info.undo_size, info.height_first, info.height_last] {
        put_varint(&mut writer, u64::from(number));
    }
    put_varint(&mut writer, info.time_first);
    put_varint(&mut writer, info.time_last);
    writer.into_vec()
}

pub(crate) fn read_file(row: &[u8]) -> Result<FileInfo, RowError> {
    let mut reader = Reader::new(row);
    let info = FileInfo {
        blocks: varint_u32(&mut reader)?,
        size: varint_u32(&mut reader)?,
        undo_size: varint_u32(&mut reader)?,
        height_first: varint_u32(&mut reader)?,
        height_last: varint_u32(&mut reader)?,
        time_first: varint(&mut reader)?,
        time_last: varint(&mut reader)?,
    };
    reader.finish()?;
    Ok(info)
}

pub(crate) fn read_number(bytes: &[u8]) -> Result<u32, RowError> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| RowError::Number)
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, RowError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(RowError::Selector(other)),
    }
}
