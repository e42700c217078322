//! Every row of the P-chain's part of the store on one page, and how the state is read back from them.

use std::sync::Arc;

use avalanche_codec::{CodecError, VERSION, Wire, unmarshal_versioned, wire_struct};
use avalanche_db::{Batch, Database, DbError};
use avalanche_ids::{Id, NodeId};

use super::{OpenError, Scalars, Staker, State, TxStatus};
use crate::{
    fx::Utxo,
    txs::{NamedTx, Tx},
};

/// The kinds of rows; the discriminant is the first byte of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Row {
    /// Nothing else → [`Meta`].
    Meta = b'm',
    /// Subnet → supply.
    Supply = b's',
    /// Expiry, validation → nothing.
    Expiry = b'e',
    /// Validation → L1 validator.
    L1 = b'l',
    /// Transaction → current staker.
    Current = b'c',
    /// Transaction → pending staker.
    Pending = b'p',
    /// Subnet, node → staking info.
    StakingInfo = b'i',
    /// Position → subnet.
    Subnet = b'S',
    /// Subnet → owner.
    Owner = b'o',
    /// Subnet → conversion.
    Conversion = b'v',
    /// Subnet → transaction.
    Transformation = b'f',
    /// Subnet, position → transaction.
    Chain = b'C',
    /// Transaction → status, encoding.
    Tx = b't',
    /// Transaction, output index → UTXO.
    Reward = b'r',
    /// Block → encoding.
    Block = b'b',
    /// Height → block.
    Height = b'h',
    /// Node → seconds online, counted until.
    Uptime = b'u',
}

/// Numbers that are read and written together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) scalars: Scalars,
    pub(super) last_accepted: Id,
    pub(super) height: u64,
}
wire_struct!(Meta { scalars, last_accepted, height });

