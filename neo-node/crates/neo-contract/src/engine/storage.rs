//! Storage as contracts see it. Mirrors `ApplicationEngine.Storage.cs`, `Iterators/StorageIterator.cs` and the
//! layers of `DataCache.cs`.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use neo_vm::{Bytes, Fault, Interop, InteropObject, Result, StackItem};

use super::{Application, ApplicationEngine, EngineError, PICO, charge, current};
use crate::{binary, native};

/// Longest key that a contract may write, without the number of the contract.
const MAX_KEY: usize = 64;

/// Longest value that a contract may write.
const MAX_VALUE: usize = 65_535;

/// Why a store cannot answer.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Written entries by key; `None`: deleted.
pub type Changes = BTreeMap<Vec<u8>, Option<Bytes>>;

/// What is stored before an execution. It does not change while one is under way.
pub trait Store {
    /// The value of a key.
    ///
    /// # Errors
    /// The store cannot be read.
    fn get(&self, key: &[u8]) -> std::result::Result<Option<Bytes>, StoreError>;

    /// The next entry in the order of keys whose key starts with `prefix`: the one behind `after`, or the first.
    /// `backward` reverses the order.
    ///
    /// # Errors
    /// The store cannot be read.
    fn seek(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        backward: bool,
    ) -> std::result::Result<Option<Entry>, StoreError>;
}

/// Key and value.
pub type Entry = (Vec<u8>, Bytes);

/// The store of tests and of what is small: a sorted map.
impl Store for BTreeMap<Vec<u8>, Bytes> {
    fn get(&self, key: &[u8]) -> std::result::Result<Option<Bytes>, StoreError> {
        Ok(Self::get(self, key).cloned())
    }

    fn seek(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        backward: bool,
    ) -> std::result::Result<Option<Entry>, StoreError> {
        Ok(next_of(self, prefix, after, backward).map(|(key, value)| (key.clone(), value.clone())))
    }
}

/// The key in a store: number of the contract, then its own key.
#[must_use]
pub fn storage_key(contract: i32, key: &[u8]) -> Vec<u8> {
    [&contract.to_le_bytes(), key].concat()
}

/// What the executing script sees: the store with everything written above it.
impl<S: Store> Store for Application<S> {
    fn get(&self, key: &[u8]) -> std::result::Result<Option<Bytes>, StoreError> {
        match self.layers.iter().rev().find_map(|layer| layer.get(key)) {
            Some(written) => Ok(written.clone()),
            None => self.store.get(key),
        }
    }

    fn seek(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        backward: bool,
    ) -> std::result::Result<Option<Entry>, StoreError> {
        seek_merged(&self.store, &self.layers, prefix, after, backward)
    }
}

/// The next entry of a store with layers of changes above it, the last one the newest; as [`Store::seek`].
///
/// # Errors
/// The store cannot be read.
pub fn seek_merged<S: Store + ?Sized>(
    store: &S,
    layers: &[Changes],
    prefix: &[u8],
    after: Option<&[u8]>,
    backward: bool,
) -> std::result::Result<Option<Entry>, StoreError> {
    let mut after = after.map(<[u8]>::to_vec);
    loop {
        let stored = store.seek(prefix, after.as_deref(), backward)?;
        let mut nearest = stored.map(|(key, value)| (key, Some(value)));
        // the newest layer that has the nearest key decides
        for layer in layers {
            let Some((key, value)) = next_of(layer, prefix, after.as_deref(), backward) else { continue };
            let nearer = |best: &Vec<u8>| key == best || (key < best) != backward;
            if nearest.as_ref().is_none_or(|(best, _)| nearer(best)) {
                nearest = Some((key.clone(), value.clone()));
            }
        }
        match nearest {
            None => return Ok(None),
            Some((key, Some(value))) => return Ok(Some((key, value))),
            Some((key, None)) => after = Some(key),
        }
    }
}

/// A store behind a reference.
impl<T: Store + ?Sized> Store for &T {
    fn get(&self, key: &[u8]) -> std::result::Result<Option<Bytes>, StoreError> {
        (**self).get(key)
    }

    fn seek(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        backward: bool,
    ) -> std::result::Result<Option<Entry>, StoreError> {
        (**self).seek(prefix, after, backward)
    }
}

impl<S: Store> Application<S> {
    /// The same, as a fault when the store fails.
    pub(crate) fn read(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.get(key).map_err(|err| EngineError::Store(err).into())
    }

    pub(crate) fn write(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        if let Some(layer) = self.layers.last_mut() {
            layer.insert(key, value);
        }
    }

