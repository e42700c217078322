//! Files of blocks, as nodes export and import them: `chain.acc` (number of blocks, then each block with its length)
//! and `chain.N.acc` (height of the first block, number, blocks). Mirrors `MainService.Blocks.cs` of the C# node and
//! `db dump` of neo-go.

use std::io::{self, Read, Write};

use neo_base::{
    codec::{DecodeError, Wire},
    ledger::Block,
};

/// Longest block that is read.
const MAX_BLOCK: u32 = 0x0200_0000;

/// Why a file of blocks cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AccError {
    /// The file cannot be read, or ends early.
    #[error("reading the file of blocks")]
    Read(#[from] io::Error),
    /// A block is longer than any can be.
    #[error("a block of {0} bytes")]
    Length(u32),
    /// The bytes are no block.
    #[error("block {index} of the file")]
    Block {
        /// Place in the file, from 0.
        index: u32,
        /// What is wrong.
        source: DecodeError,
    },
}

/// Blocks of a file, one after the other.
#[derive(Debug)]
pub struct BlockReader<R> {
    input: R,
    /// Height of the first block.
    start: u32,
    count: u32,
    read: u32,
}

impl<R: Read> BlockReader<R> {
    /// Reads the head of a file. `with_start` says whether it begins with the height of its first block, which its name
    /// tells: `chain.N.acc` does, `chain.acc` does not.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(mut input: R, with_start: bool) -> Result<Self, AccError> {
        let start = if with_start { read_u32(&mut input)? } else { 0 };
        let count = read_u32(&mut input)?;
        Ok(Self { input, start, count, read: 0 })
    }

    /// Height of the first block.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.start
    }

    /// Number of blocks.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The bytes of the next block; `None` at the end.
    ///
    /// # Errors
    /// The file ends early, or a block is too long.
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, AccError> {
        if self.read >= self.count {
            return Ok(None);
        }
        let length = read_u32(&mut self.input)?;
        if length > MAX_BLOCK {
            return Err(AccError::Length(length));
        }
        // a length that the file does not hold reserves nothing
        let mut bytes = Vec::new();
        let found = self.input.by_ref().take(length.into()).read_to_end(&mut bytes)?;
        if u32::try_from(found).ok() != Some(length) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.read = self.read.saturating_add(1);
        Ok(Some(bytes))
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    /// As [`BlockReader::next_bytes`], or the bytes are no block.
    pub fn next_block(&mut self) -> Result<Option<Block>, AccError> {
        let index = self.read;
        let Some(bytes) = self.next_bytes()? else { return Ok(None) };
        Block::from_bytes(&bytes).map(Some).map_err(|source| AccError::Block { index, source })
    }
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Writes the head of a file: the height of the first block where the form has it, and the number of blocks.
///
/// # Errors
/// The file cannot be written.
pub fn write_head(output: &mut impl Write, start: Option<u32>, count: u32) -> io::Result<()> {
    if let Some(start) = start {
        output.write_all(&start.to_le_bytes())?;
    }
    output.write_all(&count.to_le_bytes())
}

/// Appends a block.
///
/// # Errors
/// The file cannot be written.
pub fn write_block(output: &mut impl Write, block: &Block) -> io::Result<()> {
    let bytes = block.to_bytes();
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use neo_contract::ProtocolSettings;

    use super::*;
    use crate::execute::genesis;

    #[test]
    fn a_written_file_reads_back_in_both_forms_and_a_cut_one_is_an_error() {
        let block = genesis(&ProtocolSettings::mainnet());
        for start in [None, Some(7)] {
            let mut file = Vec::new();
            write_head(&mut file, start, 2).expect("memory");
            write_block(&mut file, &block).expect("memory");
            write_block(&mut file, &block).expect("memory");
            let mut reader = BlockReader::open(file.as_slice(), start.is_some()).expect("a head");
            assert_eq!((reader.start(), reader.count()), (start.unwrap_or(0), 2));
            assert_eq!(reader.next_block().expect("a block"), Some(block.clone()));
            assert_eq!(reader.next_block().expect("a block"), Some(block.clone()));
            assert_eq!(reader.next_block().expect("the end"), None);
            file.pop();
            let mut reader = BlockReader::open(file.as_slice(), start.is_some()).expect("a head");
            assert!(reader.next_block().is_ok());
            assert!(matches!(reader.next_block(), Err(AccError::Read(_))));
        }
        let huge = [1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f];
        let mut reader = BlockReader::open(huge.as_slice(), false).expect("a head");
        assert!(matches!(reader.next_block(), Err(AccError::Length(_))));
    }
}
