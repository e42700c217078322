//! Arrays, structs and maps. Mirrors `JumpTable.Compound.cs` and, for the eras before Gorgon, the replaced handlers
//! of `ApplicationEngine.cs`.
//!
//! The order in which references are counted is that of the reference: the counter decides whether a script faults.

use neo_base::Int;

use crate::{
    engine::{Engine, Era, Host},
    fault::{Fault, Result},
    heap::MapItems,
    item::{ItemType, MapKey, StackItem},
    limits::{MAX_ITEM_SIZE, MAX_STACK_SIZE},
};

impl<H: Host> Engine<H> {
    pub(super) fn pack_map(&mut self) -> Result<()> {
        let size = self.pop_index()?;
        if size.saturating_mul(2) > self.stack_len() {
            return Err(Fault::StackUnderflow);
        }
        let mut items = MapItems::default();
        for _ in 0..size {
            let key_item = self.pop_counted()?;
            let key = MapKey::from_item(&key_item)?;
            let value = self.pop_counted()?;
            if let Some(old) = items.insert(key, value) {
                self.heap.remove_reference(&key_item);
                self.heap.remove_reference(&old);
            }
        }
        let map = self.heap.new_map(items);
        self.push_new(map, 1);
        Ok(())
    }

    pub(super) fn pack(&mut self, as_struct: bool) -> Result<()> {
        let size = self.pop_index()?;
        let start = self.stack_len().checked_sub(size).ok_or(Fault::StackUnderflow)?;
        let mut items = self.stack_mut().split_off(start);
        items.reverse();
        let list = if as_struct { self.heap.new_struct(items) } else { self.heap.new_array(items) };
        self.push_new(list, 1);
        Ok(())
    }

    pub(super) fn unpack(&mut self) -> Result<()> {
        let item = self.pop_counted()?;
        let id = item.compound().ok_or(Fault::InvalidType(item.item_type()))?;
        self.heap.adjust_references(id, -1);
        self.heap.adjust(-1);
        let parts: Vec<StackItem> = match self.heap.map(id) {
            Some(map) => map.iter().rev().flat_map(|(key, value)| [value.clone(), key.to_item()]).collect(),
            None => self.heap.list(id).iter().rev().cloned().collect(),
        };
        if self.heap.is_referenced(id) {
            parts.iter().for_each(|part| self.heap.add_reference(part));
        }
        self.stack_mut().extend(parts);
        let len = self.heap.len(id);
        self.push_int(len)
    }

    /// Makes a list of `count` items, or of as many as the stack says.
    pub(super) fn new_list(&mut self, as_struct: bool, item: StackItem, count: Option<usize>) -> Result<()> {
        let count = match count {
            Some(count) => count,
            None => self.pop_index()?,
        };
        let references = i64::try_from(count).map_err(|_| Fault::OutOfRange)?;
        if references > MAX_STACK_SIZE {
            return Err(Fault::OutOfRange);
        }
        let items = vec![item; count];
        let list = if as_struct { self.heap.new_struct(items) } else { self.heap.new_array(items) };
        self.push_new(list, references.saturating_add(1));
        Ok(())
    }

    pub(super) fn new_typed_array(&mut self, byte: u8) -> Result<()> {
        let item = match ItemType::from_byte(byte).ok_or(Fault::UnknownType(byte))? {
            ItemType::Boolean => StackItem::Boolean(false),
            ItemType::Integer => StackItem::Integer(Int::ZERO),
            ItemType::ByteString => StackItem::bytes([]),
            _ => StackItem::Null,
        };
        self.new_list(false, item, None)
    }

    pub(super) fn new_map(&mut self) -> Result<()> {
        let map = self.heap.new_map(MapItems::default());
        self.push_new(map, 1);
        Ok(())
    }

    pub(super) fn size(&mut self) -> Result<()> {
        let item = self.pop()?;
        let size = match item.compound() {
            Some(id) => self.heap.len(id),
            None => self.heap.with_bytes(&item, <[u8]>::len)?,
        };
        self.push_int(size)
    }

