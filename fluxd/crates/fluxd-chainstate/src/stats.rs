//! Sums over whole tables: the statistics of the unspent outputs as the reference computes them, and a digest per table
//! by which two chain states are compared. Mirrors `CCoinsViewDB::GetStats` of `src/txdb.cpp`.

use fluxd_primitives::{Amount, BlockHash, Codec, Hash256, codec::Writer};
use fluxd_storage::{View, compact::put_varint, schema::Table};
use sha2::{Digest, Sha256};

use crate::{
    chain::{ChainState, Result},
    error::ChainError,
    reader::ChainReader,
};

/// Statistics of the unspent outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinStats {
    /// Height of the tip.
    pub height: u32,
    /// The tip.
    pub best_block: BlockHash,
    /// Transactions with unspent outputs.
    pub transactions: u64,
    /// Unspent outputs.
    pub outputs: u64,
    /// Bytes of keys and rows.
    pub serialized_size: u64,
    /// Hash over all of it.
    pub hash: Hash256,
    /// Sum of all values.
    pub total: Amount,
}

/// The tables that two chain states with the same tip must share. Where blocks lie, and which blocks beside the active
/// chain are known, may differ.
const COMPARED: [Table; 13] = [
    Table::Heights,
    Table::Coins,
    Table::SproutAnchors,
    Table::SaplingAnchors,
    Table::SproutNullifiers,
    Table::SaplingNullifiers,
    Table::Nodes,
    Table::Delegates,
    Table::TxIndex,
    Table::SpentIndex,
    Table::AddressDeltas,
    Table::AddressUtxos,
    Table::NodeHistory,
];

impl ChainReader {
    /// Statistics of the unspent outputs (`gettxoutsetinfo`). Reads all of them.
    ///
    /// # Errors
    /// The store fails.
    pub fn coin_stats(&self) -> Result<CoinStats> {
        let view = self.view();
        let genesis = self.params().genesis.header.hash();
        let tip = view.tip()?.ok_or(ChainError::UnknownBlock(genesis))?;
        let mut hasher = Sha256::new();
        hasher.update(tip.hash.0);
        let mut stats = CoinStats {
            height: tip.height,
            best_block: tip.hash,
            transactions: 0,
            outputs: 0,
            serialized_size: 0,
            hash: Hash256::ZERO,
            total: Amount::ZERO,
        };
        view.for_each_coins(|_, coins| {
            let mut writer = Writer::new();
            for (index, output) in coins.outputs() {
                put_varint(&mut writer, u64::from(index) + 1);
                output.encode(&mut writer);
                stats.outputs += 1;
                stats.total = stats.total.checked_add(output.value).unwrap_or(stats.total);
            }
            put_varint(&mut writer, 0);
            hasher.update(writer.as_slice());
            stats.transactions += 1;
            let row = u64::try_from(coins.to_bytes().len()).unwrap_or_default();
            stats.serialized_size = stats.serialized_size.saturating_add(32).saturating_add(row);
            Ok(())
        })?;
        stats.hash = Hash256(Sha256::digest(hasher.finalize()).into());
        Ok(stats)
    }

    /// A digest of every table that two chain states with the same tip and the same indexes must share; of the times
    /// of blocks only those of active ones.
    ///
    /// # Errors
    /// The store fails.
    pub fn digests(&self) -> Result<Vec<(&'static str, Hash256)>> {
        let view = self.view();
        let mut found = Vec::new();
        for table in COMPARED {
            let mut hasher = Sha256::new();
            view.for_each_raw(table, |key, row| {
                update(&mut hasher, key, row);
                Ok(())
            })?;
            found.push((table.name(), Hash256(hasher.finalize().into())));
        }
        found.push((Table::BlockTimes.name(), self.times(&view)?));
        Ok(found)
    }

    fn times(&self, view: &View) -> Result<Hash256> {
        let mut hasher = Sha256::new();
        let mut height = 0_u32;
        while let Some(hash) = view.hash_at(height)? {
            if let Some(time) = view.block_time(&hash)? {
                update(&mut hasher, &hash.0, &time.to_be_bytes());
            }
            height = height.saturating_add(1);
        }
        Ok(Hash256(hasher.finalize().into()))
    }
}

impl ChainState {
    /// As [`ChainReader::digests`].
    ///
    /// # Errors
    /// The store fails.
    pub fn digests(&self) -> Result<Vec<(&'static str, Hash256)>> {
        self.reader().digests()
    }
}

fn update(hasher: &mut Sha256, key: &[u8], row: &[u8]) {
    for part in [key, row] {
        hasher.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.update(part);
    }
}
