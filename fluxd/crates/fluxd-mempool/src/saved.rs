//! The pool as a file, so that a restart does not lose what waits. A private format.

use std::{collections::HashMap, sync::Arc};

use fluxd_chainstate::ChainState;
use fluxd_primitives::{
    Amount, Codec, Transaction, TxId,
    codec::{Reader, Writer},
};

use crate::{accept::Admission, entry::Entry, pool::Mempool};

/// First bytes of the file, its version included.
const MAGIC: &[u8; 8] = b"fluxmp\0\x01";

/// A file that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved memory pool is damaged or of another version")]
pub struct SavedError;

impl Mempool {
    /// All transactions with the times when they came, parents before children, and what operators added to them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.put(MAGIC);
        let entries = self.parents_first();
        writer.u32_le(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        for entry in entries {
            let (priority, fee) = self.delta(&entry.txid);
            entry.tx.encode(&mut writer);
            writer.i64_le(entry.time).put(&priority.to_le_bytes());
            fee.encode(&mut writer);
        }
        writer.into_vec()
    }

    /// Admits the transactions of a file again, as far as the chain still wants them. Returns how many were in the file
    /// and how many were admitted.
    ///
    /// # Errors
    /// The file is damaged; what stands before the damage is admitted.
    pub fn restore(
        &mut self,
        chain: &ChainState,
        bytes: &[u8],
        now: i64,
        is_synced: bool,
    ) -> Result<(usize, usize), SavedError> {
        let mut reader = Reader::new(bytes);
        if reader.array::<8>().map_err(|_| SavedError)? != *MAGIC {
            return Err(SavedError);
        }
        let count = reader.u32_le().map_err(|_| SavedError)?;
        let (mut read, mut admitted) = (0, 0);
        for _ in 0..count {
            let (tx, time, priority, fee) = saved(&mut reader).ok_or(SavedError)?;
            let txid: TxId = tx.txid();
            if priority != 0.0 || fee != Amount::ZERO {
                self.prioritise(txid, priority, fee);
            }
            let admission = Admission { limit_free: false, reject_absurd_fee: false, now, is_synced };
            if self.accept(chain, &Arc::new(tx), admission).is_ok() {
                admitted += 1;
                if let Some(entry) = self.entries.get_mut(&txid) {
                    entry.time = time;
                }
            }
            read += 1;
        }
        Ok((read, admitted))
    }

    /// All transactions, each after those whose outputs it spends.
    fn parents_first(&self) -> Vec<&Entry> {
        let mut missing: HashMap<TxId, usize> = HashMap::new();
        let mut children: HashMap<TxId, Vec<TxId>> = HashMap::new();
        let mut ready = Vec::new();
        for entry in self.iter() {
            let parents = self.parents(&entry.tx);
            if parents.is_empty() {
                ready.push(entry.txid);
            }
            missing.insert(entry.txid, parents.len());
            for parent in parents {
                children.entry(parent).or_default().push(entry.txid);
            }
        }
        let mut ordered = Vec::with_capacity(self.len());
        while let Some(txid) = ready.pop() {
            ordered.extend(self.get(&txid));
            for child in children.remove(&txid).unwrap_or_default() {
                if let Some(count) = missing.get_mut(&child) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(child);
                    }
                }
            }
        }
        ordered
    }
}

fn saved(reader: &mut Reader<'_>) -> Option<(Transaction, i64, f64, Amount)> {
    let tx = Transaction::decode(reader).ok()?;
    let time = reader.i64_le().ok()?;
    let priority = f64::from_le_bytes(reader.array().ok()?);
    Some((tx, time, priority, Amount::decode(reader).ok()?))
}