    pub(super) fn has_key(&mut self) -> Result<()> {
        let key = self.pop_key()?;
        let item = self.pop()?;
        let found = match &item {
            StackItem::Map(id) => {
                let key = MapKey::from_item(&key)?;
                self.heap.map(*id).is_some_and(|map| map.contains_key(&key))
            }
            StackItem::Array(id) | StackItem::Struct(id) => self.index_below(&key, self.heap.len(*id))?,
            StackItem::Buffer(id) => self.index_below(&key, self.heap.buffer(*id).len())?,
            StackItem::ByteString(bytes) => self.index_below(&key, bytes.len())?,
            other => return Err(Fault::InvalidType(other.item_type())),
        };
        self.push_bool(found);
        Ok(())
    }

    pub(super) fn keys(&mut self) -> Result<()> {
        let item = self.pop()?;
        let map = match &item {
            StackItem::Map(id) => self.heap.map(*id),
            _ => None,
        };
        let map = map.ok_or(Fault::InvalidType(item.item_type()))?;
        let keys: Vec<_> = map.keys().map(MapKey::to_item).collect();
        let references = i64::try_from(keys.len()).map_err(|_| Fault::OutOfRange)?;
        let array = self.heap.new_array(keys);
        self.push_new(array, references.saturating_add(1));
        Ok(())
    }

    pub(super) fn values(&mut self) -> Result<()> {
        let item = self.pop_counted()?;
        let id = item.compound().ok_or(Fault::InvalidType(item.item_type()))?;
        self.heap.adjust_references(id, -1);
        let referenced = self.heap.is_referenced(id);
        let mut values: Vec<StackItem> = match self.heap.map(id) {
            Some(map) => map.values().cloned().collect(),
            None => self.heap.list(id).to_vec(),
        };
        if matches!(item, StackItem::Map(_)) && !referenced {
            let keys = i64::try_from(values.len()).map_err(|_| Fault::OutOfRange)?;
            self.heap.adjust(keys.saturating_neg());
        }
        for value in &mut values {
            if let StackItem::Struct(nested) = *value {
                let copy = self.heap.clone_struct(nested)?;
                if !referenced {
                    self.heap.remove_reference(value);
                }
                self.heap.add_reference(&copy);
                *value = copy;
            } else if referenced {
                self.heap.add_reference(value);
            }
        }
        let array = self.heap.new_array(values);
        self.push_new(array, 0);
        Ok(())
    }

    pub(super) fn pick_item(&mut self) -> Result<()> {
        let key = self.pop_key()?;
        let item = self.pop()?;
        match &item {
            StackItem::Map(id) => {
                let key = MapKey::from_item(&key)?;
                match self.heap.map(*id).and_then(|map| map.get(&key)).cloned() {
                    Some(value) => {
                        self.push(value);
                        Ok(())
                    }
                    None => self.throw_text(&format!("Key {key} not found in Map.")),
                }
            }
            StackItem::Array(id) | StackItem::Struct(id) => {
                let len = self.heap.len(*id);
                match self.index(&key, len)? {
                    Ok(index) => {
                        let value = self.heap.list(*id).get(index).cloned().ok_or(Fault::OutOfRange)?;
                        self.push(value);
                        Ok(())
                    }
                    Err(index) => self.throw_out_of_range("VMArray", &index, len),
                }
            }
            StackItem::Buffer(id) => {
                let len = self.heap.buffer(*id).len();
                match self.index(&key, len)? {
                    Ok(index) => {
                        let byte = self.heap.buffer(*id).get(index).copied().ok_or(Fault::OutOfRange)?;
                        self.push_int(byte)
                    }
                    Err(index) => self.throw_out_of_range("Buffer", &index, len),
                }
            }
            primitive => {
                let bytes = primitive.primitive_bytes()?;
                match self.index(&key, bytes.len())? {
                    Ok(index) => self.push_int(bytes.get(index).copied().ok_or(Fault::OutOfRange)?),
                    Err(index) => self.throw_out_of_range("PrimitiveType", &index, bytes.len()),
                }
            }
        }
    }

