//! Arrays, structs, maps and buffers by index, and the counter of references.
//!
//! The counter is that of the reference (`ReferenceCounter.cs`): each occurrence of an item on a stack or in a slot
//! counts one, and so does each element of an array or map that is itself counted. What it counts is consensus; it
//! does not decide when memory is free, because cycles and unwound contexts keep their count. Memory is reclaimed
//! by marking from the roots once enough has been allocated ([`Heap::wants_collection`]).

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use indexmap::IndexMap;

use crate::{
    fault::{Fault, Result},
    item::{MapKey, StackItem},
    limits::{MAX_COMPARABLE_SIZE, MAX_STACK_SIZE},
};

/// Entries of a map in order of insertion. The hasher has no random key: equal runs take equal steps.
pub type MapItems = IndexMap<MapKey, StackItem, BuildHasherDefault<DefaultHasher>>;

/// Names an array, struct or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompoundId(usize);

/// Names a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferId(usize);

/// What a copy is remembered by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Buffer(BufferId),
    Compound(CompoundId),
}

/// Units (items, or 32 bytes of a buffer) that may be allocated before the first collection.
const FIRST_COLLECTION: usize = 1 << 16;

#[derive(Debug)]
struct Compound {
    /// Occurrences counted by the reference counter.
    references: i64,
    read_only: bool,
    marked: bool,
    body: Body,
}

#[derive(Debug)]
enum Body {
    List(Vec<StackItem>),
    Map(MapItems),
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    marked: bool,
}

/// The memory of one engine.
#[derive(Debug)]
pub struct Heap {
    compounds: Vec<Option<Compound>>,
    free_compounds: Vec<usize>,
    buffers: Vec<Option<Buffer>>,
    free_buffers: Vec<usize>,
    count: i64,
    /// Work list of the counter, kept to reuse its memory.
    pending: Vec<StackItem>,
    allocated: usize,
    collect_at: usize,
}

impl Default for Heap {
    fn default() -> Self {
        Self {
            compounds: Vec::new(),
            free_compounds: Vec::new(),
            buffers: Vec::new(),
            free_buffers: Vec::new(),
            count: 0,
            pending: Vec::new(),
            allocated: 0,
            collect_at: FIRST_COLLECTION,
        }
    }
}

const LIVE: &str = "an item names a live entry of its own heap";

/// What is on the heap.
impl Heap {
    /// Makes an array.
    pub fn new_array(&mut self, items: Vec<StackItem>) -> StackItem {
        StackItem::Array(self.new_compound(Body::List(items)))
    }

    /// Makes a struct.
    pub fn new_struct(&mut self, items: Vec<StackItem>) -> StackItem {
        StackItem::Struct(self.new_compound(Body::List(items)))
    }

    /// Makes a map.
    pub fn new_map(&mut self, items: MapItems) -> StackItem {
        StackItem::Map(self.new_compound(Body::Map(items)))
    }

    /// Makes a buffer.
    pub fn new_buffer(&mut self, bytes: Vec<u8>) -> StackItem {
        self.allocated = self.allocated.saturating_add(bytes.len() / 32 + 1);
        let buffer = Some(Buffer { bytes, marked: false });
        StackItem::Buffer(BufferId(place(&mut self.buffers, &mut self.free_buffers, buffer)))
    }

    /// The elements of an array or struct; none for a map.
    #[inline]
    #[must_use]
    pub fn list(&self, id: CompoundId) -> &[StackItem] {
        match &self.compound(id).body {
            Body::List(items) => items,
            Body::Map(_) => &[],
        }
    }

    /// The entries of a map; `None` for an array or struct.
    #[inline]
    #[must_use]
    pub fn map(&self, id: CompoundId) -> Option<&MapItems> {
        match &self.compound(id).body {
            Body::Map(items) => Some(items),
            Body::List(_) => None,
        }
    }

    /// Number of elements or entries.
    #[must_use]
    pub fn len(&self, id: CompoundId) -> usize {
        match &self.compound(id).body {
            Body::List(items) => items.len(),
            Body::Map(items) => items.len(),
        }
    }

    /// The elements of an array or struct, to change. The caller keeps the counter right.
    ///
    /// # Errors
    /// It is read-only.
    pub fn list_mut(&mut self, id: CompoundId) -> Result<&mut Vec<StackItem>> {
        let compound = self.compound_mut(id);
        match &mut compound.body {
            Body::List(items) if !compound.read_only => Ok(items),
            _ => Err(Fault::ReadOnly),
        }
    }

    /// The entries of a map, to change. The caller keeps the counter right.
    ///
    /// # Errors
    /// It is read-only.
    pub fn map_mut(&mut self, id: CompoundId) -> Result<&mut MapItems> {
        let compound = self.compound_mut(id);
        match &mut compound.body {
            Body::Map(items) if !compound.read_only => Ok(items),
            _ => Err(Fault::ReadOnly),
        }
    }

