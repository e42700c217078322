//! UTXOs in a store, and which of them name an address. Addresses list their UTXOs newest first, as the reference's linked
//! lists do. How many there are is kept beside them: reading ends with the last one and does not go over the remains of
//! those that were spent. Mirrors `vms/components/avax/utxo_state.go`; the layout of rows is our own.

use std::collections::{BTreeMap, BTreeSet};

use avalanche_codec::{CodecError, Wire, marshal, unmarshal_versioned};
use avalanche_db::{Batch, Database, DbError};
use avalanche_ids::{Id, ShortId};

use crate::avax::Utxo;

const UTXO: u8 = b'u';
const ADDRESS: u8 = b'a';
const COUNT: u8 = b'c';
const NEXT: &[u8] = b"n";
const SEQUENCE_LEN: usize = 8;
const ADDRESS_KEY_LEN: usize = 1 + 20 + SEQUENCE_LEN;

/// An output that names addresses.
pub trait Addressable {
    /// The addresses of its owners.
    fn addresses(&self) -> &[ShortId];
}

impl Addressable for crate::secp256k1fx::TransferOutput {
    fn addresses(&self) -> &[ShortId] {
        &self.owners.addrs
    }
}

/// The UTXOs in a part of a store.
#[derive(Debug)]
pub struct UtxoStore<D> {
    store: D,
    next: u64,
}

impl<D: Database> UtxoStore<D> {
    /// The UTXOs kept in a store that holds nothing else.
    ///
    /// # Errors
    /// The store failed.
    pub fn open(store: D) -> Result<Self, DbError> {
        let next = store.get(NEXT)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Self { store, next })
    }

    /// A UTXO by its [`input_id`](crate::avax::UtxoId::input_id).
    ///
    /// # Errors
    /// The store failed or holds something else.
    pub fn get<Out: Wire>(&self, id: &Id) -> Result<Option<Utxo<Out>>, DbError> {
        let Some(row) = self.store.get(&utxo_key(id))? else { return Ok(None) };
        Ok(Some(parse_row(&row)?.1))
    }

    /// Adds to a batch of this store what makes (`Some`) and spends (`None`) these UTXOs.
    ///
    /// # Errors
    /// The store failed or holds something else.
    pub fn changes<'a, Out: Wire + Addressable + 'a>(
        &mut self,
        changes: impl IntoIterator<Item = (&'a Id, Option<&'a Utxo<Out>>)>,
        batch: &mut Batch,
    ) -> Result<(), DbError> {
        let before = self.next;
        let mut counts = BTreeMap::new();
        let mut count = |store: &Self, address: &ShortId, step: fn(u64, u64) -> u64| -> Result<(), DbError> {
            let known = counts.get(address).copied();
            counts.insert(*address, step(known.map_or_else(|| store.count(address), Ok)?, 1));
            Ok(())
        };
        for (id, change) in changes {
            match change {
                Some(utxo) => {
                    let sequence = self.next;
                    self.next = self.next.wrapping_add(1);
                    let mut row = sequence.to_be_bytes().to_vec();
                    row.extend(marshal(utxo));
                    batch.put(&utxo_key(id), &row);
                    for address in utxo.out.addresses() {
                        batch.put(&address_key(address, sequence), id.as_bytes());
                        count(self, address, u64::saturating_add)?;
                    }
                }
                None => {
                    let Some(row) = self.store.get(&utxo_key(id))? else { continue };
                    let (sequence, utxo) = parse_row::<Out>(&row)?;
                    batch.delete(&utxo_key(id));
                    for address in utxo.out.addresses() {
                        batch.delete(&address_key(address, sequence));
                        count(self, address, u64::saturating_sub)?;
                    }
                }
            }
        }
        for (address, count) in counts {
            batch.put(&owner_key(COUNT, &address), &count.to_be_bytes());
        }
        if self.next != before {
            batch.put(NEXT, &self.next.to_be_bytes());
        }
        Ok(())
    }

    /// How many UTXOs name an address. Where that was not kept yet, they are counted.
    fn count(&self, address: &ShortId) -> Result<u64, DbError> {
        match self.store.get(&owner_key(COUNT, address))? {
            Some(row) => Ok(u64::from_be_bytes(row.try_into().map_err(|_| corrupt())?)),
            None => {
                let mut entries = self.store.iterate(&[], &owner_key(ADDRESS, address));
                entries.try_fold(0_u64, |count, entry| entry.map(|_| count.saturating_add(1)))
            }
        }
    }

    /// At most `limit` UTXOs that name one of `addresses`, behind `start` where a page before ended, and where this page
    /// ends. Addresses are taken in ascending order; each UTXO comes once.
    ///
    /// # Errors
    /// The store failed or holds something else.
    pub fn of_addresses<Out: Wire>(
        &self,
        addresses: &BTreeSet<ShortId>,
        start: Option<(ShortId, Id)>,
        limit: usize,
    ) -> Result<Page<Out>, DbError> {
        let mut page = Page { utxos: Vec::new(), end: start.unwrap_or_default() };
        let mut seen = BTreeSet::new();
        for address in addresses {
            let mut from = owner_key(ADDRESS, address);
            let prefix = from.clone();
            let mut left = usize::MAX;
            if let Some((start_address, start_id)) = start {
                if *address < start_address {
                    continue;
                }
                if *address == start_address
                    && let Some(row) = self.store.get(&utxo_key(&start_id))?
                {
                    // Behind the one before, not at it.
                    let sequence = parse_row::<Out>(&row)?.0;
                    from.extend((!sequence).wrapping_add(1).to_be_bytes());
                }
            }
            if from == prefix {
                left = usize::try_from(self.count(address)?).unwrap_or(usize::MAX);
            }
            page.end =
                (*address, if start.is_some_and(|(at, _)| at == *address) { page.end.1 } else { Id::EMPTY });
            for entry in self.store.iterate(&from, &prefix).take(left) {
                if page.utxos.len() >= limit {
                    return Ok(page);
                }
                let (key, value) = entry?;
                let id = Id(value.try_into().map_err(|_| corrupt())?);
                if key.len() != ADDRESS_KEY_LEN {
                    return Err(corrupt());
                }
                page.end = (*address, id);
                if seen.insert(id)
                    && let Some(utxo) = self.get(&id)?
                {
                    page.utxos.push(utxo);
                }
            }
        }
        Ok(page)
    }
}

