//! Changes that are not stored yet. Mirrors the tracked changes of `DataCache.cs`.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use crate::{Bytes, schema::Table};

/// Key and value.
pub type Entry = (Vec<u8>, Bytes);

/// Changes of one table by key; `None`: deleted.
pub type Rows = BTreeMap<Vec<u8>, Option<Bytes>>;

/// Changes of all tables, written at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteSet {
    tables: [Rows; Table::ALL.len()],
    bytes: usize,
}

impl WriteSet {
    /// Sets a value.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: impl Into<Bytes>) {
        self.set(table, key, Some(value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.set(table, key, None);
    }

    /// Sets or removes.
    pub fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Bytes>) {
        let size = key.len().saturating_add(value.as_ref().map_or(0, |value| value.len()));
        self.bytes = self.bytes.saturating_add(size);
        self.tables[table.index()].insert(key, value);
    }

    /// What is known of a key here: `None` means that the layer below decides.
    #[must_use]
    pub fn get(&self, table: Table, key: &[u8]) -> Option<Option<&Bytes>> {
        self.tables[table.index()].get(key).map(Option::as_ref)
    }

    /// The changes of a table in order of their keys.
    #[must_use]
    pub fn rows(&self, table: Table) -> &Rows {
        &self.tables[table.index()]
    }

    /// Takes over the changes of a later set.
    pub fn absorb(&mut self, later: Self) {
        self.bytes = self.bytes.saturating_add(later.bytes);
        for (mine, theirs) in self.tables.iter_mut().zip(later.tables) {
            if mine.is_empty() {
                *mine = theirs;
            } else {
                mine.extend(theirs);
            }
        }
    }

    /// Bytes put in so far: a measure of memory that never falls.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }
}

/// The next row of a sorted map whose key starts with `prefix`: the one behind `after`, or the first; `backward`
/// reverses the order.
pub(crate) fn next_row<'a, V>(
    rows: &'a BTreeMap<Vec<u8>, V>,
    prefix: &[u8],
    after: Option<&[u8]>,
    backward: bool,
) -> Option<(&'a Vec<u8>, &'a V)> {
    let found = if backward {
        let end = prefix_end(prefix);
        let upper = match (after, &end) {
            (Some(after), _) => Excluded(after),
            (None, Some(end)) => Excluded(end.as_slice()),
            (None, None) => Unbounded,
        };
        // a range must not end before it begins
        if after.is_some_and(|after| after < prefix) {
            return None;
        }
        rows.range::<[u8], _>((Included(prefix), upper)).next_back()
    } else {
        let lower = after.filter(|after| *after >= prefix).map_or(Included(prefix), Excluded);
        rows.range::<[u8], _>((lower, Unbounded)).next()
    };
    found.filter(|(key, _)| key.starts_with(prefix))
}

/// The first key behind all keys with this prefix; `None` when there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte = byte.saturating_add(1);
    }
    Some(end)
}