#[allow(clippy::as_conversions)] // the discriminants are bytes
pub(super) fn key(row: Row, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![row as u8];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub(super) fn put(batch: &mut Batch, row: Row, parts: &[&[u8]], value: Option<Vec<u8>>) {
    let key = key(row, parts);
    match value {
        Some(value) => batch.put(&key, &value),
        None => batch.delete(&key),
    }
}

pub(super) const fn status_byte(status: TxStatus) -> u8 {
    match status {
        TxStatus::Committed => 4,
        TxStatus::Aborted => 5,
    }
}

fn read<T: Wire>(bytes: &[u8]) -> Result<T, DbError> {
    Ok(unmarshal_versioned(VERSION, bytes, usize::MAX)?)
}

fn corrupt() -> DbError {
    DbError::Corrupt(CodecError::TooLarge { len: 0, limit: 0 })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], DbError> {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().ok_or_else(corrupt)
}

impl State {
    /// Reads the state; false when the store holds none.
    pub(super) fn load(&mut self) -> Result<bool, OpenError> {
        let Some(meta) = self.rows.get(&key(Row::Meta, &[]))? else { return Ok(false) };
        let meta: Meta = read(&meta)?;
        (self.scalars, self.last_accepted, self.height) = (meta.scalars, meta.last_accepted, meta.height);
        for (key, value) in self.all(Row::Supply)? {
            self.supplies.insert(Id(array(&key, 1)?), u64::from_be_bytes(array(&value, 0)?));
        }
        for (key, _) in self.all(Row::Expiry)? {
            self.expiries.insert((u64::from_be_bytes(array(&key, 1)?), Id(array(&key, 9)?)), ());
        }
        for (_, value) in self.all(Row::L1)? {
            let validator: super::L1Validator = read(&value)?;
            let weight = self.l1.weights.entry(validator.subnet).or_default();
            *weight = weight.saturating_add(validator.weight);
            if validator.is_active() {
                self.l1.active.insert(validator.fee_key(), ());
            }
            self.l1.nodes.insert((validator.subnet, validator.node_id), validator.validation_id);
            self.l1.by_id.insert(validator.validation_id, validator);
        }
        for row in [Row::Current, Row::Pending] {
            for (_, value) in self.all(row)? {
                let staker = Arc::new(read::<Staker>(&value)?);
                let table = if row == Row::Current { &mut self.current } else { &mut self.pending };
                let place = (staker.subnet, staker.node_id);
                if staker.priority.is_validator() {
                    table.validators.insert(place, Arc::clone(&staker));
                } else {
                    table.delegators.insert((place.0, place.1, staker.key()), Arc::clone(&staker));
                }
                table.ordered.insert(staker.key(), staker);
            }
        }
        for (key, value) in self.all(Row::StakingInfo)? {
            self.staking_info.insert((Id(array(&key, 1)?), NodeId(array(&key, 33)?)), read(&value)?);
        }
        for (_, value) in self.all(Row::Subnet)? {
            self.subnets.push(Id(array(&value, 0)?));
        }
        for (key, value) in self.all(Row::Owner)? {
            self.owners.insert(Id(array(&key, 1)?), read(&value)?);
        }
        for (key, value) in self.all(Row::Conversion)? {
            self.conversions.insert(Id(array(&key, 1)?), read(&value)?);
        }
        for (key, value) in self.all(Row::Transformation)? {
            self.transformations.insert(Id(array(&key, 1)?), Arc::new(NamedTx::new(read(&value)?)));
        }
        for (key, value) in self.all(Row::Chain)? {
            self.chains.entry(Id(array(&key, 1)?)).or_default().push(Id(array(&value, 0)?));
        }
        for (key, value) in self.all(Row::Uptime)? {
            let uptime = (u64::from_be_bytes(array(&value, 0)?), u64::from_be_bytes(array(&value, 8)?));
            self.uptimes.insert(NodeId(array(&key, 1)?), uptime);
        }
        self.build_sets()?;
        Ok(true)
    }

    fn all(&self, row: Row) -> Result<Vec<avalanche_db::Entry>, DbError> {
        let prefix = key(row, &[]);
        self.rows.iterate(&prefix, &prefix).collect()
    }

    /// The current validator sets, from stakers and L1 validators.
    fn build_sets(&mut self) -> Result<(), OpenError> {
        const WEIGHT: OpenError = OpenError::Inconsistent("weight of a validator");
        let mut add = |subnet, node, weight: u64, key: Option<_>| -> Result<(), OpenError> {
            let validator = self.sets.entry(subnet).or_default().entry(node);
            let validator =
                validator.or_insert(avalanche_vm::chain::Validator { weight: 0, public_key: key });
            validator.weight = validator.weight.checked_add(weight).ok_or(WEIGHT)?;
            Ok(())
        };
        for ((subnet, node), staker) in &self.current.validators {
            let primary = self.current.validators.get(&(crate::CHAIN_ID, *node));
            add(*subnet, *node, staker.weight, primary.and_then(|staker| staker.public_key))?;
        }
        for ((subnet, node, _), staker) in &self.current.delegators {
            add(*subnet, *node, staker.weight, None)?;
        }
        for validator in self.l1.by_id.values() {
            let key = validator.effective_public_key();
            add(validator.subnet, validator.effective_node_id(), validator.weight, key)?;
        }
        Ok(())
    }

    /// A transaction and what became of it.
    ///
    /// # Errors
    /// The store failed.
    pub fn tx(&self, id: &Id) -> Result<Option<(Arc<NamedTx>, TxStatus)>, DbError> {
        let Some(row) = self.rows.get(&key(Row::Tx, &[id.as_bytes()]))? else { return Ok(None) };
        let (status, bytes) = row.split_first().ok_or_else(corrupt)?;
        let status =
            if *status == status_byte(TxStatus::Aborted) { TxStatus::Aborted } else { TxStatus::Committed };
        Ok(Some((Arc::new(NamedTx::new(read::<Tx>(bytes)?)), status)))
    }

    /// The encoding of an accepted block.
    ///
    /// # Errors
    /// The store failed.
    pub fn block(&self, id: &Id) -> Result<Option<Vec<u8>>, DbError> {
        self.rows.get(&key(Row::Block, &[id.as_bytes()]))
    }

    /// The accepted block at a height.
    ///
    /// # Errors
    /// The store failed.
    pub fn block_id_at(&self, height: u64) -> Result<Option<Id>, DbError> {
        let id = self.rows.get(&key(Row::Height, &[&height.to_be_bytes()]))?;
        id.map(|id| Ok(Id(array(&id, 0)?))).transpose()
    }

    /// What the staker of a transaction was rewarded with.
    ///
    /// # Errors
    /// The store failed.
    pub fn reward_utxos(&self, tx: &Id) -> Result<Vec<Utxo>, DbError> {
        let prefix = key(Row::Reward, &[tx.as_bytes()]);
        self.rows.iterate(&prefix, &prefix).map(|entry| read(&entry?.1)).collect()
    }
}
