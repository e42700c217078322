//! Indexes that follow the chain. Each has a tip of its own: one that is at the chain's tip gets its rows in the same batch
//! as the block, one that lags is brought forward from the flat files, and one can be thrown away and rebuilt alone.
//! Mirrors the `fTxIndex`, `fAddressIndex`, `fSpentIndex` and `fTimestampIndex` parts of `src/main.cpp`.

use std::collections::{BTreeMap, BTreeSet};

use fluxd_consensus::check::CheckedBlock;
use fluxd_primitives::{Amount, BlockHash, OutPoint, Transaction, TxId, TxOut};
use fluxd_script::instruction::{pubkey_hash, script_hash};
use fluxd_storage::{
    AddressDelta, AddressKey, AddressUtxo, Batch, BlockUndo, IndexTip, InputUndo, NodeEvent, SpentRow,
    TxPlace, View, schema::Table,
};

use crate::error::ChainError;

/// The indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexKind {
    /// Where a transaction is.
    Transactions,
    /// Who spent an output.
    Spent,
    /// Balances and unspent outputs of addresses.
    Addresses,
    /// Blocks by time.
    Timestamps,
    /// Transactions of fluxnodes by collateral.
    Nodes,
}

impl IndexKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Transactions, Self::Spent, Self::Addresses, Self::Timestamps, Self::Nodes];

    /// The name in the configuration, in logs and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transactions => "tx",
            Self::Spent => "spent",
            Self::Addresses => "address",
            Self::Timestamps => "timestamp",
            Self::Nodes => "fluxnode",
        }
    }

    /// The tables that it fills.
    #[must_use]
    pub fn tables(self) -> &'static [Table] {
        match self {
            Self::Transactions => &[Table::TxIndex],
            Self::Spent => &[Table::SpentIndex],
            Self::Addresses => &[Table::AddressDeltas, Table::AddressUtxos],
            Self::Timestamps => &[Table::Timestamps, Table::BlockTimes],
            Self::Nodes => &[Table::NodeHistory],
        }
    }
}

/// A block that is connected or taken back, as the indexes need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) block: &'a CheckedBlock,
    pub(crate) height: u32,
    pub(crate) undo: &'a BlockUndo,
}

/// The indexes that are kept, with their tips.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    tips: BTreeMap<IndexKind, Option<IndexTip>>,
    /// The logical time of the block that the timestamp index did last.
    last_time: Option<(BlockHash, u32)>,
}

impl Followers {
    pub(crate) fn open(view: &View, kinds: &BTreeSet<IndexKind>) -> Result<Self, ChainError> {
        let mut tips = BTreeMap::new();
        for kind in kinds {
            tips.insert(*kind, view.index_tip(kind.name())?);
        }
        Ok(Self { tips, last_time: None })
    }

    /// How far each index is; `None` before its first block.
    pub(crate) fn tips(&self) -> &BTreeMap<IndexKind, Option<IndexTip>> {
        &self.tips
    }

    /// Adds the rows of a block to all indexes that stand at its parent. An index that was never kept begins with the
    /// first block after the genesis block.
    pub(crate) fn connect(
        &mut self,
        view: &View,
        batch: &mut Batch,
        change: &Change<'_>,
    ) -> Result<(), ChainError> {
        let prev = change.block.block().header.prev;
        let kinds: Vec<IndexKind> = self.tips.keys().copied().collect();
        for kind in kinds {
            let tip = self.tips.get(&kind).copied().flatten();
            if tip.map_or(change.height == 1, |tip| tip.hash == prev) {
                self.connect_one(kind, view, batch, change)?;
            }
        }
        Ok(())
    }

    /// Takes the rows of a block away from all indexes that stand at it.
    pub(crate) fn disconnect(&mut self, batch: &mut Batch, change: &Change<'_>) {
        let hash = change.block.hash();
        let kinds: Vec<IndexKind> = self.tips.keys().copied().collect();
        for kind in kinds {
            if self.tips.get(&kind).copied().flatten().is_some_and(|tip| tip.hash == hash) {
                self.disconnect_one(kind, batch, change);
            }
        }
    }

    pub(crate) fn connect_one(
        &mut self,
        kind: IndexKind,
        view: &View,
        batch: &mut Batch,
        change: &Change<'_>,
    ) -> Result<(), ChainError> {
        match kind {
            IndexKind::Transactions => transactions(batch, change, true),
            IndexKind::Spent => spent(batch, change, true),
            IndexKind::Addresses => addresses_connect(batch, change),
            IndexKind::Timestamps => self.timestamp(view, batch, change)?,
            IndexKind::Nodes => nodes(batch, change, true),
        }
        self.set_tip(kind, batch, IndexTip { hash: change.block.hash(), height: change.height });
        Ok(())
    }

    pub(crate) fn disconnect_one(&mut self, kind: IndexKind, batch: &mut Batch, change: &Change<'_>) {
        match kind {
            IndexKind::Transactions => transactions(batch, change, false),
            IndexKind::Spent => spent(batch, change, false),
            IndexKind::Addresses => addresses_disconnect(batch, change),
            // Blocks that are not active any more keep their times, as in the reference.
            IndexKind::Timestamps => {}
            IndexKind::Nodes => nodes(batch, change, false),
        }
        let prev = change.block.block().header.prev;
        self.set_tip(kind, batch, IndexTip { hash: prev, height: change.height.saturating_sub(1) });
    }

