//! What two chains of a subnet hand to each other: exported elements wait here for their import. Changes are turned into
//! a batch of the node's store, to be written together with the block that makes them. Mirrors `chains/atomic`; the layout
//! of rows is our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use avalanche_codec::{VERSION, marshal, unmarshal_versioned, wire_struct};
use avalanche_db::{Batch, Database, DbError, Prefixed, Versioned};
use avalanche_ids::{Id, ShortId};

const NAME: &[u8] = b"shared memory";
const VALUE: u8 = b'v';
const TRAIT: u8 = b't';
const NEXT: u8 = b'n';

/// Something exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name, unique between the two chains.
    pub key: Id,
    /// What it is: the encoding of a UTXO.
    pub value: Vec<u8>,
    /// What it can be found by: the addresses of its owners.
    pub traits: Vec<ShortId>,
}

/// What a block does to the memory with one other chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// Imported: taken from what the other chain exported.
    pub remove: Vec<Id>,
    /// Exported to the other chain.
    pub put: Vec<Element>,
}

impl Requests {
    /// Adds what another transaction of the same block does.
    pub fn append(&mut self, other: Self) {
        self.remove.extend(other.remove);
        self.put.extend(other.put);
    }
}

/// Requests by the other chain.
pub type AtomicRequests = BTreeMap<Id, Requests>;

/// Some of what was exported to some owners, and where the next page starts.
pub type Found = (Vec<Vec<u8>>, (ShortId, Id));

/// Why the memory does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SharedMemoryError {
    /// Nothing of this name was exported, or it is imported already.
    #[error("{0} is not in shared memory")]
    NotFound(Id),
    /// Exported twice (`errDuplicatePut`).
    #[error("duplicate export of {0}")]
    DuplicatePut(Id),
    /// Imported twice (`errDuplicateRemove`).
    #[error("duplicate import of {0}")]
    DuplicateRemove(Id),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] DbError),
}

/// A row: what was exported, or a sign that it is imported before it was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    present: bool,
    sequence: u64,
    value: Vec<u8>,
    traits: Vec<ShortId>,
}
wire_struct!(Row { present, sequence, value, traits });

/// The memory as one chain sees it. Cheap to clone.
#[derive(Clone)]
pub struct SharedMemory {
    store: Arc<dyn Database>,
    chain: Id,
}

impl std::fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedMemory").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl SharedMemory {
    /// The memory of `chain` in the node's store, which all chains have in common.
    #[must_use]
    pub fn new(store: Arc<dyn Database>, chain: Id) -> Self {
        Self { store, chain }
    }

    /// The values of what `peer` exported to this chain, in the order of `keys`.
    ///
    /// # Errors
    /// One of them is not there, or the store failed.
    pub fn get(&self, peer: Id, keys: &[Id]) -> Result<Vec<Vec<u8>>, SharedMemoryError> {
        let part = Prefixed::new(&self.store, &part_name(peer, self.chain));
        keys.iter()
            .map(|key| match read(&part, key)? {
                Some(row) if row.present => Ok(row.value),
                _ => Err(SharedMemoryError::NotFound(*key)),
            })
            .collect()
    }

    /// At most `limit` values of what `peer` exported to any of `owners`, newest first for each owner, behind `start` where
    /// a page before ended; and where this page ends. Owners are taken in ascending order; each value comes once.
    ///
    /// # Errors
    /// The store failed.
    pub fn of_owners(
        &self,
        peer: Id,
        owners: &BTreeSet<ShortId>,
        start: Option<(ShortId, Id)>,
        limit: usize,
    ) -> Result<Found, SharedMemoryError> {
        let part = Prefixed::new(&self.store, &part_name(peer, self.chain));
        let (mut values, mut end) = (Vec::new(), start.unwrap_or_default());
        let mut seen = BTreeSet::new();
        for owner in owners {
            let mut from = [&[TRAIT], owner.as_bytes().as_slice()].concat();
            let prefix = from.clone();
            if let Some((start_owner, start_key)) = start {
                if *owner < start_owner {
                    continue;
                }
                if *owner == start_owner
                    && let Some(row) = read(&part, &start_key)?
                {
                    from.extend((!row.sequence).wrapping_add(1).to_be_bytes());
                }
            }
            end = (*owner, if start.is_some_and(|(at, _)| at == *owner) { end.1 } else { Id::EMPTY });
            for entry in part.iterate(&from, &prefix) {
                if values.len() >= limit {
                    return Ok((values, end));
                }
                let (_, key) = entry?;
                let key = Id(key.try_into().unwrap_or_default());
                end = (*owner, key);
                if seen.insert(key)
                    && let Some(row) = read(&part, &key)?.filter(|row| row.present)
                {
                    values.push(row.value);
                }
            }
        }
        Ok((values, end))
    }

    /// The changes to the node's store that carry out the requests of this chain.
    ///
    /// # Errors
    /// Something is exported or imported twice, or the store failed.
    pub fn apply(&self, requests: &AtomicRequests) -> Result<Batch, SharedMemoryError> {
        let memory = Versioned::new(&self.store);
        for (peer, request) in requests {
            let inbound = Prefixed::new(&memory, &part_name(*peer, self.chain));
            for key in &request.remove {
                remove(&inbound, key)?;
            }
            let outbound = Prefixed::new(&memory, &part_name(self.chain, *peer));
            for element in &request.put {
                put(&outbound, element)?;
            }
        }
        Ok(memory.commit_batch())
    }
}

