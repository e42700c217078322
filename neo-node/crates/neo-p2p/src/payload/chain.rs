//! Asking for and announcing headers, blocks and inventory.

use neo_base::{
    UInt256,
    codec::{DecodeError, Result, Wire, read_list, write_list},
    ledger::Header,
};
use shared_vendor::bytes::{Reader, Writer};

/// Headers of one message.
pub const MAX_HEADERS: usize = 2000;
/// Hashes of one inventory message.
pub const MAX_HASHES: usize = 500;
/// Blocks that are sent for one request.
pub const MAX_BLOCKS_SENT: usize = 500;
/// A header in its shortest form: fields, one witness.
const MIN_HEADER: usize = 4 + 32 + 32 + 8 + 8 + 4 + 1 + 20 + 3;

/// `getheaders` and `getblockbyindex`: from a height on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRequest {
    /// First height.
    pub start: u32,
    /// How many, at most [`MAX_HEADERS`]; `None` for as many as the sender gives.
    pub count: Option<u16>,
}

impl Wire for BlockRequest {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { start: reader.u32_le()?, count: read_count(reader, MAX_HEADERS)? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32_le(self.start);
        write_count(writer, self.count);
    }
}

/// `getblocks`: hashes of the blocks that follow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRequest {
    /// The block before the first.
    pub start: UInt256,
    /// How many; `None` for as many as the sender gives.
    pub count: Option<u16>,
}

impl Wire for HashRequest {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { start: UInt256::read(reader)?, count: read_count(reader, usize::MAX)? })
    }

    fn write(&self, writer: &mut Writer) {
        self.start.write(writer);
        write_count(writer, self.count);
    }
}

/// A signed 16-bit count: -1 for "as many as you give", or 1 and more.
fn read_count(reader: &mut Reader<'_>, limit: usize) -> Result<Option<u16>> {
    match i16::from_le_bytes(reader.array()?) {
        -1 => Ok(None),
        count => match u16::try_from(count) {
            Ok(count) if count > 0 && usize::from(count) <= limit => Ok(Some(count)),
            _ => Err(DecodeError::Invalid("a count is out of bounds")),
        },
    }
}

fn write_count(writer: &mut Writer, count: Option<u16>) {
    writer.u16_le(count.unwrap_or(u16::MAX));
}

/// 1 to [`MAX_HEADERS`] headers, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderList(pub Vec<Header>);

impl Wire for HeaderList {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        match read_list(reader, MAX_HEADERS, MIN_HEADER)? {
            empty if empty.is_empty() => Err(DecodeError::Invalid("a list of headers is empty")),
            headers => Ok(Self(headers)),
        }
    }

    fn write(&self, writer: &mut Writer) {
        write_list(writer, &self.0);
    }
}

/// What an inventory hash names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InventoryKind {
    /// A transaction.
    Transaction = 0x2b,
    /// A block.
    Block = 0x2c,
    /// An extensible payload.
    Extensible = 0x2e,
}

/// `inv`, `getdata` and `notfound`: up to [`MAX_HASHES`] things of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes {
    /// What they name.
    pub kind: InventoryKind,
    /// The hashes.
    pub hashes: Vec<UInt256>,
}

impl Wire for Hashes {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let kind = match reader.u8()? {
            0x2b => InventoryKind::Transaction,
            0x2c => InventoryKind::Block,
            0x2e => InventoryKind::Extensible,
            _ => return Err(DecodeError::Invalid("unknown kind of inventory")),
        };
        Ok(Self { kind, hashes: read_list(reader, MAX_HASHES, 32)? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(match self.kind {
            InventoryKind::Transaction => 0x2b,
            InventoryKind::Block => 0x2c,
            InventoryKind::Extensible => 0x2e,
        });
        write_list(writer, &self.hashes);
    }
}
