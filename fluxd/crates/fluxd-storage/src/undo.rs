//! What takes the coins of a block back, in the form of the C++ node's undo files. Mirrors `src/undo.h` without the
//! fluxnodes, whose undo data is a row of its own, there as here.

use fluxd_primitives::{
    BlockHash, Codec, Hash256, TxOut,
    codec::{MAX_SIZE, Reader, Writer, compact_size, put_compact_size},
    sha256d,
};

use crate::{
    compact::{output, put_output, put_varint, varint, varint_u32},
    error::RowError,
};

/// Where coins came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Height of the block that created them.
    pub height: u32,
    /// Whether its coinbase did.
    pub coinbase: bool,
    /// Version of the transaction that did.
    pub version: u32,
}

/// What gives a spent output back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputUndo {
    /// The output.
    pub output: TxOut,
    /// Where it came from, when it was the last unspent output of its transaction.
    pub origin: Option<Origin>,
}

/// What takes the coins of a block back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockUndo {
    /// The spent outputs of every transaction but the coinbase, in order.
    pub transactions: Vec<Vec<InputUndo>>,
    /// Root of the Sprout tree before the block.
    pub sprout_root: Hash256,
}

impl BlockUndo {
    /// The bytes in the undo file, without the record around them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        put_compact_size(&mut writer, self.transactions.len());
        for inputs in &self.transactions {
            put_compact_size(&mut writer, inputs.len());
            for input in inputs {
                input.encode(&mut writer);
            }
        }
        self.sprout_root.encode(&mut writer);
        writer.into_vec()
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// The bytes are not undo data.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RowError> {
        let mut reader = Reader::new(bytes);
        let transactions = many(&mut reader, 1, |reader| many(reader, 3, InputUndo::decode))?;
        let sprout_root = Hash256::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { transactions, sprout_root })
    }
}

/// What stands behind undo data in its file: it is bound to the parent of its block.
#[must_use]
pub fn checksum(parent: &BlockHash, undo: &[u8]) -> [u8; 32] {
    sha256d(&[&parent.0[..], undo].concat())
}

impl InputUndo {
    /// A height of zero means that the origin is left out: the genesis block has no coins.
    fn encode(&self, writer: &mut Writer) {
        match self.origin.filter(|origin| origin.height > 0) {
            None => put_varint(writer, 0),
            Some(Origin { height, coinbase, version }) => {
                put_varint(writer, u64::from(height) * 2 + u64::from(coinbase));
                put_varint(writer, u64::from(version));
            }
        }
        put_output(writer, &self.output);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, RowError> {
        let code = varint(reader)?;
        let height = u32::try_from(code / 2).map_err(|_| RowError::Number)?;
        let origin = if height > 0 {
            Some(Origin { height, coinbase: code & 1 != 0, version: varint_u32(reader)? })
        } else {
            None
        };
        Ok(Self { output: output(reader)?, origin })
    }
}

fn many<T>(
    reader: &mut Reader<'_>,
    min_bytes: usize,
    item: impl Fn(&mut Reader<'_>) -> Result<T, RowError>,
) -> Result<Vec<T>, RowError> {
    let claimed = compact_size(reader)?;
    let count = reader.count(claimed, MAX_SIZE, min_bytes)?;
    (0..count).map(|_| item(reader)).collect()
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{Amount, Script};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn undo_data_comes_back(
            inputs in proptest::collection::vec(
                proptest::collection::vec((0_i64..1 << 50, 0_u32..3_000_000, any::<bool>(), 1_u32..5), 0..4),
                0..6,
            ),
            root in any::<[u8; 32]>(),
        ) {
            let input = |(zat, height, coinbase, version)| InputUndo {
                output: TxOut { value: Amount::from_zat(zat), script_pubkey: Script(vec![81]) },
                origin: (height > 0).then_some(Origin { height, coinbase, version }),
            };
            let undo = BlockUndo {
                transactions: inputs.into_iter().map(|list| list.into_iter().map(input).collect()).collect(),
                sprout_root: Hash256(root),
            };
            prop_assert_eq!(BlockUndo::from_bytes(&undo.to_bytes()), Ok(undo));
        }

        #[test]
        fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = BlockUndo::from_bytes(&bytes);
        }
    }
}