    pub(super) fn append(&mut self) -> Result<()> {
        let mut value = self.pop()?;
        let list = self.pop()?;
        let (StackItem::Array(id) | StackItem::Struct(id)) = list else {
            return Err(Fault::InvalidType(list.item_type()));
        };
        if let StackItem::Struct(nested) = value {
            value = self.heap.clone_struct(nested)?;
        }
        self.heap.list_mut(id)?.push(value.clone());
        if self.heap.is_referenced(id) {
            self.heap.add_reference(&value);
        }
        Ok(())
    }

    pub(super) fn set_item(&mut self) -> Result<()> {
        let mut value = self.pop_counted()?;
        if let StackItem::Struct(nested) = value {
            self.heap.remove_reference(&value);
            value = self.heap.clone_struct(nested)?;
            self.heap.add_reference(&value);
        }
        let key = self.pop_key()?;
        let item = self.pop()?;
        match &item {
            StackItem::Array(id) | StackItem::Struct(id) => {
                let len = self.heap.len(*id);
                let index = match self.index(&key, len)? {
                    Ok(index) => index,
                    Err(index) => {
                        self.heap.remove_reference(&value);
                        return self.throw_out_of_range("VMArray", &index, len);
                    }
                };
                let old = self.heap.list(*id).get(index).cloned().ok_or(Fault::OutOfRange)?;
                let gone = if self.heap.is_referenced(*id) { &old } else { &value };
                self.heap.remove_reference(gone); // before the change: a cycle may lead back here
                *self.heap.list_mut(*id)?.get_mut(index).ok_or(Fault::OutOfRange)? = value;
                Ok(())
            }
            StackItem::Map(id) => {
                let map_key = MapKey::from_item(&key)?;
                let old = self.heap.map(*id).and_then(|map| map.get(&map_key)).cloned();
                match (self.heap.is_referenced(*id), old) {
                    (true, Some(old)) => self.heap.remove_reference(&old),
                    (true, None) => self.heap.add_reference(&key),
                    (false, _) => self.heap.remove_reference(&value),
                }
                self.heap.map_mut(*id)?.insert(map_key, value);
                Ok(())
            }
            StackItem::Buffer(id) => {
                self.heap.remove_reference(&value);
                let len = self.heap.buffer(*id).len();
                let index = match self.index(&key, len)? {
                    Ok(index) => index,
                    Err(index) => return self.throw_out_of_range("Buffer", &index, len),
                };
                let number = value.to_int()?.to_i32().filter(|number| (-128..=255).contains(number));
                let [byte, ..] = number.ok_or(Fault::OutOfRange)?.to_le_bytes();
                *self.heap.buffer_mut(*id).get_mut(index).ok_or(Fault::OutOfRange)? = byte;
                Ok(())
            }
            other => Err(Fault::InvalidType(other.item_type())),
        }
    }

    pub(super) fn reverse_items(&mut self) -> Result<()> {
        let item = self.pop()?;
        match &item {
            StackItem::Array(id) | StackItem::Struct(id) => self.heap.list_mut(*id)?.reverse(),
            StackItem::Buffer(id) => self.heap.buffer_mut(*id).reverse(),
            other => return Err(Fault::InvalidType(other.item_type())),
        }
        Ok(())
    }

