//! Stack items as bytes, in storage and in `StdLib.serialize`. Mirrors `BinarySerializer.cs`.

use neo_base::{
    Int,
    codec::{self, DecodeError, read_var_bytes, read_var_int, write_count, write_var_bytes},
};
use neo_vm::{
    CompoundId, Heap, ItemType, MapItems, MapKey, StackItem,
    limits::{MAX_ITEM_SIZE, MAX_STACK_SIZE},
};
use shared_vendor::bytes::{Reader, Writer};

/// Items of one serialised value, containers included.
const MAX_ITEMS: usize = 2048;

/// Why an item has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SerializeError {
    /// More than 2048 items.
    #[error("more than {MAX_ITEMS} items")]
    TooMany,
    /// More bytes than the limit.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// A pointer or an object of the host.
    #[error("{0:?} has no serialised form")]
    Type(ItemType),
    /// An array or map that occurs twice, as in a cycle.
    #[error("an array or map occurs twice")]
    Repeated,
}

/// Bytes of an item, at most as many as a stack item may have.
///
/// # Errors
/// See [`SerializeError`].
pub fn serialize(heap: &Heap, item: &StackItem) -> Result<Vec<u8>, SerializeError> {
    serialize_limited(heap, item, MAX_ITEM_SIZE)
}

/// Bytes of an item, at most `max_size`.
///
/// # Errors
/// See [`SerializeError`].
pub fn serialize_limited(heap: &Heap, item: &StackItem, max_size: usize) -> Result<Vec<u8>, SerializeError> {
    let mut writer = Writer::new();
    let mut seen: Vec<CompoundId> = Vec::new();
    let mut budget = MAX_STACK_SIZE;
    let mut pending = vec![item.clone()];
    while let Some(item) = pending.pop() {
        budget = budget.saturating_sub(1);
        if budget < 0 {
            return Err(SerializeError::TooMany);
        }
        if let Some(id) = item.compound() {
            if seen.contains(&id) {
                return Err(SerializeError::Repeated);
            }
            seen.push(id);
        }
        writer.u8(type_byte(item.item_type()));
        match &item {
            StackItem::Null => {}
            StackItem::Boolean(value) => {
                writer.u8((*value).into());
            }
            StackItem::Integer(_) | StackItem::ByteString(_) | StackItem::Buffer(_) => {
                let written = heap.with_bytes(&item, |bytes| write_var_bytes(&mut writer, bytes));
                written.map_err(|_| SerializeError::Type(item.item_type()))?;
            }
            StackItem::Array(id) | StackItem::Struct(id) => {
                let items = heap.list(*id);
                write_count(&mut writer, items.len());
                pending.extend(items.iter().rev().cloned());
            }
            StackItem::Map(id) => {
                write_count(&mut writer, heap.len(*id));
                let entries = heap.map(*id).into_iter().flatten().rev();
                pending.extend(entries.flat_map(|(key, value)| [value.clone(), key.to_item()]));
            }
            other => return Err(SerializeError::Type(other.item_type())),
        }
        if writer.len() > max_size {
            return Err(SerializeError::TooLarge(max_size));
        }
    }
    Ok(writer.into_vec())
}