    /// What was written below a prefix, newest first wins.
    fn written_below(&self, prefix: &[u8]) -> Changes {
        let mut all = Changes::new();
        for layer in &self.layers {
            let below = layer.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
            all.extend(below.map(|(key, value)| (key.clone(), value.clone())));
        }
        all
    }
}

fn next_of<'a, V>(
    entries: &'a BTreeMap<Vec<u8>, V>,
    prefix: &[u8],
    after: Option<&[u8]>,
    backward: bool,
) -> Option<(&'a Vec<u8>, &'a V)> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let found = if backward {
        if after.is_some_and(|after| after < prefix) {
            return None;
        }
        let end = prefix_end(prefix);
        let upper = match (after, &end) {
            (Some(after), _) => Excluded(after),
            (None, Some(end)) => Excluded(end.as_slice()),
            (None, None) => Unbounded,
        };
        entries.range::<[u8], _>((Included(prefix), upper)).next_back()
    } else {
        let lower = after.filter(|after| *after >= prefix).map_or(Included(prefix), Excluded);
        entries.range::<[u8], _>((lower, Unbounded)).next()
    };
    found.filter(|(key, _)| key.starts_with(prefix))
}

/// The first key behind all keys with this prefix; `None` when there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte = byte.saturating_add(1);
    }
    Some(end)
}

/// Whose storage a script may use, and whether only to read.
#[derive(Debug, Clone, Copy)]
struct StorageContext {
    contract: i32,
    read_only: bool,
}

impl InteropObject for StorageContext {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

type Vm<S> = ApplicationEngine<S>;

pub(super) fn get_context<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let context = own_context(engine, false)?;
    push_context(engine, context);
    Ok(())
}

pub(super) fn get_read_only_context<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let context = own_context(engine, true)?;
    push_context(engine, context);
    Ok(())
}

pub(super) fn as_read_only<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let context = pop_context(engine)?;
    push_context(engine, StorageContext { read_only: true, ..context });
    Ok(())
}

pub(super) fn get<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let context = pop_context(engine)?;
    let key = engine.pop_bytes()?;
    push_value(engine, context, &key)
}

pub(super) fn get_local<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let key = engine.pop_bytes()?;
    let context = own_context(engine, true)?;
    push_value(engine, context, &key)
}

pub(super) fn find<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let context = pop_context(engine)?;
    let (prefix, options) = (engine.pop_bytes()?, pop_options(engine)?);
    start_find(engine, context, &prefix, options)
}

pub(super) fn find_local<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let (prefix, options) = (engine.pop_bytes()?, pop_options(engine)?);
    let context = own_context(engine, true)?;
    start_find(engine, context, &prefix, options)
}

pub(super) fn put<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let context = pop_context(engine)?;
    let (key, value) = (engine.pop_bytes()?, engine.pop_bytes()?);
    write(engine, context, &key, value)
}

pub(super) fn put_local<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let (key, value) = (engine.pop_bytes()?, engine.pop_bytes()?);
    let context = own_context(engine, false)?;
    write(engine, context, &key, value)
}

pub(super) fn delete<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let context = pop_context(engine)?;
    let key = engine.pop_bytes()?;
    remove(engine, context, &key)
}

pub(super) fn delete_local<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let key = engine.pop_bytes()?;
    let context = own_context(engine, false)?;
    remove(engine, context, &key)
}

fn own_context<S: Store>(engine: &mut Vm<S>, read_only: bool) -> Result<StorageContext> {
    let hash = current(engine)?.hash;
    let contract = engine.host.contract(&hash)?.ok_or(EngineError::NoContract(hash))?;
    Ok(StorageContext { contract: contract.state.id, read_only })
}

fn push_context<S: Store>(engine: &mut Vm<S>, context: StorageContext) {
    engine.push_interop(Interop(Arc::new(context)));
}

fn pop_context<S: Store>(engine: &mut Vm<S>) -> Result<StorageContext> {
    match engine.pop()? {
        StackItem::Interop(object) => {
            let context = object.0.as_any().downcast_ref().copied();
            context.ok_or_else(|| EngineError::Argument("not a storage context").into())
        }
        other => Err(Fault::InvalidType(other.item_type())),
    }
}

fn push_value<S: Store>(engine: &mut Vm<S>, context: StorageContext, key: &[u8]) -> Result<()> {
    match engine.host.read(&storage_key(context.contract, key))? {
        Some(value) => engine.push_bytes(value),
        None => engine.push(StackItem::Null),
    }
    Ok(())
}