/// Some of the UTXOs of some addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Out> {
    /// The UTXOs.
    pub utxos: Vec<Utxo<Out>>,
    /// The last one and the address it was found under: where the next page starts.
    pub end: (ShortId, Id),
}

fn utxo_key(id: &Id) -> [u8; 33] {
    let mut key = [UTXO; 33];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

fn owner_key(kind: u8, address: &ShortId) -> Vec<u8> {
    let mut key = Vec::with_capacity(ADDRESS_KEY_LEN);
    key.push(kind);
    key.extend(address.as_bytes());
    key
}

/// Sequence numbers are inverted, so that ascending keys are the newest UTXOs first.
fn address_key(address: &ShortId, sequence: u64) -> Vec<u8> {
    let mut key = owner_key(ADDRESS, address);
    key.extend((!sequence).to_be_bytes());
    key
}

fn parse_row<Out: Wire>(row: &[u8]) -> Result<(u64, Utxo<Out>), DbError> {
    let (sequence, utxo) = row.split_first_chunk::<SEQUENCE_LEN>().ok_or_else(corrupt)?;
    Ok((u64::from_be_bytes(*sequence), unmarshal_versioned(avalanche_codec::VERSION, utxo, usize::MAX)?))
}

fn corrupt() -> DbError {
    DbError::Corrupt(CodecError::TooLarge { len: 0, limit: 0 })
}

#[cfg(test)]
mod tests {
    use avalanche_db::Memory;

    use super::*;
    use crate::{
        avax::UtxoId,
        secp256k1fx::{OutputOwners, TransferOutput},
    };

    fn utxo(index: u32, owners: &[u8]) -> Utxo<TransferOutput> {
        let addrs = owners.iter().map(|byte| ShortId([*byte; 20])).collect();
        let owners = OutputOwners { locktime: 0, threshold: 1, addrs };
        let id = UtxoId { tx_id: Id([1; 32]), output_index: index };
        Utxo { id, asset_id: Id([2; 32]), out: TransferOutput { amount: u64::from(index) + 1, owners } }
    }

    #[test]
    fn addresses_list_their_utxos_newest_first_in_pages_and_forget_spent_ones() {
        let memory = Memory::new();
        let mut store = UtxoStore::open(&memory).unwrap();
        let utxos = [utxo(0, &[1]), utxo(1, &[1, 2]), utxo(2, &[2]), utxo(3, &[1])];
        for utxo in &utxos {
            let mut batch = Batch::new();
            store.changes([(&utxo.id.input_id(), Some(utxo))], &mut batch).unwrap();
            memory.write(&batch).unwrap();
        }
        let of = |store: &UtxoStore<&Memory>, owners: &[u8], start, limit| {
            let addresses = owners.iter().map(|byte| ShortId([*byte; 20])).collect();
            store.of_addresses::<TransferOutput>(&addresses, start, limit).unwrap()
        };
        let indices = |page: &Page<TransferOutput>| -> Vec<u32> {
            page.utxos.iter().map(|utxo| utxo.id.output_index).collect()
        };
        assert_eq!(indices(&of(&store, &[1], None, 9)), [3, 1, 0]);
        assert_eq!(indices(&of(&store, &[2, 1], None, 9)), [3, 1, 0, 2]);
        let first = of(&store, &[1, 2], None, 2);
        assert_eq!(indices(&first), [3, 1]);
        assert_eq!(indices(&of(&store, &[1, 2], Some(first.end), 9)), [0, 2, 1]);
        let mut batch = Batch::new();
        store.changes::<TransferOutput>([(&utxos[1].id.input_id(), None)], &mut batch).unwrap();
        memory.write(&batch).unwrap();
        let store = UtxoStore::open(&memory).unwrap();
        assert_eq!(indices(&of(&store, &[2, 1], None, 9)), [3, 0, 2]);
        assert_eq!(store.get::<TransferOutput>(&utxos[1].id.input_id()).unwrap(), None);
        let counts = [1, 2, 3].map(|owner| store.count(&ShortId([owner; 20])).unwrap());
        assert_eq!(counts, [2, 1, 0]);
        let mut without_counts = Batch::new();
        without_counts.delete(&owner_key(COUNT, &ShortId([1; 20])));
        memory.write(&without_counts).unwrap();
        assert_eq!(store.count(&ShortId([1; 20])).unwrap(), 2, "counted where it was not kept");
        assert_eq!(indices(&of(&store, &[1], None, 9)), [3, 0]);
    }
}