/// The item at the start of bytes; what follows it is ignored, as in the reference.
///
/// # Errors
/// The bytes are no item, or hold more than 2048.
pub fn deserialize(heap: &mut Heap, bytes: &[u8]) -> codec::Result<StackItem> {
    let mut reader = Reader::new(bytes);
    let mut flat: Vec<Flat> = Vec::new();
    let mut missing = 1usize;
    while missing > 0 {
        missing = missing.saturating_sub(1);
        let kind = reader.u8()?;
        let kind = ItemType::from_byte(kind).ok_or(DecodeError::Invalid("unknown type of a stack item"))?;
        let entry = match kind {
            ItemType::Any => Flat::Item(StackItem::Null),
            ItemType::Boolean => Flat::Item(StackItem::Boolean(codec::read_bool(&mut reader)?)),
            ItemType::Integer => {
                Flat::Item(StackItem::Integer(Int::from_bytes(read_var_bytes(&mut reader, 32)?)))
            }
            ItemType::ByteString => Flat::Item(StackItem::bytes(read_var_bytes(&mut reader, MAX_ITEM_SIZE)?)),
            ItemType::Buffer => {
                let bytes = read_var_bytes(&mut reader, MAX_ITEM_SIZE)?.to_vec();
                Flat::Item(heap.new_buffer(bytes))
            }
            ItemType::Array | ItemType::Struct | ItemType::Map => {
                let count = read_var_int(&mut reader)?;
                let count = usize::try_from(count).ok().filter(|count| *count <= MAX_ITEMS);
                let count = count.ok_or(DecodeError::Invalid("too many items"))?;
                let parts = if kind == ItemType::Map { count.saturating_mul(2) } else { count };
                missing = missing.saturating_add(parts);
                Flat::Container(kind, parts)
            }
            ItemType::Pointer | ItemType::InteropInterface => {
                return Err(DecodeError::Invalid("type of a stack item has no serialised form"));
            }
        };
        flat.push(entry);
        if flat.len() > MAX_ITEMS {
            return Err(DecodeError::Invalid("too many items"));
        }
    }
    assemble(heap, flat)
}

enum Flat {
    Item(StackItem),
    /// Type and number of parts that follow: keys and values count separately.
    Container(ItemType, usize),
}

/// Builds containers from the last entry backwards, so that the parts of each are complete when it is met.
fn assemble(heap: &mut Heap, flat: Vec<Flat>) -> codec::Result<StackItem> {
    let short = DecodeError::Invalid("container without its parts");
    let mut built: Vec<StackItem> = Vec::new();
    for entry in flat.into_iter().rev() {
        let item = match entry {
            Flat::Item(item) => item,
            Flat::Container(kind, parts) => {
                let start = built.len().checked_sub(parts).ok_or_else(|| short.clone())?;
                let mut parts = built.split_off(start);
                parts.reverse();
                match kind {
                    ItemType::Struct => heap.new_struct(parts),
                    ItemType::Map => {
                        let mut items = MapItems::default();
                        let mut parts = parts.into_iter();
                        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                            let key = MapKey::from_item(&key)
                                .map_err(|_| DecodeError::Invalid("map key is not primitive or too large"))?;
                            items.insert(key, value);
                        }
                        heap.new_map(items)
                    }
                    _ => heap.new_array(parts),
                }
            }
        };
        built.push(item);
    }
    built.pop().ok_or(short)
}

fn type_byte(kind: ItemType) -> u8 {
    match kind {
        ItemType::Any => 0x00,
        ItemType::Pointer => 0x10,
        ItemType::Boolean => 0x20,
        ItemType::Integer => 0x21,
        ItemType::ByteString => 0x28,
        ItemType::Buffer => 0x30,
        ItemType::Array => 0x40,
        ItemType::Struct => 0x41,
        ItemType::Map => 0x48,
        ItemType::InteropInterface => 0x60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_that_are_an_item_are_written_again(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut heap = Heap::default();
            if let Ok(item) = deserialize(&mut heap, &bytes) {
                let written = serialize(&heap, &item).expect("no cycles, few items");
                let again = deserialize(&mut heap, &written).expect("own bytes");
                prop_assert_eq!(serialize(&heap, &again).ok(), Some(written));
            }
        }
    }

    #[test]
    fn nesting_is_limited_only_by_the_number_of_items() {
        let nested = |levels: usize| [[0x40, 1].repeat(levels), vec![0x00]].concat();
        let mut heap = Heap::default();
        assert!(deserialize(&mut heap, &nested(2047)).is_ok());
        assert!(deserialize(&mut heap, &nested(2048)).is_err());
    }

    #[test]
    fn cycles_and_repeated_arrays_are_refused() {
        let mut heap = Heap::default();
        let inner = heap.new_array(vec![]);
        let twice = heap.new_array(vec![inner.clone(), inner]);
        assert_eq!(serialize(&heap, &twice), Err(SerializeError::Repeated));
    }
}
