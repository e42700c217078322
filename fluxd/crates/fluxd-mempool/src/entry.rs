//! A transaction in the pool with what was learnt when it came. Mirrors `CTxMemPoolEntry`.

use std::sync::Arc;

use fluxd_chainstate::{
    connect::value_out,
    policy::{self, FeeRate},
};
use fluxd_primitives::{Amount, Transaction, TxId, TxOut};

/// Bytes that the reference counts for a JoinSplit, a Sapling output and a Sapling spend.
const JOINSPLIT_BYTES: usize = 1698;
const SAPLING_OUTPUT_BYTES: usize = 948;
const SAPLING_SPEND_BYTES: usize = 384;
/// Bytes of an input and an output in memory, besides their scripts, and what an allocation costs.
const INPUT_BYTES: usize = 72;
const OUTPUT_BYTES: usize = 40;
const ALLOCATION_BYTES: usize = 16;

/// A transaction in the pool.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Its id.
    pub txid: TxId,
    /// Its fee.
    pub fee: Amount,
    /// Bytes on the wire.
    pub size: usize,
    /// When it came, seconds since the epoch.
    pub time: i64,
    /// Height of the chain when it came.
    pub height: u32,
    /// Its priority when it came.
    pub starting_priority: f64,
    /// True when none of its inputs came from the pool.
    pub had_no_dependencies: bool,
    /// True when it spends a coinbase.
    pub spends_coinbase: bool,
    /// The branch that its signatures commit to.
    pub branch_id: u32,
    /// The outputs that it spends, in the order of its inputs.
    pub spent: Vec<TxOut>,
}

impl Entry {
    /// Its priority at a height: older coins count more.
    #[must_use]
    pub fn priority(&self, height: u32) -> f64 {
        let value_in = value_out(&self.tx).and_then(|out| out.checked_add(self.fee)).unwrap_or_default();
        let blocks = f64::from(height.saturating_sub(self.height));
        match policy::modified_size(&self.tx, self.size) {
            0 => self.starting_priority,
            size => {
                self.starting_priority + blocks * policy::zat_number(value_in.zat()) / policy::number(size)
            }
        }
    }

    /// Its fee per thousand bytes.
    #[must_use]
    pub fn rate(&self) -> FeeRate {
        FeeRate::of(self.fee, self.size)
    }

    /// Bytes of memory that it is counted with.
    #[must_use]
    pub fn memory(&self) -> usize {
        let script = |length: usize| if length > 28 { length + ALLOCATION_BYTES } else { 0 };
        let inputs: usize =
            self.tx.inputs.iter().map(|input| INPUT_BYTES + script(input.script_sig.0.len())).sum();
        let outputs: usize =
            self.tx.outputs.iter().map(|output| OUTPUT_BYTES + script(output.script_pubkey.0.len())).sum();
        2 * ALLOCATION_BYTES + inputs + outputs
    }

    /// Bytes that it is counted with against the limit of the pool, shielded parts included.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.memory()
            + self.tx.joinsplits.len() * JOINSPLIT_BYTES
            + self.tx.shielded_outputs.len() * SAPLING_OUTPUT_BYTES
            + self.tx.spends.len() * SAPLING_SPEND_BYTES
    }
}