    /// The bytes of a buffer.
    #[inline]
    #[must_use]
    pub fn buffer(&self, id: BufferId) -> &Vec<u8> {
        &self.buffers.get(id.0).and_then(Option::as_ref).expect(LIVE).bytes
    }

    /// The bytes of a buffer, to change.
    #[inline]
    pub fn buffer_mut(&mut self, id: BufferId) -> &mut Vec<u8> {
        &mut self.buffers.get_mut(id.0).and_then(Option::as_mut).expect(LIVE).bytes
    }

    /// Calls `see` with the bytes of a primitive item or buffer.
    ///
    /// # Errors
    /// Another type.
    pub fn with_bytes<T>(&self, item: &StackItem, see: impl FnOnce(&[u8]) -> T) -> Result<T> {
        match item {
            StackItem::ByteString(bytes) => Ok(see(bytes)),
            StackItem::Buffer(id) => Ok(see(self.buffer(*id))),
            other => other.primitive_bytes().map(|bytes| see(&bytes)),
        }
    }

    /// The bytes of a primitive item or buffer.
    ///
    /// # Errors
    /// Another type.
    pub fn bytes_of(&self, item: &StackItem) -> Result<Vec<u8>> {
        self.with_bytes(item, <[u8]>::to_vec)
    }

    /// A copy of a struct in which nested structs are copied too.
    ///
    /// # Errors
    /// More elements than a stack may hold.
    pub fn clone_struct(&mut self, id: CompoundId) -> Result<StackItem> {
        let mut budget = MAX_STACK_SIZE - 1;
        let result = self.new_struct(Vec::new());
        let mut queue = VecDeque::from([(result.compound().expect(LIVE), id)]);
        while let Some((to, from)) = queue.pop_front() {
            let mut items = self.list(from).to_vec();
            for item in &mut items {
                budget -= 1;
                if budget < 0 {
                    return Err(Fault::StackOverflow(MAX_STACK_SIZE));
                }
                if let StackItem::Struct(nested) = *item {
                    *item = self.new_struct(Vec::new());
                    queue.push_back((item.compound().expect(LIVE), nested));
                }
            }
            self.allocated = self.allocated.saturating_add(items.len());
            *self.list_mut(to)? = items;
        }
        Ok(result)
    }

    /// A copy of the item and of everything below it, cycles included. `immutable` turns buffers into byte strings
    /// and makes arrays and maps read-only.
    pub fn deep_copy(&mut self, item: &StackItem, immutable: bool) -> StackItem {
        self.deep_copy_below(item, immutable, &mut HashMap::new())
    }

    fn deep_copy_below(
        &mut self,
        item: &StackItem,
        immutable: bool,
        seen: &mut HashMap<Name, StackItem>,
    ) -> StackItem {
        let name = match item {
            StackItem::Buffer(id) => Name::Buffer(*id),
            other => match other.compound() {
                Some(id) => Name::Compound(id),
                None => return item.clone(),
            },
        };
        if let Some(copy) = seen.get(&name) {
            return copy.clone();
        }
        let id = match name {
            Name::Buffer(id) => {
                let bytes = self.buffer(id).clone();
                let copy = if immutable { StackItem::bytes(bytes) } else { self.new_buffer(bytes) };
                seen.insert(name, copy.clone());
                return copy;
            }
            Name::Compound(id) => id,
        };
        let copy = match item {
            StackItem::Map(_) => self.new_map(MapItems::default()),
            StackItem::Struct(_) => self.new_struct(Vec::new()),
            _ => self.new_array(Vec::new()),
        };
        seen.insert(name, copy.clone());
        let body = match &self.compound(id).body {
            Body::List(items) => {
                let items = items.clone();
                Body::List(items.iter().map(|item| self.deep_copy_below(item, immutable, seen)).collect())
            }
            Body::Map(items) => {
                let items = items.clone();
                let copies = items.into_iter();
                Body::Map(copies.map(|(k, v)| (k, self.deep_copy_below(&v, immutable, seen))).collect())
            }
        };
        let read_only = immutable || self.compound(id).read_only;
        let target = self.compound_mut(copy.compound().expect(LIVE));
        target.body = body;
        target.read_only = read_only;
        copy
    }

    /// True when two items are equal as `EQUAL` sees it.
    ///
    /// # Errors
    /// The comparison is larger than allowed.
    pub fn equals(&self, a: &StackItem, b: &StackItem) -> Result<bool> {
        let mut budget = MAX_COMPARABLE_SIZE;
        match (a, b) {
            (StackItem::ByteString(_), _) => bytes_equal(a, b, &mut budget),
            (StackItem::Struct(a), StackItem::Struct(b)) => self.structs_equal(*a, *b, &mut budget),
            _ => Ok(simply_equal(a, b)),
        }
    }