fn put(part: &impl Database, element: &Element) -> Result<(), SharedMemoryError> {
    match read(part, &element.key)? {
        Some(row) if row.present => return Err(SharedMemoryError::DuplicatePut(element.key)),
        Some(_) => return Ok(part.delete(&value_key(&element.key))?), // imported before it was exported
        None => {}
    }
    let sequence = part.get(&[NEXT])?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    let row = Row { present: true, sequence, value: element.value.clone(), traits: element.traits.clone() };
    let mut batch = Batch::new();
    batch.put(&[NEXT], &sequence.wrapping_add(1).to_be_bytes());
    batch.put(&value_key(&element.key), &marshal(&row));
    for owner in &element.traits {
        batch.put(&trait_key(owner, sequence), element.key.as_bytes());
    }
    Ok(part.write(&batch)?)
}

fn remove(part: &impl Database, key: &Id) -> Result<(), SharedMemoryError> {
    let Some(row) = read(part, key)? else {
        let mark = Row { present: false, sequence: 0, value: Vec::new(), traits: Vec::new() };
        return Ok(part.put(&value_key(key), &marshal(&mark))?);
    };
    if !row.present {
        return Err(SharedMemoryError::DuplicateRemove(*key));
    }
    let mut batch = Batch::new();
    batch.delete(&value_key(key));
    for owner in &row.traits {
        batch.delete(&trait_key(owner, row.sequence));
    }
    Ok(part.write(&batch)?)
}

fn read(part: &impl Database, key: &Id) -> Result<Option<Row>, DbError> {
    let Some(bytes) = part.get(&value_key(key))? else { return Ok(None) };
    Ok(Some(unmarshal_versioned(VERSION, &bytes, usize::MAX)?))
}

/// What `from` exported to `to`.
fn part_name(from: Id, to: Id) -> Vec<u8> {
    [NAME, from.as_bytes().as_slice(), to.as_bytes().as_slice()].concat()
}

fn value_key(key: &Id) -> Vec<u8> {
    [&[VALUE], key.as_bytes().as_slice()].concat()
}

fn trait_key(owner: &ShortId, sequence: u64) -> Vec<u8> {
    [&[TRAIT], owner.as_bytes().as_slice(), (!sequence).to_be_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use avalanche_db::Memory;

    use super::*;

    const P: Id = Id([0; 32]);
    const X: Id = Id([1; 32]);

    fn element(byte: u8) -> Element {
        Element { key: Id([byte; 32]), value: vec![byte], traits: vec![ShortId([9; 20])] }
    }

    fn exported(peer: Id, put: Vec<Element>) -> AtomicRequests {
        AtomicRequests::from([(peer, Requests { remove: Vec::new(), put })])
    }

    fn imported(peer: Id, keys: &[u8]) -> AtomicRequests {
        let remove = keys.iter().map(|byte| Id([*byte; 32])).collect();
        AtomicRequests::from([(peer, Requests { remove, put: Vec::new() })])
    }

    #[test]
    fn what_one_chain_exports_the_other_finds_imports_once_and_in_any_order() {
        let store: Arc<dyn Database> = Arc::new(Memory::new());
        let (p, x) = (SharedMemory::new(Arc::clone(&store), P), SharedMemory::new(Arc::clone(&store), X));
        let apply = |memory: &SharedMemory, requests: &AtomicRequests| {
            memory.apply(requests).map(|batch| store.write(&batch).unwrap())
        };
        apply(&p, &exported(X, vec![element(1), element(2)])).unwrap();
        assert_eq!(x.get(P, &[Id([2; 32]), Id([1; 32])]).unwrap(), [[2], [1]]);
        assert!(matches!(p.get(X, &[Id([1; 32])]), Err(SharedMemoryError::NotFound(_))));
        let owners = [ShortId([9; 20])].into();
        let (values, end) = x.of_owners(P, &owners, None, 1).unwrap();
        assert_eq!((values, end), (vec![vec![2]], (ShortId([9; 20]), Id([2; 32]))));
        assert_eq!(x.of_owners(P, &owners, Some(end), 9).unwrap().0, [[1]]);
        let twice = apply(&p, &exported(X, vec![element(1)]));
        assert!(matches!(twice, Err(SharedMemoryError::DuplicatePut(_))));
        apply(&x, &imported(P, &[1, 3])).unwrap();
        assert!(matches!(apply(&x, &imported(P, &[3])), Err(SharedMemoryError::DuplicateRemove(_))));
        assert!(matches!(x.get(P, &[Id([1; 32])]), Err(SharedMemoryError::NotFound(_))));
        apply(&p, &exported(X, vec![element(3)])).unwrap(); // was imported before
        assert_eq!(x.of_owners(P, &owners, None, 9).unwrap().0, [[2]]);
    }
}