/// Writes a value. A new key pays for key and value; a changed value pays a quarter for what it had room for.
fn write<S: Store>(engine: &mut Vm<S>, context: StorageContext, key: &[u8], value: Vec<u8>) -> Result<()> {
    if key.len() > MAX_KEY || value.len() > MAX_VALUE {
        return Err(EngineError::Argument("key or value is too long").into());
    }
    if context.read_only {
        return Err(EngineError::Argument("the storage context is read-only").into());
    }
    let full_key = storage_key(context.contract, key);
    let quarter = |length: usize| length.saturating_sub(1) / 4 + 1;
    let old = engine.host.read(&full_key)?.map(|old| old.len());
    let size = match (old, value.len()) {
        (None, new) => key.len().saturating_add(new),
        (Some(_), 0) => 0,
        (Some(old), new) if new <= old => quarter(new),
        (Some(0), new) => new,
        (Some(old), new) => quarter(old).saturating_add(new.saturating_sub(old)),
    };
    let size = u128::try_from(size).unwrap_or(u128::MAX);
    charge(engine, size.saturating_mul(engine.host.storage_price).saturating_mul(PICO))?;
    engine.host.write(full_key, Some(value.into()));
    Ok(())
}

fn remove<S: Store>(engine: &mut Vm<S>, context: StorageContext, key: &[u8]) -> Result<()> {
    if context.read_only {
        return Err(EngineError::Argument("the storage context is read-only").into());
    }
    engine.host.write(storage_key(context.contract, key), None);
    Ok(())
}

/// Options of a search.
#[derive(Debug, Clone, Copy)]
struct FindOptions(u8);

impl FindOptions {
    const KEYS_ONLY: u8 = 1;
    const REMOVE_PREFIX: u8 = 2;
    const VALUES_ONLY: u8 = 4;
    const DESERIALIZE: u8 = 8;
    const FIELD_0: u8 = 16;
    const FIELD_1: u8 = 32;
    const BACKWARDS: u8 = 128;

    fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// Checked when the search begins, after the arguments have been converted.
    fn check(self) -> Result<Self> {
        let fields = Self::FIELD_0 | Self::FIELD_1;
        let wrong = self.has(64)
            || self.has(Self::KEYS_ONLY) && self.has(Self::VALUES_ONLY | Self::DESERIALIZE | fields)
            || self.has(Self::VALUES_ONLY) && self.has(Self::REMOVE_PREFIX)
            || self.0 & fields == fields
            || self.has(fields) && !self.has(Self::DESERIALIZE);
        if wrong { Err(EngineError::Argument("options that do not go together").into()) } else { Ok(self) }
    }
}

fn pop_options<S: Store>(engine: &mut Vm<S>) -> Result<FindOptions> {
    super::service::pop_byte(engine).map(FindOptions)
}

/// Which of the found entries count; native contracts leave some out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only {
    /// All.
    All,
    /// Those whose key ends with a number that is not negative.
    Deployed,
    /// Candidates that are registered and not blocked.
    Candidates,
}

/// An iterator over the rows of a native contract. `options` are those of a search by a script.
pub(crate) fn native_iterator(prefix: Vec<u8>, options: u8, only: Only) -> StackItem {
    let options = FindOptions(options);
    StackItem::Interop(Interop(Arc::new(StorageIterator {
        prefix,
        options,
        only,
        progress: Mutex::default(),
    })))
}

/// A search under way.
#[derive(Debug)]
struct StorageIterator {
    prefix: Vec<u8>,
    options: FindOptions,
    only: Only,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// What had been written when the search took its first step.
    written: Option<Changes>,
    current: Option<Entry>,
    ended: bool,
}

impl InteropObject for StorageIterator {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn start_find<S: Store>(
    engine: &mut Vm<S>,
    context: StorageContext,
    prefix: &[u8],
    options: FindOptions,
) -> Result<()> {
    let options = options.check()?;
    let prefix = storage_key(context.contract, prefix);
    let iterator = StorageIterator { prefix, options, only: Only::All, progress: Mutex::default() };
    engine.push_interop(Interop(Arc::new(iterator)));
    Ok(())
}

/// Moves an iterator among the results of an engine that has ended, and gives its value; `None` at the end.
///
/// # Errors
/// Not an iterator, its values cannot be read, or the store fails.
pub fn iterate<S: Store>(engine: &mut Vm<S>, object: &Interop) -> Result<Option<StackItem>> {
    let iterator = as_iterator(object)?;
    if iterator.advance(&engine.host)? { current_value(engine, iterator).map(Some) } else { Ok(None) }
}

pub(super) fn iterator_next<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let object = pop_iterator(engine)?;
    let more = as_iterator(&object)?.advance(&engine.host)?;
    engine.push_bool(more);
    Ok(())
}