    fn structs_equal(&self, a: CompoundId, b: CompoundId, budget: &mut usize) -> Result<bool> {
        let mut pairs = vec![(StackItem::Struct(a), StackItem::Struct(b))];
        let mut steps = MAX_STACK_SIZE;
        while let Some((a, b)) = pairs.pop() {
            if steps == 0 {
                return Err(Fault::CompareTooLarge);
            }
            steps -= 1;
            if matches!(a, StackItem::ByteString(_)) {
                if !bytes_equal(&a, &b, budget)? {
                    return Ok(false);
                }
                continue;
            }
            *budget = budget.checked_sub(1).ok_or(Fault::CompareTooLarge)?;
            match (&a, &b) {
                (StackItem::Struct(a), StackItem::Struct(b)) if a == b => {}
                (StackItem::Struct(a), StackItem::Struct(b)) => {
                    let (a, b) = (self.list(*a), self.list(*b));
                    if a.len() != b.len() {
                        return Ok(false);
                    }
                    pairs.extend(a.iter().cloned().zip(b.iter().cloned()));
                }
                _ if simply_equal(&a, &b) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn new_compound(&mut self, body: Body) -> CompoundId {
        let units = match &body {
            Body::List(items) => items.len(),
            Body::Map(items) => items.len(),
        };
        self.allocated = self.allocated.saturating_add(units).saturating_add(4);
        let compound = Some(Compound { references: 0, read_only: false, marked: false, body });
        CompoundId(place(&mut self.compounds, &mut self.free_compounds, compound))
    }

    #[inline]
    fn compound(&self, id: CompoundId) -> &Compound {
        self.compounds.get(id.0).and_then(Option::as_ref).expect(LIVE)
    }

    #[inline]
    fn compound_mut(&mut self, id: CompoundId) -> &mut Compound {
        self.compounds.get_mut(id.0).and_then(Option::as_mut).expect(LIVE)
    }
}

/// The counter of references.
impl Heap {
    /// The number of references; above 2048 after an instruction the engine faults.
    #[inline]
    #[must_use]
    pub fn count(&self) -> i64 {
        self.count
    }

    /// Moves the counter without touching an item.
    #[inline]
    pub fn adjust(&mut self, by: i64) {
        self.count = self.count.saturating_add(by);
    }

    /// True when the array or map is counted.
    #[must_use]
    pub fn is_referenced(&self, id: CompoundId) -> bool {
        self.compound(id).references != 0
    }

    /// Moves the references of one array or map without touching the counter or its elements.
    pub fn adjust_references(&mut self, id: CompoundId, by: i64) {
        let compound = self.compound_mut(id);
        compound.references = compound.references.saturating_add(by);
    }

    /// Counts one occurrence of an item.
    #[inline]
    pub fn add_reference(&mut self, item: &StackItem) {
        self.adjust(1);
        if let Some(id) = item.compound() {
            self.add_compound(id);
        }
    }

    /// Takes back one occurrence of an item. An array or map that is not counted is left alone.
    #[inline]
    pub fn remove_reference(&mut self, item: &StackItem) {
        match item.compound() {
            None => self.adjust(-1),
            Some(id) => self.remove_compound(id),
        }
    }

    fn add_compound(&mut self, id: CompoundId) {
        let mut next = Some(id);
        let base = self.pending.len();
        while let Some(id) = next {
            let compound = self.compound_mut(id);
            compound.references = compound.references.saturating_add(1);
            if compound.references == 1 {
                self.adjust_children(id, 1);
            }
            next = self.next_pending(base);
        }
    }

    fn remove_compound(&mut self, id: CompoundId) {
        let mut next = Some(id);
        let base = self.pending.len();
        while let Some(id) = next {
            let compound = self.compound_mut(id);
            if compound.references != 0 {
                compound.references = compound.references.saturating_sub(1);
                let gone = compound.references == 0;
                self.adjust(-1);
                if gone {
                    self.adjust_children(id, -1);
                }
            }
            next = self.next_pending(base);
        }
    }

    /// Counts the elements that are plain, and puts those that are not on the work list. When adding, an element's
    /// own occurrence is counted here; when removing, by whoever takes it from the list.
    fn adjust_children(&mut self, id: CompoundId, by: i64) {
        let Self { compounds, pending, count, .. } = self;
        let compound = compounds.get(id.0).and_then(Option::as_ref).expect(LIVE);
        let mut visit = |item: &StackItem| {
            if item.compound().is_some() {
                pending.push(item.clone());
                if by < 0 {
                    return;
                }
            }
            *count = count.saturating_add(by);
        };
        match &compound.body {
            Body::List(items) => items.iter().for_each(&mut visit),
            Body::Map(items) => {
                items.values().for_each(&mut visit);
                *count =
                    count.saturating_add(by.saturating_mul(i64::try_from(items.len()).unwrap_or(i64::MAX)));
            }
        }
    }

    fn next_pending(&mut self, base: usize) -> Option<CompoundId> {
        if self.pending.len() > base { self.pending.pop().and_then(|item| item.compound()) } else { None }
    }
}

/// Reclaiming memory.
impl Heap {
    /// True when enough was allocated since the last collection.
    #[inline]
    #[must_use]
    pub fn wants_collection(&self) -> bool {
        self.allocated > self.collect_at
    }

    /// Frees what cannot be reached from the roots that `roots` names.
    pub fn collect(&mut self, roots: impl FnOnce(&mut dyn FnMut(&StackItem))) {
        let mut pending = Vec::new();
        roots(&mut |item| pending.push(item.clone()));
        let mut live = 0usize;
        while let Some(item) = pending.pop() {
            if let StackItem::Buffer(id) = item {
                let buffer = self.buffers.get_mut(id.0).and_then(Option::as_mut).expect(LIVE);
                if !std::mem::replace(&mut buffer.marked, true) {
                    live = live.saturating_add(buffer.bytes.len() / 32 + 1);
                }
            }
            let Some(id) = item.compound() else { continue };
            let compound = self.compound_mut(id);
            if std::mem::replace(&mut compound.marked, true) {
                continue;
            }
            live = live.saturating_add(4);
            let mut visit = |item: &StackItem| {
                live = live.saturating_add(1);
                if matches!(item, StackItem::Buffer(_)) || item.compound().is_some() {
                    pending.push(item.clone());
                }
            };
            match &compound.body {
                Body::List(items) => items.iter().for_each(&mut visit),
                Body::Map(items) => items.values().for_each(&mut visit),
            }
        }
        sweep(&mut self.compounds, &mut self.free_compounds, |compound| &mut compound.marked);
        sweep(&mut self.buffers, &mut self.free_buffers, |buffer| &mut buffer.marked);
        self.allocated = 0;
        self.collect_at = live.max(FIRST_COLLECTION);
    }

    /// Arrays, maps and buffers that are in memory.
    #[must_use]
    pub fn entries(&self) -> usize {
        let used = |all: usize, free: usize| all.saturating_sub(free);
        used(self.compounds.len(), self.free_compounds.len())
            .saturating_add(used(self.buffers.len(), self.free_buffers.len()))
    }
}

fn place<T>(entries: &mut Vec<Option<T>>, free: &mut Vec<usize>, entry: Option<T>) -> usize {
    if let Some(index) = free.pop()
        && let Some(slot) = entries.get_mut(index)
    {
        *slot = entry;
        return index;
    }
    entries.push(entry);
    entries.len().saturating_sub(1)
}

fn sweep<T>(entries: &mut [Option<T>], free: &mut Vec<usize>, marked: impl Fn(&mut T) -> &mut bool) {
    for (index, slot) in entries.iter_mut().enumerate() {
        let Some(entry) = slot else { continue };
        if !std::mem::take(marked(entry)) {
            *slot = None;
            free.push(index);
        }
    }
}

fn bytes_equal(a: &StackItem, b: &StackItem, budget: &mut usize) -> Result<bool> {
    let StackItem::ByteString(a) = a else { return Ok(false) };
    if a.len() > *budget || *budget == 0 {
        return Err(Fault::CompareTooLarge);
    }
    let StackItem::ByteString(b) = b else {
        *budget = budget.saturating_sub(1);
        return Ok(false);
    };
    if b.len() > *budget && !Arc::ptr_eq(a, b) {
        return Err(Fault::CompareTooLarge);
    }
    *budget = budget.saturating_sub(a.len().max(b.len()).max(1));
    Ok(a == b)
}

/// Equality of items that are neither byte strings nor structs: by value for plain items, by identity for others.
fn simply_equal(a: &StackItem, b: &StackItem) -> bool {
    match (a, b) {
        (StackItem::Null, StackItem::Null) => true,
        (StackItem::Boolean(a), StackItem::Boolean(b)) => a == b,
        (StackItem::Integer(a), StackItem::Integer(b)) => a == b,
        (StackItem::Buffer(a), StackItem::Buffer(b)) => a == b,
        (StackItem::Array(a), StackItem::Array(b)) | (StackItem::Map(a), StackItem::Map(b)) => a == b,
        (StackItem::Pointer(a), StackItem::Pointer(b)) => a == b,
        (StackItem::Interop(a), StackItem::Interop(b)) => a == b,
        _ => false,
    }
}