    /// Forgets how far an index is.
    pub(crate) fn restart(&mut self, kind: IndexKind, batch: &mut Batch) {
        batch.set_index_tip(kind.name(), None);
        self.tips.insert(kind, None);
        self.last_time = None;
    }

    fn set_tip(&mut self, kind: IndexKind, batch: &mut Batch, tip: IndexTip) {
        batch.set_index_tip(kind.name(), Some(&tip));
        self.tips.insert(kind, Some(tip));
    }

    fn timestamp(&mut self, view: &View, batch: &mut Batch, change: &Change<'_>) -> Result<(), ChainError> {
        let header = &change.block.block().header;
        let before = match self.last_time {
            Some((hash, time)) if hash == header.prev => time,
            _ => view.block_time(&header.prev)?.unwrap_or_default(),
        };
        let time = if header.time > before { header.time } else { before.saturating_add(1) };
        batch.put_block_time(&change.block.hash(), time);
        self.last_time = Some((change.block.hash(), time));
        Ok(())
    }
}

/// Whom a locking script pays, as the address indexes know it.
#[must_use]
pub fn address_of(output: &TxOut) -> Option<AddressKey> {
    let script = &output.script_pubkey.0;
    pubkey_hash(script)
        .map(AddressKey::PubkeyHash)
        .or_else(|| script_hash(script).map(AddressKey::ScriptHash))
}

/// A transaction with its place and what its inputs spent.
type Placed<'a> = (u32, &'a TxId, &'a Transaction, &'a [InputUndo]);

fn placed<'a>(change: &Change<'a>) -> impl Iterator<Item = Placed<'a>> + use<'a> {
    let undo: &'a BlockUndo = change.undo;
    (0..).zip(change.block.transactions()).map(move |(number, (txid, tx))| {
        let place = usize::try_from(number).ok().and_then(|number: usize| number.checked_sub(1));
        let spent = place.and_then(|place| undo.transactions.get(place)).map_or(&[][..], Vec::as_slice);
        (number, txid, tx, spent)
    })
}

fn transactions(batch: &mut Batch, change: &Change<'_>, present: bool) {
    let block = change.block.hash();
    for (number, txid) in (0..).zip(change.block.txids()) {
        batch.set_tx_place(txid, present.then_some(&TxPlace { block, number }));
    }
}

fn spent(batch: &mut Batch, change: &Change<'_>, present: bool) {
    for (_, txid, tx, inputs) in placed(change) {
        for ((number, input), undo) in (0..).zip(&tx.inputs).zip(inputs) {
            let row = SpentRow {
                txid: *txid,
                input: number,
                height: change.height,
                value: undo.output.value,
                address: address_of(&undo.output),
            };
            batch.set_spent(&input.prevout, present.then_some(&row));
        }
    }
}

/// The changes of balances that a transaction makes.
fn deltas(height: u32, (number, txid, tx, inputs): Placed<'_>) -> Vec<(AddressKey, AddressDelta)> {
    let delta = |index, spending, value| AddressDelta { height, number, txid: *txid, index, spending, value };
    let spent = (0..).zip(inputs).filter_map(|(index, undo)| {
        let value = undo.output.value.checked_neg().unwrap_or(Amount::ZERO);
        Some((address_of(&undo.output)?, delta(index, true, value)))
    });
    let made = (0..)
        .zip(&tx.outputs)
        .filter_map(|(index, output)| Some((address_of(output)?, delta(index, false, output.value))));
    spent.chain(made).collect()
}

fn addresses_connect(batch: &mut Batch, change: &Change<'_>) {
    for placed in placed(change) {
        for (address, delta) in deltas(change.height, placed) {
            batch.set_address_delta(&address, &delta, true);
        }
        let (_, txid, tx, inputs) = placed;
        for (input, undo) in tx.inputs.iter().zip(inputs) {
            if let Some(address) = address_of(&undo.output) {
                batch.remove_address_utxo(&address, &input.prevout);
            }
        }
        for (index, output) in (0..).zip(&tx.outputs) {
            if let Some(address) = address_of(output) {
                let outpoint = OutPoint { txid: *txid, index };
                batch.put_address_utxo(&address, &utxo(outpoint, output));
            }
        }
    }
}

/// Backwards, so that an output made and spent in the block is gone in the end.
fn addresses_disconnect(batch: &mut Batch, change: &Change<'_>) {
    let all: Vec<Placed<'_>> = placed(change).collect();
    for placed in all.into_iter().rev() {
        for (address, delta) in deltas(change.height, placed) {
            batch.set_address_delta(&address, &delta, false);
        }
        let (_, txid, tx, inputs) = placed;
        for (index, output) in (0..).zip(&tx.outputs) {
            if let Some(address) = address_of(output) {
                batch.remove_address_utxo(&address, &OutPoint { txid: *txid, index });
            }
        }
        for (input, undo) in tx.inputs.iter().zip(inputs) {
            if let Some(address) = address_of(&undo.output) {
                batch.put_address_utxo(&address, &utxo(input.prevout, &undo.output));
            }
        }
    }
}

fn utxo(outpoint: OutPoint, output: &TxOut) -> AddressUtxo {
    AddressUtxo { outpoint, value: output.value, script: output.script_pubkey.clone() }
}

fn nodes(batch: &mut Batch, change: &Change<'_>, present: bool) {
    for (number, txid, tx, _) in placed(change) {
        if let Some(body) = &tx.fluxnode
            && let Some(collateral) = body.collateral()
        {
            let event = NodeEvent { height: change.height, number, kind: body.kind(), txid: *txid };
            batch.set_node_event(&collateral, &event, present);
        }
    }
}