pub(super) fn iterator_value<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let object = pop_iterator(engine)?;
    let iterator = as_iterator(&object)?;
    let value = current_value(engine, iterator)?;
    engine.push(value);
    Ok(())
}

fn current_value<S: Store>(engine: &mut Vm<S>, iterator: &StorageIterator) -> Result<StackItem> {
    let progress = iterator.progress.lock().unwrap_or_else(PoisonError::into_inner);
    let (key, value) = progress.current.as_ref().ok_or(EngineError::Misplaced("no current entry"))?;
    let own = if iterator.options.has(FindOptions::REMOVE_PREFIX) { iterator.prefix.len() } else { 4 };
    let key = StackItem::bytes(key.get(own..).unwrap_or_default());
    let options = iterator.options;
    let mut item = StackItem::ByteString(value.clone());
    if options.has(FindOptions::DESERIALIZE) {
        item = binary::deserialize(&mut engine.heap, value)
            .map_err(|_| EngineError::Argument("the value is no serialised item"))?;
    }
    if options.has(FindOptions::FIELD_0 | FindOptions::FIELD_1) {
        let field = usize::from(options.has(FindOptions::FIELD_1));
        let (StackItem::Array(id) | StackItem::Struct(id)) = item else {
            return Err(Fault::InvalidType(item.item_type()));
        };
        item = engine.heap.list(id).get(field).cloned().ok_or(EngineError::Argument("no such field"))?;
    }
    Ok(if options.has(FindOptions::KEYS_ONLY) {
        key
    } else if options.has(FindOptions::VALUES_ONLY) {
        item
    } else {
        engine.heap.new_struct(vec![key, item])
    })
}

fn pop_iterator<S: Store>(engine: &mut Vm<S>) -> Result<Interop> {
    match engine.pop()? {
        StackItem::Interop(object) => Ok(object),
        other => Err(Fault::InvalidType(other.item_type())),
    }
}

fn as_iterator(object: &Interop) -> Result<&StorageIterator> {
    let iterator = object.0.as_any().downcast_ref();
    iterator.ok_or_else(|| EngineError::Argument("not an iterator").into())
}

impl StorageIterator {
    /// Moves to the next entry. Behind the last one the last stays current.
    fn advance<S: Store>(&self, host: &Application<S>) -> Result<bool> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.ended {
            return Ok(false);
        }
        let written = progress.written.take().unwrap_or_else(|| host.written_below(&self.prefix));
        let mut after = progress.current.as_ref().map(|(key, _)| key.clone());
        let next = loop {
            match self.next(host, &written, after.as_deref()) {
                Ok(Some((key, value))) if !self.counts(host, &key, &value)? => after = Some(key),
                other => break other,
            }
        };
        progress.written = Some(written);
        match next? {
            Some(entry) => progress.current = Some(entry),
            None => progress.ended = true,
        }
        Ok(!progress.ended)
    }

    fn counts<S: Store>(&self, host: &Application<S>, key: &[u8], value: &[u8]) -> Result<bool> {
        Ok(match self.only {
            Only::All => true,
            Only::Deployed => key.last_chunk().is_some_and(|id| i32::from_be_bytes(*id) >= 0),
            Only::Candidates => native::neo::is_eligible(host, key, value)?,
        })
    }

    /// The nearer one of the next stored entry that was not written over, and the next written one.
    fn next<S: Store>(
        &self,
        host: &Application<S>,
        written: &Changes,
        after: Option<&[u8]>,
    ) -> Result<Option<Entry>> {
        let backward = self.options.has(FindOptions::BACKWARDS);
        let mut stored_after = after.map(<[u8]>::to_vec);
        let stored = loop {
            let found = host.store.seek(&self.prefix, stored_after.as_deref(), backward);
            match found.map_err(EngineError::Store)? {
                Some((key, _)) if written.contains_key(&key) => stored_after = Some(key),
                other => break other,
            }
        };
        let mut written_after = after.map(<[u8]>::to_vec);
        let changed = loop {
            match next_of(written, &self.prefix, written_after.as_deref(), backward) {
                Some((key, None)) => written_after = Some(key.clone()),
                Some((key, Some(value))) => break Some((key.clone(), value.clone())),
                None => break None,
            }
        };
        Ok(match (stored, changed) {
            (Some(stored), Some(changed)) => {
                Some(if (stored.0 < changed.0) == backward { changed } else { stored })
            }
            (stored, changed) => stored.or(changed),
        })
    }
}