    pub(super) fn remove_item(&mut self) -> Result<()> {
        let key = self.pop_key()?;
        let item = self.pop()?;
        match &item {
            StackItem::Array(id) | StackItem::Struct(id) => {
                let index = self.index(&key, self.heap.len(*id))?.map_err(|_| Fault::OutOfRange)?;
                let old = self.heap.list_mut(*id)?.remove(index);
                if self.heap.is_referenced(*id) {
                    self.heap.remove_reference(&old);
                }
                Ok(())
            }
            StackItem::Map(id) => {
                let map_key = MapKey::from_item(&key)?;
                let old = self.heap.map_mut(*id)?.shift_remove(&map_key);
                if let Some(old) = old
                    && self.heap.is_referenced(*id)
                {
                    self.heap.remove_reference(&key);
                    self.heap.remove_reference(&old);
                }
                Ok(())
            }
            other => Err(Fault::InvalidType(other.item_type())),
        }
    }

    pub(super) fn clear_items(&mut self) -> Result<()> {
        let item = self.pop()?;
        let id = item.compound().ok_or(Fault::InvalidType(item.item_type()))?;
        let (keys, values) = match &item {
            StackItem::Map(_) => {
                let map = std::mem::take(self.heap.map_mut(id)?);
                (map.len(), map.into_values().collect())
            }
            _ => (0, std::mem::take(self.heap.list_mut(id)?)),
        };
        if self.heap.is_referenced(id) {
            self.heap.adjust(i64::try_from(keys).map_err(|_| Fault::OutOfRange)?.saturating_neg());
            values.iter().for_each(|value: &StackItem| self.heap.remove_reference(value));
        }
        Ok(())
    }

    pub(super) fn pop_item(&mut self) -> Result<()> {
        let list = self.pop()?;
        let (StackItem::Array(id) | StackItem::Struct(id)) = list else {
            return Err(Fault::InvalidType(list.item_type()));
        };
        let item = self.heap.list(id).last().cloned().ok_or(Fault::OutOfRange)?;
        self.push(item.clone()); // before the change: a cycle may lead back here
        self.heap.list_mut(id)?.pop();
        if self.heap.is_referenced(id) {
            self.heap.remove_reference(&item);
        }
        Ok(())
    }

    /// Pushes a new list or map that is counted as `references`, its elements included.
    fn push_new(&mut self, item: StackItem, references: i64) {
        if let Some(id) = item.compound() {
            self.heap.adjust_references(id, 1);
        }
        self.heap.adjust(references);
        self.push_uncounted(item);
    }

    /// Pops an item that can be a key or index: a primitive.
    fn pop_key(&mut self) -> Result<StackItem> {
        let item = self.pop_counted()?;
        match item {
            StackItem::Boolean(_) | StackItem::Integer(_) | StackItem::ByteString(_) => {
                self.heap.remove_reference(&item);
                Ok(item)
            }
            other => Err(Fault::InvalidType(other.item_type())),
        }
    }

    /// The index that a key stands for: `Err` with the number when it is not below `len`. Before Gorgon a number of
    /// more than 32 bits is a fault.
    fn index(&self, key: &StackItem, len: usize) -> Result<std::result::Result<usize, Int>> {
        let number = key.to_int()?;
        if self.era < Era::Gorgon && number.to_i32().is_none() {
            return Err(Fault::OutOfRange);
        }
        Ok(number.to_usize().filter(|index| *index < len).ok_or(number))
    }

    /// Whether the index that a key stands for is below `len`. A fault for negative numbers, and for numbers above
    /// those that an index may have: 32 bits before Gorgon, the largest size of items since.
    fn index_below(&self, key: &StackItem, len: usize) -> Result<bool> {
        let number = key.to_int()?;
        let valid = match self.era {
            Era::Gorgon => number.to_usize().filter(|index| *index < MAX_ITEM_SIZE),
            _ => number.to_i32().and_then(|index| usize::try_from(index).ok()),
        };
        valid.map(|index| index < len).ok_or(Fault::OutOfRange)
    }

    fn throw_out_of_range(&mut self, what: &str, index: &Int, len: usize) -> Result<()> {
        self.throw_text(&format!("The index of {what} is out of range, {index}/[0, {len})."))
    }
}
